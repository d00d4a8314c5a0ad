import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ParityReport } from "../../export/index.ts";
import { loadClusterer, type Precision } from "../../runtime/node.ts";
import { METHOD_NAMES, type MethodName, methodBundles, TRAINING } from "../runtime/method-bundles.ts";
import { toyVariants } from "../runtime/toy.ts";
import { useSwiftShader } from "../train/available.ts";
import { tinyImages } from "../train/tiny.ts";
import { buildPage } from "./build-page.ts";
import { chromiumPath, LAUNCH_TIMEOUT, launchChromium } from "./chromium.ts";
import { type Site, serveSite } from "./site.ts";

declare const subspan: typeof import("./page/main.ts").subspan;

/** As in parity.test.ts: SwiftShader compiles a shader for every operator and shape. */
const SHADERS = 600_000;
const VARIANTS = ["fp16", "int8"] as const satisfies Precision[];
type Variant = (typeof VARIANTS)[number];
/** What the bundles were trained on, and as many that they were not. */
const { samples: seen } = tinyImages(TRAINING);
const { samples: unseen } = tinyImages(TRAINING, 9);
const all = { data: Uint8Array.from([...seen.data, ...unseen.data]), shape: [2 * TRAINING, ...seen.shape.slice(1)] };

interface Answer {
  readonly labels: readonly number[];
  readonly probabilities: readonly number[];
  readonly device: string;
  readonly dtype: Precision | undefined;
  readonly failures: readonly { readonly device: string; readonly reason: string }[];
}
interface Asked {
  readonly device: "cpu" | "wasm" | "webgpu";
  readonly dtype?: Precision | "auto";
  readonly threads?: number;
  readonly strict?: boolean;
}

let bundles: Awaited<ReturnType<typeof methodBundles>>;
let page: Awaited<ReturnType<typeof buildPage>>;
let site: Site;
let browser: Browser;
let tab: Page;

beforeAll(async () => {
  await chromiumPath(); // brings SwiftShader, for Node too
  [bundles, page] = await Promise.all([methodBundles(["fp32", ...VARIANTS]), buildPage("bundled")]);
  const files: Record<string, Uint8Array> = {};
  for (const name of METHOD_NAMES)
    for (const file of await readdir(bundles[name]))
      files[`/${name}/${file}`] = await readFile(join(bundles[name], file));
  const toy = toyVariants({ variants: { fp16: { agrees: true } } });
  await mkdir(join(bundles.udll, "toy"));
  for (const [path, bytes] of Object.entries(toy)) {
    files[`/toy/${path}`] = bytes;
    await writeFile(join(bundles.udll, "toy", path), bytes);
  }
  site = await serveSite(page.folder, { isolated: true, files });
  browser = await launchChromium({ webgpu: true });
  tab = await browser.newPage();
  await tab.goto(site.url);
  await tab.waitForFunction(() => "subspan" in globalThis);
}, LAUNCH_TIMEOUT);
afterAll(async () => {
  await browser?.close();
  await Promise.all([site?.close(), page?.remove(), bundles?.remove()]);
});

async function inNode(name: MethodName, asked: Asked): Promise<Answer> {
  const clusterer = await loadClusterer(bundles[name], { strict: true, ...asked });
  const { label, probabilities } = await clusterer.assign(all, { outputs: ["label", "probabilities"] });
  await clusterer.dispose();
  const { device, dtype, failures } = clusterer.info;
  return { labels: [...label], probabilities: [...probabilities.data], device, dtype, failures };
}

const inBrowser = (name: MethodName, asked: Asked): Promise<Answer> =>
  tab.evaluate(
    async ({ name, asked, data, shape }) => {
      const clusterer = await subspan.loadClusterer(name, { strict: true, ...asked });
      const images = { data: Uint8Array.from(data), shape };
      const { label, probabilities } = await clusterer.assign(images, { outputs: ["label", "probabilities"] });
      await clusterer.dispose();
      const { device, dtype, failures } = clusterer.info;
      return { labels: [...label], probabilities: [...probabilities.data], device, dtype, failures };
    },
    { name, asked, data: [...all.data], shape: all.shape },
  );

/** Share of equal labels. */
const agreement = (a: Answer, b: Answer) => a.labels.filter((k, i) => k === b.labels[i]).length / a.labels.length;
const distance = (a: Answer, b: Answer) =>
  Math.max(...a.probabilities.map((p, i) => Math.abs(p - b.probabilities[i]!)));

const least = { fp16: 0.999, int8: 0.99 } as const;
const parityOf = async (name: MethodName, variant: Variant) => {
  const report = JSON.parse(await readFile(join(bundles[name], "parity.json"), "utf8")) as ParityReport;
  return report.variants![variant]!;
};

describe.each(METHOD_NAMES)("a bundle of %s", (name) => {
  const onCpu = new Map<Precision, Promise<Answer>>();
  const cpu = (dtype: Precision) => {
    if (!onCpu.has(dtype)) onCpu.set(dtype, inNode(name, { device: "cpu", dtype }));
    return onCpu.get(dtype)!;
  };

  test.each(VARIANTS)("in %s keeps the labels that its report states, on the CPU", async (variant) => {
    const { agrees, leastAgreement } = await parityOf(name, variant);
    expect([agrees, leastAgreement]).toEqual([true, least[variant]]);
    const [ours, whole] = [await cpu(variant), await cpu("fp32")];
    expect(ours.dtype).toBe(variant);
    expect(agreement(ours, whole)).toBeGreaterThanOrEqual(leastAgreement);
    expect(distance(ours, whole)).toBeGreaterThan(0); // it is another graph
  });

  test.each(VARIANTS.flatMap((variant) => [1, 2].map((threads) => [variant, threads] as const)))(
    "in %s gives on WASM with %i threads what it gives on the CPU",
    async (dtype, threads) => {
      const got = await inBrowser(name, { device: "wasm", dtype, threads });
      expect(got).toMatchObject({ device: "wasm", dtype });
      expect(agreement(got, await cpu("fp32"))).toBeGreaterThanOrEqual(least[dtype]);
      expect(distance(got, await cpu(dtype))).toBeLessThanOrEqual(dtype === "fp16" ? 1e-3 : 1e-4);
    },
    SHADERS,
  );

  test("is fp16 in a page that asks for auto, without WebGPU", async () => {
    expect(await inBrowser(name, { device: "wasm", dtype: "auto" })).toMatchObject({ dtype: "fp16" });
  });
});

describe("on WebGPU, over SwiftShader, which has no float16", () => {
  const inChromium = ["Chromium", inBrowser, "wasm"] as const;
  const node = ["Node", inNode, "cpu"] as const;
  beforeAll(async () => {
    expect(await useSwiftShader()).toBeUndefined();
  });

  test.each([inChromium, node])(
    "int8 gives in %s what it gives on the CPU",
    async (_, assign) => {
      const got = await assign("udll", { device: "webgpu", dtype: "int8" });
      expect(got).toMatchObject({ device: "webgpu", dtype: "int8", failures: [] });
      const cpu = await inNode("udll", { device: "cpu", dtype: "int8" });
      expect(agreement(got, cpu)).toBe(1);
      expect(distance(got, cpu)).toBeLessThanOrEqual(1e-4);
    },
    SHADERS,
  );

  test.each([inChromium, node])(
    "fp16 runs in %s on the next device, and info says why",
    async (_, assign, next) => {
      const got = await assign("dscdan", { device: "webgpu", dtype: "fp16", strict: false });
      expect(got).toMatchObject({ device: next, dtype: "fp16", failures: [{ device: "webgpu" }] });
      expect(got.failures[0]?.reason).toContain("requires f16 but the device does not support it");
      const cpu = await inNode("dscdan", { device: "cpu", dtype: "fp16" });
      expect(agreement(got, cpu)).toBe(1);
    },
    SHADERS,
  );

  const options = { device: "webgpu", dtype: "auto", strict: true } as const;
  const inChromiumToy = () =>
    tab.evaluate(async (options) => {
      const clusterer = await subspan.loadClusterer("toy", options);
      await clusterer.dispose();
      return clusterer.info.dtype;
    }, options);
  const inNodeToy = async () => {
    const clusterer = await loadClusterer(join(bundles.udll, "toy"), options);
    await clusterer.dispose();
    return clusterer.info.dtype;
  };
  test("auto is fp32, though fp16 agrees", async () => {
    expect([await inChromiumToy(), await inNodeToy()]).toEqual(["fp32", "fp32"]);
  });
});
