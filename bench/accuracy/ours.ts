import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { methodNamed, type Preset } from "../../models/index.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { runInBatches } from "../../train/batch-outputs.ts";
import { Batches } from "../../train/batches.ts";
import { clustererGraph, exportedModel } from "../../train/clusterer-graph.ts";
import { AUGMENTATIONS, type Dataset } from "../../train/data/index.ts";
import { CompiledFunction } from "../../train/executors/onnx.ts";
import { checkedConfig, type Settings } from "../../train/hyperparameters.ts";
import * as metrics from "../../train/metrics.ts";
import { type FinishedRun, type RunEvent, startRun } from "../../train/run.ts";
import { INFERENCE_BATCH, sampleType } from "../../train/trainer.ts";
import type { Measured } from "./rows.ts";

export interface Work {
  readonly method: string;
  readonly preset: Preset;
  readonly settings: Settings;
  readonly seed: number;
  readonly data: Dataset;
  /** Samples that training never sees, and samples of other things, with which novelty is measured. */
  readonly unseen?: Dataset | undefined;
  readonly outliers?: Dataset | undefined;
}

/** Trains as a user does and scores what the exported graph gives. Labels are read after training alone. */
export async function trainAndScore(work: Work, onEvent?: (event: RunEvent) => void): Promise<Measured> {
  const { method, preset, settings, seed, data } = work;
  const folder = await mkdtemp(join(tmpdir(), "subspan-accuracy-"));
  const began = performance.now();
  let trained = began;
  try {
    const { name, samples, fingerprint } = data;
    const options = { ...{ folder: join(folder, "run"), method, preset, seed }, source: name };
    const all = { clusters: classesOf(data), ...settings };
    const run = await startRun(
      { ...options, settings: all, data: { name, samples, fingerprint } },
      {
        onEvent: (event) => {
          if (event.type === "finishing") trained = performance.now();
          onEvent?.(event);
        },
      },
    );
    const seconds = [trained - began, performance.now() - trained].map((milliseconds) => milliseconds / 1000);
    return { train_seconds: seconds[0], finish_seconds: seconds[1], ...(await scored(run, work)) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

export const classesOf = ({ labels }: Dataset): number => new Set(labels).size;

async function scored(run: FinishedRun, { method: name, data, unseen, outliers }: Work): Promise<Measured> {
  const method = methodNamed(name);
  const config = checkedConfig(method, run.config.config);
  const sample = sampleType(data.samples);
  const definition = { method, config, sample, parameters: run.parameters, structure: run.structure };
  const graph = await CompiledFunction.compile(exportedModel("bench", clustererGraph(definition)));
  try {
    const seen = await assigned(graph, data);
    const map = metrics.clusterMap(seen.label, data.labels as Int32Array);
    const ofSeen = agreement("seen", seen.label, data, map);
    if (unseen === undefined) return ofSeen;
    const found = await assigned(graph, unseen);
    const nearest = await metrics.nearestLabels(found.latent, seen.latent, seen.label);
    const right = Array.from(found.label, (label, i) => map.get(label) === unseen.labels?.[i]);
    return {
      ...ofSeen,
      ...agreement("unseen", found.label, unseen, map),
      unseen_nearest_acc: metrics.mappedAccuracy(nearest, unseen.labels as Int32Array, map),
      calibration_error: metrics.expectedCalibrationError(found.confidence, right),
      mean_confidence: found.confidence.reduce((sum, value) => sum + value, 0) / found.confidence.length,
      ...(outliers && { novelty_auroc: metrics.auroc(found.novelty, (await assigned(graph, outliers)).novelty) }),
    };
  } finally {
    await graph.dispose();
  }
}

/** ACC, NMI (arithmetic) and ARI of clusters, under a map that is fitted on the samples themselves unless given. */
export function agreement(
  prefix: string,
  clusters: Int32Array,
  { labels }: Dataset,
  map?: metrics.ClusterMap,
): Measured {
  const truth = labels as Int32Array;
  return {
    [`${prefix}_acc`]: metrics.mappedAccuracy(clusters, truth, map ?? metrics.clusterMap(clusters, truth)),
    [`${prefix}_nmi`]: metrics.normalizedMutualInformation(clusters, truth),
    [`${prefix}_ari`]: metrics.adjustedRandIndex(clusters, truth),
  };
}

async function assigned(graph: CompiledFunction, { samples }: Dataset) {
  const batches = new Batches(samples, AUGMENTATIONS.none);
  const outputs = await runInBatches(graph, samples.shape[0], INFERENCE_BATCH, (rows) => ({
    [samples.kind]: batches.rows(rows),
  }));
  const { label, confidence, novelty, latent } = outputs as Record<string, NumberArray>;
  return {
    label: Int32Array.from((label as NumberArray).data, Number),
    confidence: (confidence as NumberArray).data,
    novelty: (novelty as NumberArray).data,
    latent: latent as NumberArray,
  };
}
