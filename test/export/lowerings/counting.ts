import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/counting.ts";
import type { Case, Cases } from "./cases.ts";

const none = () => tf.tensor1d([]);
const noneOfMatrix = () => tf.tensor([], [0, 0]) as tf.Tensor2D;
const ofNumbers = { type: "int32", low: 0, high: 5 } as const;

/** Vectors: without weights, with them, past the size, none at all. */
const vectors = (run: (x: tf.Tensor1D, weights: tf.Tensor1D, size: number) => tf.Tensor): Case[] => [
  { name: "of a vector", shapes: [[9]], ...ofNumbers, run: (x) => run(x as tf.Tensor1D, none(), 5) },
  { name: "past the size", shapes: [[9]], ...ofNumbers, run: (x) => run(x as tf.Tensor1D, none(), 2) },
  {
    name: "int32 of no weights",
    shapes: [[9]],
    ...ofNumbers,
    run: (x) => run(x as tf.Tensor1D, tf.tensor1d([], "int32"), 7),
  },
  {
    name: "with weights",
    shapes: [[9], [9]],
    ...ofNumbers,
    run: (x, w) => run(x as tf.Tensor1D, tf.mul(w as tf.Tensor1D, 0.1), 6),
  },
  {
    name: "with int32 weights",
    shapes: [[9], [9]],
    ...ofNumbers,
    run: (x, w) => run(x as tf.Tensor1D, w as tf.Tensor1D, 6),
  },
  { name: "of no numbers", shapes: [[0]], ...ofNumbers, run: (x) => run(x as tf.Tensor1D, none(), 3) },
];

export const counting = {
  Bincount: vectors(tf.bincount),
  DenseBincount: [
    ...vectors(tf.denseBincount),
    {
      name: "binary, of a vector",
      shapes: [[9]],
      ...ofNumbers,
      run: (x) => tf.denseBincount(x as tf.Tensor1D, none(), 4, true),
    },
    {
      name: "of rows",
      shapes: [[3, 6]],
      ...ofNumbers,
      run: (x) => tf.denseBincount(x as tf.Tensor2D, noneOfMatrix(), 4),
    },
    {
      name: "of rows with weights",
      shapes: [
        [3, 6],
        [3, 6],
      ],
      ...ofNumbers,
      run: (x, w) => tf.denseBincount(x as tf.Tensor2D, tf.mul(w as tf.Tensor2D, 0.1), 4),
    },
    {
      name: "binary, of rows",
      shapes: [[3, 6]],
      ...ofNumbers,
      run: (x) => tf.denseBincount(x as tf.Tensor2D, noneOfMatrix(), 4, true),
    },
    {
      name: "of a transposed matrix",
      shapes: [[3, 6]],
      ...ofNumbers,
      run: (x) => tf.denseBincount(tf.transpose(x as tf.Tensor2D), noneOfMatrix(), 5),
    },
  ],
} satisfies Cases<typeof family>;
