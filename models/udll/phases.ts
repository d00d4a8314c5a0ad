import * as tf from "@tensorflow/tfjs-core";
import type { NumberArray } from "../../runtime/samples.ts";
import { parameter, scaled, stopGradient } from "../layers.ts";
import type { Phase, Refinement, SampleType } from "../method.ts";
import type { Config } from "./config.ts";
import { decode, encode } from "./networks.ts";

/** The coefficients C, [n, n]: one row a sample, its own column without effect. */
export const COEFFICIENTS = "coefficients";
/** The prior graph's Laplacian L, [n, n]: found once, before fine-tuning. */
export const LAPLACIAN = "graph.laplacian";

export function phases(config: Config, sample: SampleType): Phase[] {
  return [pretraining(config, sample), fineTuning(config, sample)].filter(({ epochs }) => epochs > 0);
}

/** How the coefficients become an affinity. */
export function refinement({ clusters, affinity: { form, kept, rank, power } }: Config): Refinement {
  return form === "plain" ? { form } : { form, kept, rank: rank * clusters + 1, power };
}

function pretraining(config: Config, sample: SampleType): Phase {
  const { epochs, batch, learningRate, improvement } = config.pretraining;
  return {
    name: "pretraining",
    epochs,
    batch,
    learningRate,
    warmup: 0,
    trainable: ["encoder.", "decoder."],
    inputs: { images: { source: "sample" } },
    targets: false,
    schedule: "constant",
    stop: { improvement, epochs: 10 },
    loss: (parameters, { images }) => {
      const x = scaled(images as tf.Tensor);
      const decoded = decode(config, sample, parameters, encode(config, sample, parameters, images as tf.Tensor));
      return { reconstruction: tf.mean(tf.sum(tf.square(tf.sub(x, decoded)), [1, 2, 3])) };
    },
  };
}

/**
 * Everything at once, on all samples: with Z the latents, C the coefficients without their diagonal and D the decoder,
 *
 *     a |X - D(C Z)|^2 / |X|^2 + l1 |(C + C^T) / 2|^2 / n + l2 |Z - C Z|^2 / |Z|^2 + l3 tr(Z^T L Z) / |Z|^2
 */
function fineTuning(config: Config, sample: SampleType): Phase {
  const { steps, learningRate, first, every, tolerance, start, relative, ...weights } = config.fineTuning;
  return {
    name: "fine-tuning",
    epochs: steps,
    batch: "all",
    learningRate,
    warmup: 0,
    schedule: "constant",
    trainable: ["encoder.", ...(weights.reconstruction > 0 ? ["decoder."] : []), COEFFICIENTS],
    inputs: { images: { source: "sample" } },
    targets: false,
    graph: { neighbours: config.neighbours },
    begin: ({ samples: n, laplacian }) => ({
      [COEFFICIENTS]: { data: new Float32Array(n * n).fill(start), shape: [n, n] },
      [LAPLACIAN]: laplacian as NumberArray,
    }),
    affinity: { of: COEFFICIENTS, first, every, tolerance, refinement: refinement(config) },
    loss: (parameters, { images }) => {
      const x = scaled(images as tf.Tensor);
      const z = encode(config, sample, parameters, images as tf.Tensor);
      const n = z.shape[0];
      const offDiagonal = tf.sub(1, tf.eye(n));
      const c = tf.mul(parameter(parameters, COEFFICIENTS), offDiagonal) as tf.Tensor2D;
      const expressed = tf.matMul(c, z) as tf.Tensor2D;
      const latents = relative ? stopGradient(tf.sum(tf.square(z))) : tf.scalar(1);
      const error = tf.div(tf.sum(tf.square(tf.sub(z, expressed))), latents);
      const terms: Record<string, tf.Scalar> = { "self-expression": tf.mul(weights.selfExpression, error) };
      if (weights.reconstruction > 0) {
        const decoded = decode(config, sample, parameters, expressed);
        const sum = tf.sum(tf.square(tf.sub(x, decoded)));
        terms.reconstruction = tf.mul(weights.reconstruction, relative ? tf.div(sum, tf.sum(tf.square(x))) : sum);
      }
      if (weights.coefficients > 0) {
        const symmetric = tf.mul(0.5, tf.add(c, tf.transpose(c)));
        terms.coefficients = tf.mul(weights.coefficients / (relative ? n : 1), tf.sum(tf.square(symmetric)));
      }
      if (weights.locality > 0) {
        const smoothed = tf.matMul(parameter<tf.Tensor2D>(parameters, LAPLACIAN), z);
        terms.locality = tf.mul(weights.locality, tf.div(tf.sum(tf.mul(z, smoothed)), latents));
      }
      return terms;
    },
  };
}
