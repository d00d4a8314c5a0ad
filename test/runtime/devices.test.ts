import * as ort from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { type Device, walkLadder } from "../../runtime/devices.ts";
import type { Runtime } from "../../runtime/engine.ts";
import { loadClusterer, openModel } from "../../runtime/node.ts";
import { nodeReason } from "../../runtime/node-reason.ts";
import { nodeEngine } from "../../runtime/node-session.ts";
import { loadClusterer as loadInBrowser } from "../../runtime/web.ts";
import { toyModel } from "./toy.ts";

const ladder: readonly Device[] = ["cuda", "webgpu", "cpu"];
const only = (working: Device) => async (device: Device) => {
  if (device !== working) throw new Error(`no ${device}`);
  return device;
};

test("auto takes the first device that opens and says why others did not", async () => {
  const failures = [
    { device: "cuda", reason: "no cuda" },
    { device: "webgpu", reason: "no webgpu" },
  ];
  expect(await walkLadder("auto", false, ladder, only("cpu"))).toEqual({ device: "cpu", opened: "cpu", failures });
  expect(await walkLadder("auto", true, ladder, only("cuda"))).toMatchObject({ device: "cuda", failures: [] });
});

test("a named device falls back to those after it, strictly to none", async () => {
  expect(await walkLadder("webgpu", false, ladder, only("cpu"))).toMatchObject({
    device: "cpu",
    failures: [{ device: "webgpu", reason: "no webgpu" }],
  });
  const error = { code: "DEVICE_UNAVAILABLE", message: expect.stringContaining("webgpu: no webgpu") };
  await expect(walkLadder("webgpu", true, ladder, only("cpu"))).rejects.toMatchObject(error);
  await expect(walkLadder("wasm", true, ladder, only("cpu"))).rejects.toThrow("not offered here");
  expect((await walkLadder("wasm", false, ladder, only("cpu"))).device).toBe("cpu");
});

test.each([
  [{ device: "gpu" }, "device: expected auto, cpu, cuda, webgpu, wasm, got gpu"],
  [{ dtype: "fp8" }, "dtype: expected auto, fp32, fp16, int8, got fp8"],
  [{ threads: 0 }, "threads: expected an integer from 1, got 0"],
  [{ threads: 1.5 }, "threads: expected an integer from 1, got 1.5"],
])("%j is refused, and no device is blamed", async (options, message) => {
  await expect(loadClusterer(toyModel(), options as never)).rejects.toMatchObject({ code: "USAGE", message });
});

test("when nothing opens, the error has every reason", async () => {
  await expect(walkLadder("auto", false, ladder, only("wasm"))).rejects.toThrow(
    /cuda: no cuda; webgpu: .*; cpu: no cpu/,
  );
});

test.each([
  [
    "/src/webgpu_context.cc:136 Initialize(const Config&)::<lambda()> ok was false. Failed to get an adapter: x\n",
    "Failed to get an adapter: x",
  ],
  [
    "shader_helper.cc:416 GenerateSourceCode Program Transpose requires f16 but the device does not support it.",
    "Program Transpose requires f16 but the device does not support it.",
  ],
])("ONNX Runtime's reasons lose their source positions: %s", (text, reason) => {
  expect(nodeReason(text)).toBe(reason);
});

test("in Node, auto ends on a device that works and has a reason for each that does not", async () => {
  const clusterer = await loadClusterer(toyModel());
  const { info } = clusterer;
  expect(["cuda", "webgpu", "cpu"]).toContain(info.device);
  expect(info.failures.map(({ device }) => device)).toEqual(ladder.slice(0, ladder.indexOf(info.device)));
  for (const { reason } of info.failures) expect(reason).not.toBe("");
  await clusterer.dispose();
});

test("the browser's door runs on wasm, also in Node, and agrees with Node's", async () => {
  const data = Uint8Array.of(0, 255, 0, 0, 3, 2, 9, 7);
  const outputs = ["label", "confidence", "embedding"] as const;
  const wasm = await loadInBrowser(toyModel());
  const cpu = await loadClusterer(toyModel(), { device: "cpu", strict: true });
  expect(wasm.info).toMatchObject({ device: "wasm", threads: 1, failures: [{ device: "webgpu" }] });
  const [ours, theirs] = await Promise.all(
    [wasm, cpu].map((one) => one.assign({ data, shape: [2, 2, 2, 1] }, { outputs })),
  );
  expect(ours!.label).toEqual(theirs!.label);
  for (const [i, p] of ours!.confidence.entries()) expect(p).toBeCloseTo(theirs!.confidence[i]!, 6);
  expect((await wasm.assign({ data: new Uint8Array(0), shape: [0, 2, 2, 1] })).count).toBe(0);
  await Promise.all([wasm.dispose(), cpu.dispose()]);
});

describe("CUDA, of which this machine has none: a runtime that fails as ONNX Runtime does", () => {
  const bridge =
    "/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:2210 onnxruntime::Provider& onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : ";
  const library = (name: string) =>
    `${bridge}Failed to load library libonnxruntime_providers_cuda.so with error: ${name}: cannot open shared object file: No such file or directory`;
  const call = (failure: string) =>
    `/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:129 std::conditional_t<THRW, void, onnxruntime::common::Status> onnxruntime::CudaCall(...) ${failure} ; GPU=0 ; hostname=box ; file=cuda_execution_provider.cc ; line=282 ; expr=cudaSetDevice(info_.device_id);`;
  const texts: readonly (readonly [string, RegExp])[] = [
    [library("libcublasLt.so.12"), /^Failed to load .*libcublasLt\.so\.12.*\(install the CUDA version/],
    [library("libcudnn.so.9"), /libcudnn\.so\.9.*\(install cuDNN 9/],
    [library("libonnxruntime_providers_shared.so"), /\(install what is named there/],
    [
      `${bridge}LoadLibrary failed with error 126 "" when trying to load "onnxruntime_providers_cuda.dll"`,
      /error 126.*\(install what/,
    ],
    [call("CUDA failure 100: no CUDA-capable device is detected"), /failure 100.*\(there is no NVIDIA GPU/],
    [
      call("CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version"),
      /\(install a newer NVIDIA driver/,
    ],
    [
      call("CUDA failure 209: no kernel image is available for execution on the device"),
      /\(this GPU is older or newer/,
    ],
    [call("CUDA failure 2: out of memory"), /\(the GPU's memory is full/],
    [call("CUDNN failure 1001: CUDNN_STATUS_NOT_INITIALIZED"), /\(install cuDNN 9/],
    ["CUDA execution provider is not enabled in this build. ", /\(onnxruntime-node has CUDA on/],
    ["something nobody has seen", /^something nobody has seen$/],
  ];
  const { model, manifest } = openModel(toyModel());
  const setup = { part: { name: "label", outputs: ["label"], model }, manifest, threads: undefined };

  test.each(texts)("%s", async (text, reason) => {
    const asked: unknown[] = [];
    const runtime: Runtime = {
      Tensor: ort.Tensor as unknown as Runtime["Tensor"],
      InferenceSession: {
        create: async (model, options) => {
          asked.push(options.executionProviders);
          if (options.executionProviders?.includes("cuda")) throw new Error(text);
          return ort.InferenceSession.create(model, options);
        },
      },
    };
    const open = async (device: Device) => {
      const engine = await nodeEngine({ ...setup, device }, runtime);
      await engine.open(setup.part);
      return engine;
    };
    const { device, failures, opened } = await walkLadder("cuda", false, ["cuda", "cpu"], open);
    expect({ device, failures }).toEqual({
      device: "cpu",
      failures: [{ device: "cuda", reason: expect.stringMatching(reason) }],
    });
    expect(asked).toEqual([["cuda"], ["cpu"]]);
    await opened.release();
    await expect(walkLadder("cuda", true, ["cuda", "cpu"], open)).rejects.toMatchObject({ code: "DEVICE_UNAVAILABLE" });
  });
});
