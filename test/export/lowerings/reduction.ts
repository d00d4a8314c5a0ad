import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/reduction.ts";
import { type Case, type Cases, reduced } from "./cases.ts";

type Reduction = (x: tf.Tensor, axis?: number | number[], keep?: boolean) => tf.Tensor;

const ofIntegers = (run: Reduction): Case => ({
  name: "int32",
  shapes: [[3, 4]],
  type: "int32",
  low: -9,
  high: 9,
  run: (x) => [run(x as tf.Tensor), run(x as tf.Tensor, 0), run(tf.transpose(x as tf.Tensor), 0, true)],
});
const ofBools = (run: Reduction): Case => ({
  name: "bool",
  shapes: [[5, 4]],
  run: (x) => [run(tf.greater(x as tf.Tensor, 0)), run(tf.greater(x as tf.Tensor, 0), 1)],
});
const ofScalar = (run: Reduction): Case => ({ name: "scalar", shapes: [[]], run: (x) => run(x as tf.Tensor) });
const ofNothing = (run: Reduction): Case => ({
  name: "of no numbers",
  shapes: [[3, 0]],
  run: (x) => [run(x as tf.Tensor), run(x as tf.Tensor, 1), run(x as tf.Tensor, 0)],
});
/** Rows with NaN at the start, in the middle and nowhere, wide enough for vector instructions. */
const ofNaN = (run: Reduction): Case => ({
  name: "NaN",
  shapes: [[3, 37]],
  low: 0,
  high: 1,
  run: (x) => {
    const [first, middle, rest] = tf.split(x as tf.Tensor, 3) as [tf.Tensor, tf.Tensor, tf.Tensor];
    const nans = (at: number) =>
      tf.pad(tf.fill([1, 1], Number.NaN), [
        [0, 0],
        [at, 36 - at],
      ]);
    const rows = tf.concat([tf.add(first, nans(0)), tf.add(middle, nans(19)), rest]);
    return [run(rows, 1), run(rows, 0), run(tf.transpose(rows), 0), run(rows)];
  },
});
const gradient = (run: Reduction): Case => ({
  name: "gradient",
  shapes: [
    [2, 3, 4],
    [2, 4],
  ],
  run: (x, dy) => tf.grad((z) => run(z, 1))(x as tf.Tensor, dy as tf.Tensor),
});
const cumulative = (
  run: (x: tf.Tensor, axis?: number, exclusive?: boolean, reverse?: boolean) => tf.Tensor,
): Case[] => [
  { shapes: [[2, 5]], run: (x) => run(x as tf.Tensor, 1) },
  { name: "along the first axis", shapes: [[5, 2, 3]], run: (x) => run(x as tf.Tensor, 0) },
  { name: "along the middle axis", shapes: [[2, 9, 3]], run: (x) => run(x as tf.Tensor, 1) },
  { name: "exclusive", shapes: [[2, 5]], run: (x) => run(x as tf.Tensor, 1, true) },
  { name: "reverse", shapes: [[2, 5]], run: (x) => run(x as tf.Tensor, 1, false, true) },
  { name: "exclusive, reverse", shapes: [[2, 5]], run: (x) => run(x as tf.Tensor, 1, true, true) },
  { name: "of one number", shapes: [[3, 1]], run: (x) => [run(x as tf.Tensor, 1), run(x as tf.Tensor, 1, true)] },
  { name: "int32", shapes: [[3, 4]], type: "int32", low: -9, high: 9, run: (x) => run(x as tf.Tensor, 1) },
  { name: "bool", shapes: [[9]], run: (x) => run(tf.greater(x as tf.Tensor, -0.8)) },
  { name: "of a transposed tensor", shapes: [[5, 2]], run: (x) => run(tf.transpose(x as tf.Tensor), 1) },
  { name: "of a broadcast tensor", shapes: [[1, 3]], run: (x) => run(tf.tile(x as tf.Tensor, [4, 1]), 0) },
];
const extremes = (run: Reduction): Case[] => [
  ...reduced(run),
  ofIntegers(run),
  ofBools(run),
  ofScalar(run),
  ofNaN(run),
  gradient(run),
];
const places = (run: (x: tf.Tensor, axis?: number) => tf.Tensor): Case[] => [
  { shapes: [[3, 5]], run: (x) => [run(x as tf.Tensor, 1), run(x as tf.Tensor, 0), run(x as tf.Tensor, -1)] },
  { name: "the first of equals", shapes: [[9, 3]], run: (x) => run(tf.round(x as tf.Tensor)) },
  { name: "int32", shapes: [[9, 3]], type: "int32", low: -3, high: 3, run: (x) => run(x as tf.Tensor) },
  { name: "bool", shapes: [[9, 3]], run: (x) => run(tf.greater(x as tf.Tensor, 0)) },
  { name: "of a transposed tensor", shapes: [[2, 3, 4]], run: (x) => run(tf.transpose(x as tf.Tensor, [2, 0, 1]), 1) },
  {
    // tfjs stays at a NaN that comes first, so the reference has none there.
    name: "NaN",
    shapes: [[36]],
    run: (x) => run(tf.concat([tf.zeros([1]), tf.where(tf.greater(x as tf.Tensor, 0.3), Number.NaN, x as tf.Tensor)])),
  },
  { name: "infinities", shapes: [[9]], run: (x) => run(tf.div(x as tf.Tensor, 0)) },
];

/** The reference where tfjs says that not all of no numbers are true. */
const trueOnCpu = (x: tf.Tensor) => (tf.getBackend() === "cpu" ? tf.onesLike(x) : x);

export const reduction = {
  All: [
    ...reduced((x, axis, keep) => tf.all(tf.greater(x, -0.5), axis, keep)),
    {
      name: "of no numbers",
      shapes: [[3, 0]],
      run: (x) => [tf.all(tf.greater(x as tf.Tensor, 0)), tf.all(tf.greater(x as tf.Tensor, 0), 1)].map(trueOnCpu),
    },
  ],
  Any: [
    ...reduced((x, axis, keep) => tf.any(tf.greater(x, 0.5), axis, keep)),
    ofNothing((x, axis) => tf.any(tf.greater(x, 0), axis)),
  ],
  ArgMax: places(tf.argMax),
  ArgMin: places(tf.argMin),
  Cumprod: [
    ...cumulative(tf.cumprod),
    { name: "long", shapes: [[2, 33]], low: 0.8, high: 1.2, run: (x) => tf.cumprod(x as tf.Tensor, 1) },
  ],
  Cumsum: [
    ...cumulative(tf.cumsum),
    {
      name: "gradient",
      shapes: [
        [2, 5],
        [2, 5],
      ],
      run: (x, dy) => tf.grad((z) => tf.cumsum(z, 1, true, false))(x as tf.Tensor, dy as tf.Tensor),
    },
  ],
  Max: [
    ...extremes(tf.max),
    { shapes: [[3, 4]], name: "logSumExp", run: (x) => [tf.logSumExp(x as tf.Tensor), tf.logSoftmax(x as tf.Tensor)] },
  ],
  Mean: [
    ...reduced(tf.mean),
    ofIntegers(tf.mean),
    ofBools(tf.mean),
    ofScalar(tf.mean),
    gradient(tf.mean),
    ofNothing(tf.mean),
  ],
  Min: extremes(tf.min),
  Prod: [...reduced(tf.prod), ofIntegers(tf.prod), ofBools(tf.prod), ofScalar(tf.prod), ofNothing(tf.prod)],
  Softmax: [
    { shapes: [[3, 4]], run: (x) => tf.softmax(x as tf.Tensor) },
    { name: "of a vector", shapes: [[5]], run: (x) => tf.softmax(x as tf.Tensor) },
    { name: "large logits", shapes: [[3, 4]], low: -1000, high: 1000, run: (x) => tf.softmax(x as tf.Tensor) },
    { name: "of a transposed tensor", shapes: [[3, 4]], run: (x) => tf.softmax(tf.transpose(x as tf.Tensor)) },
    { name: "of images", shapes: [[2, 3, 3, 5]], run: (x) => tf.softmax(tf.transpose(x as tf.Tensor, [0, 3, 1, 2])) },
    {
      name: "gradient",
      shapes: [
        [3, 4],
        [3, 4],
      ],
      run: (x, dy) => tf.grad((z) => tf.softmax(z))(x as tf.Tensor, dy as tf.Tensor),
    },
  ],
  Sum: [
    ...reduced(tf.sum),
    { name: "over all but few", shapes: [[3, 4, 5, 2]], run: (x) => tf.sum(x as tf.Tensor, [0, 1, 2]) },
    { name: "over some but few, kept", shapes: [[3, 4, 5, 2]], run: (x) => tf.sum(x as tf.Tensor, [0, 1], true) },
    ...[ofIntegers(tf.sum), ofBools(tf.sum), ofScalar(tf.sum), gradient(tf.sum), ofNothing(tf.sum)],
  ],
} satisfies Cases<typeof family>;
