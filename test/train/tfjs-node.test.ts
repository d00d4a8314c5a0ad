import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import util from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Executor } from "../../train/executors/executor.ts";
import { computeOf, type EngineName, openExecutor } from "../../train/executors/index.ts";
import { probeTensorflow, TENSORFLOW_BACKEND } from "../../train/executors/tensorflow.ts";
import { type RunEvent, type RunHooks, readRun, resumeRun, startRun } from "../../train/run.ts";
import { isThere } from "./available.ts";
import { tinyImages } from "./tiny.ts";
import { greatestRelativeDifference, trainedBy } from "./training.ts";

const reason = await probeTensorflow("tfjs-node").then(
  () => undefined,
  (error: Error) => error.message,
);

describe.skipIf(!isThere("tfjs-node", reason))("tfjs-node", { timeout: 300_000 }, () => {
  let [onnx, tensorflow] = [] as unknown as [Executor, Executor];
  let root = "";
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "subspan-tfjs-node-"));
    // As in Node 23, which has them no more.
    for (const name of ["isArray", "isNullOrUndefined"]) Reflect.deleteProperty(util, name);
    onnx = await openExecutor(computeOf("onnx"));
    tensorflow = await openExecutor(computeOf("tfjs-node"));
  });
  afterAll(() => rm(root, { recursive: true }));

  const steps = (epochs: number) => ({ epochs, batch: 40 });
  test.each([
    ["pretraining of dscdan", 20, { pretraining: { ...steps(20), learningRate: 0.01 }, joint: { rounds: 0 } }, {}],
    ["its self-training", 21, { pretraining: steps(1), joint: { ...steps(20), rounds: 1 } }, {}],
    [
      "its published form",
      20,
      { pretraining: steps(20), spectral: { epochs: 0 }, joint: { rounds: 0 } },
      { preset: "paper" },
    ],
    [
      "ebse, whose momentum encoder and queue are buffers",
      24,
      {
        width: 8,
        queue: 40,
        warmup: { ...steps(10), learningRate: 0.01 },
        head: steps(10),
        joint: { ...steps(4), rounds: 1 },
      },
      { method: "ebse" },
    ],
    [
      "udll, whose coefficients are of all samples",
      40,
      { layers: [{ kernel: 3, channels: 4 }], pretraining: steps(20), fineTuning: { steps: 20 } },
      { method: "udll" },
    ],
  ] as const)("gives ONNX Runtime's losses in %s", async (_, count, settings, options) => {
    const theirs = await trainedBy(onnx, settings, options);
    const ours = await trainedBy(tensorflow, settings, options);
    expect(ours.losses).toHaveLength(count);
    expect(greatestRelativeDifference(theirs.losses, ours.losses)).toBeLessThan(1e-4);
  });

  const settings = { clusters: 3, latent: 6, neighbours: 8, pretraining: { epochs: 2, batch: 32 } };
  const data = { name: "tiny", samples: tinyImages(96).samples, fingerprint: "of tiny" };
  const options = (name: string, engine: EngineName) => ({
    ...({
      folder: join(root, name),
      method: "dscdan",
      preset: "quick",
      seed: 1,
      source: "tiny.npz",
      data,
      engine,
    } as const),
    settings: { ...settings, joint: { rounds: 1, epochs: 2, batch: 32 } },
  });

  /** Notes the losses, and stops after a step where that is asked for. */
  function watched(losses: number[], stopAfter = Number.POSITIVE_INFINITY): RunHooks {
    const controller = new AbortController();
    const onEvent = (event: RunEvent) => {
      if (event.type !== "step") return;
      if (losses.push(event.loss) === stopAfter) controller.abort();
    };
    return { signal: controller.signal, onEvent };
  }

  test.each([
    ["onnx", "tfjs-node", 4],
    ["tfjs-node", "onnx", 8],
  ] as const)("a run begun on %s goes on with %s after %d of its 12 steps", async (first, then, step) => {
    const [whole, switched]: [number[], number[]] = [[], []];
    await startRun(options(`whole ${first} ${step}`, first), watched(whole));
    const begun = options(`${first} ${step}`, first);
    await expect(startRun(begun, watched(switched, step))).rejects.toMatchObject({ code: "INTERRUPTED" });
    const { sizes } = await resumeRun({ folder: begun.folder, data, engine: then }, watched(switched));
    expect(sizes.reduce((a, b) => a + b)).toBe(96);
    expect(switched).toHaveLength(12);
    // Before the switch the run is the other's equal; after it, equal but for rounding.
    expect(switched.slice(0, step)).toEqual(whole.slice(0, step));
    expect(greatestRelativeDifference(whole, switched)).toBeLessThan(1e-3);
    expect(await readFile(join(begun.folder, "events.jsonl"), "utf8")).toContain(`"engine":"${then}","device":"cpu"`);
  });

  test("a run goes on with the engine that it was begun on, unless another is asked for", async () => {
    const begun = options("own engine", "tfjs-node");
    await expect(startRun(begun, watched([], 2))).rejects.toMatchObject({ code: "INTERRUPTED" });
    expect((await readRun(begun.folder)).config).toMatchObject({ engine: "tfjs-node", device: "cpu" });
    const resumed: RunEvent[] = [];
    await resumeRun({ folder: begun.folder, data }, { onEvent: (event) => resumed.push(event) });
    expect(resumed[0]).toMatchObject({ type: "resumed", engine: "tfjs-node" });
  });

  test("leaves no tensors behind, and tfjs's global backend as it was", async () => {
    tf.setBackend("cpu");
    const before = tf.memory().numTensors;
    await trainedBy(tensorflow, { pretraining: { epochs: 2, batch: 40 }, joint: { rounds: 0 } });
    expect(tf.memory().numTensors).toBe(before);
    expect(tf.getBackend()).toBe("cpu");
  });

  test("works without what Node 23 took away", () => {
    tf.setBackend(TENSORFLOW_BACKEND);
    try {
      expect([...tf.topk(tf.tensor1d([1, 3, 2]), 2).values.dataSync()]).toEqual([3, 2]);
    } finally {
      tf.setBackend("cpu");
    }
  });
});
