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
  /** Distances of the training samples to their nearest others, ascending, [q]: evenly spaced quantiles. */
  readonly noveltyQuantiles: tf.Tensor1D;
}

/** How far a sample is from the training data: the mean distance to its nearest landmarks, [b], in 0..2. */
export function distanceToData({ squaredDistances }: Nearest): tf.Tensor1D {
  return tf.mean(tf.sqrt(squaredDistances), 1);
}

/**
 * Clusters of an embedding, with how sure and how unlike the training data each sample is.
 *
 *     p = softmax(sharpness * (u W + b));  confidence = max p;  novelty = share of the training samples' quantiles below d(x)
 */
export function assignEmbedding(embedding: tf.Tensor2D, nearest: Nearest, readout: LinearReadout): Assignment {
  const scores = tf.mul(tf.add(tf.matMul(embedding, readout.weights), readout.bias), readout.sharpness);
  const probabilities = tf.softmax(scores as tf.Tensor2D);
  const distance = tf.reshape(distanceToData(nearest), [embedding.shape[0], 1]);
  const below = tf.less(tf.reshape(readout.noveltyQuantiles, [1, -1]), distance);
  return {
    label: tf.argMax(scores, 1),
    confidence: tf.max(probabilities, 1),
    novelty: tf.mean(tf.cast(below, "float32"), 1),
    probabilities,
  };
}
