import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { whyNot } from "../../runtime/node-devices.ts";
import { AUGMENTATIONS } from "../../train/data/index.ts";
import type { Executor } from "../../train/executors/executor.ts";
import { computeOf, openExecutor } from "../../train/executors/index.ts";
import { resumeRun, startRun } from "../../train/run.ts";
import { Trainer } from "../../train/trainer.ts";
import { isThere, useSwiftShader } from "./swiftshader.ts";
import { METHOD, tinyConfig, tinyImages } from "./tiny.ts";

/** Trains on 40 tiny images, one step an epoch: the losses, and all weights in the end. */
async function trainedBy(executor: Executor, settings: object) {
  const { samples } = tinyImages(40);
  const losses: number[] = [];
  const trainer = new Trainer({
    method: METHOD,
    config: tinyConfig(settings),
    samples,
    augmentation: AUGMENTATIONS.digits,
    seed: 3,
    executor,
    onEvent: (event) => {
      if (event.type === "step") losses.push(event.loss);
    },
  });
  const { parameters } = await trainer.train();
  const weights = Object.values(parameters).flatMap(({ data }) => [...data]);
  return { losses, weights };
}

const onCpu = (settings: object) => openExecutor(computeOf("onnx", "cpu")).then((cpu) => trainedBy(cpu, settings));

/** The greatest difference, relative to numbers that are greater than 1. */
function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a, (x, i) => Math.abs(x - b[i]!) / Math.max(1, Math.abs(x))).reduce(
    (most, d) => Math.max(most, d),
    0,
  );
}

const webgpu = isThere("webgpu", await useSwiftShader());

test.skipIf(!webgpu)("steps on WebGPU equal those on the CPU", { timeout: 300_000 }, async () => {
  // A rate at which Adam moves each weight by a hundredth: a wrong gradient shows.
  const settings = { pretraining: { epochs: 4, batch: 40, learningRate: 0.05 }, joint: { rounds: 0 } };
  const theirs = await onCpu(settings);
  const ours = await trainedBy(await openExecutor(computeOf("onnx", "webgpu")), settings);
  expect(ours.losses).toHaveLength(4);
  expect(difference(ours.losses, theirs.losses)).toBeLessThan(1e-3);
  expect(difference(ours.weights, theirs.weights)).toBeLessThan(1e-3);
});

test("an engine refuses a device it has not, and says which it has", () => {
  expect(() => computeOf("onnx", "wasm" as never)).toThrow("computes on cpu, cuda, webgpu, not on wasm");
});

describe.skipIf((await whyNot("cuda")) === undefined)("CUDA without its libraries", () => {
  let root = "";
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "subspan-executors-"));
  });
  afterAll(() => rm(root, { recursive: true }));

  const settings = { clusters: 3, latent: 6, pretraining: { epochs: 1 }, joint: { rounds: 0 }, neighbours: 8 };
  const data = { name: "tiny", samples: tinyImages(40).samples, fingerprint: "of tiny" };
  const run = () =>
    ({
      folder: join(root, "run"),
      method: "dscdan",
      preset: "quick",
      settings,
      seed: 1,
      source: "tiny",
      data,
    }) as const;
  const refusal = expect.objectContaining({
    code: "DEVICE_UNAVAILABLE",
    message: expect.stringMatching(/cuda: .* is not installed; .*install\.js/),
  });

  test("is refused with the remedy before anything is written", async () => {
    await expect(startRun({ ...run(), device: "cuda" })).rejects.toEqual(refusal);
    expect(await readdir(root)).toEqual([]);
  });

  test("leaves the run that it would have replaced or gone on with", async () => {
    await startRun(run());
    const files = await readdir(run().folder, { recursive: true });
    await expect(startRun({ ...run(), device: "cuda", overwrite: true })).rejects.toEqual(refusal);
    const stopped = { folder: run().folder, data, device: "cuda" } as const;
    expect((await resumeRun(stopped)).before).toBe(true);
    expect(await readdir(run().folder, { recursive: true })).toEqual(files);
  });
});
