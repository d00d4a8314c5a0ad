import type { PortType } from "../export/index.ts";
import type { BatchInput, Phase } from "../models/index.ts";
import type { ElementType } from "../runtime/onnx-schema.ts";
import type { Samples } from "../runtime/samples.ts";
import { type Augmentation, augmentFeatures, augmentImages, type FeatureScale, featureScale } from "./data/index.ts";
import type { AnyArray } from "./executors/executor.ts";
import type { Random } from "./random.ts";
import type { Targets } from "./targets.ts";

/** The streams a batch draws from; each purpose has its own, so that one setting does not shift another's draws. */
export interface Streams {
  readonly augment: Random;
  readonly noise: Random;
}

/** What a batch is made from, beside the samples. */
export interface BatchContext extends Streams {
  /** Share of the phase's steps that are done. */
  readonly progress: number;
  /** Where the phase has them. */
  readonly targets?: Targets | undefined;
}

const sampleType = (samples: Samples): ElementType => (samples.kind === "images" ? "uint8" : "float32");

/** The ports of a phase's batch inputs, for `batch` samples. */
export function batchPorts(
  { inputs, batch }: Pick<Phase, "inputs"> & { batch: number },
  samples: Samples,
  clusters: number,
): Record<string, PortType> {
  const port = (input: BatchInput): PortType => {
    if (input.source === "noise") return { type: "float32", shape: [batch, input.width] };
    if (input.source === "target") return { type: "float32", shape: [batch, clusters] };
    if (input.source === "index") return { type: "int32", shape: [batch] };
    if (input.source === "progress") return { type: "float32", shape: [] };
    return { type: sampleType(samples), shape: [batch, ...samples.shape.slice(1)] };
  };
  return Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, port(input)]));
}

/** Makes the arrays of one batch. */
export class Batches {
  readonly #samples: Samples;
  readonly #augmentation: Augmentation;
  #scale: FeatureScale | undefined;

  constructor(samples: Samples, augmentation: Augmentation) {
    this.#samples = samples;
    this.#augmentation = augmentation;
  }

  /** @param rows - the batch's samples. */
  feed(inputs: Phase["inputs"], rows: Int32Array, context: BatchContext): Record<string, AnyArray> {
    return Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, this.#array(input, rows, context)]));
  }

  #array(input: BatchInput, rows: Int32Array, { augment, noise, progress, targets }: BatchContext): AnyArray {
    switch (input.source) {
      case "index":
        return { data: rows.slice(), shape: [rows.length] };
      case "progress":
        return { data: Float32Array.of(progress), shape: [] };
      case "sample":
        return this.rows(rows);
      case "view":
        return this.views(rows, augment);
      case "neighbour":
        return this.views(
          Int32Array.from(rows, (row) => (targets as Targets).neighbour(row, augment)),
          augment,
        );
      case "target":
        return (targets as Targets).rows(rows);
      case "noise": {
        const data = new Float32Array(rows.length * input.width);
        for (let i = 0; i < data.length; i++) data[i] = noise.normal();
        return { data, shape: [rows.length, input.width] };
      }
    }
  }

  /** The samples themselves. */
  rows(rows: Int32Array): AnyArray {
    const { data, shape } = this.#samples;
    const size = data.length / shape[0];
    const out =
      this.#samples.kind === "images" ? new Uint8Array(rows.length * size) : new Float32Array(rows.length * size);
    rows.forEach((row, i) => {
      out.set(data.subarray(row * size, (row + 1) * size), i * size);
    });
    return { data: out, shape: [rows.length, ...shape.slice(1)] };
  }

  /** Augmented views; vectors stay as they are where the augmentation says nothing of them. */
  views(rows: Int32Array, random: Random): AnyArray {
    const samples = this.#samples;
    if (samples.kind === "images") {
      const [, h, w, c] = samples.shape;
      const out = new Uint8Array(rows.length * h * w * c);
      augmentImages(out, samples.data, rows, [h, w, c], this.#augmentation, random);
      return { data: out, shape: [rows.length, h, w, c] };
    }
    const { noise = 0, drop = 0 } = this.#augmentation;
    if (noise === 0 && drop === 0) return this.rows(rows);
    this.#scale ??= featureScale(samples);
    const out = new Float32Array(rows.length * samples.shape[1]);
    augmentFeatures(out, samples.data, rows, this.#scale, { noise, drop }, random);
    return { data: out, shape: [rows.length, samples.shape[1]] };
  }
}
