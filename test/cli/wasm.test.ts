import { readdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { subspan, temporaryFolder } from "./tiny-cli.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

test("subspan wasm copies one build or both, and nothing else", async () => {
  const package_ = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/wasm"));
  const script = "ort-wasm-simd-threaded.mjs";
  const { code, stdout } = await subspan("wasm", folder.path("one/deep"), "--device", "wasm");
  expect([code, await readdir(folder.path("one/deep"))]).toEqual([0, [script, "ort-wasm-simd-threaded.wasm"]]);
  expect(stdout).toContain("14.2 MB");
  expect(await readFile(join(folder.path("one/deep"), script))).toEqual(await readFile(join(package_, script)));
  expect((await subspan("wasm", folder.path("both"))).code).toBe(0);
  const builds = ["ort-wasm-simd-threaded.asyncify", "ort-wasm-simd-threaded"];
  expect(await readdir(folder.path("both"))).toEqual(builds.flatMap((name) => [`${name}.mjs`, `${name}.wasm`]));
});

test("a folder that cannot be made is wrong use", async () => {
  await writeFile(folder.path("file"), "");
  const { code, stderr } = await subspan("wasm", join(folder.path("file"), "ort"));
  expect([code, stderr]).toEqual([2, expect.stringContaining("cannot be written")]);
});
