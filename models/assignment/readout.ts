import * as tf from "@tensorflow/tfjs-core";
import type { Assignment } from "../method.ts";
import { type Nearest, SAME } from "./nystrom.ts";

/**
 * What turns an embedding into clusters: a linear map whose largest output wins. Nearest centre is one, since
 * -|u - c|^2 = 2 <u, c> - |c|^2 + a term without c, and so is a network's own output.
 */
export interface LinearReadout {
  /** [k, K] and [K]. */
  readonly weights: tf.Tensor2D;
  readonly bias: tf.Tensor1D;
  /** Scalar: the softmax's inverse temperature, calibrated so that confidence is a probability. */
  readonly sharpness: tf.Scalar;
}

/** What novelty is measured by. */
export interface NoveltyScale {
  /** ln ||z|| of the landmarks, [m]. */
  readonly lengths: tf.Tensor1D;
  /** Scalar: what a difference of 1 in ln ||z|| counts, in units of the distance of unit latents. */
  readonly lengthWeight: tf.Scalar;
  /** `distanceToData` of the training samples, ascending: q evenly spaced quantiles from least to largest, [q]. */
  readonly noveltyQuantiles: tf.Tensor1D;
}

/**
 * How far a sample is from the training data, [b]: the mean difference in direction and in length from its nearest landmarks,
 *
 *     sum_j t_j (|u - u_j| + w |ln ||z|| - ln ||z_j|||) / sum_j t_j,    t_j = 1 - |u - u_j|^2 / |u - u_next|^2 + 0.001
 *
 * with u = z / ||z|| and w = `lengthWeight`. Nearer landmarks count more, and the last all but nothing if the next is as near:
 * so the distance does not jump where neighbours change places. Contrastive training is blind to length, which then tells what direction does not.
 *
 * Untrained classes are told apart by distances of latents: Sun et al. 2022, Out-of-Distribution Detection with Deep Nearest
 * Neighbors, arXiv:2204.06507. The length's part is ours.
 */
export function distanceToData(
  latent: tf.Tensor2D,
  { squaredDistances, indices, next }: Nearest,
  { lengths, lengthWeight }: Pick<NoveltyScale, "lengths" | "lengthWeight">,
): tf.Tensor1D {
  const tapers = tf.relu(tf.sub(1.001, tf.div(squaredDistances, tf.maximum(next, 1e-30))));
  const length = tf.log(tf.maximum(tf.sqrt(tf.sum(tf.square(latent), 1, true)), 1e-8));
  const ofLength = tf.mul(tf.abs(tf.sub(length, tf.gather(lengths, indices))), lengthWeight);
  const distances = tf.add(tf.sqrt(tf.minimum(squaredDistances, 4)), ofLength); // 4 is the most between unit latents
  return tf.div(tf.sum(tf.mul(tapers, distances), 1), tf.sum(tapers, 1));
}

/** Distances of unit latents, 0..2, that differ by less are the same but for rounding: such are those of samples that are alike. */
const ROUNDING = Math.sqrt(SAME);

/**
 * Share of the training samples that are nearer to the data than each sample, [b], in 0..1: the quantiles' distribution
 * function, linear between them, so that samples beyond all but a few are still told apart.
 *
 * @param distances - [b]. @param quantiles - ascending, [q], q >= 2.
 */
export function noveltyOf(distances: tf.Tensor1D, quantiles: tf.Tensor1D): tf.Tensor1D {
  const intervals = quantiles.shape[0] - 1;
  const low = tf.slice(quantiles, [0], [intervals]);
  const width = tf.sub(tf.slice(quantiles, [1], [intervals]), low);
  const beyond = tf.sub(tf.reshape(distances, [distances.shape[0], 1]), low);
  return tf.mean(tf.clipByValue(tf.div(beyond, tf.maximum(width, ROUNDING)), 0, 1), 1);
}

/**
 * Clusters of an embedding, with how sure and how unlike the training data each sample is.
 *
 *     p = softmax(sharpness * (u W + b));  confidence = max p;  novelty = share of the training samples nearer to the data
 */
export function assignEmbedding(
  latent: tf.Tensor2D,
  embedding: tf.Tensor2D,
  nearest: Nearest,
  readout: LinearReadout & NoveltyScale,
): Assignment {
  const scores = tf.add(tf.matMul(embedding, readout.weights), readout.bias) as tf.Tensor2D;
  const probabilities = tf.softmax(tf.mul(scores, readout.sharpness) as tf.Tensor2D);
  return {
    label: tf.argMax(scores, 1),
    confidence: tf.max(probabilities, 1),
    novelty: noveltyOf(distanceToData(latent, nearest, readout), readout.noveltyQuantiles),
    probabilities,
  };
}
