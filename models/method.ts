import type * as tf from "@tensorflow/tfjs-core";
import type { ZodType } from "zod";
import type { NumberArray } from "../runtime/samples.ts";
import type { Ties } from "./assignment/anchors.ts";
import type { EigenvectorRule } from "./eigenvectors.ts";
import type { ParameterSpecs, Parameters } from "./parameters.ts";

/** What one sample is: an image [h, w, c] of bytes, or a vector [d] of floats. */
export interface SampleType {
  readonly kind: "images" | "features";
  readonly shape: readonly number[];
}

/**
 * What a training run feeds a phase with, one row a sample of the batch:
 *
 * - sample: the sample itself; view: a newly augmented view of it;
 * - neighbour: an augmented view of one of its nearest neighbours, drawn anew;
 * - target: its soft assignment, [k], from the last spectral clustering (see `Phase.targets`);
 * - index: which sample it is, [b] int32; progress: a scalar, the share of the phase's steps that are done;
 * - noise: standard normal numbers of the given width.
 */
export type BatchInput =
  | { readonly source: "sample" | "view" | "neighbour" | "target" | "index" | "progress" }
  | { readonly source: "noise"; readonly width: number };

/** Named arrays a method's structure is made of, and what a checkpoint holds. */
export type Arrays = Readonly<Record<string, NumberArray>>;

/** A part of training: which parameters it changes, by what loss, on what batches, for how long. */
export interface Phase {
  readonly name: string;
  readonly epochs: number;
  /** Samples a step; what is left over at the end of an epoch waits for the next shuffle. "all": every sample, in order. */
  readonly batch: number | "all";
  /** Adam's rate after a linear warm-up of `warmup` steps; from there a cosine takes it to 5 %, unless it is constant. */
  readonly learningRate: number;
  readonly warmup: number;
  readonly schedule?: "cosine" | "constant";
  /** Prefixes of the names of the parameters that are updated; the others stay. */
  readonly trainable: readonly string[];
  /** Prefixes of the names of the parameters that `update` renews after each step. */
  readonly updated?: readonly string[];
  readonly inputs: Readonly<Record<string, BatchInput>>;
  /** Whether the phase starts with a spectral clustering of the latents, whose soft assignments are targets. */
  readonly targets: boolean;
  /** Whether `begin` needs the latents of all samples. */
  readonly latents?: boolean;
  /** Whether the effective rank of some latents is watched: whether they collapse. */
  readonly rank?: boolean;
  /** Whether it starts with an adaptive-neighbour graph of the latents, of so many neighbours each. */
  readonly graph?: { readonly neighbours: number };
  /** New parameters, or new values of parameters, when the phase starts, from what was just found. */
  readonly begin?: (found: PhaseStart) => Arrays;
  /** Ends the phase early: when the mean loss of `epochs` epochs is not lower than that of as many before by this share. */
  readonly stop?: { readonly improvement: number; readonly epochs: number };
  /** Takes an affinity from coefficients as they are learned, and ends the phase when it settles. */
  readonly affinity?: AffinityWatch;
  /** New values of the parameters named by `updated`, from all parameters before the step. Pure: it is traced. */
  update?(parameters: Parameters, batch: Parameters): Readonly<Record<string, tf.Tensor>>;
  /** The weighted terms of the loss, scalars by name; their sum is minimised. Pure: it is traced. */
  loss(parameters: Parameters, batch: Parameters): Readonly<Record<string, tf.Scalar>>;
}

/** What is known of all samples when a phase starts. */
export interface PhaseStart {
  readonly samples: number;
  readonly parameters: Arrays;
  /** Where the phase asks for them, has targets or a graph: latents, [n, d]. */
  readonly latents?: NumberArray;
  /** Of vectors: mean and log of the standard deviation of each feature, [d]; the log is 0 for a feature that never changes. */
  readonly features?: { readonly mean: NumberArray; readonly logDeviation: NumberArray };
  readonly random: { permutation(n: number): Int32Array };
  /** Where the phase has targets. */
  readonly clustering?: ClusterStart;
  /** Where it has a graph: its Laplacian, [n, n]. */
  readonly laplacian?: NumberArray;
}

/** How self-expressive coefficients become an affinity: symmetrised, or post-processed (`train/spectral/refined-affinity.ts`). */
export type Refinement =
  | { readonly form: "plain" }
  | { readonly form: "post-processed"; readonly kept: number; readonly rank: number; readonly power: number };

/** From epoch `first` on, every `every` epochs, an affinity is taken; what is clustered is their mean. */
export interface AffinityWatch {
  /** Name of the parameter that holds the coefficients, [n, n]. */
  readonly of: string;
  readonly first: number;
  readonly every: number;
  /** The phase ends when the mean moves by less than this, relative to its norm; 0: never. */
  readonly tolerance: number;
  readonly refinement: Refinement;
}

/** What a spectral clustering of the latents knows when a phase starts. */
export interface ClusterStart {
  /** Unit latents, [n, d]. */
  readonly latents: NumberArray;
  readonly labels: Int32Array;
  readonly clusters: number;
}

/**
 * How new samples are assigned: by the network's head, by centres in its orthonormal output, by Nystrom extension over nearest
 * landmarks, by closed-form self-expression, or by coefficients of anchors.
 */
export type Readout = "head" | "centres" | "nystrom" | "self-expression" | "anchors";

/** Settings of the spectral step, shared by every method. */
export interface SpectralSettings {
  readonly clusters: number;
  readonly neighbours: number;
  readonly eigenvectors: EigenvectorRule;
  readonly landmarks: number;
  readonly readout: Readout;
  /** Of the read-out "self-expression": how coefficients become an affinity and that clusters, and lambda for new samples. */
  readonly selfExpression?: {
    readonly refinement: Refinement;
    readonly assignment: "k-means" | "discretise";
    readonly ridge: number;
  };
  /** Of the read-out "anchors": how many, how many of them a sample is tied to, and by which coefficients. */
  readonly anchors?: { readonly count: number; readonly nonzeros: number; readonly ties: Ties };
  /** Samples that training takes at most, and what takes more. */
  readonly most?: { readonly samples: number; readonly instead: string };
}

/** What a graph gives for a batch: [b], [b], [b], [b, K]. */
export interface Assignment {
  readonly label: tf.Tensor1D;
  readonly confidence: tf.Tensor1D;
  readonly novelty: tf.Tensor1D;
  readonly probabilities: tf.Tensor2D;
}

export const PRESETS = ["quick", "best", "paper"] as const;
export type Preset = (typeof PRESETS)[number];

/** A published system as data and pure functions: all that a training run and an export know of it. */
export interface Method<Config extends object = object> {
  readonly name: string;
  readonly paper: string;
  /** Hyperparameters: every one has a description and a default, that of `best`. */
  readonly schema: ZodType<Config>;
  readonly presets: Readonly<Record<Preset, object>>;
  spectral(config: Config): SpectralSettings;
  augmentation(config: Config): string | object;
  parameters(config: Config, sample: SampleType): ParameterSpecs;
  phases(config: Config, sample: SampleType): readonly Phase[];
  /** Samples as the graph receives them -> latent, [b, d]. */
  encode(config: Config, parameters: Parameters, samples: tf.Tensor): tf.Tensor2D;
  /** Where it trains itself on soft labels. Samples -> its own soft assignment, [b, K], rows sum to 1. */
  predict?(config: Config, parameters: Parameters, samples: tf.Tensor): tf.Tensor2D;
  /** For read-outs "head" and "centres". Latent -> outputs of the network before orthonormalisation, [b, K]. */
  outputs?(config: Config, parameters: Parameters, latent: tf.Tensor2D): tf.Tensor2D;
  /** Of self-expressive methods. Latent -> coefficients over what the structure stores, [b, M]. */
  coefficients?(config: Config, parameters: Parameters, structure: Parameters, latent: tf.Tensor2D): tf.Tensor2D;
  /** Latent -> spectral embedding, [b, k], by the configured read-out; from its coefficients, where the method has any. */
  embed(
    config: Config,
    parameters: Parameters,
    structure: Parameters,
    latent: tf.Tensor2D,
    coefficients?: tf.Tensor2D,
  ): tf.Tensor2D;
  /** Latent and embedding -> assignment. */
  assign(config: Config, structure: Parameters, latent: tf.Tensor2D, embedding: tf.Tensor2D): Assignment;
}
