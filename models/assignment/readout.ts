import * as tf from "@tensorflow/tfjs-core";
import type { Assignment } from "../method.ts";
import type { Nearest } from "./nystrom.ts";

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
  /** How far the training samples are from the others, ascending: q evenly spaced quantiles from least to largest, [q]. */
  readonly noveltyQuantiles: tf.Tensor1D;
}

/** How far a sample is from the training data: the mean distance to its nearest landmarks, [b], in 0..2. */
export function distanceToData({ smallest }: Nearest): tf.Tensor1D {
  return tf.mean(tf.sqrt(smallest), 1);
}

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
  return tf.mean(tf.clipByValue(tf.div(beyond, tf.maximum(width, 1e-30)), 0, 1), 1);
}

/**
 * Clusters of an embedding, with how sure and how unlike the training data each sample is.
 *
 *     p = softmax(sharpness * (u W + b));  confidence = max p;  novelty = share of the training samples nearer to the data
 */
export function assignEmbedding(embedding: tf.Tensor2D, nearest: Nearest, readout: LinearReadout): Assignment {
  const scores = tf.add(tf.matMul(embedding, readout.weights), readout.bias) as tf.Tensor2D;
  const probabilities = tf.softmax(tf.mul(scores, readout.sharpness) as tf.Tensor2D);
  return {
    label: tf.argMax(scores, 1),
    confidence: tf.max(probabilities, 1),
    novelty: noveltyOf(distanceToData(nearest), readout.noveltyQuantiles),
    probabilities,
  };
}
