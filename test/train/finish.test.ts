import { describe, expect, test } from "vitest";
import { graphOutputs, type Outputs, trace } from "../../export/index.ts";
import { encodeModel } from "../../export/proto.ts";
import type { Readout } from "../../models/index.ts";
import { clustererGraph } from "../../train/clusterer-graph.ts";
import { AUGMENTATIONS } from "../../train/data/index.ts";
import { type FinishEvent, finishTraining } from "../../train/finish.ts";
import { accuracy } from "../../train/metrics.ts";
import { Random } from "../../train/random.ts";
import { clusterLatents } from "../../train/structure.ts";
import { initialParameters, sampleType } from "../../train/trainer.ts";
import { definitionOf, METHOD, noiseImages, type TinyRun, tinyConfig, tinyImages, tinyRun } from "./tiny.ts";

const READOUTS: readonly Readout[] = ["nystrom", "centres", "head"];

/** What the clusterer says of samples: every output. */
function outputsOf(run: TinyRun, samples = run.samples): Promise<Outputs> {
  const { fn, inputs } = clustererGraph(definitionOf(run));
  return graphOutputs(encodeModel(trace(fn, { inputs })), samples.kind, samples);
}

const mean = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0) / values.length;

describe.each(READOUTS)("finishing with the read-out %s", async (readout) => {
  const run = await tinyRun({ readout });
  const outputs = await outputsOf(run);

  test("finds the classes of separable data", () => {
    expect(accuracy(run.labels, run.truth).accuracy).toBeGreaterThan(0.95);
  });

  test("agrees with the spectral clustering of the latents", async () => {
    const { config, method } = run;
    const latents = outputs.latent as Parameters<typeof clusterLatents>[0];
    const { labels } = await clusterLatents(latents, method.spectral(config), new Random(1, "other"));
    expect(accuracy(run.labels, labels).accuracy).toBeGreaterThanOrEqual(0.95);
  });

  test("gives the labels of the exported function, and their sizes", () => {
    expect(Array.from(outputs.label?.data ?? [])).toEqual(Array.from(run.labels));
    expect(run.sizes.reduce((a, b) => a + b)).toBe(run.labels.length);
  });

  test("makes mean confidence the agreement", () => {
    const agreement = Math.min(run.metrics.agreement as number, 1 - 1e-3);
    expect(Math.abs(mean(outputs.confidence?.data ?? []) - agreement)).toBeLessThan(1e-3);
  });

  test("spreads the training samples evenly over novelty, and puts noise at its end", async () => {
    const novelty = Array.from(outputs.novelty?.data ?? []).sort((a, b) => a - b);
    for (const [i, value] of novelty.entries()) expect(Math.abs(value - i / (novelty.length - 1))).toBeLessThan(0.02);
    const unlike = (await outputsOf(run, noiseImages())).novelty?.data ?? [];
    expect(mean(unlike)).toBeGreaterThan(0.9);
  });

  test("is the same twice", async () => {
    const again = await finishTraining(run);
    expect(again).toEqual({ structure: run.structure, labels: run.labels, sizes: run.sizes, metrics: run.metrics });
  });
});

describe("finishing", () => {
  test("assigns the samples that are no landmarks by the function", async () => {
    const run = await tinyRun({ landmarks: 100 }, 180);
    expect(run.structure.landmarks?.shape[0]).toBe(100);
    expect(run.labels).toHaveLength(180);
    expect(accuracy(run.labels, run.truth).accuracy).toBeGreaterThan(0.95);
  });

  test("tells its stages, and what confidence is calibrated on", async () => {
    const run = await tinyRun();
    const events: FinishEvent[] = [];
    await finishTraining({ ...run, augmentation: AUGMENTATIONS.none, onEvent: (event) => events.push(event) });
    expect(events.map(({ stage }) => stage)).toEqual(["encode", "cluster", "assign", "calibrate"]);
    expect(events.at(-1)?.note).toMatch(/without views: calibrated on mild ones/);
  });

  test.each<[string, number, (at: number) => number]>([
    ["3 samples", 3, (at) => (at * 37) % 256],
    ["samples that are all equal", 40, () => 100],
    ["black samples and copies of one", 40, (at) => (at < 20 * 64 ? 0 : (at % 64) * 3)],
  ])("takes %s", async (_, n, value) => {
    const { samples } = tinyImages(n);
    const config = tinyConfig();
    const data = samples.data.map((_, at) => value(at));
    const few = { ...samples, data };
    const parameters = initialParameters(METHOD, config, sampleType(few), 1);
    for (const readout of READOUTS) {
      const options = { method: METHOD, config: tinyConfig({ readout }), samples: few, parameters, seed: 1 };
      const { structure, metrics } = await finishTraining({ ...options, augmentation: AUGMENTATIONS.digits });
      const numbers = [...Object.values(structure).flatMap(({ data }) => [...data]), ...Object.values(metrics)];
      expect(numbers.every(Number.isFinite)).toBe(true);
    }
  });

  test("refuses latents that are not finite", async () => {
    const { samples } = tinyImages(30);
    const config = tinyConfig();
    const parameters = { ...initialParameters(METHOD, config, sampleType(samples), 1) };
    parameters["encoder.mean.bias"] = { data: new Float32Array(6).fill(Number.NaN), shape: [6] };
    const options = { method: METHOD, config, samples, parameters, seed: 1, augmentation: AUGMENTATIONS.none };
    await expect(finishTraining(options)).rejects.toMatchObject({ code: "NOT_FINITE" });
  });
});
