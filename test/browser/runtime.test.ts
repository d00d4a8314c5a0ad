import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeImage, loadClusterer } from "../../runtime/node.ts";
import { subspan as commandLine } from "../cli/tiny-cli.ts";
import { badPictures, goodPictures } from "../runtime/pictures.ts";
import { sha256, toyBundle, toyModel } from "../runtime/toy.ts";
import { buildPage } from "./build-page.ts";
import { LAUNCH_TIMEOUT, launchChromium } from "./chromium.ts";
import { type Site, serveSite } from "./site.ts";

/** What page/main.ts puts into the page. */
declare const subspan: typeof import("./page/main.ts").subspan;

let browser: Browser;
let built: Awaited<ReturnType<typeof buildPage>>[];
/** Vite bundles ONNX Runtime; cross-origin isolated. */
let isolated: Site;
/** ONNX Runtime is copied to /ort; no headers. */
let plain: Site;
let page: Page;
let errors: string[];

beforeAll(async () => {
  built = await Promise.all([buildPage("bundled"), buildPage("copied")]);
  const [bundled, copied] = built.map(({ folder }) => folder);
  await commandLine("wasm", join(copied!, "ort"), "--device", "wasm");
  const files = Object.fromEntries(Object.entries(toyBundle()).map(([path, bytes]) => [`/toy/${path}`, bytes]));
  isolated = await serveSite(bundled, { isolated: true, files });
  plain = await serveSite(copied, { files });
  browser = await launchChromium();
  page = await open(isolated);
}, LAUNCH_TIMEOUT);
afterAll(async () => {
  await browser?.close();
  await Promise.all([isolated?.close(), plain?.close(), ...(built ?? []).map(({ remove }) => remove())]);
});

/** A page of a site, with nothing kept from before. */
async function open(site: Site): Promise<Page> {
  const opened = await (await browser.newContext()).newPage();
  errors = [];
  opened.on("pageerror", ({ message }) => errors.push(message));
  await opened.goto(site.url);
  await opened.waitForFunction(() => "subspan" in globalThis);
  site.requests.length = 0;
  return opened;
}

/** A worker whose threads wait for work is given two seconds by Chromium. */
const ENDED = { timeout: 30_000 };
const paths = ({ requests }: Site) => requests.map(({ path }) => path);
type Options = Readonly<{ threads?: number; worker?: boolean; wasmPaths?: string; sha256?: string; cache?: boolean }>;

/** Loads the toy, assigns three images, and tells what came and where it ran. */
const assignThree = (where: Page, options: Options = {}) =>
  where.evaluate(async (options) => {
    const clusterer = await subspan.loadClusterer("toy", options);
    const data = Uint8Array.of(0, 255, 0, 0, 255, 0, 0, 0, 0, 0, 255, 0);
    const { label, confidence } = await clusterer.assign({ data, shape: [3, 2, 2, 1] });
    const { device, threads, worker, notes, failures } = clusterer.info;
    await clusterer.dispose();
    return { label: [...label], confidence: [...confidence], device, threads, worker, notes, failures };
  }, options);

describe("loading", () => {
  test("runs in a worker with threads where the page is isolated, and fetches the WASM build alone", async () => {
    const found = await assignThree(page, { threads: 2 });
    expect(found).toMatchObject({ label: [1, 0, 2], device: "wasm", threads: 2, worker: true, notes: [] });
    expect(found.failures).toEqual([{ device: "webgpu", reason: "the browser found no GPU" }]);
    const node = await loadClusterer(toyModel(), { device: "cpu" });
    const { confidence } = await node.assign({ data: Uint8Array.of(0, 255, 0, 0), shape: [2, 2] });
    expect(found.confidence[0]).toBeCloseTo(confidence[0]!, 6);
    await node.dispose();
    const asked = paths(isolated).join();
    expect(asked).toMatch(/ort-wasm-simd-threaded-\w+\.wasm/);
    expect(asked).not.toMatch(/asyncify|webgpu|web-page|zip/);
    await expect.poll(() => page.workers(), ENDED).toEqual([]);
  });

  test("with copied files and no isolation it has one thread, and a note says why", async () => {
    const copied = await open(plain);
    const found = await assignThree(copied, { threads: 2, wasmPaths: "ort" });
    expect(found).toMatchObject({ label: [1, 0, 2], threads: 1, worker: true });
    expect(found.notes).toEqual([expect.stringContaining("cross-origin isolated")]);
    expect(paths(plain)).toContain("/ort/ort-wasm-simd-threaded.wasm");
    await copied.context().close();
  });

  test("asks no other host, and says what is missing where ONNX Runtime's files are not there", async () => {
    const copied = await open(plain);
    const others: string[] = [];
    copied.on("request", (request) => {
      if (!request.url().startsWith(plain.url)) others.push(request.url());
    });
    const message = await copied.evaluate(() =>
      subspan
        .loadClusterer("toy", { wasmPaths: "/nowhere", device: "wasm" })
        .catch((error) => `${error.code} ${error.message}`),
    );
    expect(message).toMatch(/^DEVICE_UNAVAILABLE .*nowhere\/ort-wasm-simd-threaded/);
    expect(others).toEqual([]);
    await copied.context().close();
  });

  test("runs in the page where a worker is not wanted", async () => {
    expect(await assignThree(page, { worker: false })).toMatchObject({ label: [1, 0, 2], worker: false, threads: 1 });
    expect(errors).toEqual([]);
  });

  test("runs in the page, and says why, where a worker does not start", async () => {
    await page.route("**/web-worker-*", (route) => route.abort());
    try {
      const found = await assignThree(page);
      expect(found).toMatchObject({ label: [1, 0, 2], worker: false });
      expect(found.notes).toEqual([
        expect.stringContaining("in the page: the worker"),
        expect.stringContaining("wasmPaths"),
      ]);
      const refused = page.evaluate(() => subspan.loadClusterer("toy", { worker: true }));
      await expect(refused).rejects.toThrow("does not answer");
    } finally {
      await page.unroute("**/web-worker-*");
    }
  });

  test("tells its progress in transformers.js's words", async () => {
    const fresh = await open(isolated);
    const events = await fresh.evaluate(async () => {
      const events: string[] = [];
      const clusterer = await subspan.loadClusterer("toy", {
        onProgress: (event) =>
          events.push(
            [event.status, "file" in event && event.file, "loaded" in event && event.loaded / event.total]
              .filter(Boolean)
              .join(" "),
          ),
      });
      await clusterer.dispose();
      return events;
    });
    const steps = (file: string) => [`initiate ${file}`, `download ${file}`, `progress ${file} 1`, `done ${file}`];
    expect(events).toEqual([...steps("manifest.json"), ...steps("model.onnx"), "ready"]);
    await fresh.context().close();
  });

  test("stops when it is told to, and the next load is none the worse", async () => {
    const codes = await page.evaluate(async () => {
      const code = (error: { code: string }) => error.code;
      const before = await subspan.loadClusterer("toy", { signal: AbortSignal.abort() }).catch(code);
      const controller = new AbortController();
      const loading = subspan.loadClusterer("toy", {
        signal: controller.signal,
        onProgress: ({ status }) => status === "done" && controller.abort(),
      });
      const during = await loading.catch(code);
      const late = new AbortController();
      const opening = subspan.loadClusterer("toy", { signal: late.signal });
      setTimeout(() => late.abort(), 50);
      return [before, during, await opening.then(() => "in time", code)];
    });
    expect(codes.slice(0, 2)).toEqual(["INTERRUPTED", "INTERRUPTED"]);
    expect(["INTERRUPTED", "in time"]).toContain(codes[2]);
    expect((await assignThree(page)).label).toEqual([1, 0, 2]);
  });
});

describe("the cache", () => {
  const loadCounting = async (where: Page, options: Options = {}) => {
    isolated.requests.length = 0;
    const { label } = await assignThree(where, options);
    expect(label).toEqual([1, 0, 2]);
    return paths(isolated).filter((path) => path.startsWith("/toy"));
  };

  test("has the graph without asking the network, and all of it where the hash is known; spoilt, it is fetched anew", async () => {
    const fresh = await open(isolated);
    const files = toyBundle();
    const pinned = { sha256: sha256(files["manifest.json"]!) };
    const all = ["/toy/manifest.json", "/toy/model.onnx"];
    expect(await loadCounting(fresh, pinned)).toEqual(all);
    expect(await loadCounting(fresh)).toEqual(["/toy/manifest.json"]);
    expect(await loadCounting(fresh, pinned)).toEqual([]);
    const spoil = () =>
      fresh.evaluate(async () => {
        const cache = await caches.open("subspan");
        for (const key of await cache.keys()) await cache.put(key, new Response("spoilt"));
      });
    await spoil();
    expect(await loadCounting(fresh, pinned)).toEqual(all);
    expect(await loadCounting(fresh, pinned)).toEqual([]);
    expect(await loadCounting(fresh, { ...pinned, cache: false })).toEqual(all);
    expect(await fresh.evaluate(() => subspan.clearCache())).toBe(true);
    expect(await loadCounting(fresh)).toEqual(all);
    await fresh.context().close();
  });

  test("keeps nothing that is not what its hash says", async () => {
    const fresh = await open(isolated);
    const code = await fresh.evaluate(
      (sha256) => subspan.loadClusterer("toy", { sha256 }).catch((error) => error.code),
      "0".repeat(64),
    );
    expect(code).toBe("BUNDLE_INVALID");
    expect(await fresh.evaluate(async () => (await (await caches.open("subspan")).keys()).length)).toBe(0);
    await fresh.context().close();
  });
});

describe("pictures", () => {
  test("decode, turn grey and resize as in Node, to one grey level", async () => {
    const good = await goodPictures();
    const shapes = [
      [43, 61, 3],
      [43, 61, 1],
      [28, 28, 1],
      [96, 64, 3],
    ] as const;
    for (const [name, file] of Object.entries(good)) {
      const theirs = await page.evaluate(
        async ([file, shapes]) => {
          const blob = new Blob([Uint8Array.from(atob(file), (c) => c.charCodeAt(0))]);
          const all: number[][] = [];
          for (const shape of shapes) all.push([...(await subspan.decodeImage(blob, shape)).data]);
          return all;
        },
        [file.toString("base64"), shapes] as const,
      );
      for (const [i, shape] of shapes.entries()) {
        const { data } = await decodeImage(file, shape);
        expect(theirs[i]!.length).toBe(data.length);
        const greatest = data.reduce((most, value, j) => Math.max(most, Math.abs(value - theirs[i]![j]!)), 0);
        expect(greatest, `${name} ${shape}`).toBeLessThanOrEqual(1);
      }
    }
  });

  test("that are refused in Node are refused in the page, for the same reasons", async () => {
    const bad = await badPictures();
    const codes = await page.evaluate(
      async (files) => {
        const clusterer = await subspan.loadClusterer("toy");
        const codes: string[] = [];
        for (const file of files) {
          const blob = new File([Uint8Array.from(atob(file), (c) => c.charCodeAt(0))], "x");
          codes.push(
            await clusterer.assign(blob).then(
              () => "assigned",
              (error) => error.code,
            ),
          );
        }
        await clusterer.dispose();
        return codes;
      },
      bad.map(({ file }) => file.toString("base64")),
    );
    expect(bad.map(({ name }, i) => [name, codes[i]])).toEqual(bad.map(({ name, code }) => [name, code]));
  });

  test("may be ImageData, ImageBitmap, canvases, image elements, files or a list of these", async () => {
    const { "rgb.png": file } = await goodPictures();
    const { same, of } = await page.evaluate(async (file) => {
      const clusterer = await subspan.loadClusterer("toy");
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 2;
      const context = canvas.getContext("2d")!;
      context.fillStyle = "#fff";
      context.fillRect(0, 1, 1, 1);
      const offscreen = new OffscreenCanvas(2, 2);
      offscreen.getContext("2d")!.drawImage(canvas, 0, 0);
      const blob = await offscreen.convertToBlob();
      const image = new Image();
      image.src = URL.createObjectURL(blob);
      await image.decode();
      const bitmap = await createImageBitmap(canvas);
      const inputs = [
        context.getImageData(0, 0, 2, 2),
        bitmap,
        canvas,
        offscreen,
        image,
        blob,
        new File([blob], "x.png"),
      ];
      const same: number[] = [];
      for (const input of [...inputs, inputs]) same.push(...(await clusterer.assign(input)).label);
      const photo = new Blob([Uint8Array.from(atob(file), (c) => c.charCodeAt(0))]);
      const { count } = await clusterer.assign([photo, canvas, { data: new Uint8Array(4), shape: [2, 2] }]);
      await clusterer.dispose();
      return { same, of: count, usable: bitmap.width };
    }, file!.toString("base64"));
    expect(same).toEqual(new Array(14).fill(2));
    expect(of).toBe(3);
  });
});

describe("assigning", () => {
  test("leaves the caller's arrays alone, keeps many callers apart, and stops when it is told to", async () => {
    const found = await page.evaluate(async () => {
      const clusterer = await subspan.loadClusterer("toy");
      const data = Uint8Array.from({ length: 4000 }, (_, i) => (i % 4 === Math.floor(i / 4) % 3 ? 255 : 0));
      const all = await Promise.all(
        [1, 7, 1000].map((batchSize) => clusterer.assign({ data, shape: [1000, 2, 2, 1] }, { batchSize })),
      );
      const right = all.map(({ label }) => label.every((k, i) => k === i % 3));
      const controller = new AbortController();
      const stopped = clusterer
        .assign({ data, shape: [1000, 2, 2, 1] }, { batchSize: 1, signal: controller.signal })
        .catch((error) => error.code);
      controller.abort();
      const parts: number[] = [];
      for await (const { count } of clusterer.assignStream([{ data, shape: [1000, 2, 2, 1] }], { batchSize: 400 }))
        parts.push(count);
      await clusterer.dispose();
      const after = await clusterer.assign({ data, shape: [1000, 2, 2, 1] }).catch((error) => error.code);
      return { right, untouched: data.length, stopped: await stopped, parts, after };
    });
    expect(found).toEqual({
      ...{ right: [true, true, true], untouched: 4000, stopped: "INTERRUPTED" },
      ...{ parts: [400, 400, 200], after: "DISPOSED" },
    });
  });

  test("loaded and disposed of 50 times in the page, and in workers, it is as large as before", async () => {
    const session = await browser.newBrowserCDPSession();
    const own = await page.context().newCDPSession(page);
    /** Bytes of memory of all renderers, without what only waits to be collected. */
    const resident = async () => {
      await own.send("HeapProfiler.collectGarbage");
      const { processInfo } = (await session.send("SystemInfo.getProcessInfo")) as {
        processInfo: { type: string; id: number }[];
      };
      const pages = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
      return pages.reduce((sum, id) => sum + Number(readFileSync(`/proc/${id}/statm`, "utf8").split(" ")[1]) * 4096, 0);
    };
    const rounds = (count: number, worker: boolean) =>
      page.evaluate(
        async ({ count, worker }) => {
          for (let i = 0; i < count; i++) {
            const clusterer = await subspan.loadClusterer("toy", { device: "wasm", threads: 1, worker });
            await clusterer.assign({ data: new Uint8Array(4), shape: [2, 2] });
            await clusterer.dispose();
          }
        },
        { count, worker },
      );
    await rounds(10, false);
    await rounds(2, true);
    await expect.poll(() => page.workers(), ENDED).toEqual([]);
    const before = await resident();
    await rounds(40, false);
    await rounds(6, true);
    await expect.poll(() => page.workers(), ENDED).toEqual([]);
    // Chromium gives the memory of an ended worker back some time after: what leaks never comes back.
    await expect.poll(async () => (await resident()) - before, ENDED).toBeLessThan(48 * 2 ** 20);
  }, 300_000);
});
