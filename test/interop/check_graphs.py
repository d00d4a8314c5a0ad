"""Checks the graphs that a test run left behind against Python's own ONNX tools.

    SUBSPAN_GRAPHS=graphs npm test
    .venv/interop/bin/python test/interop/check_graphs.py graphs

Each `NAME.onnx` is checked by onnx.checker with full, strict shape inference; where a `NAME.json` with inputs and outputs lies
beside it, Python's onnxruntime must give the same names, types, shapes and numbers as onnxruntime-node did.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import numpy
import onnx
import onnxruntime

TOLERANCE = 1e-5  # of max(1, |value|): threads and vector widths may add in another order
TYPES = {"bool": "bool", "float32": "float32", "int32": "int32", "int64": "int64", "int8": "int8", "uint8": "uint8"}


def array(tensor):
    numbers = [float(x) if isinstance(x, str) else x for x in tensor["data"]]  # "NaN", "Infinity"
    return numpy.array(numbers, TYPES[tensor["type"]]).reshape(tensor["shape"])


def difference(name, expected, got):
    if got.dtype != expected.dtype or got.shape != expected.shape:
        return f"{name}: expected {expected.dtype} {expected.shape}, got {got.dtype} {got.shape}"
    if expected.dtype != numpy.float32:
        return None if (got == expected).all() else f"{name}: {numpy.sum(got != expected)} of {got.size} differ"
    close = numpy.isclose(got, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    return None if close.all() else f"{name}: differs by up to {numpy.nanmax(numpy.abs(got - expected))}"


def check(path):
    """What is wrong with a graph; None if nothing."""
    try:
        onnx.checker.check_model(onnx.load(path), full_check=True)
        onnx.shape_inference.infer_shapes(onnx.load(path), check_type=True, strict_mode=True, data_prop=True)
        record = path.with_suffix(".json")
        if not record.exists():
            return None
        run = json.loads(record.read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        if names != list(run["outputs"]):
            return f"outputs: expected {list(run['outputs'])}, got {names}"
        got = session.run(names, {name: array(tensor) for name, tensor in run["inputs"].items()})
        problems = [difference(name, array(run["outputs"][name]), value) for name, value in zip(names, got)]
        return next(filter(None, problems), None)
    except Exception as error:  # noqa: BLE001: every failure is a finding
        return f"{type(error).__name__}: {error}"


def main(folder):
    paths = sorted(Path(folder).glob("*.onnx"))
    operators, failed = Counter(), 0
    for path in paths:
        operators.update({node.op_type for node in onnx.load(path).graph.node})
        problem = check(path)
        if problem is not None:
            failed += 1
            print(f"{path.name}: {problem}", flush=True)
    print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}: {len(operators)} operators in {len(paths)} graphs")
    print(f"graphs: {len(paths) - failed} passed, {failed} failed")
    return 0 if paths and failed == 0 else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    sys.exit(main(sys.argv[1]))
