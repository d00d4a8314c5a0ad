import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { writeSite } from "../../cli/site.ts";
import { bundleFiles } from "../../export/bundle.ts";
import { loadClusterer, type Manifest } from "../../runtime/node.ts";
import { LAUNCH_TIMEOUT, launchChromium } from "../browser/chromium.ts";
import { type Site, type SiteOptions, serveSite } from "../browser/site.ts";
import { toyContent } from "../export/toy-clusterer.ts";
import { buildPage } from "./build-page.ts";
import { type DigitsBundle, digitFiles, type ImageFile, trainDigits } from "./digits-bundle.ts";
import { draw, drop, type Point } from "./gestures.ts";

/** Waiting costs nothing where the machine is free, and all is slower where it is not. */
const PATIENCE = 120_000;
vi.setConfig({ testTimeout: 2 * PATIENCE });

let folder: string;
let browser: Browser;
let digits: DigitsBundle;
let site: Site;
const faults: string[] = [];
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "subspan-web-"));
  [browser] = await Promise.all([launchChromium({ webgpu: true }), buildPage(join(folder, "page"))]);
  digits = await trainDigits(folder);
  site = await pageSite({ isolated: true });
}, LAUNCH_TIMEOUT);
afterEach(async () => {
  while (closing.length > 0) await closing.pop()?.();
  expect(faults.splice(0)).toEqual([]);
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
  await rm(folder, { recursive: true, force: true });
});

/** The built page, with the small bundle at variants/, its fp32 graph alone at digits/, and the toy of features at toy/. */
async function pageSite(options: SiteOptions): Promise<Site> {
  const toy = [...(await bundleFiles(await toyContent()))].map(([path, bytes]) => [`/toy/${path}`, bytes] as const);
  const files: Record<string, Uint8Array | string> = Object.fromEntries(toy);
  for (const path of await readdir(digits.path)) {
    const bytes = await readFile(join(digits.path, path));
    files[`/variants/${path}`] = bytes;
    files[`/digits/${path}`] = path === "manifest.json" ? withoutVariants(bytes.toString()) : bytes;
  }
  return serveSite(join(folder, "page"), { ...options, files });
}

function withoutVariants(text: string): string {
  const manifest = JSON.parse(text) as Manifest;
  return JSON.stringify({ ...manifest, files: manifest.files.filter(({ path }) => !/\.(fp16|int8)\./.test(path)) });
}

interface Visit {
  readonly to?: Site;
  /** A visitor of this test alone, whose browser has stored nothing. */
  readonly fresh?: boolean;
  /** Runs in the page before all else. */
  readonly first?: string;
}

const NO_WEBGPU = "Object.defineProperty(navigator, 'gpu', { value: undefined })";
let regular: Promise<BrowserContext> | undefined;

/** A page of somebody whose browser, unless they are fresh, has kept what tests before fetched; it has no WebGPU unless said. */
async function visit(path: string, { to = site, fresh = false, first = NO_WEBGPU }: Visit = {}): Promise<Page> {
  if (!fresh) regular ??= browser.newContext();
  const context = await (fresh ? browser.newContext() : regular!);
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  closing.push(() => (fresh ? context.close() : page.close()));
  await page.addInitScript(first);
  page.on("pageerror", (error) => faults.push(error.message));
  await page.goto(to.url + path);
  return page;
}

async function openDigits(options: Visit = {}): Promise<Page> {
  const page = await visit("/?bundle=digits", options);
  await opened(page);
  return page;
}

const opened = (page: Page) => page.locator("#work").waitFor();

const ONE: readonly Point[] = [
  [0.52, 0.2],
  [0.5, 0.5],
  [0.48, 0.8],
];
const ZERO: readonly Point[] = Array.from({ length: 25 }, (_, i) => [
  0.5 + 0.22 * Math.sin((i * Math.PI) / 12),
  0.5 - 0.3 * Math.cos((i * Math.PI) / 12),
]);

const verdictIs = (page: Page, cluster: number) =>
  page.waitForFunction((name) => document.getElementById("verdict")!.textContent!.endsWith(name), `Cluster ${cluster}`);
const assigned = (page: Page, count: string) =>
  page.waitForFunction(
    (text) =>
      document.getElementById("batch")!.hidden &&
      document.getElementById("samples-summary")!.textContent!.startsWith(text),
    count,
  );

async function csv(page: Page): Promise<string[][]> {
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download CSV" }).click(),
  ]);
  const [, ...lines] = (await readFile(await file.path(), "utf8")).trimEnd().split("\n");
  return lines.map((line) => line.split(","));
}

async function labelsInNode(files: readonly ImageFile[]): Promise<string[]> {
  const clusterer = await loadClusterer(digits.path, { device: "cpu" });
  try {
    return Array.from((await clusterer.assign(files.map(({ buffer }) => buffer))).label, String);
  } finally {
    await clusterer.dispose();
  }
}

describe("drawing", () => {
  test("puts a nought and a one where most noughts and ones are", async () => {
    const page = await openDigits();
    await draw(page, ZERO);
    await verdictIs(page, digits.clusterOf.get(0)!);
    await draw(page, ONE);
    await verdictIs(page, digits.clusterOf.get(1)!);
    expect(await page.locator("#confidence").textContent()).toMatch(/^\d.* % confident · novelty 0\.\d{3}$/);
    expect(await page.locator("#bars li").count()).toBe(3);
    expect(await page.locator("#typical img").count()).toBe(8);
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByRole("heading", { name: "No sample yet" }).waitFor();
  });

  test("works with keys alone, and says what it finds", async () => {
    const page = await openDigits();
    await page.locator("#sheet").focus();
    for (const key of ["ArrowUp", "ArrowUp", "ArrowUp"]) await page.keyboard.press(`Shift+${key}`);
    await page.keyboard.press(" ");
    for (let i = 0; i < 6; i++) await page.keyboard.press("Shift+ArrowDown");
    await page.keyboard.press(" ");
    await verdictIs(page, digits.clusterOf.get(1)!);
    expect(await page.locator("#announcer").textContent()).toMatch(/^(Pen up|Cluster \d, .* confident)/);
    await page.keyboard.press("Delete");
    await page.getByRole("heading", { name: "No sample yet" }).waitFor();
  });
});

test("what the camera sees is looked at as it changes, ink on paper inverted", async () => {
  const page = await openDigits();
  await page.evaluate((stroke) => {
    const paper = document.createElement("canvas");
    [paper.width, paper.height] = [640, 480];
    const context = paper.getContext("2d")!;
    const paint = () => {
      context.fillStyle = "#fff";
      context.fillRect(0, 0, 640, 480);
      context.lineWidth = 40;
      context.beginPath();
      for (const [x, y] of stroke) context.lineTo(80 + x * 480, y * 480);
      context.stroke();
    };
    setInterval(paint, 50);
    navigator.mediaDevices.getUserMedia = async () => paper.captureStream();
  }, ONE);
  await page.getByRole("tab", { name: "Draw" }).focus();
  await page.keyboard.press("ArrowLeft");
  await page.getByRole("button", { name: "Start camera" }).click();
  await verdictIs(page, digits.clusterOf.get(1)!);
  await page.getByRole("button", { name: "Keep" }).click();
  await assigned(page, "1 sample");
  expect((await csv(page))[0]!.slice(1, 3)).toEqual(["picture 1", String(digits.clusterOf.get(1))]);
  await page.getByRole("tab", { name: "Files" }).click();
  expect(await page.evaluate(() => (document.getElementById("video") as HTMLVideoElement).srcObject)).toBeNull();
});

test.each([
  ["its tab is left", (page: Page) => page.getByRole("tab", { name: "Files" }).click()],
  ["it is stopped", (page: Page) => page.getByRole("button", { name: "Stop camera" }).click()],
  ["the bundle is closed", (page: Page) => page.getByRole("button", { name: "Open another" }).click()],
])("a camera that is let in after %s is let go at once", async (_, leave) => {
  const page = await openDigits();
  await page.evaluate(() => {
    const stream = document.createElement("canvas").captureStream();
    const asked = new Promise<void>((letIn) => addEventListener("let-in", () => letIn(), { once: true }));
    Object.assign(globalThis, { stream });
    navigator.mediaDevices.getUserMedia = async () => asked.then(() => stream);
  });
  await page.getByRole("tab", { name: "Draw" }).focus();
  await page.keyboard.press("ArrowLeft");
  await page.getByRole("button", { name: "Start camera" }).click();
  await leave(page);
  await page.evaluate(() => dispatchEvent(new Event("let-in")));
  const states = () =>
    (globalThis as unknown as { stream: MediaStream }).stream.getTracks().map(({ readyState }) => readyState);
  await vi.waitFor(async () => expect(await page.evaluate(states)).toEqual(["ended"]));
  expect(await page.getByRole("alert").textContent()).toBe("");
});

describe("files", () => {
  test("ten of them get the labels they get in Node; one that is no image is a failure and the rest go on", async () => {
    const page = await openDigits();
    const files = await digitFiles(10);
    const bad = { name: "notes.png", mimeType: "image/png", buffer: Buffer.from("not a picture") };
    await drop(page, [...files, bad]);
    await assigned(page, "10 samples");
    expect(await page.locator("#gallery li").count()).toBe(10);
    expect(await page.locator("#drop-veil").isVisible()).toBe(false);
    expect(await page.locator("#failures").textContent()).toMatch(/^1 failure.*notes\.png.*not an image/s);
    const rows = await csv(page);
    expect(rows.slice(0, 10).map(([, , label]) => label)).toEqual(await labelsInNode(files));
    expect(rows[10]!.slice(0, 3)).toEqual(["10", "notes.png", ""]);
    await page.locator("#gallery button").nth(3).click();
    await verdictIs(page, Number(rows[3]![2]));
  });

  test("a thousand are a batch with progress, a page of pictures and a table; a batch can be cancelled", async () => {
    const page = await openDigits();
    const files = await digitFiles(1000);
    await page.setInputFiles("#image-files", files);
    await page.locator("#batch").waitFor();
    await assigned(page, "1,000 samples");
    expect(await page.locator("#gallery li").count()).toBe(60);
    const rows = await csv(page);
    expect(rows.map(([, file]) => file)).toEqual(files.map(({ name }) => name));
    expect(rows.map(([, , label]) => label)).toEqual(await labelsInNode(files));
    await page.setInputFiles("#image-files", files);
    await page.locator("#batch-cancel").click();
    await page.locator("#batch").waitFor({ state: "hidden" });
    const total = await page.locator("#samples-summary").textContent();
    expect(Number(/^[\d,]+/.exec(total!)![0].replace(",", ""))).toBeLessThan(2000);
  });
});

test("names are saved into a bundle that loads, with the same labels", async () => {
  const page = await openDigits();
  const one = digits.clusterOf.get(1)!;
  await draw(page, ONE);
  await verdictIs(page, one);
  await page.getByLabel("Name it").fill("ones, é");
  expect(await page.getByLabel(`Name of cluster ${one}`).inputValue()).toBe("ones, é");
  await page.getByRole("heading", { name: "ones, é" }).waitFor();
  const [saved] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Save bundle with names" }).click(),
  ]);
  expect(saved.suggestedFilename()).toBe("tiny-digits.subspan");
  const clusterer = await loadClusterer(new Uint8Array(await readFile(await saved.path())), { device: "cpu" });
  const expected = [0, 1, 2].map((cluster) => (cluster === one ? "ones, é" : String(cluster)));
  expect(clusterer.info.manifest.clusterNames).toEqual(expected);
  const { files, read } = clusterer.bundle;
  for (const { path } of files) await read(path);
  const [file] = await digitFiles(1);
  expect(Array.from((await clusterer.assign(file!.buffer)).label, String)).toEqual(await labelsInNode([file!]));
  await clusterer.dispose();
});

test("names that are not saved are let go only where that is said", async () => {
  const page = await openDigits();
  await page.getByLabel("Name of cluster 0").fill("noughts");
  const answers = [false, true];
  const asked: string[] = [];
  page.on("dialog", (dialog) => {
    asked.push(dialog.message());
    void (answers.shift() ? dialog.accept() : dialog.dismiss());
  });
  await page.getByRole("button", { name: "Open another" }).click();
  expect(await page.getByLabel("Name of cluster 0").inputValue()).toBe("noughts");
  await page.getByRole("button", { name: "Open another" }).click();
  await page.getByRole("heading", { name: "Which cluster does it belong to?" }).waitFor();
  expect(asked).toHaveLength(2);
  expect(asked[0]).toContain("tiny-digits");
});

test("a pasted picture is a sample; one beside text, or where text is typed, is not", async () => {
  const page = await openDigits();
  const [file] = await digitFiles(1);
  const paste = (into: string, text: boolean) =>
    page.evaluate(
      ({ into, text, base64 }) => {
        const clipboardData = new DataTransfer();
        const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
        clipboardData.items.add(new File([bytes], "image.png", { type: "image/png" }));
        if (text) clipboardData.setData("text/plain", "1\t2");
        document.querySelector(into)!.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
      },
      { into, text, base64: file!.buffer.toString("base64") },
    );
  await paste("body", true);
  await paste("#clusters input", false);
  await paste("body", false);
  await assigned(page, "1 sample");
  expect(await csv(page)).toHaveLength(1);
});

/** WebGPU that the page does not find when it opens: one start on SwiftShader is slow enough. */
const LATE_ADAPTER = `{
  const { requestAdapter } = GPU.prototype;
  let asked = 0;
  GPU.prototype.requestAdapter = function () { return asked++ === 0 ? Promise.resolve(null) : requestAdapter.call(this); };
}`;

describe("the device", () => {
  test("can be switched; each is measured and gives the same labels", async () => {
    const page = await openDigits({ first: LATE_ADAPTER });
    expect(await page.locator("#device-info").textContent()).toMatch(/^Running on WebAssembly with \d threads?\./);
    const files = await digitFiles(10);
    const labels = await labelsInNode(files);
    await page.setInputFiles("#image-files", files);
    await assigned(page, "10 samples");
    await page.getByText("WebGPU", { exact: true }).click();
    await page.locator('#timings tr[data-device="webgpu"]').waitFor();
    expect(await page.locator("#device-info").textContent()).toMatch(/^Running on WebGPU\./);
    await page.setInputFiles("#image-files", files);
    await assigned(page, "20 samples");
    await page.getByText("WebAssembly", { exact: true }).click();
    await page.locator('#timings tr[data-device="wasm"]').waitFor();
    const cells = await page.locator("#timings td").allTextContents();
    expect(cells).toHaveLength(6);
    for (const cell of cells) expect(Number(cell.replace(",", ""))).toBeGreaterThan(0);
    expect((await csv(page)).map(([, , label]) => label)).toEqual([...labels, ...labels]);
  });

  test("without WebGPU is WebAssembly, and says why; asking for WebGPU is an error that changes nothing", async () => {
    const page = await openDigits();
    expect(await page.locator("#device-info").textContent()).toMatch(/WebAssembly.*WebGPU: the browser has no WebGPU/);
    await page.getByText("WebGPU", { exact: true }).click();
    await page.getByRole("alert").getByText("DEVICE_UNAVAILABLE").waitFor();
    await draw(page, ONE);
    await verdictIs(page, digits.clusterOf.get(1)!);
    expect(await page.getByRole("radio", { name: "Auto" }).isChecked()).toBe(true);
  });

  test("has one thread on a page that is not isolated; the next visit is isolated by the service worker", async () => {
    const plain = await pageSite({});
    closing.push(() => plain.close());
    const page = await openDigits({ to: plain, fresh: true });
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
    expect(await page.locator("#device-info").textContent()).toMatch(/with 1 thread\..*not cross-origin isolated/);
    await page.reload();
    await opened(page);
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await draw(page, ONE);
    await verdictIs(page, digits.clusterOf.get(1)!);
  });
});

describe("the precision", () => {
  test("is the best for the device, and alone fetched; another is chosen by keyboard, measured, and gives the same", async () => {
    const from = site.requests.length;
    const page = await visit("/?bundle=variants", { fresh: true });
    await opened(page);
    const info = page.locator("#device-info");
    expect(await info.textContent()).toMatch(/^Running on WebAssembly with \d threads?, fp16\./);
    const graphs = () => site.requests.slice(from).flatMap(({ path }) => (path.endsWith(".onnx") ? [path] : []));
    expect(graphs()).toEqual(["/variants/model.fp16.onnx"]);
    const choice = page.getByLabel("Precision");
    const offered = await choice.locator("option").allTextContents();
    expect(offered.map((text) => text.replace(/\d+ kB/, "n kB"))).toEqual([
      ...["Auto", "fp32 (n kB)", "fp16 (n kB)", "int8 (n kB)"],
    ]);
    await choice.focus();
    await page.keyboard.press("End");
    await page.locator('#timings tr[data-dtype="int8"]').waitFor();
    expect(await info.textContent()).toMatch(/^Running on WebAssembly with \d threads?, int8\./);
    expect(await choice.evaluate((select) => select === document.activeElement)).toBe(true);
    expect(await page.locator("#about").textContent()).toContain("parameters in int8");
    const files = await digitFiles(10);
    await page.setInputFiles("#image-files", files);
    await assigned(page, "10 samples");
    expect((await csv(page)).map(([, , label]) => label)).toEqual(await labelsInNode(files));
  });

  test("that cannot be fetched is an error that changes nothing; a bundle of one has none to choose", async () => {
    const page = await openDigits({ fresh: true });
    expect(await page.getByLabel("Precision").isVisible()).toBe(false);
    await page.route("**/variants/model.int8.onnx", (route) => route.fulfill({ status: 404 }));
    await page.getByRole("button", { name: "Open another" }).click();
    await page.getByLabel("or from an address").fill("variants");
    await page.getByRole("button", { name: "Open", exact: true }).click();
    await opened(page);
    await page.getByLabel("Precision").selectOption("int8");
    await page.getByRole("alert").getByText("BUNDLE_MISSING").waitFor();
    expect(await page.getByLabel("Precision").inputValue()).toBe("auto");
    await draw(page, ONE);
    await verdictIs(page, digits.clusterOf.get(1)!);
  });
});

describe("without a network", () => {
  test("a bundle opens that was chosen from a server's list, and the list is there", async () => {
    const list = '<!doctype html><a href="./?bundle=digits">digits</a>';
    const own = await pageSite({ isolated: true, list });
    const page = await visit("/", { to: own, fresh: true });
    await page.getByRole("link", { name: "digits" }).click();
    await opened(page);
    await page.getByText("The page is stored here and works without a network.").waitFor();
    await own.close();
    await page.reload();
    await opened(page);
    await page.goto(`${own.url}/`);
    await page.getByRole("link", { name: "digits" }).click();
    await opened(page);
  });

  test("the page and the bundle it last had open as before", async () => {
    const own = await pageSite({ isolated: true });
    const page = await openDigits({ to: own, fresh: true });
    await own.close();
    await page.reload();
    await opened(page);
    await draw(page, ZERO);
    await verdictIs(page, digits.clusterOf.get(0)!);
  });

  test("a spoilt file of the store is fetched again, a good one is not", async () => {
    const page = await openDigits();
    const fetches = () => site.requests.filter(({ path }) => path === "/digits/model.onnx").length;
    const before = fetches();
    await page.reload();
    await opened(page);
    expect(fetches()).toBe(before);
    const { files } = JSON.parse(await readFile(join(digits.path, "manifest.json"), "utf8"));
    const { sha256 } = files.find(({ path }: { path: string }) => path === "model.onnx");
    const spoilt = await page.evaluate(async (hash) => {
      const cache = await caches.open("subspan");
      const key = (await cache.keys()).find(({ url }) => url.endsWith(hash))!;
      const bytes = new Uint8Array(await (await cache.match(key))!.arrayBuffer());
      bytes[1000]! ^= 1;
      await cache.put(key, new Response(bytes));
      return bytes.length;
    }, sha256);
    expect(spoilt).toBeGreaterThan(1000);
    await page.reload();
    await opened(page);
    expect(fetches()).toBe(before + 1);
    await draw(page, ONE);
    await verdictIs(page, digits.clusterOf.get(1)!);
  });
});

test("a bundle of features takes rows of numbers; a wrong row is a failure with its line", async () => {
  const page = await visit("/?bundle=toy");
  await opened(page);
  const rows = "a,b,c,d\n5,1,0,0\n0,4,1\n1,x,6,1\n7,2,1,0\n";
  await page.setInputFiles("#table-file", { name: "rows.csv", mimeType: "text/csv", buffer: Buffer.from(rows) });
  await assigned(page, "2 samples");
  expect((await csv(page)).map(([, file, label, , , , error]) => [file, label, error?.slice(0, 7)])).toEqual([
    ["rows.csv:2", "0", ""],
    ["rows.csv:3", "", '"line 3'],
    ["rows.csv:4", "", '"line 4'],
    ["rows.csv:5", "0", ""],
  ]);
  const numbered = "0,label,1,2,3\n5,x,1,0,0\n1e39,y,1,1,1\n";
  await page.setInputFiles("#table-file", { name: "b.csv", mimeType: "text/csv", buffer: Buffer.from(numbered) });
  await assigned(page, "3 samples");
  expect((await csv(page)).slice(4).map(([, file, label]) => [file, label])).toEqual([
    ["b.csv:2", "0"],
    ["b.csv:3", ""],
  ]);
  expect(await page.locator("#failures").textContent()).toContain('number of float32 in column 1, got "1e39"');
  await page.setInputFiles("#table-file", { name: "c.csv", mimeType: "text/csv", buffer: Buffer.from("a,b,c,d\n") });
  await page.getByRole("alert").getByText("c.csv: no row of numbers").waitFor();
  await page.getByLabel("or type rows").fill("0 0 9 0".replaceAll(" ", "\t"));
  await page.getByRole("button", { name: "Assign" }).click();
  await assigned(page, "4 samples");
  expect((await csv(page)).at(-1)!.slice(1, 3)).toEqual(["typed:1", "2"]);
});

describe("opening", () => {
  test("takes a bundle's file or folder that is chosen", async () => {
    const page = await visit("/");
    await page.getByRole("heading", { name: "Which cluster does it belong to?" }).waitFor();
    await page.setInputFiles("#bundle-folder", digits.path);
    await opened(page);
    await page.getByRole("button", { name: "Open another" }).click();
    await page.setInputFiles("#bundle-file", join(digits.path, "model.onnx"));
    await opened(page);
    expect(await page.locator("#name").textContent()).toBe("tiny-digits");
  });

  test("shows what is wrong in the runtime's words, and keeps what was open", async () => {
    const page = await visit("/?bundle=nothing-here");
    const alert = page.getByRole("alert");
    await alert.getByText("nothing-here/manifest.json: HTTP 404").waitFor();
    expect(await alert.textContent()).toContain("BUNDLE_MISSING");
    await page.getByLabel("or from an address").fill("digits");
    await page.getByRole("button", { name: "Open", exact: true }).click();
    await opened(page);
    expect(await alert.textContent()).toBe("");
    expect(page.url()).toContain("?bundle=digits");
    await writeFile(join(folder, "broken.subspan"), "PK\u0003\u0004 and no more");
    await page.setInputFiles("#bundle-file", join(folder, "broken.subspan"));
    await alert.getByText("zip:").waitFor();
    expect(await page.locator("#work").isVisible()).toBe(true);
  });
});

describe("a site with a bundle inside", () => {
  test("opens it by itself", async () => {
    const out = join(folder, "site");
    await writeSite(digits.path, { out, force: false, page: join(folder, "page") });
    await writeSite(digits.path, { out, force: false, page: join(folder, "page") });
    const own = await serveSite(out);
    closing.push(() => own.close());
    const page = await visit("/", { to: own, fresh: true });
    await opened(page);
    expect(await page.title()).toBe("tiny-digits – subspan");
    expect(page.url()).toBe(`${own.url}/`);
  });

  test("needs the page to be built", () =>
    expect(writeSite(digits.path, { out: join(folder, "none"), force: false, page: folder })).rejects.toMatchObject({
      code: "DEPENDENCY_MISSING",
    }));

  test("is not written over what is no site, unless that is said", async () => {
    const out = join(folder, "other");
    const request = { out, page: join(folder, "page") };
    await mkdir(out);
    await writeFile(join(out, "thesis.txt"), "do not lose");
    await expect(writeSite(digits.path, { ...request, force: false })).rejects.toMatchObject({ code: "USAGE" });
    expect(await readdir(out)).toEqual(["thesis.txt"]);
    await writeSite(digits.path, { ...request, force: true });
    expect(await readdir(out)).toContain("subspan-site.json");
    expect(await readdir(out)).not.toContain("thesis.txt");
  });
});

describe("for everybody", () => {
  test("all that takes the keyboard has a name", async () => {
    for (const path of ["/", "/?bundle=variants", "/?bundle=toy"]) {
      const page = await visit(path);
      if (path !== "/") await opened(page);
      const session = await page.context().newCDPSession(page);
      const { nodes } = await session.send("Accessibility.getFullAXTree");
      const focusable = nodes.filter(({ properties = [] }) =>
        properties.some(({ name, value }) => name === "focusable" && value.value === true),
      );
      const nameless = focusable.filter(({ role, name }) => role?.value !== "RootWebArea" && !name?.value);
      expect(focusable.length).toBeGreaterThan(5);
      expect(nameless.map(({ role }) => role?.value)).toEqual([]);
    }
  });

  test("text has the contrast of WCAG AA in light and dark colours, and fits on a phone", async () => {
    const page = await visit("/?bundle=variants");
    await opened(page);
    const long = "a_name_of_sixty_letters_without_a_place_for_it_to_be_broken_";
    await page.getByLabel(`Name of cluster ${digits.clusterOf.get(1)}`).fill(long);
    await page.setViewportSize({ width: 320, height: 740 });
    await page.setInputFiles("#image-files", await digitFiles(3));
    await assigned(page, "3 samples");
    await page.getByRole("tab", { name: "Draw" }).click();
    await draw(page, ONE);
    await page.locator("#verdict").getByText(long).waitFor();
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await page.evaluate(() => matchMedia("(prefers-color-scheme: dark)").matches)).toBe(
        colorScheme === "dark",
      );
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
      expect(await page.evaluate(lowContrast)).toEqual([]);
    }
  });
});

/** Texts on the page whose contrast is below 4.5, or 3 where they are large. */
function lowContrast(): string[] {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true })!;
  const rgba = (colours: readonly string[]) => {
    context.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
    }
    return Array.from(context.getImageData(0, 0, 1, 1).data.subarray(0, 3));
  };
  const luminance = (rgb: readonly number[]) => {
    const [r, g, b] = rgb.map((value) =>
      value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const low: string[] = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement!;
    const text = walker.currentNode.textContent!.trim();
    if (text === "" || !element.checkVisibility() || element.closest("script, .unseen, .sheet, :disabled, .skip"))
      continue;
    const behind: string[] = [];
    for (let at: Element | null = element; at !== null; at = at.parentElement)
      behind.unshift(getComputedStyle(at).backgroundColor);
    const { color, fontSize, fontWeight } = getComputedStyle(element);
    const [a, b] = [luminance(rgba([...behind, color])), luminance(rgba(behind))].sort((x, y) => y - x) as [
      number,
      number,
    ];
    const size = Number.parseFloat(fontSize);
    const least = size >= 24 || (size >= 18.66 && Number(fontWeight) >= 700) ? 3 : 4.5;
    if ((a + 0.05) / (b + 0.05) < least) low.push(`${text.slice(0, 30)}: ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
  }
  return low;
}
