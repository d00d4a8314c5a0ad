import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/movement.ts";
import { type Case, type Cases, corrected, everyDtype, image, kernel, type Run } from "./cases.ts";

/** [1, 4, 4, 2] and the filter that makes three channels of it. */
const IMAGE = [
  [1, 4, 4, 2],
  [3, 3, 2, 3],
];
const ofImage = (run: (x: tf.Tensor) => tf.Tensor | tf.Tensor[]): Case => ({
  name: "of an image still channels-first",
  shapes: IMAGE,
  run: (x, f) => run(image(x, f)),
});
/** [[a, b], [c, d], ...] of a, b, c, d, ...: paddings. */
const pairs = (...counts: number[]) =>
  counts.flatMap((before, i) => (i % 2 === 0 ? [[before, counts[i + 1]] as [number, number]] : []));
/** A tensor that only repeats itself along its first two axes. */
const repeated = (run: (x: tf.Tensor) => tf.Tensor | tf.Tensor[]): Case => ({
  name: "of a broadcast tensor",
  shapes: [[1, 1, 3]],
  run: (x) => run(tf.tile(x as tf.Tensor, [2, 4, 1])),
});
const ofNone = (shape: readonly number[], run: (x: tf.Tensor) => tf.Tensor | tf.Tensor[]): Case => ({
  name: "without elements",
  shapes: [shape],
  run: run as Run,
});
/** The gradient of a call on one tensor, for a given gradient of its result. */
const gradient = (shape: readonly number[], result: readonly number[], run: (x: tf.Tensor) => tf.Tensor): Case => ({
  name: "gradient",
  shapes: [shape, result],
  run: (x, dy) => tf.grad(run)(x as tf.Tensor, dy as tf.Tensor),
});
const strided = (
  shape: readonly number[],
  ...args: Parameters<typeof tf.stridedSlice> extends [unknown, ...infer R] ? R : never
) => ({
  name: JSON.stringify(args),
  shapes: [shape],
  run: (x: tf.Tensor) => tf.stridedSlice(x, ...args),
});

export const movement = {
  BroadcastTo: [
    { shapes: [[3, 1]], run: (x) => tf.broadcastTo(x as tf.Tensor, [2, 3, 4]) },
    {
      name: "called itself",
      shapes: [[3, 1]],
      // tfjs has the kernel's name and gradient, its CPU backend not the kernel.
      run: corrected(
        (x) => kernel("BroadcastTo", { shape: [2, 3, 4] }, ["x"])(x as tf.Tensor),
        (x) => tf.broadcastTo(x as tf.Tensor, [2, 3, 4]),
      ),
    },
  ],
  Concat: [
    ...everyDtype([2, 3], (x) => tf.concat([x, tf.reverse(x), tf.slice(x, [0, 1], [2, 2])], -1)),
    { name: "of scalars", shapes: [[1], [1]], run: (a, b) => tf.concat([a as tf.Tensor, b as tf.Tensor]) },
    { name: "of one", shapes: [[2, 3]], run: (x) => tf.concat([x as tf.Tensor], 1) },
    {
      name: "of empty ones, that have no say in the dtype",
      shapes: [[2, 3]],
      type: "int32",
      high: 9,
      run: (x) => [
        tf.concat([tf.zeros([0, 3]), x as tf.Tensor]),
        tf.concat([tf.zeros([0, 3], "int32"), tf.zeros([0, 3])]),
        tf.concat([x as tf.Tensor, tf.zeros([0, 3]), tf.ones([1, 3])]),
      ],
    },
    {
      name: "of two dtypes: the first one's",
      shapes: [[2, 3]],
      high: 9,
      low: -9,
      run: (x) => [
        tf.concat([tf.cast(x as tf.Tensor, "int32"), x as tf.Tensor]),
        tf.concat([x as tf.Tensor, tf.cast(x as tf.Tensor, "int32")]),
      ],
    },
    {
      name: "in six dimensions",
      shapes: [[1, 2, 1, 2, 3, 1]],
      run: (x) => tf.concat([x as tf.Tensor, tf.neg(x as tf.Tensor)], 4),
    },
    ofImage((y) => tf.concat([y, tf.relu(y)], 3)),
    {
      name: "of two layouts",
      shapes: IMAGE,
      run: (x, f) => tf.concat([image(x, f), tf.ones([1, 4, 4, 1]), x as tf.Tensor], 3),
    },
    gradient([2, 3], [2, 5], (x) => tf.concat([x, tf.ones([2, 2])], 1)),
  ],
  ExpandDims: [
    ...everyDtype([2, 3], (x) => [tf.expandDims(x, 0), tf.expandDims(x, 1), tf.expandDims(x, -1)]),
    { name: "scalar", shapes: [[]], run: (x) => tf.expandDims(x as tf.Tensor) },
    ofNone([0, 3], (x) => tf.expandDims(x, 1)),
    gradient([2, 3], [2, 1, 3], (x) => tf.expandDims(x, 1)),
  ],
  MirrorPad: [
    ...(["reflect", "symmetric"] as const).flatMap((mode): Case[] => {
      const pad = (pads: [number, number][]) => (x: tf.Tensor) => tf.mirrorPad(x, pads, mode);
      const named = (cases: Case[]) => cases.map((row) => ({ ...row, name: `${mode}, ${row.name}` }));
      return named([
        ...everyDtype([3, 4], pad(pairs(2, 1, 0, 3))),
        {
          name: "nothing",
          shapes: [[3, 4]],
          run: (x) => pad(pairs(0, 0, 0, 0))(x as tf.Tensor),
        },
        {
          name: "in five dimensions",
          shapes: [[1, 2, 3, 2, 2]],
          run: (x) => pad(pairs(0, 0, 1, 1, 0, 2, 1, 0, 0, 0))(x as tf.Tensor),
        },
        ofImage(pad(pairs(0, 0, 1, 2, 3, 0, 0, 1))),
        repeated(pad(pairs(1, 0, 0, 3, 2, 2))),
        gradient([3, 4], [6, 4], pad(pairs(2, 1, 0, 0))),
      ]);
    }),
    {
      name: "symmetric, without elements",
      shapes: [[2, 0]],
      run: (x) => tf.mirrorPad(x as tf.Tensor, pairs(1, 1, 0, 0), "symmetric"),
    },
    {
      name: "symmetric, one number and all numbers",
      shapes: [[1, 3]],
      run: (x) => tf.mirrorPad(x as tf.Tensor, pairs(1, 1, 3, 3), "symmetric"),
    },
  ],
  Pack: [
    ...everyDtype([2, 3], (x) => [0, 1, 2, -1].map((axis) => tf.stack([x, tf.reverse(x)], axis))),
    { name: "of scalars", shapes: [[], []], run: (a, b) => tf.stack([a as tf.Tensor, b as tf.Tensor]) },
    { name: "of one", shapes: [[3]], run: (x) => tf.stack([x as tf.Tensor], 1) },
    ofNone([2, 0], (x) => tf.stack([x, x], 1)),
    ofImage((y) => tf.stack([y, tf.relu(y)], 3)),
    gradient([2, 3], [2, 2, 3], (x) => tf.stack([x, tf.square(x)], 1)),
  ],
  PadV2: [
    ...everyDtype([2, 3], (x) => [
      tf.pad(x, pairs(1, 0, 2, 1)),
      tf.pad(x, pairs(0, 0, 0, 2), 1),
      tf.pad(x, pairs(0, 0, 0, 0)),
    ]),
    {
      name: "with half a number: none in int32",
      shapes: [[3]],
      type: "int32",
      run: (x) => tf.pad(x as tf.Tensor, pairs(1, 1), 2.5),
    },
    { name: "with infinity", shapes: [[3]], run: (x) => tf.pad(x as tf.Tensor, pairs(1, 1), Number.NEGATIVE_INFINITY) },
    {
      name: "in six dimensions",
      shapes: [[1, 2, 1, 2, 1, 2]],
      run: (x) => tf.pad(x as tf.Tensor, pairs(0, 0, 1, 0, 0, 1, 0, 0, 2, 0, 0, 0), 0.5),
    },
    ofNone([0, 3], (x) => [tf.pad(x, pairs(0, 0, 0, 1)), tf.pad(x, pairs(1, 0, 0, 1), 2)]),
    ofImage((y) => tf.pad(y, pairs(0, 0, 1, 2, 0, 1, 0, 0))),
    repeated((x) => tf.pad(x, pairs(1, 0, 0, 1, 1, 1), 3)),
    gradient([2, 3], [3, 6], (x) => tf.pad(x, pairs(1, 0, 2, 1))),
  ],
  Reshape: [
    ...everyDtype([2, 6], (x) => [tf.reshape(x, [3, -1]), tf.reshape(x, [1, 2, 1, 3, 2, 1])]),
    {
      name: "to and from a scalar",
      shapes: [[], [1, 1]],
      run: (a, b) => [tf.reshape(a as tf.Tensor, [1, 1]), tf.reshape(b as tf.Tensor, [])],
    },
    ofNone([0, 3], (x) => [tf.reshape(x, [3, 0]), tf.reshape(x, [0])]),
    {
      name: "of an image still channels-first",
      shapes: [
        [2, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) => tf.reshape(image(x, f), [2, -1]),
    },
    {
      name: "of a broadcast number",
      shapes: [[]],
      run: (x) => tf.reshape(tf.mul(x as tf.Tensor, tf.ones([2, 3])), [6]),
    },
    repeated((x) => tf.reshape(x, [8, 3])),
    gradient([2, 6], [3, 4], (x) => tf.reshape(x, [3, 4])),
  ],
  Reverse: [
    ...everyDtype([2, 3, 4], (x) => [tf.reverse(x, [0, 2]), tf.reverse(x, -2), tf.reverse(x), tf.reverse(x, [])]),
    { name: "scalar", shapes: [[]], run: (x) => kernel("Reverse", { dims: [] }, ["x"])(x as tf.Tensor) },
    { name: "in five dimensions", shapes: [[2, 1, 2, 3, 2]], run: (x) => tf.reverse(x as tf.Tensor, [1, 4]) },
    ofNone([0, 3], (x) => tf.reverse(x)),
    ofImage((y) => tf.reverse(y, [1, 3])),
    repeated((x) => [tf.reverse(x, [0, 2]), tf.reverse(x, 1)]),
    gradient([2, 3], [2, 3], (x) => tf.reverse(x, 1)),
  ],
  Slice: [
    ...everyDtype([4, 5], (x) => [tf.slice(x, [1, 0], [2, -1]), tf.slice(x, 2), tf.slice(x, [0, 4], [-1, 1])]),
    {
      name: "in six dimensions",
      shapes: [[2, 2, 1, 2, 3, 2]],
      run: (x) => tf.slice(x as tf.Tensor, [1, 0, 0, 0, 1, 0], [1, 2, 1, 1, 2, 2]),
    },
    {
      name: "to no elements",
      shapes: [[2, 3]],
      run: (x) => [tf.slice(x as tf.Tensor, [0, 1], [2, 0]), tf.slice(x as tf.Tensor, [2, 0])],
    },
    ofNone([0, 3], (x) => tf.slice(x, [0, 1], [0, 2])),
    ofImage((y) => tf.slice(y, [0, 1, 0, 1], [1, 2, 4, 2])),
    repeated((x) => [tf.slice(x, [1, 2, 1], [1, 2, 2]), tf.slice(x, [0, 2, 0], [2, 0, 3])]),
    gradient([4, 5], [2, 5], (x) => tf.slice(x, [1, 0], [2, -1])),
  ],
  SplitV: [
    ...everyDtype([2, 6], (x) => [...tf.split(x, [1, -1, 2], 1), ...tf.split(x, 2, -1), ...tf.split(x, [0, 6], 1)]),
    ofNone([0, 3], (x) => tf.split(x, 3, 1)),
    ofImage((y) => tf.split(y, [1, 2], -1)),
    gradient([2, 6], [2, 3], (x) => tf.split(x, 2, 1)[1] as tf.Tensor),
  ],
  StridedSlice: [
    ...everyDtype([4, 5], (x) => tf.stridedSlice(x, [3, 0], [0, 5], [-2, 3])),
    // Negative, masked and far beyond the ends, in both directions.
    strided([4], [-3], [3], [1]),
    strided([4], [-5], [9], [2]),
    strided([4], [2], [-9], [-1]),
    strided([4], [9], [-3], [-1]),
    strided([4], [-1], [-4], [-2]),
    strided([4], [1], [3], [1], 1),
    strided([4], [1], [3], [1], 0, 1),
    strided([4], [1], [2], [-1], 1, 1),
    strided([4], [9], [3], [2]),
    strided([4], [-10], [2], [-1]),
    strided([4, 5], [1], [3]),
    strided([2, 3, 4, 5], [1, 1], [2, 3], [1, 1], 0, 0, 1),
    strided([2, 3, 4, 5], [1, 0, 1], [2, 0, 5], [1, 1, 2], 0, 0, 2),
    strided([2, 3, 4, 5], [1, 0, 0, 0, 2], [2, 1, 3, 1, 5], [1, 1, 1, 1, 1], 0, 0, 0, 0b1010),
    strided([2, 3, 4, 5], [1, 0, 1, 0, 2, 2], [2, 1, 2, 1, 3, 5], [1, 1, 1, 1, 1, 1], 0, 0, 0, 0b1010, 0b10100),
    {
      name: "a lost axis and a step",
      shapes: [[2, 3]],
      // tfjs's CPU backend counts steps along the axes that are left: it reads row 2.
      run: corrected(
        (x) => tf.stridedSlice(x as tf.Tensor, [-1, 0], [0, 3], [1, 2], 0, 0, 0, 0, 1),
        (x) => tf.gather(tf.unstack(x as tf.Tensor)[1] as tf.Tensor, tf.tensor1d([0, 2], "int32")),
      ),
    },
    strided([2, 3], [-1, 1], [0, 3], [1, 1], 0, 0, 0, 0, 3),
    strided([2, 3], [0, 0], [2, 3], [1, 1]),
    ofImage((y) => [
      tf.stridedSlice(y, [0, 3, 0, 2], [1, 0, 4, 0], [1, -2, 3, -1]),
      tf.stridedSlice(y, [0, 1], [0, 2], [1, 1], 0, 0, 1, 0, 2),
    ]),
    repeated((x) => tf.stridedSlice(x, [1, 3, 0], [2, 0, 3], [1, -2, 2])),
  ],
  Tile: [
    ...everyDtype([2, 3], (x) => [tf.tile(x, [2, 2]), tf.tile(x, [1, 3]), tf.tile(x, [1, 1])]),
    { name: "scalar", shapes: [[]], run: (x) => tf.tile(x as tf.Tensor, []) },
    {
      name: "no times",
      shapes: [[1, 3]],
      run: (x) => [tf.tile(x as tf.Tensor, [0, 2]), tf.tile(x as tf.Tensor, [2, 0])],
    },
    {
      name: "in six dimensions",
      shapes: [[1, 2, 1, 2, 3, 1]],
      run: (x) => tf.tile(x as tf.Tensor, [2, 1, 3, 2, 1, 2]),
    },
    ofNone([0, 3], (x) => tf.tile(x, [2, 2])),
    { name: "of axes of size 1", shapes: [[1, 3]], run: (x) => tf.tile(x as tf.Tensor, [4, 1]) },
    ofImage((y) => tf.tile(y, [2, 1, 3, 2])),
    repeated((x) => tf.tile(x, [3, 1, 2])),
    gradient([2, 3], [4, 6], (x) => tf.tile(x, [2, 2])),
  ],
  Transpose: [
    ...everyDtype([2, 3, 4], (x) => [tf.transpose(x, [2, 0, 1]), tf.transpose(x)]),
    {
      name: "in six dimensions",
      shapes: [[2, 1, 3, 2, 1, 2]],
      run: (x) => tf.transpose(x as tf.Tensor, [5, 2, 1, 0, 4, 3]),
    },
    ofNone([0, 3, 2], (x) => tf.transpose(x, [2, 0, 1])),
    {
      name: "twice, then added",
      shapes: [[2, 3, 4], [4]],
      run: (x, b) => tf.add(tf.transpose(tf.transpose(x as tf.Tensor, [2, 0, 1]), [1, 2, 0]), b as tf.Tensor),
    },
    ofImage((y) => tf.transpose(y, [3, 1, 0, 2])),
    repeated((x) => tf.transpose(x, [2, 0, 1])),
    gradient([2, 3, 4], [4, 2, 3], (x) => tf.transpose(x, [2, 0, 1])),
  ],
  Unpack: [
    ...everyDtype([2, 3], (x) => [...tf.unstack(x, 1), ...tf.unstack(x, -2)]),
    { name: "in five dimensions", shapes: [[2, 1, 2, 3, 2]], run: (x) => tf.unstack(x as tf.Tensor, 3) },
    ofNone([2, 0], (x) => tf.unstack(x, 0)),
    ofImage((y) => [...tf.unstack(y, 1), ...tf.unstack(y, 3)]),
    repeated((x) => [...tf.unstack(x, 0), ...tf.unstack(x, 2)]),
    gradient([2, 3], [2], (x) => tf.mul(tf.unstack(x, 1)[0] as tf.Tensor, tf.unstack(x, 1)[2] as tf.Tensor)),
  ],
} satisfies Cases<typeof family>;
