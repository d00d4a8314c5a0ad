import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/arithmetic.ts";
import { binary, type Case, type Cases } from "./cases.ts";

type Binary = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;

const integers = (run: Binary): Case => ({
  name: "int32 of both signs and zero, broadcast",
  shapes: [
    [7, 1, 3],
    [5, 1],
  ],
  type: "int32",
  low: -4,
  high: 5,
  run: (a, b) => run(a as tf.Tensor, b as tf.Tensor),
});
const large = (run: Binary): Case => ({
  name: "int32 that float32 does not hold",
  shapes: [[9], [9]],
  type: "int32",
  low: -(2 ** 31),
  high: 2 ** 31,
  run: (a, b) => run(a as tf.Tensor, b as tf.Tensor),
});
const byZero = (run: Binary): Case => ({
  name: "by zero",
  shapes: [[6]],
  run: (x) => run(tf.round(tf.mul(x as tf.Tensor, 2)), tf.zerosLike(x as tf.Tensor)),
});
const transposed = (run: Binary): Case => ({
  name: "of a transposed tensor",
  shapes: [
    [2, 3, 4],
    [4, 2],
  ],
  run: (a, b) => run(tf.transpose(a as tf.Tensor, [1, 2, 0]), b as tf.Tensor),
});
const gradients = (run: Binary, low = -2): Case => ({
  name: "gradients, broadcast",
  shapes: [[2, 3], [3], [2, 3]],
  low,
  high: 2,
  run: (a, b, dy) => tf.grads(run)([a as tf.Tensor, b as tf.Tensor], dy as tf.Tensor),
});
/** -1, 0 or 1 where x is negative, near 0 or positive, then the same over 0 and over Infinity. */
const signs = (x: tf.Tensor) =>
  tf.concat([tf.round(x), tf.div(tf.round(x), 0), tf.div(tf.round(x), Number.POSITIVE_INFINITY)]);

export const arithmetic = {
  Atan2: [
    ...binary(tf.atan2),
    transposed(tf.atan2),
    gradients(tf.atan2),
    {
      name: "zeros and infinities of both signs, NaN",
      shapes: [[12], [12]],
      low: -1.5,
      high: 1.5,
      run: (a, b) => tf.atan2(signs(a as tf.Tensor), tf.reshape(signs(b as tf.Tensor), [36, 1])),
    },
  ],
  BitwiseAnd: [
    large(tf.bitwiseAnd),
    {
      name: "small",
      shapes: [
        [2, 9],
        [2, 9],
      ],
      type: "int32",
      low: -9,
      high: 9,
      run: (a, b) => tf.bitwiseAnd(a as tf.Tensor, b as tf.Tensor),
    },
    {
      name: "scalars",
      shapes: [[], []],
      type: "int32",
      low: 1,
      high: 99,
      run: (a, b) => tf.bitwiseAnd(a as tf.Tensor, b as tf.Tensor),
    },
    {
      name: "of transposed tensors",
      shapes: [
        [2, 3],
        [2, 3],
      ],
      type: "int32",
      low: -99,
      high: 99,
      run: (a, b) => tf.bitwiseAnd(tf.transpose(a as tf.Tensor), tf.transpose(b as tf.Tensor)),
    },
  ],
  FloorDiv: [
    ...binary(tf.floorDiv),
    integers(tf.floorDiv),
    integers(tf.div),
    integers(tf.divNoNan),
    large(tf.floorDiv),
    transposed(tf.floorDiv),
    {
      name: "the one quotient of int32 that wraps",
      shapes: [[3]],
      type: "int32",
      run: (x) =>
        tf.floorDiv(
          tf.add(tf.mul(x as tf.Tensor, tf.scalar(0, "int32")), tf.scalar(-(2 ** 31), "int32")),
          tf.scalar(-1, "int32"),
        ),
    },
    {
      name: "a quotient that float32 rounds to a whole number",
      shapes: [[3]],
      run: (x) => tf.floorDiv(tf.onesLike(x as tf.Tensor), tf.add(tf.mul(x as tf.Tensor, 0), 0.1)),
    },
    {
      name: "gradients",
      shapes: [[6], [6], [6]],
      low: 0.5,
      high: 9,
      run: (a, b, dy) => tf.grads(tf.floorDiv)([a as tf.Tensor, b as tf.Tensor], dy as tf.Tensor),
    },
  ],
  Mod: [
    ...binary(tf.mod),
    integers(tf.mod),
    large(tf.mod),
    byZero(tf.mod),
    transposed(tf.mod),
    gradients(tf.mod, 0.5),
    {
      name: "just below zero",
      shapes: [[5]],
      run: (x) => tf.mod(tf.mul(tf.abs(x as tf.Tensor), -1e-12), 1),
    },
  ],
} satisfies Cases<typeof family>;
