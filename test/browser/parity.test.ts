import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SessionEngine } from "../../runtime/engine.ts";
import {
  type Assignments,
  Clusterer,
  decodeImage,
  loadClusterer,
  type OutputName,
  readBundle,
} from "../../runtime/node.ts";
import { partOf } from "../../runtime/part.ts";
import { Sessions } from "../../runtime/sessions.ts";
import { METHOD_NAMES, type MethodName, methodBundles } from "../runtime/method-bundles.ts";
import { useSwiftShader } from "../train/available.ts";
import { tinyImages } from "../train/tiny.ts";
import { buildPage } from "./build-page.ts";
import { chromiumPath, LAUNCH_TIMEOUT, launchChromium } from "./chromium.ts";
import { type Site, serveSite } from "./site.ts";

declare const subspan: typeof import("./page/main.ts").subspan;

/** SwiftShader compiles a shader for every operator and shape: a minute for all methods on an idle machine. */
const SHADERS = 600_000;
const OUTPUTS = [
  "label",
  "confidence",
  "novelty",
  "probabilities",
  "embedding",
  "latent",
] as const satisfies OutputName[];
const COUNT = 24;
const { samples } = tinyImages(COUNT, 9);

type Numbers = Readonly<Record<string, readonly number[]>>;

let bundles: Awaited<ReturnType<typeof methodBundles>>;
let page: Awaited<ReturnType<typeof buildPage>>;
let site: Site;
let browser: Browser;
let tab: Page;
const expected = new Map<MethodName, Numbers>();

beforeAll(async () => {
  await chromiumPath(); // brings SwiftShader, for Node too
  [bundles, page] = await Promise.all([methodBundles(), buildPage("bundled")]);
  const files: Record<string, Uint8Array> = {};
  for (const name of METHOD_NAMES)
    for (const file of ["manifest.json", "model.onnx"])
      files[`/${name}/${file}`] = await readFile(join(bundles[name], file));
  site = await serveSite(page.folder, { isolated: true, files });
  browser = await launchChromium({ webgpu: true });
  tab = await browser.newPage();
  await tab.goto(site.url);
  await tab.waitForFunction(() => "subspan" in globalThis);
  for (const name of METHOD_NAMES) expected.set(name, await onCpu(name));
}, LAUNCH_TIMEOUT);
afterAll(async () => {
  await browser?.close();
  await Promise.all([site?.close(), page?.remove(), bundles?.remove()]);
});

const numbersOf = (all: Assignments<(typeof OUTPUTS)[number]>): Numbers =>
  Object.fromEntries(
    OUTPUTS.map((output) => {
      const value = all[output];
      return [output, Array.from("data" in value ? value.data : value)];
    }),
  );

async function onCpu(name: MethodName): Promise<Numbers> {
  const clusterer = await loadClusterer(bundles[name], { device: "cpu", strict: true });
  const all = await clusterer.assign(samples, { outputs: OUTPUTS });
  await clusterer.dispose();
  return numbersOf(all);
}

/** A node that ran, as ONNX Runtime's profiler has it. */
interface Profiled {
  readonly cat: string;
  readonly args: {
    readonly op_name: string;
    readonly provider?: string;
    readonly input_type_shape: readonly Readonly<Record<string, unknown>>[];
  };
}

/** Runs on WebGPU in Node with ONNX Runtime's profiler on. */
async function profiledOnWebgpu(name: MethodName): Promise<{ numbers: Numbers; nodes: readonly Profiled["args"][] }> {
  const bundle = await readBundle(bundles[name]);
  const profile = { enableProfiling: true, profileFilePrefix: join(bundles[name], "profile") };
  const part = await partOf(bundle, OUTPUTS);
  const options = { executionProviders: ["webgpu"], logSeverityLevel: 3, ...profile } as const;
  const engine = new SessionEngine(ort, bundle.manifest, options);
  await engine.open(part);
  const where = { device: "webgpu", requested: "webgpu", failures: [], worker: false, notes: [] } as const;
  const clusterer = new Clusterer(new Sessions(engine, bundle, part), bundle, where, decodeImage);
  const all = await clusterer.assign(samples, { outputs: OUTPUTS, batchSize: 8 });
  await clusterer.dispose();
  const file = (await readdir(bundles[name])).find((file) => file.startsWith("profile"));
  const events = JSON.parse(await readFile(join(bundles[name], file!), "utf8")) as readonly Profiled[];
  const nodes = events.filter(({ cat, args }) => cat === "Node" && args.provider !== undefined).map(({ args }) => args);
  return { numbers: numbersOf(all), nodes };
}

const inBrowser = (name: MethodName, device: "wasm" | "webgpu", threads: number): Promise<Numbers> =>
  tab.evaluate(
    async ({ name, device, threads, outputs, data, shape }) => {
      const clusterer = await subspan.loadClusterer(name, { device, threads, strict: true });
      if (device === "wasm" && clusterer.info.threads !== threads) throw new Error(`${clusterer.info.threads} threads`);
      const images = { data: Uint8Array.from(data), shape };
      const all = await clusterer.assign(images, { outputs, batchSize: 8 });
      await clusterer.dispose();
      const numbers: Record<string, number[]> = {};
      for (const output of outputs) {
        const value = all[output];
        numbers[output] = Array.from("data" in value ? value.data : value);
      }
      return numbers;
    },
    { name, device, threads, outputs: OUTPUTS, data: [...samples.data], shape: samples.shape },
  );

/** Labels are equal but for ties, everything else is to 1e-4. */
function expectEqual(name: MethodName, got: Numbers): void {
  const wanted = expected.get(name)!;
  const clusters = wanted.probabilities!.length / COUNT;
  for (const [i, label] of wanted.label!.entries()) {
    const row = [...wanted.probabilities!.slice(i * clusters, (i + 1) * clusters)].sort((a, b) => b - a);
    if (row[0]! - row[1]! > 1e-4) expect(got.label![i]).toBe(label);
  }
  for (const output of OUTPUTS.slice(1)) {
    expect(got[output]!.length).toBe(wanted[output]!.length);
    const differences = wanted[output]!.map((value, i) => Math.abs(value - got[output]![i]!));
    expect(Math.max(...differences), output).toBeLessThanOrEqual(1e-4);
  }
}

describe.each(METHOD_NAMES)("a bundle of %s gives what Node's CPU gives", (name) => {
  test.each([1, 2])(
    "on WASM with %i threads",
    async (threads) => {
      expectEqual(name, await inBrowser(name, "wasm", threads));
    },
    SHADERS,
  );

  test(
    "on WebGPU in Chromium",
    async () => {
      expectEqual(name, await inBrowser(name, "webgpu", 1));
    },
    SHADERS,
  );

  test(
    "on WebGPU in Node, where only integers are left to the CPU: shapes, and what chooses neighbours and labels",
    async () => {
      expect(await useSwiftShader()).toBeUndefined();
      const { numbers, nodes } = await profiledOnWebgpu(name);
      expectEqual(name, numbers);
      const onCpu = nodes.filter(({ provider }) => provider !== "WebGpuExecutionProvider");
      expect(nodes.length - onCpu.length).toBeGreaterThan(50);
      const operators = onCpu.map((node) => node.op_name);
      expect(["Add", "Cast", "Concat", "Shape", "Slice"]).toEqual(expect.arrayContaining(operators));
      const types = onCpu.flatMap((node) => node.input_type_shape.flatMap(Object.keys));
      expect(["int32", "int64", "uint8"]).toEqual(expect.arrayContaining(types));
    },
    SHADERS,
  );
});
