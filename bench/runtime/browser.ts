/** The browser's figures: how long a page takes to its first label, and images a second on WASM. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { build } from "vite";
import { launchChromium } from "../../test/browser/chromium.ts";
import { serveSite } from "../../test/browser/site.ts";

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

export interface BrowserFigures {
  /** Milliseconds from the start of navigation to the first label: with nothing kept, and with everything kept. */
  readonly cold: number;
  readonly warm: number;
  /** Images a second at batch 256, by threads. */
  readonly rate: Readonly<Record<1 | 2, number>>;
}

/** @param shape - of one image. */
export async function browserFigures(
  bundle: string,
  shape: readonly number[],
  rounds: number,
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
      1: await imagesPerSecond(browser, site.url, shape, 1),
      2: await imagesPerSecond(browser, site.url, shape, 2),
    };
    return { cold: median(cold), warm: median(warm), rate };
  } finally {
    await browser.close();
    await Promise.all([site.close(), rm(folder, { recursive: true })]);
  }
}

async function open(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.waitForFunction(() => "subspan" in globalThis);
}

async function firstLabel(page: Page, url: string, shape: readonly number[]): Promise<number> {
  await open(page, url);
  return page.evaluate(async (shape) => {
    const clusterer = await subspan.loadClusterer("bundle", { device: "wasm" });
    await clusterer.assign({ data: new Uint8Array(shape.reduce((a, b) => a * b, 1)), shape });
    return performance.now(); // since navigation began
  }, shape);
}

async function imagesPerSecond(
  browser: Browser,
  url: string,
  shape: readonly number[],
  threads: number,
): Promise<number> {
  const page = await browser.newPage();
  await open(page, url);
  const rate = await page.evaluate(
    async ({ shape, threads }) => {
      const clusterer = await subspan.loadClusterer("bundle", { device: "wasm", threads });
      const data = Uint8Array.from({ length: 256 * shape.reduce((a, b) => a * b, 1) }, (_, i) => (i * 37) % 256);
      const run = () => clusterer.assign({ data, shape: [256, ...shape] });
      await run();
      const times: number[] = [];
      for (let i = 0; i < 7; i++) {
        const began = performance.now();
        await run();
        times.push(performance.now() - began);
      }
      await clusterer.dispose();
      return 256_000 / (times.sort((a, b) => a - b)[3] as number);
    },
    { shape, threads },
  );
  await page.close();
  return rate;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number;
