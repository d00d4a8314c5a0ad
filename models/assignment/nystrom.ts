import * as tf from "@tensorflow/tfjs-core";
import { unitRows } from "../layers.ts";

/** The stored landmarks a new sample is compared with. */
export interface Landmarks {
  /** Unit latents, [m, d]. */
  readonly latents: tf.Tensor2D;
  /** Local scale of each: the distance to its `scaleNeighbour`-th neighbour when the affinity was built, [m]. */
  readonly scales: tf.Tensor1D;
  /** v_k(j) / (mu_k sqrt(deg(j))), the landmarks' rows of the extension, [m, k]. */
  readonly rows: tf.Tensor2D;
}

/** A sample's nearest landmarks: squared distances of unit latents, ascending, [b, n], and which, [b, n] int32. */
export interface Nearest {
  readonly squaredDistances: tf.Tensor2D;
  readonly indices: tf.Tensor2D;
}

/** @param latent - unit rows, [b, d]. @param count - neighbours wanted, at most m. */
export function nearestLandmarks(latent: tf.Tensor2D, landmarks: tf.Tensor2D, count: number): Nearest {
  const { values, indices } = tf.topk(tf.matMul(latent, landmarks, false, true), count);
  const squaredDistances = tf.relu(tf.sub(2, tf.mul(2, values))) as tf.Tensor2D;
  return { squaredDistances, indices: indices as tf.Tensor2D };
}

/**
 * Nystrom extension over the nearest landmarks: places new samples in the landmarks' spectral embedding.
 *
 *     u_k(x) = 1/mu_k * sum_j w(x, j) / sqrt(deg(x) deg(j)) * v_k(j),    w(x, j) = exp(-d(x, j)^2 / (s(x) s(j)))
 *
 * with s(x) the distance to x's `scaleNeighbour`-th landmark. The rows are then brought to length 1, as the landmarks' own
 * were before k-means, so deg(x) falls out.
 *
 * @returns the embedding, [b, k], unit rows. A sample far from every landmark still lands somewhere: its novelty is near 1.
 * @see Bengio et al. 2003, Out-of-Sample Extensions for LLE, Isomap, MDS, Eigenmaps, and Spectral Clustering, NIPS 16;
 *   Zelnik-Manor & Perona 2004, Self-Tuning Spectral Clustering, NIPS 17.
 */
export function nystromExtension(nearest: Nearest, { scales, rows }: Landmarks, scaleNeighbour: number): tf.Tensor2D {
  const { squaredDistances, indices } = nearest;
  const [b, n] = squaredDistances.shape;
  const k = rows.shape[1];
  const at = Math.min(scaleNeighbour, n) - 1;
  const scale = tf.sqrt(tf.slice(squaredDistances, [0, at], [-1, 1]));
  const width = tf.maximum(tf.mul(scale, tf.gather(scales, indices)), 1e-12);
  const affinities = tf.exp(tf.neg(tf.div(squaredDistances, width)));
  const neighbours = tf.gather<tf.Tensor>(rows, indices) as tf.Tensor3D;
  const embedding = tf.matMul(tf.reshape(affinities, [b, 1, n]), neighbours);
  return unitRows(tf.reshape(embedding, [b, k]));
}
