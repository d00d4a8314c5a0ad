import * as tf from "@tensorflow/tfjs-core";
import { unitRows } from "../layers.ts";

/** The neighbour whose distance is a sample's local scale, in training's affinity and here. */
export const SCALE_NEIGHBOUR = 7;

/** The stored landmarks a new sample is compared with. */
export interface Landmarks {
  /** Unit latents, [m, d]. */
  readonly latents: tf.Tensor2D;
  /** Local scale of each: the distance to its `scaleNeighbour`-th neighbour when the affinity was built, > 0, [m]. */
  readonly scales: tf.Tensor1D;
  /** v_k(j) / (mu_k sqrt(deg(j))), the landmarks' rows of the extension, [m, k]. */
  readonly rows: tf.Tensor2D;
}

/** A sample's nearest landmarks. */
export interface Nearest {
  /** Of all candidates, [b, c], in no exact order; `NEVER` for the landmark that the sample itself is. */
  readonly squaredDistances: tf.Tensor2D;
  /** Which landmarks the candidates are, [b, c] int32. */
  readonly indices: tf.Tensor2D;
  /** The n smallest squared distances, ascending, [b, n]. */
  readonly smallest: tf.Tensor2D;
  /** The one after them, [b, 1]. */
  readonly next: tf.Tensor2D;
}

/** Candidates beyond those wanted. Scalar products pick them; their rounding may leave the last few in doubt. */
const SPARE = 4;
/**
 * Below this squared distance a sample is the landmark it meets: far above rounding, far below how samples differ. Where
 * landmarks are stored in fewer bits, this is what is raised in the graph (see train/variants.ts).
 */
export const SAME = 1e-9;
/** What is farther than the last neighbour by rounding alone, as its duplicates are, is one too: else rounding would choose. */
const EQUALLY_FAR = 1 + 1e-5;
/** In place of a squared distance, which is at most 4. */
const NEVER = 1e9;

/**
 * The `count` nearest landmarks of each sample. A training sample does not meet itself: as in training's affinity, it is
 * placed by the others, so that seen and unseen samples are treated alike. Of a landmark's duplicates one is left out.
 *
 * Scalar products pick candidates; their distances are computed anew from differences, since 2 - 2 <x, y> keeps few digits
 * of a small distance.
 *
 * @param latent - unit rows, [b, d]. @param landmarks - unit rows, [m, d]. @param count - n, below m.
 */
export function nearestLandmarks(latent: tf.Tensor2D, landmarks: tf.Tensor2D, count: number): Nearest {
  const [b, d] = latent.shape;
  const candidates = Math.min(landmarks.shape[0], count + 1 + SPARE);
  // One row more, dropped at the end: ONNX Runtime's TopK ends the process when it is given none.
  const rows = tf.pad(latent, [
    [0, 1],
    [0, 0],
  ]);
  const { indices } = tf.topk(tf.matMul(rows, landmarks, false, true), candidates);
  const differences = tf.sub(tf.gather<tf.Tensor>(landmarks, indices), tf.reshape(rows, [b + 1, 1, d]));
  const distances = tf.sum(tf.square(differences), 2) as tf.Tensor2D;
  const isFirst = tf.cast(tf.equal(tf.range(0, candidates), 0), "float32");
  const isItself = tf.mul(tf.cast(tf.less(distances, SAME), "float32"), isFirst);
  const squaredDistances = tf.add(distances, tf.mul(isItself, NEVER)) as tf.Tensor2D;
  const ascending = tf.neg(tf.topk(tf.neg(squaredDistances), count + 1).values) as tf.Tensor2D;
  const given = <T extends tf.Tensor>(x: T): T => tf.slice(x, [0, 0], [b, -1]) as T;
  return {
    squaredDistances: given(squaredDistances),
    indices: given(indices as tf.Tensor2D),
    smallest: tf.slice(ascending, [0, 0], [b, count]),
    next: tf.slice(ascending, [0, count], [b, 1]),
  };
}

/**
 * Nystrom extension over the nearest landmarks: places new samples in the landmarks' spectral embedding.
 *
 *     u_k(x) = 1/mu_k * sum_j w(x, j) / sqrt(deg(x) deg(j)) * v_k(j),    w(x, j) = exp(-d(x, j)^2 / (s(x) s(j)))
 *
 * with s(x) the distance to x's `scaleNeighbour`-th landmark, and no less than the landmarks' own scales. The rows are then
 * brought to length 1, as the landmarks' own were before k-means, so deg(x) falls out, and with it any common factor of the
 * affinities: they are taken relative to the largest, so that they do not all round to 0 far from the landmarks.
 *
 * A landmark whose neighbours have it as theirs lands on its own row.
 *
 * @returns the embedding, [b, k], unit rows. A sample far from every landmark still lands somewhere: its novelty is near 1.
 * @see Bengio et al. 2003, Out-of-Sample Extensions for LLE, Isomap, MDS, Eigenmaps, and Spectral Clustering, NIPS 16;
 *   Zelnik-Manor & Perona 2004, Self-Tuning Spectral Clustering, NIPS 17.
 */
export function nystromExtension(
  nearest: Nearest,
  { scales, rows }: Landmarks,
  scaleNeighbour = SCALE_NEIGHBOUR,
): tf.Tensor2D {
  const { squaredDistances, indices, smallest } = nearest;
  const [b, c] = squaredDistances.shape;
  const [, n] = smallest.shape;
  const k = rows.shape[1];
  const at = Math.min(scaleNeighbour, n) - 1;
  const scale = tf.maximum(tf.sqrt(tf.slice(smallest, [0, at], [-1, 1])), tf.min(scales));
  const exponents = tf.div(squaredDistances, tf.mul(scale, tf.gather(scales, indices)));
  const relative = tf.exp(tf.sub(tf.min(exponents, 1, true), exponents));
  const reach = tf.mul(tf.slice(smallest, [0, n - 1], [-1, 1]), EQUALLY_FAR);
  const isNear = tf.cast(tf.lessEqual(squaredDistances, reach), "float32");
  const affinities = tf.reshape(tf.mul(relative, isNear), [b, 1, c]);
  const embedding = tf.matMul(affinities, tf.gather<tf.Tensor>(rows, indices) as tf.Tensor3D);
  return unitRows(tf.reshape(embedding, [b, k]));
}
