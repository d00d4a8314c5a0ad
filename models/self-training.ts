import * as tf from "@tensorflow/tfjs-core";
import { assignmentLoss } from "./losses.ts";
import type { Arrays, ClusterStart } from "./method.ts";

/**
 * Cross-entropy of a head with soft labels, for a view of each sample and, at half weight, of a neighbour.
 *
 * @param logits - of the samples' views, then of their neighbours', [2b, k]. @param targets - of the samples, [b, k].
 */
export function selfTrainingLoss(logits: tf.Tensor2D, targets: tf.Tensor2D): tf.Scalar {
  const b = targets.shape[0];
  const ofOwn = assignmentLoss(tf.slice(logits, [0, 0], [b, -1]), targets);
  const ofNeighbour = assignmentLoss(tf.slice(logits, [b, 0], [b, -1]), targets);
  return tf.add(ofOwn, tf.mul(0.5, ofNeighbour));
}

/** How sharp a head made of class means starts: the factor on cosines. */
const SHARPNESS = 10;

/**
 * A linear head of unit latents, brought to unit variance, that gives each cluster the cosine with its mean latent, times
 * `SHARPNESS`.
 */
export function headFromMeans({ latents, labels, clusters: k }: ClusterStart): Arrays {
  const d = latents.shape[1] as number;
  const weights = new Float32Array(d * k);
  const means = new Float64Array(k * d);
  labels.forEach((label, i) => {
    for (let j = 0; j < d; j++)
      means[label * d + j] = (means[label * d + j] as number) + (latents.data[i * d + j] as number);
  });
  for (let c = 0; c < k; c++) {
    const mean = means.subarray(c * d, (c + 1) * d);
    const length = Math.hypot(...mean) || 1;
    for (let j = 0; j < d; j++) weights[j * k + c] = (SHARPNESS * (mean[j] as number)) / (length * Math.sqrt(d));
  }
  return {
    "head.output.weights": { data: weights, shape: [d, k] },
    "head.output.bias": { data: new Float32Array(k), shape: [k] },
  };
}
