"""A runtime for MLServer that runs an ONNX graph: a peer of `npm run bench:serve`, and a second opinion on `npm run test:oip`."""

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse, MetadataTensor, ResponseOutput

TYPES = {"tensor(uint8)": "UINT8", "tensor(float)": "FP32", "tensor(int64)": "INT64"}


def described(port):
    shape = [size if isinstance(size, int) else -1 for size in port.shape]
    return MetadataTensor(name=port.name, datatype=TYPES[port.type], shape=shape)


class OnnxModel(MLModel):
    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        self.inputs = [described(port) for port in self.session.get_inputs()]
        self.outputs = [described(port) for port in self.session.get_outputs()]
        return True

    async def predict(self, payload):
        names = [output.name for output in payload.outputs or self.outputs]
        feeds = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        found = self.session.run(names, feeds)
        types = {tensor.name: tensor.datatype for tensor in self.outputs}
        outputs = [  # not NumpyCodec's, which gives [n] the shape [n, 1]
            ResponseOutput(name=name, datatype=types[name], shape=list(x.shape), data=x.ravel().tolist())
            for name, x in zip(names, found)
        ]
        return InferenceResponse(id=payload.id, model_name=self.name, model_version=self.version, outputs=outputs)
