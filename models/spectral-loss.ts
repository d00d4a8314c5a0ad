import * as tf from "@tensorflow/tfjs-core";

/** fn(x) as a constant: nothing inside it is differentiated. */
function constantOf<T extends tf.Tensor>(fn: (x: tf.Tensor2D) => T, x: tf.Tensor2D): T {
  const constant = tf.customGrad((input) => {
    const tensor = input as tf.Tensor2D;
    // The tensor itself is gone when gradients are taken; its shape is not.
    return { value: fn(tensor), gradFunc: () => tf.zeros(tensor.shape) };
  });
  return constant(x) as T;
}

/** Squared distances between rows, [b, b], clipped at 0. */
function squaredDistances(z: tf.Tensor2D): tf.Tensor2D {
  const squares = tf.sum(tf.square(z), 1, true);
  const cross = tf.matMul(z, z, false, true);
  return tf.relu(tf.sub(tf.add(squares, tf.reshape(squares, [1, -1])), tf.mul(2, cross))) as tf.Tensor2D;
}

/**
 * The affinity of a batch: Gaussian, between each latent and its k nearest others, either way round, no self-loops.
 *
 *     w_ij = exp(-|z_i - z_j|^2 / (2 sigma^2)),    sigma the batch median of the distance to the k-th neighbour
 *
 * Constant: no gradient reaches the latents through it.
 *
 * @param latents - [b, d]. @returns [b, b].
 * @see Yang et al. 2019, arXiv:1904.13113, whose sigma is not stated; the median is ours.
 */
export function batchAffinity(latents: tf.Tensor2D, neighbours: number): tf.Tensor2D {
  return constantOf((z) => {
    const [b] = z.shape;
    const index = tf.range(0, b);
    const self = tf.cast(tf.equal(tf.reshape(index, [b, 1]), tf.reshape(index, [1, b])), "float32");
    const distances = tf.add(squaredDistances(z), tf.mul(self, 1e12));
    const { values } = tf.topk(tf.neg(distances), neighbours);
    const reach = tf.neg(tf.slice(values, [0, neighbours - 1], [-1, 1]));
    const half = Math.floor(b / 2) + 1;
    const median = tf.slice(tf.topk(tf.reshape(reach, [b]), half).values, [half - 1], [1]);
    const near = tf.cast(tf.lessEqual(distances, reach), "float32");
    const either = tf.maximum(near, tf.transpose(near));
    const gaussian = tf.exp(tf.neg(tf.div(distances, tf.mul(2, tf.maximum(median, 1e-12)))));
    return tf.mul(either, gaussian) as tf.Tensor2D;
  }, latents);
}

/**
 * Spectral clustering loss of orthonormal outputs: neighbours should agree.
 *
 *     1/m^2 sum_ij w_ij |y_i - y_j|^2,    with (1/m) Y^T Y = I held by the orthonormalising layer
 *
 * @param outputs - Y, [m, k]. @param affinity - W, symmetric, [m, m].
 * @see Shaham et al. 2018, SpectralNet, arXiv:1801.01587.
 */
export function spectralLoss(outputs: tf.Tensor2D, affinity: tf.Tensor2D): tf.Scalar {
  const [m] = outputs.shape;
  const degrees = tf.sum(affinity, 1, true);
  // sum_ij w_ij |y_i - y_j|^2 = 2 sum_i deg_i |y_i|^2 - 2 sum_i <y_i, (W Y)_i> for a symmetric W.
  const pulled = tf.sub(tf.mul(degrees, outputs), tf.matMul(affinity, outputs));
  return tf.mul(tf.sum(tf.mul(outputs, pulled)), 2 / (m * m));
}
