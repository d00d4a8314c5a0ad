import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/scatter.ts";
import { type Case, type Cases, corrected, everyDtype, image } from "./cases.ts";

/** int32 tensors as constants of the graph. */
const ints = (values: number[], shape: number[]) => tf.tensor(values, shape, "int32");
const vector = (...values: number[]) => tf.tensor1d(values, "int32");
const constant = (value: number, dtype: tf.DataType) => tf.scalar(value, dtype);
/** A traced int32 tensor of numbers drawn from [0, size). */
const drawn = (x: tf.Tensor | undefined, size: number): tf.Tensor1D =>
  tf.cast(tf.mul(tf.add(x as tf.Tensor1D, 1), size / 2), "int32");

const segments = (run: (data: tf.Tensor, indices: tf.Tensor1D, segmentIds: tf.Tensor1D) => tf.Tensor): Case[] => [
  ...everyDtype([4, 3], (x) =>
    run(tf.cast(x, x.dtype === "bool" ? "float32" : x.dtype), vector(2, 0, 0, 1), vector(0, 0, 2, 2)),
  ),
  {
    name: "rank 3, traced indices, one segment",
    shapes: [[4, 2, 3], [5]],
    run: (x, i) => run(x as tf.Tensor, drawn(i, 4), vector(1, 1, 1, 1, 1)),
  },
  { name: "rank 1", shapes: [[4]], run: (x) => run(x as tf.Tensor, vector(3, 1), vector(0, 1)) },
  { name: "none", shapes: [[4, 3]], run: (x) => run(x as tf.Tensor, vector(), vector()) },
];

export const scatter = {
  ScatterNd: [
    ...everyDtype([3, 4], (x) => [
      tf.scatterND(ints([0, 4, 2], [3, 1]), x, [5, 4]),
      tf.scatterND(ints([0, 2, 0, 1, 1, 1], [3, 2]), x, [2, 3, 4]),
    ]),
    {
      name: "updates of one place are added",
      shapes: [[6]],
      run: (x) => tf.scatterND(ints([0, 4, 2, 1, 0, 0], [6, 1]), x as tf.Tensor, [8]),
    },
    {
      name: "bools of one place: any",
      shapes: [[4]],
      // tfjs's CPU backend adds them up to a bool of 2.
      run: corrected(
        (x) => tf.scatterND(ints([1, 1, 0, 1], [4, 1]), tf.greater(x as tf.Tensor, -2), [3]),
        () => tf.tensor1d([1, 1, 0], "bool"),
      ),
    },
    {
      name: "traced indices of rank 3",
      shapes: [
        [2, 3, 2],
        [2, 3, 5],
      ],
      run: (i, x) => tf.scatterND(drawn(i, 4), x as tf.Tensor, [4, 4, 5]),
    },
    { name: "indices of rank 1", shapes: [[3]], run: (x) => tf.scatterND(vector(2, 0, 2), x as tf.Tensor, [4]) },
    {
      name: "none",
      shapes: [[0, 3]],
      run: (x) => [
        tf.scatterND(ints([], [0, 1]), x as tf.Tensor, [2, 3]),
        tf.scatterND(tf.zeros([2, 0], "int32"), tf.ones([2, 3]), [3]),
        tf.scatterND(ints([0], [1, 1]), tf.ones([1, 0]), [3, 0]),
      ],
    },
    {
      name: "of an image still channels-first",
      shapes: [
        [2, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) => tf.scatterND(ints([3, 1], [2, 1]), image(x, f), [4, 4, 4, 3]),
    },
  ],
  SparseSegmentMean: segments(tf.sparse.sparseSegmentMean),
  SparseSegmentSum: segments(tf.sparse.sparseSegmentSum),
  SparseToDense: [
    ...everyDtype([3], (x) => [
      tf.sparseToDense(vector(0, 2, 4), x, [6], constant(0, x.dtype)),
      tf.sparseToDense(ints([0, 1, 2, 0, 1, 1], [3, 2]), x, [3, 2], constant(1, x.dtype)),
      tf.sparseToDense(vector(3, 1), tf.reshape(tf.slice(x, 0, 1), []), [4], constant(1, x.dtype)),
      tf.sparseToDense(tf.scalar(2, "int32"), tf.reshape(tf.slice(x, 1, 1), []), [4], constant(1, x.dtype)),
    ]),
    {
      name: "without a default",
      shapes: [[2]],
      run: (x) => tf.sparseToDense(ints([0, 1, 1, 1], [2, 2]), x as tf.Tensor, [2, 2]),
    },
    {
      name: "traced indices and default",
      shapes: [[4, 3], [4], []],
      run: (i, x, d) => tf.sparseToDense(drawn(i, 5), x as tf.Tensor, [5, 5, 5], d as tf.Scalar),
    },
    { name: "none", shapes: [[0]], run: (x) => tf.sparseToDense(vector(), x as tf.Tensor, [3], tf.scalar(5)) },
  ],
  TensorScatterUpdate: [
    ...everyDtype([5, 3], (x) => tf.tensorScatterUpdate(x, ints([0, 4, 2], [3, 1]), tf.ones([3, 3], x.dtype))),
    {
      name: "by two axes",
      shapes: [[5, 3], [3]],
      run: (x, u) => tf.tensorScatterUpdate(x as tf.Tensor, ints([0, 2, 0, 1, 4, 0], [3, 2]), u as tf.Tensor),
    },
    {
      name: "of several updates of one place the last stays",
      shapes: [[4], [40, 1], [40]],
      run: (x, i, u) => tf.tensorScatterUpdate(x as tf.Tensor, drawn(i, 4), u as tf.Tensor),
    },
    {
      name: "none",
      shapes: [
        [2, 3],
        [0, 3],
      ],
      run: (x, u) => tf.tensorScatterUpdate(x as tf.Tensor, ints([], [0, 1]), u as tf.Tensor),
    },
    {
      name: "of an image still channels-first",
      shapes: [
        [1, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) => tf.tensorScatterUpdate(image(x, f), ints([0, 1, 0, 3], [2, 2]), tf.ones([2, 4, 3])),
    },
  ],
  UnsortedSegmentSum: [
    ...everyDtype([4, 3], (x) => tf.unsortedSegmentSum(x, vector(0, 2, -1, 2), 4)),
    {
      name: "rank 1, traced ids, some beyond",
      shapes: [[9], [9]],
      run: (x, i) => tf.unsortedSegmentSum(x as tf.Tensor, drawn(i, 5), 3),
    },
    { name: "rank 4", shapes: [[3, 2, 1, 2]], run: (x) => tf.unsortedSegmentSum(x as tf.Tensor, vector(1, 1, 0), 2) },
    {
      name: "infinity in a row that is left out",
      shapes: [[2]],
      // tfjs's CPU backend multiplies by 0 and 1: one infinite row makes every segment NaN.
      run: corrected(
        (x) => tf.unsortedSegmentSum(tf.div(tf.abs(x as tf.Tensor), tf.tensor1d([0, 1])), vector(-1, 1), 2),
        (x) => tf.mul(tf.abs(x as tf.Tensor), tf.tensor1d([0, 1])),
      ),
    },
    { name: "no rows", shapes: [[0, 2]], run: (x) => tf.unsortedSegmentSum(x as tf.Tensor, vector(), 2) },
    {
      name: "of an image still channels-first",
      shapes: [
        [2, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) => tf.unsortedSegmentSum(image(x, f), vector(1, 1), 2),
    },
    {
      name: "gradient",
      shapes: [
        [4, 3],
        [3, 3],
      ],
      run: (x, dy) =>
        tf.grad((v: tf.Tensor) => tf.unsortedSegmentSum(v, vector(0, 2, -1, 2), 3))(x as tf.Tensor, dy as tf.Tensor),
    },
  ],
} satisfies Cases<typeof family>;
