import * as tf from "@tensorflow/tfjs-core";
import { decode, type Encoding, encode } from "../autoencoder.ts";
import { scaled, unitRows } from "../layers.ts";
import {
  clusterDivergence,
  codingRate,
  infoNce,
  jensenShannonLoss,
  priorDivergence,
  relativeReconstruction,
} from "../losses.ts";
import type { BatchInput, ClusterStart, Phase, SampleType } from "../method.ts";
import { logDeterminant, orthonormalizer } from "../orthonormal.ts";
import type { Parameters } from "../parameters.ts";
import { headFromMeans, selfTrainingLoss } from "../self-training.ts";
import { batchAffinity, spectralLoss } from "../spectral-loss.ts";
import type { Config } from "./config.ts";
import { autoencoderShape, globalDiscriminator, localDiscriminator, spectralNet } from "./networks.ts";

type Terms = Record<string, tf.Scalar>;

/** The weights that pretraining and the joint phase share. */
type Weights = Pick<Config["pretraining"], "reconstruction" | "globalInformation" | "localInformation">;

export function phases(config: Config, sample: SampleType): Phase[] {
  const rounds = Array.from({ length: config.joint.rounds }, (_, i) => joint(config, sample, i + 1));
  return [pretraining(config, sample), spectral(config), ...rounds].filter(({ epochs }) => epochs > 0);
}

const WARMUP = 50;

/** Dual autoencoder, mutual information and prior: L_r + L_e of the paper. */
function pretraining(config: Config, sample: SampleType): Phase {
  const { epochs, batch, learningRate, ...weights } = config.pretraining;
  return {
    name: "pretraining",
    epochs,
    batch,
    learningRate,
    warmup: WARMUP,
    trainable: reached(config, { ...weights, divergence: weights.prior }),
    inputs: viewInputs(config, weights),
    targets: false,
    loss: (parameters, batch) => {
      const view = encodeViews(config, parameters, batch);
      const terms = representationTerms(config, sample, weights, parameters, batch, view);
      if (weights.prior > 0 && view.first.logVariance !== undefined) {
        terms.prior = tf.mul(weights.prior, priorDivergence(view.first.mean, view.first.logVariance));
      }
      return terms;
    },
  };
}

/** The spectral net alone, on latents that stay: L_c of the paper. */
function spectral(config: Config): Phase {
  const { epochs, batch, learningRate, neighbours } = config.spectral;
  return {
    name: "spectral net",
    epochs,
    batch,
    learningRate,
    warmup: 20,
    trainable: ["head."],
    inputs: { images: { source: "sample" } },
    targets: false,
    loss: (parameters, batch) => {
      const { mean } = encode(parameters, scaled(batch.images as tf.Tensor));
      return { spectral: spectralTerm(config, parameters, mean, neighbours) };
    },
  };
}

/** All together: L_r + L_e + L_c, and agreement with the labels of the spectral clustering the round starts from. */
function joint(config: Config, sample: SampleType, round: number): Phase {
  const { epochs, batch, learningRate, rounds: _, ...weights } = config.joint;
  const represents =
    weights.reconstruction + weights.globalInformation + weights.localInformation + weights.clusterPrior > 0;
  const inputs: Record<string, BatchInput> = {
    ...(represents || weights.spectral > 0 ? viewInputs(config, weights) : {}),
    ...(weights.assignment > 0
      ? { images: { source: "view" }, neighbour: { source: "neighbour" }, target: { source: "target" } }
      : {}),
  };
  return {
    name: `joint ${round}`,
    epochs,
    batch,
    learningRate,
    warmup: 20,
    trainable: [
      ...reached(config, { ...weights, divergence: weights.clusterPrior }),
      ...(weights.clusterPrior > 0 ? ["clusters."] : []),
      ...(weights.clusterPrior + weights.spectral + weights.assignment > 0 ? ["head."] : []),
    ],
    inputs,
    targets: weights.assignment > 0,
    ...(weights.assignment > 0 && config.head.length === 0
      ? { begin: ({ clustering }) => headFromMeans(clustering as ClusterStart) }
      : {}),
    loss: (parameters, batch) => {
      const terms: Terms = {};
      if (represents || weights.spectral > 0) {
        const view = encodeViews(config, parameters, batch);
        Object.assign(terms, representationTerms(config, sample, weights, parameters, batch, view));
        const { mean, logVariance } = view.first;
        if (weights.clusterPrior > 0 && logVariance !== undefined) {
          const probabilities = tf.softmax(spectralNet(config, parameters, mean));
          const means = parameters["clusters.means"] as tf.Tensor2D;
          terms.prior = tf.mul(weights.clusterPrior, clusterDivergence(mean, logVariance, probabilities, means));
        }
        if (weights.spectral > 0) {
          terms.spectral = tf.mul(weights.spectral, spectralTerm(config, parameters, mean, config.spectral.neighbours));
        }
      }
      if (weights.assignment > 0)
        terms.assignment = tf.mul(weights.assignment, assignmentTerm(config, parameters, batch));
      return terms;
    },
  };
}

/** Prefixes of what the terms reach: a network of another phase's terms has no gradient here, and stays. */
function reached(
  { estimator }: Config,
  { reconstruction, globalInformation, localInformation, divergence }: Weights & { readonly divergence: number },
): string[] {
  const discriminates = estimator === "jensen-shannon" && globalInformation > 0;
  const samples = discriminates || reconstruction + localInformation + divergence > 0;
  return [
    ...["encoder.conv", "encoder.mean."],
    ...(samples ? ["encoder.logVariance."] : []),
    ...(reconstruction > 0 ? ["decoder."] : []),
    ...(discriminates ? ["global."] : []),
    ...(localInformation > 0 ? ["local."] : []),
  ];
}

/** Two views for InfoNCE, else one; noise for the noised latent and, with a posterior, for the sample of it. */
function viewInputs(config: Config, weights: Weights): Record<string, BatchInput> {
  const noise: BatchInput = { source: "noise", width: config.latent };
  const hasPosterior = config.pretraining.prior > 0 || config.joint.clusterPrior > 0;
  return {
    images: { source: "view" },
    ...(usesTwoViews(config, weights) ? { second: { source: "view" } } : {}),
    ...(weights.reconstruction > 0 ? { noise } : {}),
    ...(hasPosterior ? { posterior: noise } : {}),
  };
}

function usesTwoViews(config: Config, weights: Weights): boolean {
  return config.estimator === "infonce" && weights.globalInformation > 0;
}

interface Views {
  readonly images: tf.Tensor4D;
  readonly first: Encoding;
  /** A sample of the first view's posterior; its mean where there is none. */
  readonly latent: tf.Tensor2D;
  /** Means of the first view, then of the second where there is one. */
  readonly means: tf.Tensor2D;
}

function encodeViews(_config: Config, parameters: Parameters, batch: Parameters): Views {
  const images = scaled(batch.images as tf.Tensor);
  const second = batch.second;
  const all = encode(parameters, second === undefined ? images : tf.concat([images, scaled(second)], 0));
  const b = images.shape[0];
  const head = <T extends tf.Tensor>(x: T): T => (second === undefined ? x : tf.slice(x, [0], [b]));
  const first: Encoding = {
    mean: head(all.mean),
    logVariance: all.logVariance && head(all.logVariance),
    features: head(all.features),
  };
  const { logVariance } = first;
  const latent =
    logVariance === undefined
      ? first.mean
      : tf.add(first.mean, tf.mul(tf.exp(tf.mul(0.5, logVariance)), batch.posterior as tf.Tensor2D));
  return { images, first, latent: latent as tf.Tensor2D, means: all.mean };
}

function representationTerms(
  config: Config,
  sample: SampleType,
  weights: Weights,
  parameters: Parameters,
  batch: Parameters,
  { images, first, latent, means }: Views,
): Terms {
  const terms: Terms = {};
  if (weights.reconstruction > 0) {
    const shape = autoencoderShape(config, sample);
    // psi: multiplicative Gaussian noise on the latent.
    const noised = tf.mul(latent, tf.add(1, tf.mul(config.noise, batch.noise as tf.Tensor2D))) as tf.Tensor2D;
    // Both decodings in one batch: half the operations, each twice as large.
    const [clean, distorted] = tf.split(decode(shape, parameters, tf.concat([latent, noised], 0)), 2, 0) as [
      tf.Tensor4D,
      tf.Tensor4D,
    ];
    const loss = relativeReconstruction(images, clean, distorted, config.delta);
    terms.reconstruction = tf.mul(weights.reconstruction, loss);
  }
  if (weights.globalInformation > 0) {
    const loss =
      config.estimator === "infonce"
        ? infoNce(means, config.temperature)
        : discriminate(globalDiscriminator, parameters, first.features, latent);
    terms.global = tf.mul(weights.globalInformation, loss);
  }
  if (weights.localInformation > 0) {
    terms.local = tf.mul(
      weights.localInformation,
      discriminate(localDiscriminator, parameters, first.features, latent),
    );
  }
  if (config.antiCollapse > 0)
    terms["anti-collapse"] = tf.mul(config.antiCollapse, codingRate(first.mean, logDeterminant));
  return terms;
}

type Discriminator = (parameters: Parameters, features: tf.Tensor4D, latent: tf.Tensor2D) => tf.Tensor;

/** A discriminator's loss on each image with its own latent and with the next sample's of the batch. */
function discriminate(
  of: Discriminator,
  parameters: Parameters,
  features: tf.Tensor4D,
  latent: tf.Tensor2D,
): tf.Scalar {
  const next = tf.concat([tf.slice(latent, [1, 0], [-1, -1]), tf.slice(latent, [0, 0], [1, -1])], 0);
  return jensenShannonLoss(of(parameters, features, latent), of(parameters, features, next));
}

/** L_c: the spectral net's outputs, orthonormalised over the batch, on the batch's affinity. */
function spectralTerm(config: Config, parameters: Parameters, latent: tf.Tensor2D, neighbours: number): tf.Scalar {
  const outputs = spectralNet(config, parameters, latent);
  const orthonormal = tf.matMul(outputs, orthonormalizer(outputs)) as tf.Tensor2D;
  return spectralLoss(orthonormal, batchAffinity(unitRows(latent), neighbours));
}

/** Cross-entropy of the head with the soft labels, for a view of each sample and, at half weight, of a neighbour. */
function assignmentTerm(config: Config, parameters: Parameters, batch: Parameters): tf.Scalar {
  const [own, neighbour] = [scaled(batch.images as tf.Tensor), scaled(batch.neighbour as tf.Tensor)];
  const logits = spectralNet(config, parameters, encode(parameters, tf.concat([own, neighbour], 0)).mean);
  return selfTrainingLoss(logits, batch.target as tf.Tensor2D);
}
