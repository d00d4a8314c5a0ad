"""A clusterer's assignment in PyTorch, eager: its exported graph, node by node, in torch's own operators.

JSON lines, as `serve.py`:

    in   {"graph": "graph.json", "weights": "weights.bin", "images": "images.bin", "shape": [256, 28, 28, 1], "threads": 2}
    out  {"engine": "PyTorch 2.15.0 eager", "labels": [...]}
    in   {"rounds": 5}       out  {"milliseconds": [40.1, ...]}

graph.json: {"input": name, "label": name, "nodes": [{"op", "inputs", "outputs", "attributes"}], "tensors": {name:
{"dtype", "shape", "offset"}}}. Index arithmetic is torch's too; with NumPy it is in `assign_numpy.py`, written by hand.
"""

import json
import logging
import sys
import time
import warnings

warnings.filterwarnings("ignore", message="Failed to initialize NumPy")
logging.disable(logging.WARNING)

import torch
import torch.nn.functional as F

DTYPES = {"float32": torch.float32, "uint8": torch.uint8, "int32": torch.int32, "int64": torch.int64, "bool": torch.bool}
CASTS = {1: torch.float32, 2: torch.uint8, 6: torch.int32, 7: torch.int64, 9: torch.bool}


def ints(numbers):
    """A tensor or a list as a list of numbers: opset 17 has axes as an input here, as an attribute there."""
    return [int(value) for value in (numbers if isinstance(numbers, list) else numbers.reshape(-1))]


def reduced(function):
    def run(x, axes=None, *, keepdims=1):
        dims = list(range(x.dim())) if axes is None else ints(axes)
        return function(x, dims, bool(keepdims))

    return run


def conv(x, weight, bias=None, *, pads=(0, 0, 0, 0), strides=(1, 1), dilations=(1, 1), group=1, **_):
    spatial = x.dim() - 2
    pads, strides, dilations = list(pads) or [0] * 2 * spatial, list(strides)[:spatial], list(dilations)[:spatial]
    before, after = pads[:spatial], pads[spatial:]
    if before != after:
        x = F.pad(x, [p for i in reversed(range(spatial)) for p in (before[i], after[i])])
        before = [0] * spatial
    function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[spatial]
    return function(x, weight, bias, strides or 1, before, dilations or 1, group)


def gemm(a, b, c=None, *, transA=0, transB=0, alpha=1.0, beta=1.0):
    a, b = (a.t() if transA else a), (b.t() if transB else b)
    if c is not None and alpha == beta == 1:
        return torch.addmm(c, a, b)
    product = alpha * (a @ b)
    return product if c is None else product + beta * c


def pad(x, pads, value=None, axes=None, *, mode="constant"):
    pads, rank = ints(pads), x.dim()
    pairs = [p for axis in reversed(range(rank)) for p in (pads[axis], pads[rank + axis])]
    return F.pad(x, pairs, mode, 0 if value is None else value.item())


def sliced(x, starts, ends, axes=None, steps=None):
    count = starts.numel()
    axes = ints(axes) if axes is not None else list(range(count))
    steps = ints(steps) if steps is not None else [1] * count
    for start, end, axis, step in zip(ints(starts), ints(ends), axes, steps):
        first, last, step = slice(start, end, step).indices(x.shape[axis])
        if step == 1:
            x = x.narrow(axis, first, max(0, last - first))
        else:
            x = x.index_select(axis, torch.arange(first, last, step))
    return x


def gather(x, indices, *, axis=0):
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    picked = x.index_select(axis, indices.reshape(-1).long())
    return picked.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def reshape(x, shape, **_):
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(ints(shape))])


def topk(x, k, *, axis=-1, largest=1, sorted=1):
    values, indices = torch.topk(x, int(k), axis, bool(largest), bool(sorted))
    return values, indices


def many(function):
    def run(*tensors):
        result = tensors[0]
        for tensor in tensors[1:]:
            result = function(result, tensor)
        return result

    return run


def divide(a, b):
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


OPERATORS = {
    "Abs": torch.abs, "Add": torch.add, "And": torch.logical_and, "Ceil": torch.ceil, "Div": divide, "Equal": torch.eq,
    "Erf": torch.erf, "Exp": torch.exp, "Floor": torch.floor, "Gemm": gemm, "Greater": torch.gt, "GreaterOrEqual": torch.ge,
    "Identity": lambda x: x, "Less": torch.lt, "LessOrEqual": torch.le, "Log": torch.log, "MatMul": torch.matmul,
    "Mul": torch.mul, "Neg": torch.neg, "Not": torch.logical_not, "Or": torch.logical_or, "Pow": torch.pow,
    "Reciprocal": torch.reciprocal, "Relu": torch.relu, "Sigmoid": torch.sigmoid, "Sqrt": torch.sqrt, "Sub": torch.sub,
    "Tanh": torch.tanh, "Where": torch.where, "Conv": conv, "Pad": pad, "Slice": sliced, "Gather": gather,
    "Reshape": reshape, "TopK": topk, "Max": many(torch.maximum), "Min": many(torch.minimum), "Sum": many(torch.add),
    "Softplus": F.softplus,
    "Cast": lambda x, *, to: x.to(CASTS[to]),
    "Clip": lambda x, low=None, high=None: torch.clamp(x, low, high),
    "Concat": lambda *xs, axis: torch.cat(xs, axis),
    "ConstantOfShape": lambda shape, *, value=torch.zeros(1): value.expand(ints(shape)),
    "CumSum": lambda x, axis, **_: torch.cumsum(x, int(axis)),
    "Expand": lambda x, shape: x * torch.ones(ints(shape), dtype=x.dtype),
    "GatherElements": lambda x, indices, *, axis=0: torch.gather(x, axis, indices.long()),
    "LeakyRelu": lambda x, *, alpha=0.01: F.leaky_relu(x, alpha),
    "Range": lambda start, limit, delta: torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype),
    "Shape": lambda x, *, start=0, end=None: torch.tensor(x.shape[start:end], dtype=torch.int64),
    "Softmax": lambda x, *, axis=-1: torch.softmax(x, axis),
    "Split": lambda x, sizes, *, axis=0: torch.split(x, ints(sizes), axis),
    "Squeeze": lambda x, axes: x.reshape([size for i, size in enumerate(x.shape) if i not in [a % x.dim() for a in ints(axes)]]),
    "Tile": lambda x, repeats: x.repeat(*ints(repeats)),
    "Transpose": lambda x, *, perm: x.permute(*perm),
    "ArgMax": lambda x, *, axis=0, keepdims=1, **_: torch.argmax(x, axis, bool(keepdims)),
    "ArgMin": lambda x, *, axis=0, keepdims=1, **_: torch.argmin(x, axis, bool(keepdims)),
    "ReduceSum": reduced(torch.sum), "ReduceMean": reduced(torch.mean), "ReduceMax": reduced(torch.amax),
    "ReduceMin": reduced(torch.amin), "ReduceL1": reduced(lambda x, dims, keep: torch.sum(x.abs(), dims, keep)),
    "ReduceL2": reduced(lambda x, dims, keep: torch.linalg.vector_norm(x, 2, dims, keep)),
}


def unsqueeze(x, axes):
    rank = x.dim() + axes.numel()
    for axis in sorted(a % rank for a in ints(axes)):
        x = x.unsqueeze(axis)
    return x


OPERATORS["Unsqueeze"] = unsqueeze


class Assignment:
    def __init__(self, graph, weights, images, shape, threads):
        torch.set_num_threads(threads)
        self.graph, self.tensors = read_graph(graph, weights)
        missing = sorted({node["op"] for node in self.graph["nodes"]} - OPERATORS.keys())
        if missing:
            raise ValueError(f"operators without a row here: {', '.join(missing)}")
        self.nodes = [self.node(**node) for node in self.graph["nodes"]]
        self.images = read_images(images, shape)

    def node(self, op, inputs, outputs, attributes):
        for name, value in attributes.items():
            if isinstance(value, dict):
                attributes[name] = self.tensors[value["tensor"]]
        return OPERATORS[op], inputs, outputs, attributes

    @torch.inference_mode()
    def run(self):
        values = {**self.tensors, self.graph["input"]: self.images}
        for function, inputs, outputs, attributes in self.nodes:
            got = function(*(values[name] if name else None for name in inputs), **attributes)
            values.update(zip(outputs, got if isinstance(got, tuple) else (got,)))
        return values[self.graph["label"]]


def tensor_of(data, dtype, shape, offset):
    count = 1
    for size in shape:
        count *= size
    if count == 0:
        return torch.empty(shape, dtype=DTYPES[dtype])
    return torch.frombuffer(data, dtype=DTYPES[dtype], count=count, offset=offset).reshape(shape)


def read_graph(graph, weights):
    """The graph as it was written, and its constants as tensors by their names."""
    with open(graph) as file:
        graph = json.load(file)
    with open(weights, "rb") as file:
        data = bytearray(file.read())
    return graph, {name: tensor_of(data, **rest) for name, rest in graph["tensors"].items()}


def read_images(path, shape):
    with open(path, "rb") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).reshape(shape)


def serve(make, engine):
    """Answers by what `make(graph, weights, images, shape, threads)` gives, whose `run()` returns labels."""
    assignment = None
    for line in sys.stdin:
        request = json.loads(line)
        if assignment is None:
            assignment = make(**request)
            answer = {"engine": engine, "labels": assignment.run().tolist()}
        else:
            milliseconds = []
            for _ in range(request["rounds"]):
                start = time.perf_counter()
                assignment.run()
                milliseconds.append((time.perf_counter() - start) * 1000)
            answer = {"milliseconds": milliseconds}
        print(json.dumps(answer), flush=True)


ENGINE = f"PyTorch {torch.__version__.split('+')[0]} eager"

if __name__ == "__main__":
    serve(Assignment, ENGINE)
