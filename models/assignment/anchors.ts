import * as tf from "@tensorflow/tfjs-core";
import { minimumEnergy } from "../energy.ts";
import { unitRows } from "../layers.ts";

/** Which coefficients tie a sample to anchors: those above 0 alone, or all by their size. */
export type Ties = "positive" | "both";

/**
 * Places new samples in the spectral embedding of the bipartite graph between training samples and anchors:
 *
 *     y = s Lambda^-1/2 V Sigma^-1,    s the energies c^2 / 2 of a sample's t largest c (or |c|), brought to a sum of 1
 *
 * with rows brought to length 1, as those of the training samples were before k-means. Nothing is extended: a training
 * sample lands on its own row, since that is how the left singular vectors follow from the right ones. Our reading of
 * EBSE.
 *
 * @param coefficients - c(x, j) of b samples and the M anchors, [b, M].
 * @param rows - Lambda^-1/2 V Sigma^-1, [M, m].
 * @param nonzeros - t, as in training; all anchors where there are no more. @param ties - as in training.
 * @returns the embedding, [b, m], unit rows; a sample without coefficients lands on the origin.
 * @see train/spectral/bipartite.ts.
 */
export function anchorEmbedding(
  coefficients: tf.Tensor2D,
  rows: tf.Tensor2D,
  nonzeros: number,
  ties: Ties,
): tf.Tensor2D {
  const [b, anchors] = coefficients.shape;
  const t = Math.min(nonzeros, anchors);
  // One row more, dropped at the end: ONNX Runtime's TopK ends the process when it is given none.
  const padded = tf.pad(ties === "both" ? tf.abs(coefficients) : tf.relu(coefficients), [
    [0, 1],
    [0, 0],
  ]);
  const { values, indices } = tf.topk(padded, t);
  const given = <T extends tf.Tensor>(x: T): T => tf.slice(x, [0, 0], [b, -1]) as T;
  const largest = given(values);
  const shares = (x: tf.Tensor2D) => tf.div(x, tf.maximum(tf.sum(x, 1, true), 1e-30)) as tf.Tensor2D;
  // Twice: the squares of small coefficients are 0 in float32.
  const weights = shares(tf.neg(minimumEnergy(shares(largest))));
  const near = tf.gather<tf.Tensor>(rows, given(indices as tf.Tensor2D)) as tf.Tensor3D;
  const embedding = tf.matMul(tf.reshape(weights, [b, 1, t]), near);
  return unitRows(tf.reshape(embedding, [b, rows.shape[1]]));
}
