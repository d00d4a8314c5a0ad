import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type * as node from "../../runtime/node.ts";
import { buildRuntime } from "./built.ts";
import { badPictures, goodPictures } from "./pictures.ts";
import { toyManifest, toyModel } from "./toy.ts";

let built: Awaited<ReturnType<typeof buildRuntime>>;
let runtime: typeof node;
beforeAll(async () => {
  built = await buildRuntime();
  await writeFile(join(built.folder, "toy.onnx"), toyModel());
  runtime = await import(/* @vite-ignore */ pathToFileURL(join(built.folder, "dist/runtime/node.js")).href);
});
afterAll(() => built?.remove());

const second = { data: Uint8Array.of(0, 255, 0, 0), shape: [2, 2] };

test("a worker thread gives what this thread gives, of arrays, files and paths", async () => {
  const { "rgb.png": file } = await goodPictures();
  const path = join(built.folder, "a.png");
  await writeFile(path, file!);
  const answers = await Promise.all(
    [false, true].map(async (worker) => {
      const clusterer = await runtime.loadClusterer(toyModel(), { device: "cpu", worker });
      expect(clusterer.info.worker).toBe(worker);
      const inputs = [second, [second, path, pathToFileURL(path)], file!];
      const all = await Promise.all(
        inputs.map((input) => clusterer.assign(input, { outputs: ["label", "embedding"] })),
      );
      const code = (await badPictures())[0]?.code;
      await expect(clusterer.assign(Buffer.alloc(0))).rejects.toMatchObject({ code });
      await clusterer.dispose();
      await expect(clusterer.assign(second)).rejects.toMatchObject({ code: "DISPOSED" });
      return all;
    }),
  );
  expect(answers[1]).toEqual(answers[0]);
  expect(second.data.length).toBe(4);
});

test("disposing while a worker thread decodes is told as such", async () => {
  const { "rgb.png": file } = await goodPictures();
  const clusterer = await runtime.loadClusterer(toyModel(), { device: "cpu", worker: true });
  const answers = Promise.allSettled(Array.from({ length: 40 }, () => clusterer.assign(file!)));
  await clusterer.dispose();
  const refusals = (await answers).flatMap((answer) => (answer.status === "rejected" ? [answer.reason] : []));
  expect(refusals).not.toEqual([]);
  for (const reason of refusals) expect(reason).toMatchObject({ code: "DISPOSED" });
});

test("a worker thread leaves this thread free while it computes, and this one not", async () => {
  const model = toyModel("images", toyManifest(), 2048);
  const data = new Uint8Array(4 * 8192);
  const stalls = async (worker: boolean) => {
    const clusterer = await runtime.loadClusterer(model, { device: "cpu", worker, threads: 1 });
    let last = performance.now();
    let longest = 0;
    const ticking = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 1);
    const began = performance.now();
    await clusterer.assign({ data, shape: [8192, 2, 2, 1] }, { batchSize: 8192 });
    const took = performance.now() - began;
    await new Promise((tick) => setTimeout(tick, 2));
    clearInterval(ticking);
    await clusterer.dispose();
    return longest / took;
  };
  expect(await stalls(false)).toBeGreaterThan(0.8);
  expect(await stalls(true)).toBeLessThan(0.8);
});

test("an idle worker thread does not keep the process alive, a busy one does", async () => {
  const answer = await built.script(`
    import { loadClusterer } from "./dist/runtime/node.js";
    const clusterer = await loadClusterer("toy.onnx", { device: "cpu", worker: true });
    const { label } = await clusterer.assign({ data: Uint8Array.of(0, 255, 0, 0), shape: [2, 2] });
    console.log(JSON.stringify([...label]));
  `);
  expect(answer).toEqual([1]);
});

test.each([
  ["this thread", false, 40],
  ["worker threads", true, 40],
])("loaded and disposed of 50 times in %s, the process is as large as after 10", async (_, worker, rounds) => {
  const grown = (await built.script(
    `
    import { loadClusterer } from "./dist/runtime/node.js";
    const round = async () => {
      const clusterer = await loadClusterer("toy.onnx", { device: "cpu", threads: 1, worker: ${worker} });
      await clusterer.assign({ data: new Uint8Array(4 * 64), shape: [64, 2, 2, 1] });
      await clusterer.dispose();
    };
    for (let i = 0; i < 10; i++) await round();
    gc();
    const before = process.memoryUsage.rss();
    for (let i = 0; i < ${rounds}; i++) await round();
    gc();
    console.log((process.memoryUsage.rss() - before) / 2 ** 20);
  `,
    "--expose-gc",
  )) as number;
  expect(grown).toBeLessThan(24);
});
