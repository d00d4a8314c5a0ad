import * as tf from "@tensorflow/tfjs-core";
import { parameter } from "./layers.ts";
import type { ParameterSpecs, Parameters } from "./parameters.ts";

/** Added to variances, so that a group of equal values stays finite. */
const EPSILON = 1e-5;

/** Gain and shift of each channel, [c] each, both from 0: the factor is 1 + gain. */
export function groupNormSpec(name: string, channels: number): ParameterSpecs {
  return { [`${name}.gain`]: { shape: [channels], limit: 0 }, [`${name}.shift`]: { shape: [channels], limit: 0 } };
}

/**
 * Group normalisation: each sample's groups of neighbouring channels brought to mean 0 and variance 1 over all their
 * places. No statistic spans the batch, so a sample is the same whatever stands beside it.
 *
 *     y = (1 + gain) (x - mu_G) / sqrt(var_G + 1e-5) + shift
 *
 * What is as large as x is only averaged over places, scaled and shifted; groups are formed of [b, c] averages, so that
 * x keeps the layout a trace stores it in. The gradient is written out by the same rule:
 *
 *     dx = r (e - mean_G(e) - r^2 (x - mu_G) mean_G(e (x - mu_G))),    e = (1 + gain) dy,  r = 1 / sqrt(var_G + 1e-5)
 *
 * @param x - [b, h, w, c]. @param groups - divides c.
 * @see Wu & He 2018, Group Normalization, arXiv:1803.08494.
 */
export function groupNorm(parameters: Parameters, name: string, x: tf.Tensor4D, groups: number): tf.Tensor4D {
  const normalise = tf.customGrad((...inputs) => {
    const [input, gain, shift, save] = inputs as unknown as [tf.Tensor4D, tf.Tensor1D, tf.Tensor1D, tf.GradSaveFunc];
    const [, h, w] = input.shape;
    const centred = tf.sub(input, meanOfGroup(tf.mean(input, [1, 2]), groups));
    const variance = meanOfGroup(tf.mean(tf.square(centred), [1, 2]), groups);
    const rate = tf.rsqrt(tf.add(variance, EPSILON));
    const factor = tf.add(1, gain);
    save([centred, rate, factor]);
    const gradFunc = (dy: tf.Tensor4D, saved: tf.Tensor[]) => gradients(dy, saved, groups, h * w);
    return { value: tf.add<tf.Tensor4D>(tf.mul(centred, tf.mul(rate, factor)), shift), gradFunc };
  });
  return normalise(x, parameter(parameters, `${name}.gain`), parameter(parameters, `${name}.shift`)) as tf.Tensor4D;
}

function gradients(dy: tf.Tensor4D, saved: tf.Tensor[], groups: number, places: number): tf.Tensor[] {
  const [centred, rate, factor] = saved as [tf.Tensor4D, tf.Tensor4D, tf.Tensor1D];
  const [b, , , c] = dy.shape;
  const rates = tf.reshape(rate, [b, c]);
  const sums = tf.sum(dy, [1, 2]) as tf.Tensor2D;
  const products = tf.mul(tf.sum(tf.mul(dy, centred), [1, 2]), rates) as tf.Tensor2D;
  const mean = tf.mul(meanOfGroup(tf.mul(sums, factor), groups), tf.div(rate, places));
  const slope = tf.mul(meanOfGroup(tf.mul(products, factor), groups), tf.div(tf.square(rate), places));
  const dx = tf.sub(tf.sub(tf.mul(dy, tf.mul(rate, factor)), tf.mul(centred, slope)), mean);
  return [dx, tf.sum(products, 0), tf.sum(sums, 0)];
}

/** Each channel's mean over its group, [b, c] -> [b, 1, 1, c]. */
function meanOfGroup(perChannel: tf.Tensor, groups: number): tf.Tensor4D {
  const [b, c] = perChannel.shape as [number, number];
  const means = tf.mean(tf.reshape(perChannel, [b, groups, c / groups]), 2, true);
  return tf.reshape(tf.tile(means, [1, 1, c / groups]), [b, 1, 1, c]);
}
