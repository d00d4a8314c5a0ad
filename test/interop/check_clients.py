"""Asks our running server with the clients that its protocol's own projects publish, as their documents say, nothing changed.

    .venv/clients/bin/python test/interop/check_clients.py http://127.0.0.1:8000 MODEL

`tritonclient.http` (plain and asyncio) and KServe's `InferenceRESTClient` ask for health, metadata, configuration, statistics and
the repository, and infer with tensors in JSON and in bytes; all answers have to be equal.
"""

import asyncio
import sys

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceRESTClient, RESTConfig
from tritonclient.utils import InferenceServerException

url, model = sys.argv[1:]
failures = []


def check(name, isRight, detail=""):
    print(f"{'ok  ' if isRight else 'FAIL'} {name} {detail if not isRight else ''}".rstrip())
    if not isRight:
        failures.append(name)


def same(name, got, expected):
    check(name, all(np.array_equal(got[key], expected[key]) for key in expected), f"{got} != {expected}")


def with_triton(images, names):
    client = triton.InferenceServerClient(url.removeprefix("http://"), concurrency=4)
    check("triton: live, ready", client.is_server_live() and client.is_server_ready() and client.is_model_ready(model))
    check("triton: version ready", client.is_model_ready(model, "1") and not client.is_model_ready("nobody"))
    metadata = client.get_model_metadata(model)
    check("triton: metadata", metadata["name"] == model and client.get_server_metadata()["name"] == "subspan", metadata)
    check("triton: configuration", client.get_model_config(model)["name"] == model)
    check("triton: index", any(one["name"] == model for one in client.get_model_repository_index()))

    def infer(binary, batch=images, **more):
        tensor = triton.InferInput(metadata["inputs"][0]["name"], list(batch.shape), "UINT8")
        tensor.set_data_from_numpy(batch, binary_data=binary)
        wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
        return client.infer(model, [tensor], outputs=wanted, **more)

    read = lambda result: {name: result.as_numpy(name) for name in names}
    expected = read(infer(True))
    same("triton: tensors in JSON are those in bytes", read(infer(False)), expected)
    answered = infer(True, request_id="mine", model_version="1")
    check("triton: id and version", answered.get_response()["id"] == "mine", answered.get_response())
    tensor = triton.InferInput(metadata["inputs"][0]["name"], list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images)
    pending = [client.async_infer(model, [tensor]) for _ in range(8)]
    for at, one in enumerate(pending):
        same(f"triton: asynchronous {at}", read(one.get_result()), expected)
    everything = client.infer(model, [tensor])
    check("triton: all outputs", all(everything.as_numpy(one["name"]) is not None for one in metadata["outputs"]))
    statistics = client.get_inference_statistics(model)["model_stats"][0]
    check("triton: statistics", statistics["inference_count"] >= 11 * len(images), statistics)
    try:
        infer(True, images[:, :1])
        check("triton: a wrong shape is refused", False)
    except InferenceServerException as error:
        check("triton: a wrong shape is refused", error.status() == "400" and "expected" in error.message(), error)
    client.unload_model(model)
    check("triton: unloaded", not client.is_model_ready(model))
    client.load_model(model)
    same("triton: loaded again", read(infer(True)), expected)
    return metadata, expected


async def with_triton_aio(images, names, metadata, expected):
    async with triton_aio.InferenceServerClient(url.removeprefix("http://")) as client:
        check("triton, asyncio: ready", await client.is_server_ready())
        tensor = triton_aio.InferInput(metadata["inputs"][0]["name"], list(images.shape), "UINT8")
        tensor.set_data_from_numpy(images)
        result = await client.infer(model, [tensor])
        same("triton, asyncio: infers", {name: result.as_numpy(name) for name in names}, expected)


async def with_kserve(images, metadata, expected):
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0))
    ready = await client.is_server_live(url), await client.is_server_ready(url), await client.is_model_ready(url, model)
    check("kserve: live, ready", all(ready), ready)
    for binary in (False, True):
        tensor = InferInput(metadata["inputs"][0]["name"], list(images.shape), "UINT8")
        tensor.set_data_from_numpy(images, binary_data=binary)
        parameters = {"binary_data_output": True} if binary else {}
        request = InferRequest(model, [tensor], request_id="mine", parameters=parameters)
        response = await client.infer(url, request, model_name=model)
        found = {output.name: output.as_numpy() for output in response.outputs}
        same(f"kserve: infers, {'bytes' if binary else 'JSON'}", found, expected)
        check("kserve: id and model", (response.id, response.model_name) == ("mine", model), response)
    await client.close()


def main():
    random = np.random.default_rng(1)
    shape = triton.InferenceServerClient(url.removeprefix("http://")).get_model_metadata(model)["inputs"][0]["shape"]
    images = random.integers(0, 256, (5, *(int(size) for size in shape[1:])), dtype=np.uint8)
    names = ["label", "confidence", "novelty"]
    metadata, expected = with_triton(images, names)
    asyncio.run(with_triton_aio(images, names, metadata, expected))
    asyncio.run(with_kserve(images, metadata, expected))
    print(f"{len(failures)} failed" if failures else "all is understood")
    sys.exit(1 if failures else 0)


main()
