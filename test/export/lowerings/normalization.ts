import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/normalization.ts";
import { type Case, type Cases, x4 } from "./cases.ts";

type Vector = tf.Tensor1D;
const v = (x: tf.Tensor | undefined) => x as Vector;
const VECTORS = [[4], [4], [4], [4]] as const;

/** Means, variances above 0, offsets and scales, each of `shape`; what a case makes of x and them. */
const normalised = (
  name: string,
  image: readonly number[],
  shape: readonly number[] = [image.at(-1) as number],
): Case => ({
  name,
  shapes: [image, shape, shape, shape, shape],
  run: (x, mean, variance, offset, scale) =>
    tf.batchNorm(x as tf.Tensor, v(mean), v(tf.add(variance as tf.Tensor, 1.5)), v(offset), v(scale), 0.01),
});
const responses = (name: string, radius: number, bias: number, alpha: number, beta: number): Case[] => [
  {
    name,
    shapes: [[2, 3, 4, 7]],
    low: -3,
    high: 3,
    run: (x) => tf.localResponseNormalization(x4(x), radius, bias, alpha, beta),
  },
];
const responseGradient = (name: string, radius: number, bias: number, alpha: number, beta: number): Case => ({
  name,
  shapes: [
    [2, 3, 4, 7],
    [2, 3, 4, 7],
  ],
  run: (x, dy) =>
    tf.grad((z) => tf.localResponseNormalization(z as tf.Tensor4D, radius, bias, alpha, beta))(x4(x), dy as tf.Tensor),
});

export const normalization = {
  FusedBatchNorm: [
    normalised("of images", [2, 3, 3, 4]),
    normalised("of rows", [5, 4]),
    normalised("of volumes", [2, 3, 4]),
    normalised("statistics of every element", [2, 3, 3, 4], [2, 3, 3, 4]),
    normalised("statistics of rank 4", [2, 3, 3, 4], [1, 1, 1, 4]),
    {
      name: "neither offset nor scale",
      shapes: [[2, 3, 3, 4], ...VECTORS.slice(2)],
      run: (x, mean, variance) => tf.batchNorm(x4(x), v(mean), v(tf.abs(variance as tf.Tensor))),
    },
    {
      name: "no scale",
      shapes: [[2, 3, 3, 4], ...VECTORS.slice(1)],
      run: (x, mean, variance, offset) => tf.batchNorm(x4(x), v(mean), v(tf.abs(variance as tf.Tensor)), v(offset)),
    },
    {
      name: "after a convolution",
      shapes: [[2, 5, 5, 3], [3, 3, 3, 4], ...VECTORS],
      run: (x, filter, mean, variance, offset, scale) =>
        tf.batchNorm(
          tf.conv2d(x4(x), x4(filter), 1, "same"),
          v(mean),
          v(tf.add(variance as tf.Tensor, 1.5)),
          v(offset),
          v(scale),
        ),
    },
    {
      name: "of constant statistics after a convolution",
      shapes: [
        [2, 5, 5, 3],
        [3, 3, 3, 4],
      ],
      run: (x, filter) =>
        tf.relu(
          tf.batchNorm(
            tf.conv2d(x4(x), x4(filter), 2, "valid"),
            [1, 2, 3, 4],
            [1, 2, 0.5, 3],
            [0, 1, 0, 1],
            [1, -1, 2, 1],
          ),
        ),
    },
    {
      name: "numbers far from 0",
      shapes: [[5, 4]],
      run: (x) => tf.batchNorm(tf.add(x as tf.Tensor, 4096), [4096, 4096, 4095.5, 4096], [0.01, 0.1, 1, 2]),
      // The numbers themselves are rounded to 2.4e-4, the same in both runs; what is left is their product with 1 / 0.1.
      tolerance: 2e-5,
    },
    {
      name: "gradients",
      shapes: [[2, 3, 3, 4], ...VECTORS, [2, 3, 3, 4]],
      run: (x, mean, variance, offset, scale, dy) =>
        tf.grads((...[z, m, s, o, c]: tf.Tensor[]) =>
          tf.batchNorm(x4(z), v(m), v(tf.add(s as tf.Tensor, 1.5)), v(o), v(c)),
        )([x, mean, variance, offset, scale] as tf.Tensor[], dy as tf.Tensor),
    },
    {
      name: "gradients of statistics of every element",
      shapes: Array<number[]>(6).fill([5, 4]),
      run: (x, mean, variance, offset, scale, dy) =>
        tf.grads((...[z, m, s, o, c]: tf.Tensor[]) =>
          tf.batchNorm(z as tf.Tensor, m as tf.Tensor, tf.add(s as tf.Tensor, 1.5), o as tf.Tensor, c as tf.Tensor),
        )([x, mean, variance, offset, scale] as tf.Tensor[], dy as tf.Tensor),
    },
  ],
  LRN: [
    ...responses("defaults", 5, 1, 1, 0.5),
    ...responses("a narrow window", 1, 2, 0.3, 0.75),
    ...responses("each channel by itself", 0, 1, 0.5, 1),
    ...responses("wider than the channels", 9, 0.5, 0.1, 0.5),
    { name: "of one image", shapes: [[3, 4, 7]], run: (x) => tf.localResponseNormalization(x as tf.Tensor3D, 2) },
    {
      name: "after a convolution",
      shapes: [
        [2, 5, 5, 3],
        [3, 3, 3, 4],
      ],
      run: (x, filter) => tf.relu(tf.localResponseNormalization(tf.conv2d(x4(x), x4(filter), 1, "same"), 1)),
    },
  ],
  LRNGrad: [
    responseGradient("defaults", 5, 1, 1, 0.5),
    responseGradient("a narrow window", 1, 2, 0.3, 0.75),
    responseGradient("each channel by itself", 0, 1, 0.5, 1),
    {
      name: "after a convolution",
      shapes: [
        [2, 5, 5, 3],
        [3, 3, 3, 4],
        [2, 5, 5, 4],
      ],
      run: (x, filter, dy) =>
        tf.grads((z, f) => tf.localResponseNormalization(tf.conv2d(z as tf.Tensor4D, f as tf.Tensor4D, 1, "same"), 1))(
          [x4(x), x4(filter)],
          dy as tf.Tensor,
        ),
    },
  ],
} satisfies Cases<typeof family>;
