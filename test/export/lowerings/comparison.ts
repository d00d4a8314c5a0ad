import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/comparison.ts";
import { bools, type Case, type Cases, compared, kernel } from "./cases.ts";

type Comparison = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;

const comparisons = (run: Comparison): Case[] => [
  ...compared(run),
  {
    name: "int32",
    shapes: [
      [4, 1, 3],
      [2, 1],
    ],
    type: "int32",
    low: -3,
    high: 3,
    run: (a, b) => run(a as tf.Tensor, b as tf.Tensor),
  },
  {
    name: "bools",
    shapes: [[3, 4], [4]],
    run: (a, b) => run(tf.greater(a as tf.Tensor, 0), tf.greater(b as tf.Tensor, 0)),
  },
  { name: "NaN", shapes: [[5]], run: (x) => run(tf.log(x as tf.Tensor), tf.log(x as tf.Tensor)) },
  {
    name: "of a transposed tensor",
    shapes: [[2, 3], [2]],
    run: (a, b) => run(tf.transpose(tf.round(a as tf.Tensor)), tf.round(b as tf.Tensor)),
  },
];
/** Numbers, NaN where x is negative and infinities where it is 0. */
const specials = (x: tf.Tensor) => tf.div(tf.log(x), tf.round(x));
const classified = (run: (x: tf.Tensor) => tf.Tensor): Case[] => [
  { shapes: [[9]], run: (x) => run(specials(x as tf.Tensor)) },
  { name: "of a transposed tensor", shapes: [[3, 4]], run: (x) => run(tf.transpose(specials(x as tf.Tensor))) },
  { name: "int32", shapes: [[2, 3]], type: "int32", low: -3, high: 3, run: (x) => run(x as tf.Tensor) },
  { name: "bool", shapes: [[5]], run: (x) => run(tf.greater(x as tf.Tensor, 0)) },
  { name: "scalar", shapes: [[]], run: (x) => run(x as tf.Tensor) },
];
const positive = (x: tf.Tensor | undefined) => tf.greater(x as tf.Tensor, 0);

export const comparison = {
  Equal: comparisons(tf.equal),
  Greater: comparisons(tf.greater),
  GreaterEqual: comparisons(tf.greaterEqual),
  IsFinite: classified(tf.isFinite),
  IsInf: classified(tf.isInf),
  IsNan: classified(tf.isNaN),
  Less: comparisons(tf.less),
  LessEqual: comparisons(tf.lessEqual),
  LogicalAnd: bools(tf.logicalAnd),
  LogicalNot: [{ shapes: [[5]], run: (x) => tf.logicalNot(positive(x)) }],
  LogicalOr: [...bools(tf.logicalOr), ...bools(tf.logicalXor)],
  NotEqual: comparisons(tf.notEqual),
  Select: [
    {
      shapes: [
        [2, 3],
        [2, 3],
        [2, 3],
      ],
      run: (c, t, e) => tf.where(positive(c), t as tf.Tensor, e as tf.Tensor),
    },
    {
      name: "broadcast",
      shapes: [[4, 1], [3], []],
      run: (c, t, e) => tf.where(positive(c), t as tf.Tensor, e as tf.Tensor),
    },
    {
      name: "gradients",
      shapes: [
        [2, 3],
        [2, 3],
        [2, 3],
        [2, 3],
      ],
      run: (c, t, e, dy) =>
        tf.grads((a, b) => tf.where(positive(c), a, b))([t as tf.Tensor, e as tf.Tensor], dy as tf.Tensor),
    },
    { name: "of bools", shapes: [[5], [5], [5]], run: (c, t, e) => tf.where(positive(c), positive(t), positive(e)) },
    {
      name: "bool or float32",
      shapes: [[5], [5], [5]],
      run: (c, t, e) => tf.where(positive(c), positive(t), e as tf.Tensor),
    },
    {
      name: "of int32",
      shapes: [[5], [5], [5]],
      type: "int32",
      low: -3,
      high: 3,
      run: (c, t, e) => tf.where(positive(c), t as tf.Tensor, e as tf.Tensor),
    },
    {
      name: "NaN where it is not taken",
      shapes: [[5], [5]],
      run: (c, t) => tf.where(positive(c), t as tf.Tensor, tf.mul(t as tf.Tensor, Number.NaN)),
    },
    {
      // tfjs's CPU kernel repeats single numbers: its reference is a condition of every element.
      name: "by rows",
      shapes: [[4], [4, 3], [4, 3]],
      run: (c, t, e) =>
        tf.getBackend() === "cpu"
          ? tf.where(tf.reshape(positive(c), [4, 1]), t as tf.Tensor, e as tf.Tensor)
          : kernel("Select", {}, ["condition", "t", "e"])(positive(c), t as tf.Tensor, e as tf.Tensor),
    },
  ],
} satisfies Cases<typeof family>;
