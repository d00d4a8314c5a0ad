"""The peer of `npm run bench:serve`: the same graph behind the same requests in FastAPI, a process a core.

    onnx_server.py MODEL.onnx PORT PROCESSES
"""

import io
import os
import sys

import numpy as np
import onnxruntime
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from PIL import Image

OUTPUTS = ["label", "confidence", "novelty"]
TYPES = {np.dtype("int64"): "INT64", np.dtype("float32"): "FP32"}
app = FastAPI()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = max(1, os.cpu_count() // int(os.environ.get("PROCESSES", 1)))
session = onnxruntime.InferenceSession(os.environ["MODEL"], options) if "MODEL" in os.environ else None


def run(images):
    return dict(zip(OUTPUTS, session.run(OUTPUTS, {"images": images})))


@app.get("/v2/health/live")
async def live():
    return {"live": True}


@app.post("/v2/models/{model}/infer")
async def infer(model: str, request: Request):
    body, length = await request.body(), request.headers.get("inference-header-content-length")
    sent = orjson.loads(body if length is None else body[: int(length)])["inputs"][0]
    data = np.array(sent["data"], np.uint8) if length is None else np.frombuffer(body[int(length) :], np.uint8)
    found = run(data.reshape(sent["shape"]))
    described = [{"name": name, "datatype": TYPES[x.dtype], "shape": x.shape} for name, x in found.items()]
    if length is None:
        outputs = [{**one, "data": x.ravel()} for one, x in zip(described, found.values())]
        told = orjson.dumps({"model_name": model, "outputs": outputs}, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(told, media_type="application/json")
    outputs = [{**one, "parameters": {"binary_data_size": x.nbytes}} for one, x in zip(described, found.values())]
    told = orjson.dumps({"model_name": model, "outputs": outputs})
    headers = {"inference-header-content-length": str(len(told))}
    return Response(told + b"".join(x.tobytes() for x in found.values()), 200, headers, "application/octet-stream")


@app.post("/v2/models/{model}/assign")
async def assign(model: str, request: Request):
    _, height, width, _ = session.get_inputs()[0].shape
    image = Image.open(io.BytesIO(await request.body())).convert("L").resize((width, height))
    found = run(np.asarray(image)[None, :, :, None])
    return {"results": [{name: x[0].item() for name, x in found.items()}]}


if __name__ == "__main__":
    os.environ["MODEL"], port, os.environ["PROCESSES"] = sys.argv[1:]
    processes = int(os.environ["PROCESSES"])
    quiet = {"access_log": False, "log_level": "warning"}
    uvicorn.run("onnx_server:app", port=int(port), workers=processes, app_dir=os.path.dirname(__file__), **quiet)
