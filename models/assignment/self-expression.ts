import * as tf from "@tensorflow/tfjs-core";
import { unitRows } from "../layers.ts";
import type { Nearest } from "./nystrom.ts";

/** What places a new sample by the training samples that express it. */
export interface ExpressionDictionary {
  /** Z: unit latents, [n, d]. */
  readonly latents: tf.Tensor2D;
  /** M = Z^T (Z Z^T + lambda I)^-1, [d, n]. */
  readonly map: tf.Tensor2D;
  /** v_k(j) / (mu_k sqrt(deg(j))), the dictionary's rows of the Nystrom extension, [n, k]. */
  readonly rows: tf.Tensor2D;
  /** Where the affinity is post-processed: see `AffinityFactors` in train/spectral/refined-affinity.ts. */
  readonly factors?: ExpressionFactors;
}

export interface ExpressionFactors {
  /** U sqrt|s| / (s - delta), [n, r]. */
  readonly extension: tf.Tensor2D;
  /** Rows of U sqrt|s| scaled to length 1, [n, r]. */
  readonly units: tf.Tensor2D;
  /** The least coefficient that a dictionary sample's own column kept, [n]; only of factors of the same ridge regression. */
  readonly reach?: tf.Tensor1D;
}

/** rho and alpha of the post-processing; unused where there are no factors. */
export interface ExpressionSettings {
  readonly kept: number;
  readonly power: number;
}

/** More than any squared distance of unit latents, less than what `nearestLandmarks` puts in place of a sample's own. */
const OWN = 5;
/** More than any coefficient. */
const BEYOND = 1e9;

/**
 * The coefficients that a sample would have among the dictionary's own, off the diagonal of C = G (G + lambda I)^-1, G = Z Z^T:
 * with c = x M, those of x in the dictionary are row x of C less its own, those of x outside it
 *
 *     c / (1 + h),    h = <x, x - c Z> / lambda
 *
 * By bordering: (G + lambda I)^-1 with x added has -c / (lambda + <x, x - c Z>) in row x, and off the diagonal C is -lambda times
 * that. A training sample, which `nearest` knows, is not expressed by itself, so that seen and unseen samples are treated alike.
 *
 * @param latent - x, unit rows, [b, d]. @param nearest - their nearest of `latents`, for whether they are one of them.
 * @param lambda - of the ridge regression that gave M. @returns [b, n], 0 for the sample itself.
 * @see Lu et al. 2012, Least Squares Regression, ECCV, arXiv:1404.6736, for C. What a new sample gets is ours.
 */
export function expressedCoefficients(
  latent: tf.Tensor2D,
  nearest: Nearest,
  { latents, map }: Pick<ExpressionDictionary, "latents" | "map">,
  lambda: number,
): tf.Tensor2D {
  const own = ownEntries(nearest, latents.shape[0]);
  const coefficients = tf.matMul(latent, map);
  const unexpressed = tf.sub(latent, tf.matMul(coefficients, latents));
  const h = tf.div(tf.sum(tf.mul(latent, unexpressed), 1, true), lambda);
  const isNew = tf.sub(1, tf.max(own, 1, true));
  return tf.div(tf.mul(coefficients, tf.sub(1, own)), tf.add(1, tf.mul(isNew, h)));
}

/**
 * Nystrom extension over the samples that express a new one: places it in the spectral embedding of a self-expressive affinity.
 *
 *     c = `keptCoefficients` of the sample
 *     u_x = c U sqrt|s| / (s - delta)                           scaled to length 1
 *     w(x, j) = max(0, <u_x, u_j>)^alpha                        or |c_j|, where the affinity is not post-processed
 *     y_k(x) = 1/mu_k * sum_j w(x, j) / sqrt(deg(x) deg(j)) * v_k(j)       scaled to length 1
 *
 * u: in training the kept coefficients are A = C + delta I ~ U diag(s) U^T with C's diagonal 0, so that C U = U diag(s - delta)
 * and row i of U sqrt|s| is row i of C times U sqrt|s| / (s - delta). A new sample has such a row of C, too. Of y, deg(x) and
 * every common factor of the affinities fall out as the row is scaled to length 1: they are taken relative to the largest, so
 * that high powers do not all round to 0.
 *
 * A training sample has no affinity to itself, as in training: where factors and rows come of this regression it lands on its
 * own row. On COIL-20 (pixels, lambda 10, rho 0.04, r 241, alpha 8) all 1,440 were assigned as in training; with its own
 * coefficient left in, or without `reach`, 0.995 to 1 in four splits. Where rows come of learned coefficients (three splits),
 * it was 0.996 to 0.997 by factors of the regression with `reach`, 0.993 to 0.997 by factors of the learned ones. Unseen samples
 * did not tell these forms apart.
 *
 * @param coefficients - of `expressedCoefficients`, [b, n]. @param nearest - as there.
 * @returns the embedding, [b, k], unit rows; 0 for a sample that has no coefficient.
 * @see Bengio et al. 2003, Out-of-Sample Extensions for LLE, Isomap, MDS, Eigenmaps, and Spectral Clustering, NIPS 16. Its use
 *   for post-processed coefficients is ours.
 */
export function expressionEmbedding(
  coefficients: tf.Tensor2D,
  nearest: Nearest,
  { factors, rows }: Pick<ExpressionDictionary, "factors" | "rows">,
  { kept, power }: ExpressionSettings,
): tf.Tensor2D {
  if (factors === undefined) return unitRows(tf.matMul(tf.abs(coefficients), rows));
  const some = keptCoefficients(coefficients, kept, factors.reach);
  const cosines = tf.matMul(unitRows(tf.matMul(some, factors.extension)), factors.units, false, true);
  const others = tf.mul(tf.relu(cosines), tf.sub(1, ownEntries(nearest, rows.shape[0])));
  const relative = tf.div(others, tf.maximum(tf.max(others, 1, true), 1e-12));
  return unitRows(tf.matMul(tf.pow(relative, power) as tf.Tensor2D, rows));
}

/** 1 where a dictionary sample is the sample itself, else 0, [b, n]. */
function ownEntries({ squaredDistances, indices }: Nearest, n: number): tf.Tensor2D {
  const [b] = squaredDistances.shape;
  const isThere = tf.cast(tf.greater(tf.slice(squaredDistances, [0, 0], [b, 1]), OWN), "float32");
  const entry = tf.oneHot(tf.reshape(tf.slice(indices, [0, 0], [b, 1]), [b]), n);
  return tf.mul(isThere, tf.cast(entry, "float32"));
}

/**
 * What post-processing keeps of rows of coefficients: the largest of each until they pass the share rho of its absolute sum, and
 * those that reach what a dictionary sample's own column kept; what only one of the two keeps counts half, as in the symmetric
 * part of a matrix whose columns are thresholded.
 *
 * @param coefficients - [b, n]. @param reach - [n]; without it the first rule alone decides. @returns [b, n].
 */
export function keptCoefficients(coefficients: tf.Tensor2D, share: number, reach?: tf.Tensor1D): tf.Tensor2D {
  const [b, n] = coefficients.shape;
  const magnitudes = tf.abs(coefficients);
  // One row more, dropped at the end: ONNX Runtime's TopK ends the process when it is given none.
  const padded = tf.pad(magnitudes, [
    [0, 1],
    [0, 0],
  ]);
  const { values } = tf.topk(padded, n);
  const passed = tf.greater(tf.cumsum(values, 1, true), tf.mul(share, tf.sum(values, 1, true)));
  const least = tf.min(tf.add(values, tf.mul(BEYOND, tf.cast(passed, "float32"))), 1, true);
  const byItself = tf.cast(tf.greaterEqual(magnitudes, tf.slice(least, [0, 0], [b, 1])), "float32");
  if (reach === undefined) return tf.mul(coefficients, byItself);
  const byOther = tf.cast(tf.greaterEqual(magnitudes, reach), "float32");
  return tf.mul(tf.mul(coefficients, 0.5), tf.add(byItself, byOther));
}
