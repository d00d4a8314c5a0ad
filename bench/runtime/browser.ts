/** The browser's figures: how long a page takes to its first label, and images a second on WASM, beside transformers.js. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { build } from "vite";
import { launchChromium } from "../../test/browser/chromium.ts";
import { serveSite } from "../../test/browser/site.ts";
import { median } from "../median.ts";
import { SIDE, transformersSite } from "./transformers.ts";

const PAGE = "test/browser/page";

/** What the tests' page offers, as far as it is used here. */
interface InPage {
  loadClusterer(
    source: string,
    options: object,
  ): Promise<{
    assign(input: object, options?: object): Promise<{ label: Int32Array }>;
    dispose(): Promise<void>;
  }>;
}
declare const subspan: InPage;

/** What a page with transformers.js offers, as far as it is used here. */
interface PeerInPage {
  readonly env: {
    allowRemoteModels: boolean;
    allowLocalModels: boolean;
    localModelPath: string;
    useBrowserCache: boolean;
    useWasmCache: boolean;
    readonly backends: { readonly onnx: { readonly wasm: { wasmPaths: string; numThreads: number } } };
  };
  readonly RawImage: new (data: Uint8ClampedArray, width: number, height: number, channels: number) => object;
  readonly Tensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => object;
  pipeline(
    task: "image-classification",
    model: string,
    options: object,
  ): Promise<((images: readonly object[]) => Promise<unknown>) & { model(inputs: object): Promise<unknown> }>;
}
declare const transformers: PeerInPage;

/** What a page does again and again when it has been opened: milliseconds of a batch of 256, by name. */
type Runs = Readonly<Record<string, () => Promise<unknown>>>;
declare const runs: Runs;

export interface BrowserFigures {
  /** Milliseconds from the start of navigation to the first label: with nothing kept, and with everything kept. */
  readonly cold: number;
  readonly warm: number;
  /** Images a second at batch 256, by threads. */
  readonly rate: Readonly<Record<1 | 2, Rates>>;
}

/** Images a second: ours, and transformers.js's classifier with its pipeline (pictures in, classes out) and alone. */
export interface Rates {
  readonly ours: number;
  readonly pipeline?: number;
  readonly model?: number;
}

/**
 * @param shape - of one image.
 * @param classifier - transformers.js's graph, if it takes part.
 */
export async function browserFigures(
  bundle: string,
  shape: readonly number[],
  rounds: number,
  classifier?: Uint8Array,
): Promise<BrowserFigures> {
  const folder = await mkdtemp(join(tmpdir(), "subspan-bench-"));
  await build({
    root: PAGE,
    configFile: false,
    logLevel: "error",
    build: { outDir: folder, reportCompressedSize: false },
  });
  const files = Object.fromEntries(
    ["manifest.json", "model.onnx"].map((name) => [`/bundle/${name}`, readFileSync(join(bundle, name))]),
  );
  const site = await serveSite(folder, { isolated: true, files });
  const peer =
    classifier && (await serveSite(undefined, { isolated: true, files: await transformersSite(classifier) }));
  const browser = await launchChromium();
  try {
    const cold: number[] = [];
    const warm: number[] = [];
    for (let i = 0; i < rounds; i++) {
      const context = await browser.newContext();
      cold.push(await firstLabel(await context.newPage(), site.url, shape));
      warm.push(await firstLabel(await context.newPage(), site.url, shape));
      await context.close();
    }
    const rate = {
      1: await ratesOf(browser, { ours: site.url, peer: peer?.url }, shape, 1, rounds),
      2: await ratesOf(browser, { ours: site.url, peer: peer?.url }, shape, 2, rounds),
    };
    return { cold: median(cold), warm: median(warm), rate };
  } finally {
    await browser.close();
    await Promise.all([site.close(), peer?.close(), rm(folder, { recursive: true })]);
  }
}

async function open(page: Page, url: string, library = "subspan"): Promise<void> {
  await page.goto(url);
  await page.waitForFunction((library) => library in globalThis, library);
}

async function firstLabel(page: Page, url: string, shape: readonly number[]): Promise<number> {
  await open(page, url);
  return page.evaluate(async (shape) => {
    const clusterer = await subspan.loadClusterer("bundle", { device: "wasm" });
    await clusterer.assign({ data: new Uint8Array(shape.reduce((a, b) => a * b, 1)), shape });
    return performance.now(); // since navigation began
  }, shape);
}

/** Rounds that are not counted: the engine compiles WebAssembly again, faster, while it runs. */
const WARM_UP = 4;

/** Opens a page for each, and lets them run in turns. */
async function ratesOf(
  browser: Browser,
  { ours, peer }: { readonly ours: string; readonly peer: string | undefined },
  shape: readonly number[],
  threads: number,
  rounds: number,
): Promise<Rates> {
  const pages = [await openOurs(await browser.newPage(), ours, shape, threads)];
  if (peer !== undefined) pages.push(await openPeer(await browser.newPage(), peer, threads));
  const names = ["ours", "pipeline", "model"] as const;
  const times: Record<(typeof names)[number], number[]> = { ours: [], pipeline: [], model: [] };
  for (let i = -WARM_UP; i < rounds; i++)
    for (const page of pages) {
      const turn = await page.evaluate(async () => {
        const taken: Record<string, number> = {};
        for (const [name, run] of Object.entries(runs)) {
          const began = performance.now();
          await run();
          taken[name] = performance.now() - began;
        }
        return taken;
      });
      for (const name of names) if (i >= 0 && name in turn) times[name].push(turn[name] as number);
    }
  for (const page of pages) await page.close();
  const rate = (name: (typeof names)[number]) => 256_000 / median(times[name]);
  return { ours: rate("ours"), ...(peer && { pipeline: rate("pipeline"), model: rate("model") }) };
}

async function openOurs(page: Page, url: string, shape: readonly number[], threads: number): Promise<Page> {
  await open(page, url);
  await page.evaluate(
    async ({ shape, threads }) => {
      const clusterer = await subspan.loadClusterer("bundle", { device: "wasm", threads });
      const data = Uint8Array.from({ length: 256 * shape.reduce((a, b) => a * b, 1) }, (_, i) => (i * 37) % 256);
      const ours = () => clusterer.assign({ data, shape: [256, ...shape] });
      await ours();
      Object.assign(globalThis, { runs: { ours } });
    },
    { shape, threads },
  );
  return page;
}

async function openPeer(page: Page, url: string, threads: number): Promise<Page> {
  await open(page, url, "transformers");
  await page.evaluate(
    async ({ side, threads }) => {
      const { env, pipeline, RawImage, Tensor } = transformers;
      Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: "/models/" });
      Object.assign(env, { useBrowserCache: false, useWasmCache: false });
      Object.assign(env.backends.onnx.wasm, { wasmPaths: `${location.origin}/ort/`, numThreads: threads });
      const classify = await pipeline("image-classification", "classifier", { device: "wasm", dtype: "fp32" });
      const size = 3 * side * side;
      const pixels = Uint8ClampedArray.from({ length: 256 * size }, (_, i) => (i * 37) % 256);
      const images = Array.from(
        { length: 256 },
        (_, i) => new RawImage(pixels.slice(i * size, (i + 1) * size), side, side, 3),
      );
      const pixel_values = new Tensor(
        "float32",
        Float32Array.from(pixels, (x) => x / 127.5 - 1),
        [256, 3, side, side],
      );
      const model = () => classify.model({ pixel_values });
      await classify(images);
      Object.assign(globalThis, { runs: { pipeline: () => classify(images), model } });
    },
    { side: SIDE, threads },
  );
  return page;
}
