import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join, relative, sep } from "node:path";
import util from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { SubspanError } from "../../runtime/errors.ts";

/** The optional packages that bring libtensorflow, by the engine they are. */
export const TENSORFLOW_PACKAGES = {
  "tfjs-node": "@tensorflow/tfjs-node",
  "tfjs-node-gpu": "@tensorflow/tfjs-node-gpu",
} as const;

export type TensorflowEngine = keyof typeof TENSORFLOW_PACKAGES;

/** What tfjs-node calls the backend that computes with libtensorflow, and what it tells of it. */
export const TENSORFLOW_BACKEND = "tensorflow";
type TensorflowBackend = tf.KernelBackend & {
  readonly isGPUPackage: boolean;
  readonly isUsingGpuDevice: boolean;
  readonly binding: { readonly TF_Version: string };
};

/** What tfjs-node 4.22 asks of Node's util and Node 23 took away. */
const REMOVED = {
  isArray: Array.isArray,
  isNullOrUndefined: (value: unknown) => value === null || value === undefined,
};

/**
 * Loads an engine's package and makes sure that it computes where its name says: without a GPU, tfjs-node-gpu would quietly
 * compute on the CPU. tfjs's global backend stays as it was.
 *
 * @param from - a path or URL from which the package is looked for; unless given, here.
 * @returns libtensorflow's version.
 * @throws {SubspanError} DEPENDENCY_MISSING or DEVICE_UNAVAILABLE with the remedy; USAGE where the process has loaded the other
 *   engine: both are one backend to tfjs.
 */
export function loadTensorflow(engine: TensorflowEngine, from: string = import.meta.url): string {
  for (const [name, fn] of Object.entries(REMOVED)) if (!(name in util)) Object.assign(util, { [name]: fn });
  process.env.TF_CPP_MIN_LOG_LEVEL ??= "1"; // libtensorflow's warnings and errors, not its news
  const loaded = tf.findBackend(TENSORFLOW_BACKEND) as TensorflowBackend | null;
  if (loaded !== null && loaded.isGPUPackage !== (engine === "tfjs-node-gpu"))
    throw new SubspanError("USAGE", `engine ${engine}: this process has loaded the other tfjs-node; it can have one`);
  const before = tf.getBackend() ?? "cpu";
  try {
    createRequire(from)(TENSORFLOW_PACKAGES[engine]);
  } catch (cause) {
    const message = `engine ${engine}: ${whyNotLoaded(engine, cause as Error)}; get it with: ${setupCommand(engine)}`;
    throw new SubspanError("DEPENDENCY_MISSING", message, { cause });
  } finally {
    tf.setBackend(before);
  }
  const { isGPUPackage, isUsingGpuDevice, binding } = tf.findBackend(TENSORFLOW_BACKEND) as TensorflowBackend;
  if (isGPUPackage && !isUsingGpuDevice)
    throw new SubspanError("DEVICE_UNAVAILABLE", `engine ${engine}: ${noGpu(binding.TF_Version)}`);
  return binding.TF_Version;
}

function whyNotLoaded(
  engine: TensorflowEngine,
  { code, message }: Pick<NodeJS.ErrnoException, "code" | "message">,
): string {
  const name = TENSORFLOW_PACKAGES[engine];
  if (code === "MODULE_NOT_FOUND" && message.includes(`'${name}'`)) return `${name} is not installed`;
  if (message.includes("native addon module")) return `${name} is installed without its native addon`;
  return message.split("\n")[0] as string;
}

/** What has to be there for a GPU, as the two sources of libtensorflow have it. */
function noGpu(version: string): string {
  const libraries = version.startsWith("2.9.")
    ? `needs an NVIDIA driver, CUDA 11.2 and cuDNN 8.1 (or, for newer GPUs: ${setupCommand("tfjs-node-gpu")} --from pypi)`
    : "needs an NVIDIA driver that nvidia-smi agrees with; CUDA and cuDNN came with it";
  return `libtensorflow ${version} finds no GPU; it ${libraries}. On the CPU: --engine tfjs-node`;
}

/** The command that sets an engine up, as it is called where this package is: a checkout, or somebody's node_modules. */
export function setupCommand(engine: TensorflowEngine): string {
  const root = dirname(createRequire(import.meta.url).resolve("subspan/package.json"));
  const gpu = engine === "tfjs-node-gpu";
  if (!root.split(sep).includes("node_modules")) return `npm run setup:tfjs-node${gpu ? " -- --gpu" : ""}`;
  const script = relative(process.cwd(), join(root, "dist/train/setup/tfjs-node.js"));
  return `node ${script}${gpu ? " --gpu" : ""}`;
}

const PROBE = `
const util = require("node:util");
util.isArray ??= Array.isArray;
util.isNullOrUndefined ??= (value) => value === null || value === undefined;
const [name, from] = process.argv.slice(1);
try {
  const tf = require("node:module").createRequire(from)(name);
  const { binding, isUsingGpuDevice: gpu } = tf.backend();
  const [nine] = tf.square(tf.scalar(3)).dataSync();
  if (nine !== 9) throw new Error("3 * 3 came out as " + nine);
  console.log(JSON.stringify({ version: binding.TF_Version, gpu }));
} catch ({ code, message }) {
  console.log(JSON.stringify({ error: { code, message } }));
}`;
const PROBE_MILLISECONDS = 60_000;

/** What an engine is found to be: libtensorflow's version, and whether it sees a GPU. */
export interface FoundTensorflow {
  readonly version: string;
  readonly gpu: boolean;
}

/**
 * Loads an engine and computes with it in a process of its own, where a crash is an answer and which forgets it again.
 *
 * @param from - a path or URL from which the package is looked for; unless given, here.
 * @throws {SubspanError} DEPENDENCY_MISSING saying what is missing.
 */
export function probeTensorflow(engine: TensorflowEngine, from: string = import.meta.url): Promise<FoundTensorflow> {
  const argv = ["-e", PROBE, TENSORFLOW_PACKAGES[engine], from];
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: "3" };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, argv, { timeout: PROBE_MILLISECONDS, env }, (failure, stdout) => {
      const answer = stdout.trim().split("\n").at(-1) || "{}";
      const { error, ...found } = JSON.parse(answer) as FoundTensorflow & { readonly error?: NodeJS.ErrnoException };
      if (failure === null && error === undefined) return resolve(found);
      const wrong = error ?? { message: `a probe ended with ${failure?.signal ?? failure?.code}` };
      reject(new SubspanError("DEPENDENCY_MISSING", whyNotLoaded(engine, wrong)));
    });
  });
}
