/**
 * Makes the pictures of docs/page anew, for people to look at: `SUBSPAN_PICTURES=BUNDLE npx vitest run test/web/pictures.test.ts`,
 * with a bundle of all ten digits and its variants.
 */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page, PageScreenshotOptions } from "playwright-core";
import sharp from "sharp";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { loadClusterer } from "../../runtime/node.ts";
import { loadSource } from "../../train/data/index.ts";
import { launchChromium } from "../browser/chromium.ts";
import { type Site, serveSite } from "../browser/site.ts";
import { buildPage } from "./build-page.ts";
import type { ImageFile } from "./digits-bundle.ts";
import { draw, drop, type Point } from "./gestures.ts";

const bundle = process.env.SUBSPAN_PICTURES ?? "";
const NUMERALS = ["nought", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const arc = (x: number, y: number, radius: number, from: number, to: number): Point[] =>
  Array.from({ length: 13 }, (_, i) => {
    const angle = ((from + ((to - from) * i) / 12) * Math.PI) / 180;
    return [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
  });
const THREE = [...arc(0.48, 0.33, 0.17, -160, 75), ...arc(0.48, 0.68, 0.19, -75, 150)];

interface View {
  readonly width: number;
  readonly height: number;
  /** Pixels of the picture for one of the page. */
  readonly scale: number;
}

const desk = (width: number, height = 900): View => ({ width: 1280, height, scale: width / 1280 });
const PHONE: View = { width: 390, height: 844, scale: 1 };

describe.runIf(bundle !== "")("the pictures of docs/page", { timeout: 300_000 }, () => {
  let folder: string;
  let browser: Browser;
  let site: Site;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "subspan-pictures-"));
    [browser] = await Promise.all([launchChromium(), buildPage(folder)]);
    const files: Record<string, Uint8Array> = {};
    for (const path of await readdir(bundle)) files[`/digits/${path}`] = await readFile(join(bundle, path));
    site = await serveSite(folder, { isolated: true, files });
  }, 300_000);
  afterEach(() => Promise.all(browser.contexts().map((context) => context.close())));
  afterAll(async () => {
    await browser?.close();
    await site?.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function visit(path: string, { scale, ...viewport }: View, colorScheme: "light" | "dark") {
    const options = { viewport, deviceScaleFactor: scale, colorScheme, reducedMotion: "reduce" } as const;
    const context = await browser.newContext(options);
    context.setDefaultTimeout(120_000);
    const page = await context.newPage();
    await page.goto(site.url + path);
    if (path !== "/") await page.locator("#work").waitFor();
    return page;
  }

  async function picture(page: Page, name: string, options: PageScreenshotOptions = {}): Promise<void> {
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out").toBe(
      true,
    );
    await page.mouse.move(0, 0);
    await sharp(await page.screenshot(options))
      .png({ palette: true })
      .toFile(`docs/page/${name}.png`);
  }

  const drawn = async (page: Page) => {
    await draw(page, THREE);
    await page.waitForFunction(() => document.getElementById("confidence")!.textContent !== "");
    await page.evaluate(() => scrollTo(0, 0));
  };
  const top = (page: Page, selector: string) =>
    page.evaluate(
      (at) => scrollTo(0, document.querySelector(at)!.getBoundingClientRect().top + scrollY - 16),
      selector,
    );

  test("a desk: a drawing, files with names and failures, a batch, the first visit, an error", async () => {
    const drawing = await visit("/?bundle=digits", desk(1000, 970), "light");
    await drawn(drawing);
    await picture(drawing, "draw-light");

    const files = await visit("/?bundle=digits", desk(900), "dark");
    for (const [cluster, name] of (await names()).entries())
      await files.getByLabel(`Name of cluster ${cluster}`).fill(name);
    const noise = await pngOf(Uint8Array.from({ length: 784 }, (_, i) => (i * i * 7919) % 251));
    const bad = { name: "notes.png", mimeType: "image/png", buffer: Buffer.from("not a picture") };
    await drop(files, [...(await digits(40)), { name: "noise.png", mimeType: "image/png", buffer: noise }, bad]);
    await files.waitForFunction(() =>
      document.getElementById("samples-summary")!.textContent!.startsWith("41 samples"),
    );
    await files.locator("#gallery button").last().click();
    await files.evaluate(() => scrollTo(0, 0));
    await picture(files, "files-dark", { fullPage: true });

    const batch = await visit("/?bundle=digits", desk(700), "light");
    await batch.setInputFiles("#image-files", await digits(1000));
    await batch.waitForFunction(() => document.querySelectorAll("#gallery li").length >= 60);
    await top(batch, "#samples");
    await picture(batch, "batch");

    await picture(await visit("/", desk(700), "dark"), "start-dark");
    const error = await visit("/", desk(700), "light");
    await error.locator("#bundle-url").fill("https://localhost:1/none");
    await error.getByRole("button", { name: "Open", exact: true }).click();
    await error.getByRole("alert").getByText("Dismiss").waitFor();
    await picture(error, "error");
  });

  test("a phone: a drawing, its result, the camera, the device and the precision", async () => {
    const phone = await visit("/?bundle=digits", PHONE, "light");
    await drawn(phone);
    await picture(phone, "phone-light");
    await top(phone, ".device");
    await phone.getByLabel("Precision").selectOption("int8");
    await phone.locator('#timings tr[data-dtype="int8"]').waitFor();
    await phone.getByLabel("Precision").selectOption("auto");
    await phone.locator('#timings tr[data-dtype="fp16"]').waitFor();
    await picture(phone, "phone-device");

    const dark = await visit("/?bundle=digits", PHONE, "dark");
    await drawn(dark);
    await top(dark, "#result");
    await picture(dark, "phone-dark");

    const camera = await visit("/?bundle=digits", PHONE, "dark");
    await camera.evaluate(paper, THREE);
    await camera.getByRole("tab", { name: "Camera" }).click();
    await camera.getByRole("button", { name: "Start camera" }).click();
    await camera.locator("#invert").check();
    const three = (await names()).indexOf("three");
    await camera.getByRole("heading", { name: `Cluster ${three}` }).waitFor();
    await camera.evaluate(() => scrollTo(0, 0));
    await picture(camera, "phone-camera");
  });
});

/** Runs in the page: a camera that sees a digit in ink on paper. */
function paper(stroke: readonly Point[]): void {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [640, 480];
  const context = canvas.getContext("2d")!;
  const paint = () => {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, 640, 480);
    context.strokeStyle = "#111";
    [context.lineWidth, context.lineCap, context.lineJoin] = [44, "round", "round"];
    context.beginPath();
    for (const [x, y] of stroke) context.lineTo(140 + x * 360, 60 + y * 360);
    context.stroke();
  };
  setInterval(paint, 50);
  navigator.mediaDevices.getUserMedia = async () => canvas.captureStream();
}

const pngOf = (pixels: Uint8Array): Promise<Buffer> =>
  sharp(pixels, { raw: { width: 28, height: 28, channels: 1 } })
    .png()
    .toBuffer();

/** Unseen digits as files, 0 to 9 in turns. */
async function digits(count: number): Promise<ImageFile[]> {
  const { samples, labels } = await loadSource("digits:unseen");
  const of = NUMERALS.map((_, digit) => Array.from(labels!).flatMap((label, i) => (label === digit ? [i] : [])));
  const chosen = Array.from({ length: count }, (_, i) => of[i % 10]![Math.floor(i / 10) % of[i % 10]!.length]!);
  return Promise.all(
    chosen.map(async (at, i) => {
      const buffer = await pngOf(samples.data.subarray(at * 784, (at + 1) * 784) as Uint8Array);
      return { name: `digit-${i}.png`, mimeType: "image/png", buffer };
    }),
  );
}

/** What a person would call each cluster: by the digit that most of it are. */
async function names(): Promise<string[]> {
  const clusterer = await loadClusterer(bundle, { device: "cpu" });
  const votes = NUMERALS.map(() => new Array<number>(10).fill(0));
  const { label } = await clusterer.assign((await digits(200)).map(({ buffer }) => buffer));
  for (const [i, cluster] of label.entries()) votes[cluster]![i % 10]!++;
  await clusterer.dispose();
  return votes.map((counts) => NUMERALS[counts.indexOf(Math.max(...counts))]!);
}
