import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { whyNot } from "../../runtime/node-devices.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { initialState } from "../../train/executors/executor.ts";
import { computeOf, openExecutor } from "../../train/executors/index.ts";
import { resumeRun, startRun } from "../../train/run.ts";
import type { StepDefinition } from "../../train/step.ts";
import { isThere, useSwiftShader } from "./available.ts";
import { tinyImages } from "./tiny.ts";
import { greatestDifference, greatestRelativeDifference, trainedBy } from "./training.ts";

const webgpu = isThere("webgpu", await useSwiftShader());

test.skipIf(!webgpu)("steps on WebGPU equal those on the CPU", { timeout: 300_000 }, async () => {
  // A rate at which Adam moves each weight by a hundredth: a wrong gradient shows.
  const settings = { latent: 6, pretraining: { epochs: 4, batch: 40, learningRate: 0.05 }, joint: { rounds: 0 } };
  const onCpu = await trainedBy(await openExecutor(computeOf("onnx", "cpu")), settings);
  const onGpu = await trainedBy(await openExecutor(computeOf("onnx", "webgpu")), settings);
  expect(onGpu.losses).toHaveLength(4);
  expect(greatestRelativeDifference(onCpu.losses, onGpu.losses)).toBeLessThan(1e-3);
  expect(greatestDifference(onCpu.weights, onGpu.weights)).toBeLessThan(1e-3);
});

test("a step goes on from the state it has, and leaves the arrays that it was given and that it gave", async () => {
  const x = { data: Float32Array.of(1, -2, 3), shape: [3] };
  const definition: StepDefinition = {
    trainable: { x: [3] },
    frozen: {},
    batch: {},
    loss: ({ x }) => ({ square: tf.sum(tf.square(x as tf.Tensor)) }),
  };
  const step = await (await openExecutor(computeOf("onnx", "cpu"))).prepare(definition, initialState({ x }), {});
  const losses = [await step.run({}, 0.1), await step.run({}, 0.1)].map(({ square }) => square as number);
  const { parameters } = step.state;
  const read = (parameters.x as NumberArray).data;
  const kept = [...read];
  losses.push((await step.run({}, 0.1)).square as number, (await step.run({}, 0.1)).square as number);
  // Adam's first steps on a parabola are of the rate's length.
  const expected = [0, 0.1, 0.2, 0.3].map((by) => (1 - by) ** 2 + (2 - by) ** 2 + (3 - by) ** 2);
  losses.forEach((loss, i) => {
    expect(Math.abs(loss - (expected[i] as number))).toBeLessThan(0.02);
  });
  expect([...read]).toEqual(kept);
  expect([...x.data]).toEqual([1, -2, 3]);
  expect(step.state.t).toBe(4);
  await step.dispose();
});

test("an engine refuses a device it has not, and says which it has", () => {
  expect(() => computeOf("tfjs-node", "webgpu")).toThrow("engine tfjs-node computes on cpu, not on webgpu");
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
