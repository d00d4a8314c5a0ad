import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadClusterer, type Precision, readBundle } from "../../runtime/node.ts";
import { loadClusterer as loadInBrowser } from "../../runtime/web.ts";
import { toyModel, toyVariants } from "./toy.ts";

const image = { data: Uint8Array.of(0, 255, 0, 0), shape: [2, 2] };

const said = (agrees: unknown) => ({ variants: { fp16: { agrees }, int8: { agrees: true } } });

/** Loads as a page without WebGPU does. */
async function inPage(files: Record<string, Uint8Array>, dtype?: Precision | "auto") {
  const asked: string[] = [];
  const fetcher = async (url: URL) => {
    const path = url.pathname.slice("/bundle/".length);
    asked.push(path);
    return new Response(files[path] as Uint8Array<ArrayBuffer> | undefined, { status: path in files ? 200 : 404 });
  };
  const options = { fetch: fetcher as typeof fetch, worker: false, ...(dtype && { dtype }) };
  const clusterer = await loadInBrowser("http://page.test/bundle/", options);
  const { info } = clusterer;
  expect([...(await clusterer.assign(image)).label]).toEqual([1]);
  await clusterer.dispose();
  return { dtype: info.dtype, bytes: info.modelBytes, asked };
}

describe("in a page, auto", () => {
  test("is fp16 if it agrees, and nothing else is fetched", async () => {
    const files = toyVariants(said(true));
    expect(await inPage(files, "auto")).toEqual({
      dtype: "fp16",
      bytes: files["model.fp16.onnx"]?.length,
      asked: ["manifest.json", "parity.json", "model.fp16.onnx"],
    });
  });

  test.each([
    ["does not agree", toyVariants(said(false))],
    ["does not say that it agrees", toyVariants(said("true"))],
    ["is not spoken of", toyVariants({ variants: {} })],
    ["is in a report of nothing", toyVariants(null)],
    ["has no report", toyVariants(undefined)],
    ["is not there", toyVariants(said(true), ["int8"])],
  ])("is fp32 where fp16 %s", async (_, files) => {
    expect(await inPage(files, "auto")).toMatchObject({ dtype: "fp32", bytes: files["model.onnx"]?.length });
  });

  test("is an error where the report is no JSON, or not what its hash says", async () => {
    const failed = inPage(toyVariants("{"), "auto");
    await expect(failed).rejects.toMatchObject({
      code: "BUNDLE_INVALID",
      message: expect.stringContaining("parity.json"),
    });
    const spoilt = { ...toyVariants(said(false)), "parity.json": Buffer.from(`${JSON.stringify(said(true))} `) };
    await expect(inPage(spoilt, "auto")).rejects.toMatchObject({ code: "BUNDLE_INVALID" });
  });
});

test("unless said, in a page too, it is fp32; named, it is what was named, whether it agrees or not", async () => {
  const files = toyVariants(said(false));
  expect(await inPage(files)).toMatchObject({ dtype: "fp32", asked: ["manifest.json", "model.onnx"] });
  expect(await inPage(files, "fp16")).toMatchObject({ dtype: "fp16", asked: ["manifest.json", "model.fp16.onnx"] });
  expect(await inPage(files, "int8")).toMatchObject({ dtype: "int8", bytes: files["model.int8.onnx"]?.length });
});

describe("in Node", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "subspan-variant-"));
    await mkdir(join(folder, "toy"));
    for (const [path, bytes] of Object.entries(toyVariants(said(true), ["fp16"])))
      await writeFile(join(folder, "toy", path), bytes);
  });
  afterAll(() => rm(folder, { recursive: true }));
  const dtypeOf = async (...[source, options]: Parameters<typeof loadClusterer>) => {
    const clusterer = await loadClusterer(source, { device: "cpu", ...options });
    await clusterer.dispose();
    return clusterer.info.dtype;
  };

  test("auto is fp32 on the CPU, which float16 only makes slower", async () => {
    expect(await dtypeOf(join(folder, "toy"), { dtype: "auto" })).toBe("fp32");
  });

  test("a bundle that was read opens as it was read, or as another of its graphs", async () => {
    const bundle = await readBundle(join(folder, "toy"), { dtype: "fp16" });
    expect([await dtypeOf(bundle), await dtypeOf(bundle, { dtype: "fp32" })]).toEqual(["fp16", "fp32"]);
    const missing = loadClusterer(bundle, { dtype: "int8" });
    await expect(missing).rejects.toMatchObject({
      code: "BUNDLE_MISSING",
      message: expect.stringContaining("model.int8.onnx"),
    });
  });

  test("a bare graph is the one it is: auto takes it, another is not there", async () => {
    expect(await dtypeOf(toyModel(), { dtype: "auto" })).toBeUndefined();
    await expect(loadClusterer(toyModel(), { dtype: "int8" })).rejects.toMatchObject({ code: "BUNDLE_MISSING" });
  });
});
