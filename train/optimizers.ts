import * as tf from "@tensorflow/tfjs-core";
import type { Parameters } from "../models/index.ts";

/** First and second moments of each parameter, and the number of updates so far (a scalar). */
export interface AdamState {
  readonly m: Parameters;
  readonly v: Parameters;
  readonly t: tf.Scalar;
}

export interface AdamSettings {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
}

/**
 * One Adam update. `learningRate` is a scalar tensor, so a schedule needs no new graph.
 *
 *     m' = b1 m + (1 - b1) g,  v' = b2 v + (1 - b2) g^2,  p' = p - rate * (m' / (1 - b1^t)) / (sqrt(v' / (1 - b2^t)) + eps)
 *
 * @see Kingma & Ba 2015, Adam, Algorithm 1, arXiv:1412.6980.
 */
export function adam(
  parameters: Parameters,
  gradients: Parameters,
  state: AdamState,
  learningRate: tf.Scalar,
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 }: AdamSettings = {},
): { readonly parameters: Parameters; readonly state: AdamState } {
  const t = tf.add(state.t, 1) as tf.Scalar;
  const m: Record<string, tf.Tensor> = {};
  const v: Record<string, tf.Tensor> = {};
  const next: Record<string, tf.Tensor> = {};
  // The bias corrections are scalars: folded into the rate and epsilon, each parameter is read once.
  const correction1 = tf.sub(1, tf.pow(beta1, t));
  const correction2 = tf.sqrt(tf.sub(1, tf.pow(beta2, t)));
  const rate = tf.mul(learningRate, tf.div(correction2, correction1));
  const scaledEpsilon = tf.mul(epsilon, correction2);
  for (const [name, p] of Object.entries(parameters)) {
    const g = gradients[name] as tf.Tensor;
    m[name] = tf.add(tf.mul(state.m[name] as tf.Tensor, beta1), tf.mul(g, 1 - beta1));
    v[name] = tf.add(tf.mul(state.v[name] as tf.Tensor, beta2), tf.mul(tf.square(g), 1 - beta2));
    next[name] = tf.sub(p, tf.mul(rate, tf.div(m[name], tf.add(tf.sqrt(v[name]), scaledEpsilon))));
  }
  return { parameters: next, state: { m, v, t } };
}
