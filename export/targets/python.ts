import type { Bundle } from "../../runtime/bundle.ts";
import type { TargetFiles } from "./target.ts";

/** What both modules begin with: a session of the graph that lies beside them, one a process. */
function head({ manifest: { name, input, outputs } }: Bundle, about: string): string {
  const shown = outputs.filter(({ shape }) => shape.length === 1).map(({ name }) => JSON.stringify(name));
  return `"""${about}

Clusterer ${name}, ${manifest(input.kind)}. Needs: onnxruntime, numpy.
"""

from pathlib import Path

import numpy as np
import onnxruntime

INPUT = ${JSON.stringify(input.name)}
SHAPE = (${input.shape.slice(1).join(", ")},)  # of one sample
DTYPE = np.${input.dtype}
OUTPUTS = [${shown.join(", ")}]
BATCH = 256  # as \`subspan assign\`: the last bits of a float may depend on it


def open_session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the engine runs a process a core
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def checked(samples):
    """What the graph takes, [n, *SHAPE]. What would be assigned as something else is a ValueError: the graph does not see it."""
    samples = np.asarray(samples)
    if samples.dtype == object:
        samples = samples.astype(np.float64)  # None becomes NaN
    size = int(np.prod(SHAPE))
    if samples.size != len(samples) * size:
        raise ValueError(f"x: expected {size} numbers a sample, got {samples.size / len(samples):g}")
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = samples.astype(DTYPE, copy=False)
${input.dtype === "uint8" ? SHARES : ""}    isRight = ${input.dtype === "uint8" ? "numbers == samples" : "np.isfinite(numbers)"}
    if not isRight.all():
        raise ValueError(f"x: expected ${input.dtype === "uint8" ? "whole numbers 0..255" : "finite numbers"}, got {samples[~isRight][0]}")
    return numbers.reshape(-1, *SHAPE)


def assign(session, samples):
    """Samples, one a row, each flat or not, to a dict of arrays: label (int32), confidence and novelty."""
    samples = checked(samples)
    parts = [session.run(OUTPUTS, {INPUT: samples[i : i + BATCH]}) for i in range(0, len(samples), BATCH)]
    if not parts:
        parts = [session.run(OUTPUTS, {INPUT: samples})]
    columns = dict(zip(OUTPUTS, (np.concatenate(column) for column in zip(*parts))))
    return {**columns, "label": columns["label"].astype(np.int32)}
`;
}

/** Pictures as shares of 1 would all be black. */
const SHARES = `    if samples.dtype.kind == "f" and samples.size > 0 and 0 < samples.max() <= 1:
        raise ValueError(f"x: expected whole numbers 0..255, the largest of all is {samples.max():g}")
`;

const manifest = (kind: string) => (kind === "images" ? "of images, raw bytes 0..255" : "of vectors of features");

/** A module for Spark: a function for mapInPandas, one for predict_batch_udf, and the schema of what they give. */
export function spark(bundle: Bundle): TargetFiles {
  return {
    "model.onnx": bundle.model,
    "subspan_spark.py": `${head(bundle, 'Assigns the rows of a Spark DataFrame to clusters.\n\n    spark.sparkContext.addFile("model.onnx")\n    spark.sparkContext.addPyFile("subspan_spark.py")\n    assigned = frame.mapInPandas(subspan_spark.assign_frames, subspan_spark.SCHEMA)\n\nThe frame has a column "index" (long) and one "x": an array of numbers, or bytes, of one sample each.')}

SCHEMA = "index long, ${schema(bundle)}"
_sessions = {}


def session():
    """One a Python worker."""
    if "model" not in _sessions:
        from pyspark import SparkFiles

        _sessions["model"] = open_session(SparkFiles.get("model.onnx"))
    return _sessions["model"]


def array_of(rows):
    """A column of byte strings or of lists of numbers as one array, a row each."""
    if rows.isna().any():
        raise ValueError("x: a sample is missing")
    if len(rows) == 0 or not isinstance(rows.iloc[0], (bytes, bytearray)):
        return np.array(rows.tolist())
    size = int(np.prod(SHAPE)) * np.dtype(DTYPE).itemsize
    other = next((len(row) for row in rows if len(row) != size), None)
    if other is not None:
        raise ValueError(f"x: expected {size} bytes a sample, got {other}")
    return np.frombuffer(b"".join(rows), DTYPE).reshape(len(rows), -1)


def assign_frames(frames):
    """For mapInPandas: frames of index and x to frames of SCHEMA. Partitions may be empty."""
    import pandas

    for frame in frames:
        yield pandas.DataFrame({"index": frame["index"], **assign(session(), array_of(frame["x"]))})


def make_predict_fn():
    """For predict_batch_udf: rows of an array column to labels.

    predict_batch_udf(make_predict_fn, return_type=IntegerType(), batch_size=BATCH, input_tensor_shapes=[[${size(bundle)}]])
    """
    opened = session()
    return lambda samples: assign(opened, samples)["label"]
`,
  };
}

/** A module for Ray Data: a class for map_batches. */
export function ray(bundle: Bundle): TargetFiles {
  return {
    "model.onnx": bundle.model,
    "subspan_ray.py": `${head(bundle, 'Assigns the rows of a Ray Dataset to clusters.\n\n    dataset.map_batches(\n        subspan_ray.Assign,\n        fn_constructor_args=["/where/all/nodes/see/model.onnx"],\n        batch_size=subspan_ray.BATCH,\n        compute=ray.data.ActorPoolStrategy(size=2),\n    )\n\nA batch has a column "x", one sample a row; it comes back with a column an output in its place.')}

class Assign:
    """One session an actor."""

    def __init__(self, path=Path(__file__).with_name("model.onnx")):
        self.session = open_session(path)

    def __call__(self, batch):
        others = {name: column for name, column in batch.items() if name != "x"}
        return {**others, **assign(self.session, np.stack(list(batch["x"])) if len(batch["x"]) else batch["x"])}
`,
  };
}

const size = ({ manifest: { input } }: Bundle) => input.shape.slice(1).reduce<number>((a, b) => a * Number(b), 1);

/** The outputs as Spark's DDL. */
const schema = ({ manifest: { outputs } }: Bundle) =>
  outputs
    .filter(({ shape }) => shape.length === 1)
    .map(({ name, dtype }) => `${name} ${dtype === "int64" ? "int" : "float"}`)
    .join(", ");
