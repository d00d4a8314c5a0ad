import * as tf from "@tensorflow/tfjs-core";
import { trace } from "../export/index.ts";
import type { Arrays, Method } from "../models/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import type { NumberArray, Samples } from "../runtime/samples.ts";
import { runInBatches } from "./batch-outputs.ts";
import { Batches } from "./batches.ts";
import {
  type ClustererDefinition,
  constants,
  encoderGraph,
  type GraphDefinition,
  placementGraph,
} from "./clusterer-graph.ts";
import type { Augmentation } from "./data/index.ts";
import type { AnyArray, SessionSettings } from "./executors/executor.ts";
import { CompiledFunction } from "./executors/onnx.ts";
import { BatchFunction } from "./inference.ts";
import { clusterSizes } from "./lopsided.ts";
import { Random } from "./random.ts";
import { anchorStructure, expressionStructure } from "./self-expressive.ts";
import { unitRows } from "./spectral/index.ts";
import { Stopwatch } from "./stopwatch.ts";
import {
  type Clustered,
  calibratedSharpness,
  centresStructure,
  chooseLandmarks,
  clusterLatents,
  distanceQuantiles,
  gatherRows,
  headStructure,
  logLengths,
  nystromStructure,
} from "./structure.ts";
import { INFERENCE_BATCH, sampleType } from "./trainer.ts";
import { viewsOf } from "./views.ts";

/** What finishing tells while it goes on: a stage that is done, and the seconds it took. */
export interface FinishEvent {
  readonly type: "finish";
  readonly stage: "encode" | "cluster" | "assign" | "calibrate";
  readonly seconds: number;
  /** What a reader should know of how it was done. */
  readonly note?: string;
  /** Of a spectral clustering: how far each leading eigenvalue of the normalised affinity is above the next. */
  readonly eigengaps?: readonly number[];
}

export interface FinishOptions {
  readonly method: Method;
  readonly config: object;
  readonly samples: Samples;
  /** Of the views in training; confidence is calibrated on such views, none blotted out. */
  readonly augmentation: Augmentation;
  readonly seed: number;
  /** Of the trained networks. */
  readonly parameters: Arrays;
  readonly session?: SessionSettings;
  readonly onEvent?: (event: FinishEvent) => void;
  /** Stops it between two stages. */
  readonly signal?: AbortSignal;
}

/** What training comes to: all that assigns samples, beside the parameters. */
export interface FinishedTraining {
  /** What `method.embed` and `method.assign` compute with. */
  readonly structure: Arrays;
  /** Of the training samples: what the assign function gives them, [n]. */
  readonly labels: Int32Array;
  /** Samples in each cluster, [K]. */
  readonly sizes: number[];
  /** Seen in training, without ground truth. */
  readonly metrics: Record<string, number>;
}

/** Two quantiles between which novelty is the distance itself, divided by a power of two: exactly. */
const DISTANCE_SCALE = 1024;
const UNIT_STRUCTURE: Arrays = {
  sharpness: { data: Float32Array.of(1), shape: [] },
  noveltyQuantiles: { data: Float32Array.of(0, DISTANCE_SCALE), shape: [2] },
};
const MOST_AGREEMENT = 1 - 1e-3;
/** Samples whose confidence is computed at once. */
const CONFIDENCE_BATCH = 2 ** 16;
/** What length counts beside direction in novelty, and the landmarks that are enough to measure it by. */
const LENGTH_SHARE = 0.25;
const LENGTH_SAMPLES = 2000;

type Trained = Omit<ClustererDefinition, "structure">;

/**
 * Turns trained parameters into a clusterer: landmarks, the configured read-out's structure, what novelty and confidence are
 * measured by. Labels, distances and confidences are those of the functions that are exported, run as graphs.
 *
 * Confidence is calibrated without labels: its mean is made the share of training samples that are assigned like an augmented
 * view of them. Novelty's quantiles are the training samples' own distances to the landmarks, each without itself.
 *
 * @throws {SubspanError} TOO_FEW_SAMPLES, NOT_FINITE, INTERRUPTED, or TRAINING_DIVERGED if the eigenvectors do not converge.
 */
export async function finishTraining(options: FinishOptions): Promise<FinishedTraining> {
  const { method, config, samples, augmentation, seed, parameters, session } = options;
  const { clusters, landmarks: most } = method.spectral(config);
  const stopwatch = new Stopwatch();
  const done = (stage: FinishEvent["stage"], more: Pick<FinishEvent, "note" | "eigengaps"> = {}) => {
    options.onEvent?.({ type: "finish", stage, seconds: stopwatch.lap(), ...more });
    if (stage !== "calibrate" && options.signal?.aborted)
      throw new SubspanError("INTERRUPTED", "stopped while the final clusters were sought; the state is saved");
  };
  const trained = { method, config, parameters, sample: sampleType(samples) };

  const itself = new Batches(samples, augmentation);
  const views = viewsOf(samples, augmentation, new Random(seed, "calibrate"));
  const [latents, viewed] = await encodeAll(trained, samples, [(rows) => itself.rows(rows), views.batch], session);
  done("encode");

  const chosen = chooseLandmarks(samples.shape[0], most, new Random(seed, "landmarks"));
  const landmarks = gatherRows(latents, chosen);
  const { structure: found, labels: clustered, eigengaps, metrics } = await clusterStructure(options, landmarks);
  done("cluster", eigengaps && { eigengaps: Array.from(eigengaps) });

  const places = { landmarks: unitRows(landmarks), lengths: logLengths(landmarks), ...found, ...UNIT_STRUCTURE };
  const weighed = {
    ...trained,
    structure: { ...places, lengthWeight: await lengthWeight(trained, places, landmarks, session) },
  };
  const { labels, embedding, distances } = await place(weighed, latents, session);
  const structure = { ...weighed.structure, noveltyQuantiles: distanceQuantiles(distances) };
  done("assign");

  const viewLabels = (await place(weighed, viewed, session)).labels;
  const agreement = share(labels, (label, i) => label === viewLabels[i]);
  const calibrated = await calibrate({ ...trained, structure }, embedding, agreement, session);
  done("calibrate", { note: views.note });
  const sizes = clusterSizes(labels, clusters);
  return {
    structure: { ...structure, sharpness: scalar(calibrated.sharpness) },
    labels,
    sizes,
    metrics: {
      agreement,
      meanConfidence: calibrated.meanConfidence,
      sizeEntropy: sizeEntropy(sizes),
      ...metrics,
      ...(clustered && { readoutAgreement: share(chosen, (sample, i) => labels[sample] === clustered[i]) }),
    },
  };
}

/** Latents of several versions of all samples, [n, d] each. @throws {SubspanError} NOT_FINITE. */
async function encodeAll<T extends readonly ((rows: Int32Array) => AnyArray)[]>(
  trained: Trained,
  { kind, shape: [n] }: Samples,
  versions: [...T],
  session: SessionSettings | undefined,
): Promise<{ [K in keyof T]: NumberArray }> {
  return withGraph(encoderGraph(trained), session, async (encoder) => {
    const all: NumberArray[] = [];
    for (const version of versions) {
      const { latent } = await runInBatches(encoder, n, INFERENCE_BATCH, (rows) => ({ [kind]: version(rows) }));
      all.push(finite(latent as NumberArray));
    }
    return all as { [K in keyof T]: NumberArray };
  });
}

/** Clusters the landmarks, from their latents. */
async function clusterStructure(
  { method, config, seed, parameters, session }: FinishOptions,
  landmarks: NumberArray,
): Promise<Clustered> {
  const settings = method.spectral(config);
  const random = new Random(seed, "structure");
  if (settings.readout === "self-expression") return expressionStructure(parameters, landmarks, settings, random);
  if (settings.readout === "anchors") return anchorStructure(method, config, parameters, landmarks, random, session);
  if (settings.readout === "nystrom") {
    const clustering = await clusterLatents(landmarks, settings, random);
    const { eigenvectors, eigengaps } = clustering;
    const metrics = { eigenvectors, eigengap: eigengaps[eigenvectors - 1] ?? 0 };
    return { structure: nystromStructure(clustering), labels: clustering.labels, eigengaps, metrics };
  }
  const [m, d] = landmarks.shape as [number, number];
  const outputs = await BatchFunction.compile(
    (batch, arrays) => (method.outputs as NonNullable<Method["outputs"]>)(config, arrays, batch as tf.Tensor2D),
    { type: "float32", shape: ["N", d] },
    parameters,
    session,
  );
  try {
    const all = await outputs.run(m, INFERENCE_BATCH, (rows) => gatherRows(landmarks, rows));
    const { clusters, readout } = settings;
    if (readout === "head") return { structure: headStructure(all), metrics: {} };
    return { ...centresStructure(all, clusters, random), metrics: {} };
  } finally {
    await outputs.dispose();
  }
}

/** Labels, [n], embedding, [n, k], and distances to the data, [n], of latents under a structure with `UNIT_STRUCTURE` in it. */
async function place(definition: ClustererDefinition, latents: NumberArray, session: SessionSettings | undefined) {
  const feed = (rows: Int32Array) => ({ latent: gatherRows(latents, rows) });
  return withGraph(placementGraph(definition), session, async (compiled) => {
    const outputs = await runInBatches(compiled, latents.shape[0] as number, INFERENCE_BATCH, feed);
    const { label, embedding, novelty } = outputs as Record<"label" | "embedding" | "novelty", NumberArray>;
    return {
      labels: label.data as unknown as Int32Array,
      embedding,
      distances: novelty.data.map((value) => value * DISTANCE_SCALE),
    };
  });
}

/**
 * How much a difference in length counts in novelty: on average a quarter of what direction does, among the training samples.
 * Both means are read from the function itself, without lengths and with them counting 1.
 */
async function lengthWeight(
  trained: Trained,
  structure: Arrays,
  landmarks: NumberArray,
  session: SessionSettings | undefined,
): Promise<NumberArray> {
  const step = Math.ceil((landmarks.shape[0] as number) / LENGTH_SAMPLES);
  const count = Math.ceil((landmarks.shape[0] as number) / step);
  const some = gatherRows(
    landmarks,
    Int32Array.from({ length: count }, (_, i) => i * step),
  );
  const meanDistance = async (weight: number) => {
    const definition = { ...trained, structure: { ...structure, lengthWeight: scalar(weight) } };
    return mean((await place(definition, some, session)).distances);
  };
  const ofDirection = await meanDistance(0);
  const ofLength = (await meanDistance(1)) - ofDirection;
  return scalar(ofLength > 1e-6 ? (LENGTH_SHARE * ofDirection) / ofLength : 0);
}

/** The sharpness at which mean confidence is the agreement: that of `method.assign`, of which no more is traced. */
async function calibrate(
  { method, config, structure }: ClustererDefinition,
  embedding: NumberArray,
  agreement: number,
  session: SessionSettings | undefined,
): Promise<{ readonly sharpness: number; readonly meanConfidence: number }> {
  const { clusters } = method.spectral(config);
  const graph: GraphDefinition = {
    inputs: {
      embedding: { type: "float32", shape: ["N", embedding.shape[1] as number] },
      sharpness: { type: "float32", shape: [] },
    },
    fn: ({ embedding: placed, sharpness }) => {
      // Confidence is a matter of the embedding: where the latents are is left open.
      const latent = tf.zeros<tf.Rank.R2>([placed?.shape[0] as number, structure.landmarks?.shape[1] as number]);
      const used = { ...constants(structure), sharpness: sharpness as tf.Tensor };
      return { confidence: method.assign(config, used, latent, placed as tf.Tensor2D).confidence };
    },
  };
  return withGraph(graph, session, async (compiled) => {
    const meanConfidence = async (sharpness: number) => {
      const feed = (rows: Int32Array) => ({ embedding: gatherRows(embedding, rows), sharpness: scalar(sharpness) });
      const { confidence } = await runInBatches(compiled, embedding.shape[0] as number, CONFIDENCE_BATCH, feed);
      return mean((confidence as NumberArray).data);
    };
    const wanted = Math.min(Math.max(agreement, (1 + 1e-3) / clusters), MOST_AGREEMENT);
    const sharpness = await calibratedSharpness(meanConfidence, wanted);
    return { sharpness, meanConfidence: await meanConfidence(sharpness) };
  });
}

/**
 * Compiles a graph, uses it and lets it go. Parameters are its constants, so that ONNX Runtime can lay convolutions out for
 * them: twice as fast as when they are inputs.
 */
async function withGraph<T>(
  { fn, inputs }: GraphDefinition,
  session: SessionSettings | undefined,
  use: (compiled: CompiledFunction) => Promise<T>,
): Promise<T> {
  const compiled = await CompiledFunction.compile(trace(fn, { inputs }), session);
  try {
    return await use(compiled);
  } finally {
    await compiled.dispose();
  }
}

const scalar = (value: number): NumberArray => ({ data: Float32Array.of(value), shape: [] });
const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** @throws {SubspanError} NOT_FINITE naming the first sample whose latent is not. */
function finite(latents: NumberArray): NumberArray {
  const at = latents.data.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return latents;
  const sample = Math.floor(at / (latents.shape[1] as number));
  throw new SubspanError("NOT_FINITE", `latent of sample ${sample}: expected finite numbers, got ${latents.data[at]}`);
}

function share<T>(items: ArrayLike<T>, holds: (item: T, index: number) => boolean): number {
  let count = 0;
  for (let i = 0; i < items.length; i++) if (holds(items[i] as T, i)) count++;
  return count / items.length;
}

/** Entropy of the clusters' sizes over its maximum: 1 where all are equal, 0 where all samples are in one. */
function sizeEntropy(sizes: readonly number[]): number {
  const n = sizes.reduce((a, b) => a + b, 0);
  const parts = sizes.filter((size) => size > 0).map((size) => -(size / n) * Math.log(size / n));
  return parts.reduce((a, b) => a + b, 0) / Math.log(sizes.length);
}
