import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exportFinished } from "../../cli/exporting.ts";
import type { Samples } from "../../runtime/samples.ts";
import { lopsided } from "../../train/lopsided.ts";
import { type RunEvent, type RunHooks, readRun, resumeRun, startRun } from "../../train/run.ts";
import { SIDE, tinyImages } from "./tiny.ts";
import { TINY_METHODS } from "./tiny-methods.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "subspan-bad-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

type MethodName = keyof typeof TINY_METHODS;
const NAMES = Object.keys(TINY_METHODS) as MethodName[];
const session = { threads: 1 };
const dataOf = (samples: Samples) => ({ name: "tiny", samples, fingerprint: "fedcba9876543210" });

let runs = 0;
function start(
  method: MethodName,
  samples: Samples,
  settings: object = {},
  folder = `run-${runs++}`,
  hooks: RunHooks = {},
) {
  const options = { folder: join(root, folder), method, preset: "best", seed: 1, source: "tiny" } as const;
  return startRun(
    { ...options, settings: { ...TINY_METHODS[method], ...settings }, data: dataOf(samples) },
    { session, ...hooks },
  );
}

const { samples: ordinary } = tinyImages(60);
const images = (n: number, pixel: (sample: number, place: number) => number): Samples => {
  const data = Uint8Array.from({ length: n * SIDE * SIDE }, (_, at) => {
    const sample = Math.floor(at / (SIDE * SIDE));
    return pixel(sample, at % (SIDE * SIDE));
  });
  return { kind: "images", data, shape: [n, SIDE, SIDE, 1] };
};

const alike = images(40, (_, place) => (place * 7) % 256);

/** Data that has not what clustering looks for. Every method gives K clusters all the same, some of them perhaps empty. */
const POOR: Readonly<Record<string, Samples>> = {
  "images of which half are black": images(
    40,
    (sample, place) => (sample % 2) * (ordinary.data[sample * SIDE * SIDE + place] as number),
  ),
  "every image four times": images(40, (sample, place) => ordinary.data[(sample % 10) * SIDE * SIDE + place] as number),
  "one class alone": images(
    40,
    (sample, place) => ordinary.data[3 * sample * SIDE * SIDE + place] ?? 20 + ((sample * place) % 50),
  ),
  "as many images as clusters": images(3, (sample, place) => ordinary.data[sample * SIDE * SIDE + place] as number),
};

describe.each(NAMES)("%s", (method) => {
  test.each(Object.entries(POOR))("of %s gives finite numbers, and graphs that agree", async (_, samples) => {
    const { folder, labels, sizes, structure, parameters, metrics } = await start(method, samples);
    expect(labels).toHaveLength(samples.shape[0]);
    expect(sizes).toHaveLength(3);
    for (const [name, { data }] of Object.entries({ ...parameters, ...structure }))
      expect(data.every(Number.isFinite), name).toBe(true);
    for (const [name, value] of Object.entries(metrics)) expect(value, name).toSatisfy(Number.isFinite);
    const out = `${folder}-bundle`;
    const [signal, reporter] = [new AbortController().signal, { event() {}, doing() {}, note() {}, close() {} }];
    const request = { out, parts: false, withCoefficients: false, precision: ["fp32"], overwrite: false } as const;
    const dataset = dataOf(samples);
    const { parity } = await exportFinished(await readRun(folder), dataset, {
      ...request,
      signal,
      reporter,
      program: "",
    });
    for (const { labelAgreementOutsideTies } of parity.comparisons) expect(labelAgreementOutsideTies).toBe(1);
  });

  test("refuses fewer anchors than clusters, before it trains", async () => {
    if (method !== "ebse") return;
    await expect(start(method, ordinary, { anchors: 2 })).rejects.toMatchObject({
      code: "USAGE",
      message: "anchors: 2, expected at least 3, the clusters",
    });
  });

  test("of which nearly all are alike says that they were not told apart", async () => {
    const [few, events] = [
      images(40, (sample, place) => (sample > 37 ? sample * place : place * 7) % 256),
      [] as RunEvent[],
    ];
    const hooks: RunHooks = { onEvent: (event) => events.push(event) };
    const { sizes } = await start(method, few, {}, undefined, hooks);
    const warnings = events.filter((event) => event.type === "warning");
    expect(Math.max(...sizes)).toBeGreaterThanOrEqual(38);
    expect(warnings.at(-1)?.message).toBe(lopsided(sizes));
    expect(lopsided(sizes)).toMatch(/^cluster [012] holds \d+ of 40 samples: they may not have been told apart$/);
  });

  test("refuses one cluster, and more clusters than samples", async () => {
    await expect(start(method, ordinary, { clusters: 1 })).rejects.toMatchObject({
      code: "USAGE",
      message: expect.stringMatching(/^clusters: expected at least 2, got 1/),
    });
    await expect(start(method, ordinary, { clusters: 61 })).rejects.toMatchObject({
      code: "TOO_FEW_SAMPLES",
      message: "tiny: 60 samples, expected at least 61, the clusters",
    });
  });

  test("refuses fewer different samples than clusters", async () => {
    await expect(start(method, alike)).rejects.toMatchObject({
      code: "TOO_FEW_SAMPLES",
      message: "tiny: 40 samples, of which all are alike; expected at least 3 different ones, the clusters",
    });
  });

  test("whose time is up before a step is clustered as it is", async () => {
    const run = await start(method, ordinary, {}, undefined, { maxMilliseconds: 1e-3 });
    expect(run.labels).toHaveLength(60);
    for (const [name, { data }] of Object.entries(run.structure)) expect(data.every(Number.isFinite), name).toBe(true);
  });

  test("that diverges names the term, and keeps the state that was good", async () => {
    const [phase, term] = {
      dscdan: ["pretraining", "global"],
      ebse: ["warm-up", "information"],
      udll: ["fineTuning", "fine-tuning"],
    }[method] as [string, string];
    const folder = `diverged-${method}`;
    const of: Readonly<Record<string, unknown>> = TINY_METHODS[method];
    const key = method === "ebse" ? "warmup" : phase;
    // The first epoch's steps leave nothing that float32 can hold.
    const settings = { [key]: { ...(of[key] as object), learningRate: 1e30 } };
    const error = await start(method, ordinary, settings, folder).catch((error: unknown) => error);
    expect(error).toMatchObject({
      code: "TRAINING_DIVERGED",
      message: expect.stringMatching(/became (NaN|-?Infinity) in .*epoch/),
    });
    expect((error as Error).message).toContain(term);
    const events = (await readFile(join(root, folder, "events.jsonl"), "utf8")).trimEnd().split("\n");
    expect((JSON.parse(events.at(-1) as string) as RunEvent).type).toBe("diverged");
    const state = (await readRun(join(root, folder))).state;
    for (const { data } of Object.values(state?.training.parameters ?? {}))
      expect(data.every(Number.isFinite)).toBe(true);
    expect((error as Error).message).toContain(state ? "keeps the last good state" : "no epoch was done before");
    if (method === "udll") expect(state?.training.position).toMatchObject({ phase: 1 });
  });
});

test.each(["dscdan", "ebse"] as const)(
  "%s refuses vectors with a number that is not finite, and writes nothing",
  async (method) => {
    const data = Float32Array.from({ length: 60 * 4 }, (_, i) => (i === 4 * 7 + 2 ? Number.NaN : i % 5));
    const run = start(method, { kind: "features", data, shape: [60, 4] }, {}, "nan");
    await expect(run).rejects.toMatchObject({
      code: "NOT_FINITE",
      message: "tiny: feature 2 of sample 7: expected a finite number, got NaN",
    });
    expect(await readdir(root)).not.toContain("nan");
  },
);

test("udll without fine-tuning clusters the closed-form coefficients", async () => {
  const run = await start("udll", ordinary, { fineTuning: { steps: 0 } });
  expect(run.parameters).not.toHaveProperty("affinity");
  expect(run.sizes).toEqual([20, 20, 20]);
});

describe("a number of clusters that is to be chosen", () => {
  test("is chosen by the eigengap, told, kept, and the run is the one that had been told it", async () => {
    const settings = { pretraining: { epochs: 6, batch: 30 } };
    const auto = await start("dscdan", ordinary, { ...settings, clusters: "auto" }, "auto");
    const { config } = await readRun(join(root, "auto"));
    expect(config.config.clusters).toBe(auto.sizes.length);
    const [first] = (await readFile(join(root, "auto", "events.jsonl"), "utf8")).split("\n", 1);
    const choice = JSON.parse(first as string) as Extract<RunEvent, { type: "clusters" }>;
    expect(choice).toMatchObject({ type: "clusters", clusters: auto.sizes.length, after: "pretraining" });
    expect(choice.candidates.map(({ clusters }) => clusters)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    const told = await start("dscdan", ordinary, { ...settings, clusters: choice.clusters });
    expect(told.labels).toEqual(auto.labels);
    expect(told.parameters).toEqual(auto.parameters);
    const asked = { folder: join(root, "auto"), data: dataOf(ordinary), settings: { clusters: "auto" } };
    expect((await resumeRun(asked)).before).toBe(true);
  });

  test("is refused for few samples, and a folder that is taken is not trained for", async () => {
    const few = images(14, (sample, place) => (sample * place) % 256);
    await expect(start("dscdan", few, { clusters: "auto" })).rejects.toMatchObject({ code: "TOO_FEW_SAMPLES" });
    await expect(start("dscdan", ordinary, { clusters: "auto" }, "auto")).rejects.toMatchObject({ code: "USAGE" });
  });
});
