import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Device } from "./devices.ts";
import { nodeReason } from "./node-reason.ts";

/** Best first. */
export const NODE_LADDER: readonly Device[] = ["cuda", "webgpu", "cpu"];

/** x + x on float32 [N, 2]: the least that makes a device compute. The same in float16, between casts. */
const PROBE_MODELS = {
  sum: "CAhCBAoAEBE6PxIBZwoOCgF4CgF4EgF5IgNBZGRaFAoBeBIPCg0IARIJCgMSAU4KAggCYhQKAXkSDwoNCAESCQoDEgFOCgIIAg==",
  half:
    "CAhCBAoAEBE6cxIDdG95ChcKAXgSAWgiBENhc3QqCQoCdG8YCqABAgoOCgFoCgFoEgFpIgNBZGQKFwoBaRIBeSIEQ2FzdCoJCgJ0bxgBoAECWhQKAXgS" +
    "DwoNCAESCQoDEgFOCgIIAmIUCgF5Eg8KDQgBEgkKAxIBTgoCCAI=",
};
const PROBE = `
const ort = require(process.argv[1]);
const feed = new ort.Tensor("float32", Float32Array.of(1, 2), [1, 2]);
const options = { executionProviders: ["webgpu"], logSeverityLevel: 4 };
const probe = async ([name, model]) => {
  const session = await ort.InferenceSession.create(Buffer.from(model, "base64"), options);
  console.log(name, (await session.run({ x: feed })).y.data[0]);
};
const [sum, half] = ${JSON.stringify(Object.entries(PROBE_MODELS))};
probe(sum).then(() => probe(half)).catch((error) => console.log(error.message)).then(() => process.exit(0));`;
const PROBE_MILLISECONDS = 30_000;

const require = createRequire(import.meta.url);
/** Why WebGPU cannot be used, or whether it computes in float16. */
type Probed = { readonly reason: string } | { readonly half: boolean };
let webgpuProbe: Promise<Probed> | undefined;

/**
 * Why a device cannot be used, found before ONNX Runtime is asked: it prints its own complaints to stderr, and a broken
 * driver can take the process with it.
 *
 * As found with onnxruntime-node 1.30: the npm package holds the CPU and WebGPU providers, and lists CUDA on Linux x64
 * (`bundled: false`) though its libraries come only with the package's install script; asked without them it throws.
 * WebGPU (Dawn over Vulkan, Metal or D3D12) throws "No supported adapters" without a GPU and leaves the process well;
 * over SwiftShader it opens, runs and agrees with the CPU. Two WebGPU sessions running at once in one process can
 * crash it (onnxruntime#32561): runs of one thread never overlap, and a server does well to give WebGPU to one worker
 * thread.
 *
 * @returns the reason, or nothing if it may be tried.
 */
export async function whyNot(device: Device): Promise<string | undefined> {
  if (device === "cuda") return whyNotCuda();
  if (device === "webgpu") return whyNotWebgpu();
  return undefined;
}

/** Whether a device that may be tried computes in float16. CPUs would, between casts, and slower than in float32. */
export async function computesHalf(device: Device): Promise<boolean> {
  if (device !== "webgpu") return device === "cuda";
  const probed = await probeWebgpu();
  return "half" in probed && probed.half;
}

function whyNotCuda(): string | undefined {
  const root = dirname(dirname(require.resolve("onnxruntime-node")));
  const library = process.platform === "win32" ? "onnxruntime_providers_cuda.dll" : "libonnxruntime_providers_cuda.so";
  if (existsSync(join(root, "bin/napi-v6", process.platform, process.arch, library))) return undefined;
  return `${library} is not installed; on Linux x64: node node_modules/onnxruntime-node/script/install.js`;
}

async function whyNotWebgpu(): Promise<string | undefined> {
  const { VK_ICD_FILENAMES, VK_DRIVER_FILES } = process.env;
  const devices = ["/dev/dri/renderD128", "/dev/nvidia0", "/dev/dxg"];
  const gpu = VK_ICD_FILENAMES ?? VK_DRIVER_FILES ?? devices.find((path) => existsSync(path));
  if (process.platform === "linux" && gpu === undefined) return `no GPU: none of ${devices.join(", ")}`;
  const probed = await probeWebgpu();
  return "reason" in probed ? probed.reason : undefined;
}

/** Runs WebGPU once in a process of its own, where a crash is an answer. Asked once a process. */
function probeWebgpu(): Promise<Probed> {
  webgpuProbe ??= probeInProcess();
  return webgpuProbe;
}

function probeInProcess(): Promise<Probed> {
  const args = ["-e", PROBE, require.resolve("onnxruntime-node")];
  const env = { ...process.env, ELECTRON_RUN_AS_NODE: "1" };
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: PROBE_MILLISECONDS, env }, (error, stdout) => {
      const last = stdout.trim().split("\n").at(-1) ?? "";
      if (stdout.startsWith("sum 2")) resolve({ half: last === "half 2" });
      else resolve({ reason: nodeReason(last) || `a probe ended with ${error?.signal ?? error?.code ?? "nothing"}` });
    });
  });
}
