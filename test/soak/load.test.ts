import { mkdir, rm, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { toyBundle, toyManifest, toyModel } from "../runtime/toy.ts";
import { type Built, buildServer } from "../serve/built.ts";
import { type Answer, ask, post } from "../serve/client.ts";
import { startServer } from "./server.ts";
import { p99, sized, within } from "./sized.ts";

const INFER = "/v2/models/toy/infer";
const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

let built: Built;
beforeAll(async () => {
  built = await buildServer();
}, 60_000);
afterAll(() => built.remove());

/** Images whose brightest of the first three pixels is the first, all of them in bytes. */
const images = (rows: number) => ({
  headers: { "inference-header-content-length": "0" },
  body: new Uint8Array(4 * rows).map((_, at) => (at % 4 === 0 ? 255 : 0)),
});

/** Calls `work` again and again, `count` at a time, until stopped: then all that it answered. */
function clients<T>(count: number, work: () => Promise<T>): { readonly stop: () => Promise<T[]> } {
  const answers: T[] = [];
  let stopped = false;
  const client = async () => {
    while (!stopped) answers.push(await work());
  };
  const all = Array.from({ length: count }, client);
  return {
    stop: async () => {
      stopped = true;
      await Promise.all(all);
      return answers;
    },
  };
}

test(`ten times what it can do, for ${sized(2, 60)} s: what is accepted comes in time, all else is told when to come again`, async () => {
  const ROWS = 2000;
  const queueMs = sized(300, 1000);
  await writeFile(join(built.folder, "slow.onnx"), toyModel("images", toyManifest(), 512));
  const limits = { queueMs, queueRequests: 64 };
  const server = await startServer(built, { bundles: ["slow.onnx"], workers: 1, limits });
  const agent = new Agent({ keepAlive: true });
  const timed = async () => {
    const began = performance.now();
    const { status, headers } = await ask(server.port, INFER, { ...images(ROWS), agent });
    return { status, retry: headers["retry-after"], ms: performance.now() - began };
  };
  await timed();
  const calm = clients(2, timed); // one runs while the other is read and answered: all that one worker can do
  await wait(sized(500, 5000));
  const calmly = await calm.stop();
  const capacity = (1000 * calmly.length) / sized(500, 5000); // requests a second
  const run = p99(calmly.map(({ ms }) => ms));

  const seconds = sized(2, 60);
  const asked: Promise<Awaited<ReturnType<typeof timed>>>[] = [];
  const rate = 10 * capacity;
  const began = performance.now();
  for (let passed = 0; passed < 1000 * seconds; passed = performance.now() - began) {
    while (asked.length < (rate * passed) / 1000) asked.push(timed());
    await wait(5);
  }
  const answers = await Promise.all(asked); // rejects if one were lost
  const over = performance.now();
  while ((await timed()).ms > 2 * run + within(100)) await wait(10);
  expect(performance.now() - over).toBeLessThan(within(2000));
  expect((await ask(server.port, "/v2/health/ready")).status).toBe(200);

  const accepted = answers.filter(({ status }) => status === 200);
  const refused = answers.filter(({ status }) => status !== 200);
  expect(accepted.length).toBeGreaterThan(0);
  expect(refused.length).toBeGreaterThan(accepted.length);
  expect(new Set(refused.map(({ status, retry }) => `${status} ${retry}`))).toSatisfy((found: Set<string>) =>
    [...found].every((answer) => ["429 1", "503 1"].includes(answer)),
  );
  expect(p99(accepted.map(({ ms }) => ms))).toBeLessThan(queueMs + sized(10, 2) * run + within(50));
  agent.destroy();
  await server.close();
}, 180_000);

/** The toy, its images divided by `white`: that is told by its confidence. */
function divided(white: number, created: string): Record<string, Uint8Array> {
  const manifest = { ...toyManifest(), created };
  const model = Buffer.from(toyModel("images", manifest));
  const at = model.indexOf(Buffer.from(Float32Array.of(255).buffer));
  model.writeFloatLE(white, at);
  return toyBundle((same) => ({ ...same, created }), model);
}
const confidence = (white: number) => Math.exp(255 / white) / (Math.exp(255 / white) + 2);

const SPOILT: readonly ((files: Record<string, Uint8Array>) => Record<string, Uint8Array>)[] = [
  (files) => ({ ...files, "model.onnx": files["model.onnx"]!.subarray(0, -9) }),
  (files) => ({ ...files, "model.onnx": files["model.onnx"]!.map((byte, at) => (at === 99 ? byte ^ 1 : byte)) }),
  (files) => ({ ...files, "model.onnx": new Uint8Array(0) }),
  (files) => ({ ...files, "manifest.json": Buffer.from("{}") }),
  (files) => ({ ...files, "manifest.json": files["manifest.json"]!.subarray(0, 50) }),
];

test(`${sized(15, 200)} new versions under load, ${SPOILT.length} of them spoilt: no request fails, each answer is of one version`, async () => {
  const root = join(built.folder, "models/toy");
  const put = async (files: Record<string, Uint8Array>) => {
    await rm(root, { recursive: true, force: true });
    await mkdir(root, { recursive: true });
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(root, name), bytes);
  };
  const dividers = [255, 127.5] as const;
  const next = (i: number) => divided(dividers[i % 2]!, new Date(1e12 + i * 1000).toISOString());
  await put(next(0));
  const server = await startServer(built, { bundles: ["models"], workers: 2 });
  const agent = new Agent({ keepAlive: true });
  const request = {
    inputs: [{ name: "images", shape: [5, 2, 2, 1], datatype: "UINT8", data: Array(5).fill([255, 0, 0, 0]).flat() }],
    outputs: [{ name: "confidence" }],
  };
  const found = ({ status, text, json }: Answer) =>
    status === 200
      ? (json().outputs as { data: number[] }[])[0]!.data.map((one) => one.toFixed(3)).join()
      : `${status} ${text}`;
  const infer = async () => found(await post(server.port, INFER, request, { agent }));
  const load = clients(4, infer);
  const whole = dividers.map((white) => Array(5).fill(confidence(white).toFixed(3)).join());
  let served = 0;
  const swaps = sized(15, 200);
  for (let i = 1; i <= swaps; i++) {
    const spoil = i % Math.floor(swaps / SPOILT.length) === 0 ? SPOILT[(i * SPOILT.length) / swaps - 1] : undefined;
    await put(spoil?.(next(served + 1)) ?? next(served + 1));
    const told = await ask(server.port, "/v2/repository/models/toy/load", { method: "POST" });
    expect(told.status, told.text).toBe(spoil === undefined ? 200 : 400);
    if (spoil === undefined) served++;
    expect(await infer()).toBe(whole[served % 2]);
  }
  const answers = await load.stop();
  expect(new Set(answers)).toEqual(new Set(whole));
  expect(answers.length).toBeGreaterThan(swaps);
  agent.destroy();
  await server.close();
}, 180_000);

test(`a worker that dies ${sized(5, 30)} times under load fails only what it ran, and another is there within a second`, async () => {
  await using server = await built.serve({ bundles: [toyModel()], port: 0, workers: 2 });
  const agent = new Agent({ keepAlive: true });
  const workers = async () => Number(/^subspan_workers (\d+)$/m.exec((await ask(server.port, "/metrics")).text)![1]);
  const CLIENTS = 6;
  const load = clients(CLIENTS, async () => (await ask(server.port, INFER, { ...images(50), agent })).status);
  const kills = sized(5, 30);
  for (let i = 0; i < kills; i++) {
    await wait(sized(50, 2000));
    await server.killWorker(i);
    const began = performance.now();
    while ((await workers()) < 2) await wait(5);
    expect(performance.now() - began).toBeLessThan(within(1000));
    expect((await ask(server.port, "/v2/health/ready")).status).toBe(200);
  }
  const statuses = await load.stop();
  expect([...new Set(statuses)].filter((status) => status !== 200 && status !== 503)).toEqual([]);
  expect(statuses.filter((status) => status === 503).length).toBeLessThanOrEqual(kills * CLIENTS);
  expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(kills);
  agent.destroy();
}, 180_000);
