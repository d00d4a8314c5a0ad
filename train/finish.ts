import * as tf from "@tensorflow/tfjs-core";
import { trace } from "../export/index.ts";
import type { Arrays, Method } from "../models/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import type { NumberArray, Samples } from "../runtime/samples.ts";
import { runInBatches } from "./batch-outputs.ts";
import { Batches } from "./batches.ts";
import { type ClustererDefinition, constants, placementGraph } from "./clusterer-graph.ts";
import type { Augmentation } from "./data/index.ts";
import { type AnyArray, CompiledFunction, type SessionSettings } from "./executors/onnx.ts";
import { BatchFunction, samplePort } from "./inference.ts";
import { Random } from "./random.ts";
import { unitRows } from "./spectral/index.ts";
import { Stopwatch } from "./stopwatch.ts";
import {
  calibratedSharpness,
  centresStructure,
  chooseLandmarks,
  clusterLatents,
  distanceQuantiles,
  gatherRows,
  headStructure,
  nystromStructure,
} from "./structure.ts";
import { clusterSizes, INFERENCE_BATCH, sampleType } from "./trainer.ts";
import { viewsOf } from "./views.ts";

/** What finishing tells while it goes on: a stage that is done, and the seconds it took. */
export interface FinishEvent {
  readonly type: "finish";
  readonly stage: "encode" | "cluster" | "assign" | "calibrate";
  readonly seconds: number;
  /** What a reader should know of how it was done. */
  readonly note?: string;
}

export interface FinishOptions {
  readonly method: Method;
  readonly config: object;
  readonly samples: Samples;
  /** Of the views in training; confidence is calibrated on such views. */
  readonly augmentation: Augmentation;
  readonly seed: number;
  /** Of the trained networks. */
  readonly parameters: Arrays;
  readonly session?: SessionSettings;
  readonly onEvent?: (event: FinishEvent) => void;
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

/**
 * Turns trained parameters into a clusterer: landmarks, the configured read-out's structure, what novelty and confidence are
 * measured by. Labels, distances and confidences are those of the functions that are exported, run as graphs.
 *
 * Confidence is calibrated without labels: its mean is made the share of training samples that are assigned like an augmented
 * view of them. Novelty's quantiles are the training samples' own distances to the landmarks, each without itself.
 *
 * @throws {SubspanError} TOO_FEW_SAMPLES, NOT_FINITE, or TRAINING_DIVERGED if the eigenvectors do not converge.
 */
export async function finishTraining(options: FinishOptions): Promise<FinishedTraining> {
  const { method, config, samples, seed, parameters, session } = options;
  const { clusters, landmarks: most } = method.spectral(config);
  const stopwatch = new Stopwatch();
  const done = (stage: FinishEvent["stage"], note?: string) =>
    options.onEvent?.({ type: "finish", stage, seconds: stopwatch.lap(), ...(note && { note }) });
  const n = samples.shape[0];
  const batches = new Batches(samples, options.augmentation);
  const encoder = await BatchFunction.compile(
    (batch, arrays) => method.encode(config, arrays, batch),
    samplePort(samples),
    parameters,
    session,
  );
  try {
    const encode = (batch: (rows: Int32Array) => AnyArray) => encoder.run(n, INFERENCE_BATCH, batch, parameters);
    const latents = finite(await encode((rows) => batches.rows(rows)));
    done("encode");
    const chosen = chooseLandmarks(n, most, new Random(seed, "landmarks"));
    const landmarks = gatherRows(latents, chosen);
    const { structure: found, labels: clustered, metrics } = await clusterStructure(options, landmarks);
    done("cluster");
    const provisional = { landmarks: unitRows(landmarks), ...found, ...UNIT_STRUCTURE };
    const definition: ClustererDefinition = {
      ...{ method, config, parameters, sample: sampleType(samples) },
      structure: provisional,
    };
    const placement = await Placement.compile(definition, session);
    try {
      const { labels, embedding, distances } = await placement.place(latents);
      done("assign");
      const views = viewsOf(samples, options.augmentation, new Random(seed, "calibrate"));
      const viewed = await placement.place(await encode(views.batch));
      const agreement = share(labels, (label, i) => label === viewed.labels[i]);
      const wanted = Math.min(Math.max(agreement, (1 + 1e-3) / clusters), MOST_AGREEMENT);
      const confidence = await MeanConfidence.compile(definition, embedding, session);
      const sharpness = await calibratedSharpness((value) => confidence.at(value), wanted);
      const meanConfidence = await confidence.at(sharpness);
      await confidence.dispose();
      done("calibrate", views.note);
      const sizes = clusterSizes(labels, clusters);
      return {
        structure: {
          ...provisional,
          sharpness: { data: Float32Array.of(sharpness), shape: [] },
          noveltyQuantiles: distanceQuantiles(distances),
        },
        labels,
        sizes,
        metrics: {
          agreement,
          meanConfidence,
          sizeEntropy: sizeEntropy(sizes),
          ...metrics,
          ...(clustered && { readoutAgreement: share(chosen, (sample, i) => labels[sample] === clustered[i]) }),
        },
      };
    } finally {
      await placement.dispose();
    }
  } finally {
    await encoder.dispose();
  }
}

/** The read-out's own part of a structure, and the clusters it was made from, where it was made from any. */
interface Clustered {
  readonly structure: Arrays;
  readonly labels?: Int32Array;
  readonly metrics: Record<string, number>;
}

/** Clusters the landmarks, from their latents. */
async function clusterStructure(
  { method, config, seed, parameters, session }: FinishOptions,
  landmarks: NumberArray,
): Promise<Clustered> {
  const settings = method.spectral(config);
  const random = new Random(seed, "structure");
  if (settings.readout === "nystrom") {
    const clustering = await clusterLatents(landmarks, settings, random);
    const { eigenvectors, eigengaps } = clustering;
    const metrics = { eigenvectors, eigengap: eigengaps[eigenvectors - 1] ?? 0 };
    return { structure: nystromStructure(clustering), labels: clustering.labels, metrics };
  }
  const [m, d] = landmarks.shape as [number, number];
  const outputs = await BatchFunction.compile(
    (batch, arrays) => method.outputs(config, arrays, batch as tf.Tensor2D),
    { type: "float32", shape: ["N", d] },
    parameters,
    session,
  );
  try {
    const all = await outputs.run(m, INFERENCE_BATCH, (rows) => gatherRows(landmarks, rows), parameters);
    const { clusters, readout } = settings;
    if (readout === "head") return { structure: headStructure(all), metrics: {} };
    return { ...centresStructure(all, clusters, random), metrics: {} };
  } finally {
    await outputs.dispose();
  }
}

/** What follows the encoder, compiled. */
class Placement {
  readonly #compiled: CompiledFunction;

  private constructor(compiled: CompiledFunction) {
    this.#compiled = compiled;
  }

  static async compile(definition: ClustererDefinition, session?: SessionSettings): Promise<Placement> {
    const { fn, inputs } = placementGraph(definition);
    return new Placement(await CompiledFunction.compile(trace(fn, { inputs }), session));
  }

  /** Labels, [n], embedding, [n, k], and distances to the landmarks, [n], under `UNIT_STRUCTURE`. */
  async place(latents: NumberArray) {
    const n = latents.shape[0] as number;
    const feed = (rows: Int32Array) => ({ latent: gatherRows(latents, rows) });
    const { label, embedding, novelty } = await runInBatches(this.#compiled, n, INFERENCE_BATCH, feed);
    return {
      labels: (label as NumberArray).data as unknown as Int32Array,
      embedding: embedding as NumberArray,
      distances: (novelty as NumberArray).data.map((value) => value * DISTANCE_SCALE),
    };
  }

  dispose(): Promise<void> {
    return this.#compiled.dispose();
  }
}

/** The mean confidence of placed samples as a function of sharpness: `method.assign`, of which no more than that is traced. */
class MeanConfidence {
  readonly #compiled: CompiledFunction;
  readonly #embedding: NumberArray;

  private constructor(compiled: CompiledFunction, embedding: NumberArray) {
    this.#compiled = compiled;
    this.#embedding = embedding;
  }

  static async compile(
    { method, config, structure }: ClustererDefinition,
    embedding: NumberArray,
    session?: SessionSettings,
  ): Promise<MeanConfidence> {
    const model = trace(
      (inputs) => {
        const placed = inputs.embedding as tf.Tensor2D;
        const { landmarks, ...arrays } = constants(structure);
        // Confidence is a matter of the embedding: where the latents are is left open.
        const latent = tf.zeros<tf.Rank.R2>([placed.shape[0], structure.landmarks?.shape[1] as number]);
        const used = { ...arrays, landmarks: landmarks as tf.Tensor, sharpness: inputs.sharpness as tf.Tensor };
        return { confidence: method.assign(config, used, latent, placed).confidence };
      },
      {
        inputs: {
          embedding: { type: "float32", shape: ["N", embedding.shape[1] as number] },
          sharpness: { type: "float32", shape: [] },
        },
      },
    );
    return new MeanConfidence(await CompiledFunction.compile(model, session), embedding);
  }

  async at(sharpness: number): Promise<number> {
    const n = this.#embedding.shape[0] as number;
    const scalar = { data: Float32Array.of(sharpness), shape: [] };
    const feed = (rows: Int32Array) => ({ embedding: gatherRows(this.#embedding, rows), sharpness: scalar });
    const { confidence } = await runInBatches(this.#compiled, n, 2 ** 16, feed);
    return (confidence as NumberArray).data.reduce((sum, value) => sum + value, 0) / n;
  }

  dispose(): Promise<void> {
    return this.#compiled.dispose();
  }
}

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
