"""Checks what `subspan export --target` writes with the engines' own Python packages.

    SUBSPAN_TARGETS=folder npx vitest run test/export/targets.test.ts
    .venv/clients/bin/python test/interop/check_targets.py folder triton kserve ray
    .venv/spark/bin/python test/interop/check_targets.py folder spark

Triton's model_config schema parses config.pbtxt, and every port is the graph's; KServe's SDK builds the same objects; Spark
(`local[2]`) and the class for Ray Data assign 100,000 rows, their outputs equal to the byte to those of `subspan assign`.
"""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

failures = []


def check(name, isRight, detail=""):
    print(f"{'ok  ' if isRight else 'FAIL'} {name} {detail}".rstrip())
    if not isRight:
        failures.append(name)


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def triton(folder):
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    (path,) = folder.glob("*/config.pbtxt")
    config = text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
    session = onnxruntime.InferenceSession(str(path.parent / "1" / "model.onnx"))
    types = {"tensor(float)": "TYPE_FP32", "tensor(int64)": "TYPE_INT64", "tensor(uint8)": "TYPE_UINT8"}

    def ours(port):
        sizes = list(port.reshape.shape) if port.HasField("reshape") else list(port.dims)
        return port.name, model_config_pb2.DataType.Name(port.data_type), sizes

    graph = lambda ports: [(port.name, types[port.type], port.shape[1:]) for port in ports]
    check("triton: name is the folder's", config.name == path.parent.name)
    check("triton: inputs", [*map(ours, config.input)] == graph(session.get_inputs()))
    check("triton: outputs", [*map(ours, config.output)] == graph(session.get_outputs()))
    check("triton: batches by itself", config.max_batch_size > 0 and config.HasField("dynamic_batching"))


def plain(built):
    """An object of a Kubernetes SDK as YAML has it. (The client's own way knows KServe's classes in some versions alone.)"""
    if hasattr(built, "model_dump"):
        return built.model_dump(by_alias=True, exclude_none=True)
    if hasattr(built, "attribute_map"):
        fields = {key: plain(getattr(built, name)) for name, key in built.attribute_map.items()}
        return {key: value for key, value in fields.items() if value not in (None, "")}  # the SDK's model has an empty name
    return [plain(item) for item in built] if isinstance(built, list) else built


def kserve(folder):
    import yaml
    from kserve import V1beta1InferenceService, V1beta1InferenceServiceSpec, V1beta1ModelFormat, V1beta1ModelSpec, V1beta1PredictorSpec
    from kubernetes.client import V1ObjectMeta, V1ResourceRequirements

    for path in sorted(folder.glob("*inference-service.yaml")):
        found = yaml.safe_load(path.read_text())
        model = found["spec"]["predictor"]["model"]
        form = model["modelFormat"]
        resources = model.get("resources")
        built = V1beta1InferenceService(
            api_version="serving.kserve.io/v1beta1",
            kind="InferenceService",
            metadata=V1ObjectMeta(name=found["metadata"]["name"]),
            spec=V1beta1InferenceServiceSpec(
                predictor=V1beta1PredictorSpec(
                    model=V1beta1ModelSpec(
                        model_format=V1beta1ModelFormat(name=form["name"], version=form.get("version")),
                        protocol_version="v2",
                        storage_uri=model["storageUri"],
                        resources=resources and V1ResourceRequirements(requests=resources["requests"], limits=resources["limits"]),
                    )
                )
            ),
        )
        check(f"kserve: {path.name} is what the SDK builds", plain(built) == found)
    runtime = yaml.safe_load((folder / "subspan-runtime.yaml").read_text())
    from kserve import V1alpha1ServingRuntimeSpec, V1alpha1SupportedModelFormat

    known = {"containers", "supportedModelFormats", "protocolVersions"}
    check("kserve: the runtime has the SDK's fields", known <= set(V1alpha1ServingRuntimeSpec.attribute_map.values()))
    form = runtime["spec"]["supportedModelFormats"][0]
    built = V1alpha1SupportedModelFormat(name="subspan", version="1", auto_select=True)
    check("kserve: the runtime's model format is what the SDK builds", plain(built) == form)


def job(folder):
    import yaml
    from kubernetes.client import ApiClient, V1Job

    found = yaml.safe_load((folder / "job.yaml").read_text())
    built = ApiClient()._ApiClient__deserialize(found, V1Job)  # the public way wants a response, in another form each version
    check("k8s-job: Kubernetes' client reads it and writes the same", ApiClient().sanitize_for_serialization(built) == found)


def equal(name, got, expected):
    for column in ("label", "confidence", "novelty"):
        same = np.asarray(got[column], expected[column].dtype).tobytes() == expected[column].tobytes()
        check(f"{name}: {column} equal to the byte", same, f"({len(expected[column])} rows)")


def spark(folder, rows, expected):
    from pyspark.sql import SparkSession

    began = time.monotonic()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "2560",  # whole runs of 256
        "spark.sql.files.maxPartitionBytes": str(rows.stat().st_size // 4),  # a task a row group
        "spark.sql.files.openCostInBytes": "0",
    }
    builder = SparkSession.builder.master("local[2]").appName("subspan").config(map=settings)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    session.sparkContext.addFile(str(folder / "model.onnx"))
    session.sparkContext.addPyFile(str(folder / "subspan_spark.py"))
    ours = module(folder / "subspan_spark.py")
    sys.modules["subspan_spark"] = ours
    import pandas

    refuses("bytes of another length", lambda: ours.array_of(pandas.Series([b"0" * 8, b"0" * 24])))
    refuses("no bytes", lambda: ours.array_of(pandas.Series([b"0" * 16, None])))
    frame = session.read.parquet(str(rows))
    check("spark: several tasks", frame.rdd.getNumPartitions() >= 4, f"({frame.rdd.getNumPartitions()})")
    assigned = frame.mapInPandas(ours.assign_frames, ours.SCHEMA).toPandas().sort_values("index")
    none = frame.limit(0).mapInPandas(ours.assign_frames, ours.SCHEMA).toPandas()
    session.stop()
    equal("spark", assigned, expected)
    check("spark: no rows", len(none) == 0, f"({time.monotonic() - began:.0f} s in all)")


def refuses(name, call):
    try:
        call()
        check(f"refuses {name}", False)
    except ValueError as error:
        check(f"refuses {name}", str(error).startswith("x: "), f"({error})")


def wrong(ours, images):
    """What the graph would assign as something else."""
    rows = np.ones((3, 4))
    refuses("NaN", lambda: ours.checked(np.where(np.eye(3, 4), np.nan, rows)))
    refuses("what float32 has not", lambda: ours.checked(1e39 * rows))
    refuses("what is missing", lambda: ours.checked([[1, 2, 3, None]]))
    refuses("samples of another size", lambda: ours.checked(np.ones((3, 8))))
    for name, samples in {"shares of 1": rows / 2, "black and white as shares": rows, "more than a byte": 300 * rows}.items():
        refuses(name, lambda: images.checked(samples))
    check("takes bytes in any form", images.checked([[0, 1, 1, 0]]).dtype == images.checked(255 * rows).dtype == np.uint8)


def ray(folder, rows, expected):
    import pandas

    ours = module(folder / "subspan_ray.py")
    wrong(ours, module(folder.parent / "ray-images" / "subspan_ray.py"))
    assign = ours.Assign()
    frame = pandas.read_parquet(rows)
    batches = [frame.iloc[i : i + ours.BATCH] for i in range(0, len(frame), ours.BATCH)]
    results = [assign({"index": batch["index"].to_numpy(), "x": batch["x"].to_numpy()}) for batch in batches]
    equal("ray", {name: np.concatenate([result[name] for result in results]) for name in results[0]}, expected)


def check_engine(engine, folder):
    if engine == "triton":
        triton(folder / "triton")
        triton(folder / "kserve" / "triton")
    elif engine == "kserve":
        kserve(folder / "kserve")
        job(folder / "k8s-job")
    else:
        {"ray": ray, "spark": spark}[engine](folder / engine, folder / "rows.parquet", dict(np.load(folder / "labels.npz")))
    return 1 if failures else 0


def main(folder, engines):
    """Each in a process of its own: the protobufs of tritonclient and kserve do not go into one."""
    if len(engines) == 1:
        return check_engine(engines[0], folder)
    failed = [one for one in engines if subprocess.run([sys.executable, __file__, str(folder), one]).returncode]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
