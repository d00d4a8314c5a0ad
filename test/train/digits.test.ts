import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { dscdan, type Method } from "../../models/index.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { runInBatches } from "../../train/batch-outputs.ts";
import { Batches } from "../../train/batches.ts";
import { clustererGraph, exportedModel } from "../../train/clusterer-graph.ts";
import { AUGMENTATIONS, type Dataset, loadSource, subset } from "../../train/data/index.ts";
import { CompiledFunction } from "../../train/executors/onnx.ts";
import { finishTraining } from "../../train/finish.ts";
import { auroc, clusterMap, mappedAccuracy } from "../../train/metrics.ts";
import { sampleType, Trainer } from "../../train/trainer.ts";

const FASHION = "../shared/data/fashion-mnist-test.npz";
const first = (dataset: Dataset, count: number) =>
  subset(
    dataset,
    Int32Array.from({ length: count }, (_, i) => i),
  );

/** A short run on a third of the digits: far from the presets' figures (docs/accuracy.md), well above chance. */
test("a short run on real digits clusters them, assigns unseen ones and tells clothes from digits", async () => {
  const seen = first(await loadSource("digits:train"), 3000);
  const unseen = first(await loadSource("digits:unseen"), 500);
  const method = dscdan as unknown as Method;
  const config = dscdan.schema.parse({ clusters: 10, pretraining: { epochs: 10, batch: 128 }, joint: { rounds: 0 } });
  const { samples } = seen;
  const augmentation = AUGMENTATIONS.digits;
  const { parameters } = await new Trainer({ method, config, samples, augmentation, seed: 0 }).train();
  const { structure, labels, metrics } = await finishTraining({
    method,
    config,
    samples,
    augmentation,
    seed: 0,
    parameters,
  });
  const definition = { method, config, parameters, structure, sample: sampleType(samples) };
  const graph = await CompiledFunction.compile(exportedModel("digits", clustererGraph(definition)));
  const assign = async (dataset: Dataset) => {
    const batches = new Batches(dataset.samples, AUGMENTATIONS.none);
    const n = dataset.samples.shape[0];
    return runInBatches(graph, n, 500, (rows) => ({ images: batches.rows(rows) }));
  };
  const found = await assign(unseen);
  const map = clusterMap(labels, seen.labels as Int32Array);
  const unseenLabels = Int32Array.from((found.label as NumberArray).data, Number);
  expect(mappedAccuracy(labels, seen.labels as Int32Array, map)).toBeGreaterThan(0.6);
  expect(mappedAccuracy(unseenLabels, unseen.labels as Int32Array, map)).toBeGreaterThan(0.6);
  expect(metrics.meanConfidence).toBeCloseTo(metrics.agreement as number, 2);
  if (existsSync(FASHION)) {
    const outliers = await assign(first(await loadSource(FASHION), 500));
    expect(auroc((found.novelty as NumberArray).data, (outliers.novelty as NumberArray).data)).toBeGreaterThan(0.9);
  }
  await graph.dispose();
}, 120_000);
