import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/indexing.ts";
import { type Case, type Cases, everyDtype, image } from "./cases.ts";

/** int32 tensors as constants of the graph. */
const ints = (values: number[], shape: number[]) => tf.tensor(values, shape, "int32");
const vector = (...values: number[]) => tf.tensor1d(values, "int32");
/** A traced int32 tensor of numbers drawn from [0, size). */
const drawn = (x: tf.Tensor | undefined, size: number): tf.Tensor1D =>
  tf.cast(tf.mul(tf.add(x as tf.Tensor1D, 1), size / 2), "int32");
const gradient = (run: (x: tf.Tensor) => tf.Tensor, shape: number[], result: number[]): Case => ({
  name: "gradient",
  shapes: [shape, result],
  run: (x, dy) => tf.grad(run)(x as tf.Tensor, dy as tf.Tensor),
});
const both = ({ values, indices }: { values: tf.Tensor; indices: tf.Tensor }) => [values, indices];

export const indexing = {
  GatherNd: [
    ...everyDtype([2, 3, 2], (x) => [
      tf.gatherND(x, ints([1, 0], [2, 1])),
      tf.gatherND(x, ints([1, 2, 0, 0, 1, 1], [3, 2])),
      tf.gatherND(x, ints([1, 2, 0, 0, 1, 1], [1, 2, 3])),
      tf.gatherND(x, vector(1)),
    ]),
    {
      name: "by traced indices",
      shapes: [
        [4, 4],
        [5, 2],
      ],
      run: (x, i) => tf.gatherND(x as tf.Tensor, drawn(i, 4)),
    },
    {
      name: "by indices of no axes, and no indices",
      shapes: [[2, 3]],
      run: (x) => [
        tf.gatherND(x as tf.Tensor, tf.zeros([2, 0], "int32")),
        tf.gatherND(x as tf.Tensor, tf.zeros([0, 1], "int32")),
      ],
    },
    {
      name: "of an image still channels-first",
      shapes: [
        [1, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) => tf.gatherND(image(x, f), ints([0, 1, 2, 0, 3, 3], [2, 3])),
    },
  ],
  GatherV2: [
    ...everyDtype([5, 3], (x) => [
      tf.gather(x, vector(4, 0, 2)),
      tf.gather(x, ints([1, 0, 2, 2], [2, 2]), -1),
      tf.gather(x, tf.scalar(3, "int32")),
      tf.gather(x, vector()),
    ]),
    { name: "by traced indices", shapes: [[2, 5], [3]], run: (x, i) => tf.gather(x as tf.Tensor, drawn(i, 5), 1) },
    ...everyDtype([2, 3, 4], (x) => [
      tf.gather(x, ints([2, 0, 1, 1], [2, 2]), 1, 1),
      tf.gather(x, ints([2, 0, 1, 1], [2, 2]), 2, 1),
      tf.gather(x, vector(3, 0), 2, 1),
      tf.gather(x, ints([3, 1, 0, 0, 2, 3], [2, 3]), 2, 2),
      tf.gather(x, ints([2, 0, 1, 1, 2, 2], [2, 3, 1]), 2, -1),
    ]).map((row) => ({ ...row, name: `with batch dimensions, ${row.name}` })),
    {
      name: "one axis after the batch",
      shapes: [
        [2, 3, 4, 5],
        [2, 6],
      ],
      run: (x, i) => tf.gather(x as tf.Tensor, drawn(i, 4), 2, 1),
    },
    {
      name: "of an image still channels-first",
      shapes: [
        [2, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) => [
        tf.gather(image(x, f), vector(2, 2, 0), 3),
        tf.gather(image(x, f), ints([2, 1, 0, 0], [2, 2]), 3, 1),
      ],
    },
    gradient((x) => tf.gather(x, vector(4, 0, 4)), [5, 3], [3, 3]),
    gradient((x) => tf.gather(x, ints([2, 0, 1, 1], [2, 2]), 1), [2, 3, 2], [2, 2, 2, 2]),
  ],
  NonMaxSuppressionV4: [0.5, 0.3, 1].map(
    (threshold): Case => ({
      name: `iou ${threshold}`,
      shapes: [[40, 4], [40]],
      run: (corners, scores) => {
        // Boxes of 0.5 x 0.5 on a coarse grid: many overlap by exactly a half, many scores are equal.
        const [y, x] = tf.split(tf.div(tf.round(tf.mul(corners as tf.Tensor, 4)), 4), 4, 1) as [tf.Tensor, tf.Tensor];
        const boxes = tf.concat([y, x, tf.sub(y, 0.5), tf.add(x, 0.5)], 1) as tf.Tensor2D;
        const rounded = tf.div(tf.round(tf.mul(scores as tf.Tensor1D, 8)), 8) as tf.Tensor1D;
        const at = (size: number, score: number) =>
          Object.values(tf.image.nonMaxSuppressionPadded(boxes, rounded, size, threshold, score, true)) as tf.Tensor[];
        return [...at(20, 0), ...at(3, -1), ...at(7, 2)];
      },
    }),
  ),
  OneHot: [
    { shapes: [[5]], type: "int32", low: -1, high: 5, run: (x) => tf.oneHot(x as tf.Tensor1D, 4) },
    { name: "scalar", shapes: [[]], type: "int32", low: 1, high: 2, run: (x) => tf.oneHot(x as tf.Tensor, 4) },
    { name: "without elements", shapes: [[0, 2]], type: "int32", run: (x) => tf.oneHot(x as tf.Tensor, 4) },
    {
      name: "other values and dtypes",
      shapes: [[2, 3]],
      type: "int32",
      high: 4,
      low: 0,
      run: (x) => [
        tf.oneHot(x as tf.Tensor, 3, 3, -2),
        tf.oneHot(x as tf.Tensor, 3, 0.5, -1.5, "float32"),
        tf.oneHot(x as tf.Tensor, 3, 1, 0, "bool"),
        tf.oneHot(x as tf.Tensor, 3, 0, 1, "bool"),
      ],
    },
    {
      name: "gradient",
      shapes: [[3], [3, 4]],
      type: "int32",
      run: (x, dy) => tf.grad((v: tf.Tensor) => tf.oneHot(v, 4))(x as tf.Tensor, tf.cast(dy as tf.Tensor, "float32")),
    },
  ],
  SearchSorted: [
    ...(["left", "right"] as const).flatMap((side) => {
      const cases: Case[] = [
        ...everyDtype([2, 6], (x) => {
          const descending = tf.topk(tf.cast(x, "int32"), 6).values;
          return tf.searchSorted(tf.cast(tf.reverse(descending, 1), x.dtype), tf.slice(x, 0, [2, 4]), side);
        }),
        {
          name: "one row",
          shapes: [[7]],
          low: -1,
          high: 9,
          run: (x) => tf.searchSorted(tf.tensor1d([0, 3, 9, 10, 10]), tf.round(x as tf.Tensor), side),
        },
        {
          name: "float32 among int32",
          shapes: [[7]],
          run: (x) => tf.searchSorted(vector(-1, 0, 0, 1), tf.round(tf.mul(x as tf.Tensor, 2)), side),
        },
        {
          name: "int32 above 2^24 among float32",
          shapes: [[2]],
          run: (x) => tf.searchSorted(tf.add(tf.mul(0, x as tf.Tensor), 2 ** 24), vector(2 ** 24 + 1), side),
        },
      ];
      return cases.map((row) => ({ ...row, name: `${side}, ${row.name}` }));
    }),
    {
      name: "infinities",
      shapes: [[1]],
      run: (x) => tf.lowerBound(tf.tensor1d([Number.NEGATIVE_INFINITY, 0, 5]), tf.div(x as tf.Tensor, 0)),
    },
  ],
  SparseReshape: [
    {
      shapes: [[4, 3]],
      type: "int32",
      low: 0,
      high: 3,
      run: (x) =>
        Object.values(tf.sparse.sparseReshape(x as tf.Tensor2D, vector(3, 3, 4), vector(2, -1, 3))) as tf.Tensor[],
    },
    {
      name: "none",
      shapes: [[0, 2]],
      type: "int32",
      run: (x) => [
        ...(Object.values(tf.sparse.sparseReshape(x as tf.Tensor2D, vector(2, 3), vector(6))) as tf.Tensor[]),
        ...(Object.values(tf.sparse.sparseReshape(x as tf.Tensor2D, vector(2, 0), vector(0, 5))) as tf.Tensor[]),
      ],
    },
  ],
  TopK: [
    ...everyDtype([3, 6], (x) => [...both(tf.topk(x, 4)), ...both(tf.topk(x)), ...both(tf.topk(x, 0))]),
    { name: "equals: the first comes first", shapes: [[70]], run: (x) => both(tf.topk(tf.round(x as tf.Tensor), 70)) },
    {
      name: "of minus infinities",
      shapes: [[5]],
      run: (x) => both(tf.topk(tf.div(tf.neg(tf.abs(x as tf.Tensor)), 0), 5)),
    },
    {
      name: "unsorted, but sorted",
      shapes: [[6]],
      run: (x) => both(tf.topk(tf.topk(x as tf.Tensor, 6, false).values, 6)).slice(0, 1),
    },
    { name: "of no rows", shapes: [[0, 3]], run: (x) => both(tf.topk(x as tf.Tensor, 2)) },
    {
      name: "of an image still channels-first",
      shapes: [
        [1, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) => both(tf.topk(image(x, f), 2)),
    },
  ],
} satisfies Cases<typeof family>;
