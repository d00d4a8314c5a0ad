import * as tf from "@tensorflow/tfjs-core";
import { stopGradient, unitRows } from "./layers.ts";

/**
 * Squared differences summed over all but the batch axis and averaged over the batch.
 *
 * @returns a scalar, in squared units of x.
 */
export function squaredError(x: tf.Tensor, y: tf.Tensor): tf.Scalar {
  return tf.div(tf.sum(tf.squaredDifference(x, y)), x.shape[0] as number);
}

/**
 * Relative reconstruction of a dual autoencoder: the decoding of the noised latent should agree with the clean one's, and the
 * clean one's with the sample.
 *
 *     ||D(z') - D(z)||^2 + delta ||x - D(z)||^2,    summed over pixels, averaged over the batch
 *
 * @see Yang et al. 2019, Deep Spectral Clustering Using Dual Autoencoder Network, CVPR, arXiv:1904.13113.
 */
export function relativeReconstruction(x: tf.Tensor, clean: tf.Tensor, noised: tf.Tensor, delta: number): tf.Scalar {
  return tf.add(squaredError(noised, clean), tf.mul(delta, squaredError(x, clean)));
}

/**
 * Jensen-Shannon bound on mutual information, negated so that it is minimised: logits of a discriminator on true pairs and on
 * pairs with another sample's latent.
 *
 *     -E[log sigma(T(joint))] - E[log(1 - sigma(T(marginal)))],    averaged over every element
 *
 * 2 log 2 = 1.386 when the discriminator knows nothing.
 *
 * @see Hjelm et al. 2019, Learning Deep Representations by Mutual Information Estimation and Maximization, arXiv:1808.06670.
 */
export function jensenShannonLoss(joint: tf.Tensor, marginal: tf.Tensor): tf.Scalar {
  return tf.add(tf.mean(tf.softplus(tf.neg(joint))), tf.mean(tf.softplus(marginal)));
}

/**
 * InfoNCE between two views of the same samples: of all 2b views but itself, each must pick out its other view.
 *
 *     -1/2b sum_i log( exp(<z_i, z_i'> / t) / sum over k != i of exp(<z_i, z_k> / t) ),    z of unit length
 *
 * Averaged over views; log(2b - 1) when the latent knows nothing. A lower bound on mutual information is log(2b - 1) - loss.
 *
 * @param latents - both views, [2b, d]: row i and row i + b are views of one sample.
 * @see van den Oord et al. 2018, arXiv:1807.03748; Chen et al. 2020, A Simple Framework for Contrastive Learning,
 *   arXiv:2002.05709.
 */
export function infoNce(latents: tf.Tensor2D, temperature: number): tf.Scalar {
  const [views] = latents.shape;
  const half = views / 2;
  const z = unitRows(latents);
  const index = tf.range(0, views, 1, "int32");
  const self = tf.equal(tf.reshape(index, [views, 1]), tf.reshape(index, [1, views]));
  const similarity = tf.div(tf.matMul(z, z, false, true), temperature);
  // exp(-2 / t - 1e4) is 0 in float32: a view is no negative of itself.
  const others = tf.sub(similarity, tf.mul(tf.cast(self, "float32"), 1e4)) as tf.Tensor2D;
  const first = tf.slice(z, [0, 0], [half, -1]);
  const second = tf.slice(z, [half, 0], [half, -1]);
  const positive = tf.div(tf.sum(tf.mul(first, second), 1), temperature);
  return tf.sub(tf.mean(logSumExp(others)), tf.mean(positive));
}

/** log of the sum of exponentials of each row, [n, m] -> [n], in kernels whose gradients are lowered. */
function logSumExp(x: tf.Tensor2D): tf.Tensor1D {
  const top = stopGradient(tf.max(x, 1, true));
  return tf.add(tf.log(tf.sum(tf.exp(tf.sub(x, top)), 1)), tf.reshape(top, [x.shape[0]]));
}

/**
 * KL divergence of N(mean, exp(logVariance)) from the prior N(0, I), summed over d and averaged over the batch.
 *
 *     1/2 sum_d (mu^2 + sigma^2 - log sigma^2 - 1)
 */
export function priorDivergence(mean: tf.Tensor2D, logVariance: tf.Tensor2D): tf.Scalar {
  return tf.mean(gaussianDivergence(tf.square(mean), logVariance));
}

/** 1/2 sum over the last axis of (squared distance of means + sigma^2 - log sigma^2 - 1). */
function gaussianDivergence(squaredMeans: tf.Tensor, logVariance: tf.Tensor): tf.Tensor {
  const spread = tf.sub(tf.exp(logVariance), logVariance);
  return tf.mul(0.5, tf.sum(tf.sub(tf.add(squaredMeans, spread), 1), -1));
}

/**
 * KL divergence of p(z, y | x) from q(z | y) q(y), with q(z | y) = N(mu_y, I) and q(y) uniform: what the prior becomes in the
 * joint phase.
 *
 *     sum_k p_k [ KL(N(mu, sigma^2) || N(mu_k, I)) + log(K p_k) ],    averaged over the batch
 *
 * @param probabilities - p(y | x), [b, k]. @param means - mu_k, [k, d].
 * @see Yang et al. 2019, arXiv:1904.13113; Jiang et al. 2017, Variational Deep Embedding, arXiv:1611.05148.
 */
export function clusterDivergence(
  mean: tf.Tensor2D,
  logVariance: tf.Tensor2D,
  probabilities: tf.Tensor2D,
  means: tf.Tensor2D,
): tf.Scalar {
  const [b, d] = mean.shape;
  const [k] = means.shape;
  const difference = tf.sub(tf.reshape(mean, [b, 1, d]), tf.reshape(means, [1, k, d]));
  const divergence = gaussianDivergence(tf.square(difference), tf.reshape(logVariance, [b, 1, d]));
  const entropy = tf.log(tf.mul(k, tf.maximum(probabilities, 1e-8)));
  return tf.div(tf.sum(tf.mul(probabilities, tf.add(divergence, entropy))), b);
}

/**
 * Cross-entropy of predictions with soft targets, each sample weighted by how sure its target is.
 *
 *     -sum_i c_i sum_k t_ik log p_ik / b,    c_i = (max_k t_ik - 1/K) / (1 - 1/K)
 *
 * @param logits - [b, k]. @param targets - [b, k], rows sum to 1.
 */
export function assignmentLoss(logits: tf.Tensor2D, targets: tf.Tensor2D): tf.Scalar {
  const [b, k] = targets.shape;
  const sureness = tf.div(tf.sub(tf.max(targets, 1), 1 / k), 1 - 1 / k);
  const crossEntropy = tf.sub(logSumExp(logits), tf.sum(tf.mul(targets, logits), 1));
  return tf.div(tf.sum(tf.mul(sureness, crossEntropy)), b);
}

/**
 * Anti-collapse: the batch's unit latents should fill many directions.
 *
 *     -1/2 log det(I + d / (b eps) Z^T Z),    per dimension
 *
 * @see Yu et al. 2020, Maximal Coding Rate Reduction, arXiv:2006.08558.
 */
export function codingRate(
  latents: tf.Tensor2D,
  logDeterminant: (gram: tf.Tensor2D) => tf.Scalar,
  epsilon = 0.5,
): tf.Scalar {
  const [b, d] = latents.shape;
  const z = unitRows(latents);
  const gram = tf.mul(tf.matMul(z, z, true, false), d / (b * epsilon));
  const identity = tf.cast(tf.equal(tf.reshape(tf.range(0, d), [d, 1]), tf.reshape(tf.range(0, d), [1, d])), "float32");
  return tf.div(logDeterminant(tf.add(gram, identity)), -2 * d);
}
