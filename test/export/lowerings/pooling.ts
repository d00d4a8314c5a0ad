import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/pooling.ts";
import { type Case, type Cases, corrected, image, type Run, x4 } from "./cases.ts";
import { adjoint, gradients, row } from "./rows.ts";

type Size2 = number | [number, number];
type Size3 = number | [number, number, number];
type Pad = "same" | "valid" | number | [[number, number], [number, number], [number, number], [number, number]];
type Rounding = "floor" | "round" | "ceil";

const x5 = (x: tf.Tensor | undefined) => x as tf.Tensor5D;
const max =
  (size: Size2, strides: Size2, pad: Pad, rounding?: Rounding): Run =>
  (x) =>
    tf.maxPool(x4(x), size, strides, pad, rounding);
const average =
  (size: Size2, strides: Size2, pad: Pad, rounding?: Rounding): Run =>
  (x) =>
    tf.avgPool(x4(x), size, strides, pad, rounding);
const max3 =
  (size: Size3, strides: Size3, pad: "same" | "valid" | number, rounding?: Rounding): Run =>
  (x) =>
    tf.maxPool3d(x5(x), size, strides, pad, rounding);
const average3 =
  (size: Size3, strides: Size3, pad: "same" | "valid" | number, rounding?: Rounding): Run =>
  (x) =>
    tf.avgPool3d(x5(x), size, strides, pad, rounding);

const forms = (pool: typeof max): Case[] => [
  row("valid", pool(2, 2, "valid"), [2, 6, 7, 3]),
  row("same, odd size", pool(2, 2, "same"), [2, 7, 5, 3]),
  row("overlapping, oblong", pool([3, 2], [1, 2], "same"), [2, 6, 7, 3]),
  row("a stride above the window", pool(2, 3, "same"), [2, 7, 8, 3]),
  row("padding by a number", pool(3, 2, 1), [2, 7, 6, 3]),
  row(
    "padding by numbers",
    pool(3, 1, [
      [0, 0],
      [1, 2],
      [0, 1],
      [0, 0],
    ]),
    [2, 5, 6, 3],
  ),
  row("windows rounded up", pool(3, 2, 1, "ceil"), [2, 4, 6, 3]),
  row("windows rounded", pool(2, 3, 1, "round"), [2, 2, 5, 3]),
  row("of one number each", pool(1, 1, 0), [2, 3, 4, 2]),
  row("the whole image", pool([4, 5], 1, "valid"), [2, 4, 5, 3]),
  // tfjs counts the windows of both axes by their height.
  row("oblong, fewer windows than fit", pool([4, 1], 1, 0), [2, 6, 7, 2]),
  row("windows of nothing but padding", pool(1, 2, 1), [2, 4, 3, 2]),
  row("windows of one number that keep the size", pool(1, 2, 1), [1, 2, 2, 3]),
  row("wide padding", pool(2, 1, 3), [1, 3, 3, 2]),
  row("one image without a batch", (x) => pool(2, 2, "same")(tf.reshape(x as tf.Tensor, [5, 6, 2])), [5, 6, 2]),
  row(
    "of an image still in another order",
    (x, f) => pool(2, 2, "same")(tf.relu(image(x, f))),
    [2, 5, 6, 2],
    [3, 3, 2, 3],
  ),
];
const forms3 = (pool: typeof max3): Case[] => [
  row("valid", pool(2, 2, "valid"), [2, 4, 5, 6, 3]),
  row("same, overlapping", pool([2, 3, 2], 1, "same"), [2, 3, 4, 5, 2]),
  row("same, strides", pool(2, [1, 2, 3], "same"), [1, 3, 5, 6, 2]),
  row("a stride above the window", pool(1, 2, "same"), [1, 4, 3, 6, 2]),
  row("padding by a number", pool(3, 2, 1, "floor"), [1, 4, 5, 6, 2]),
  row("windows rounded up", pool(2, 3, 1, "ceil"), [1, 4, 5, 6, 2]),
  row("one volume without a batch", (x) => pool(2, 1, "valid")(x as tf.Tensor), [3, 4, 5, 2]),
  row("windows longer than the image", pool([1, 1, 3], 1, "valid"), [1, 1, 1, 1, 1]),
];

/** The mean's right gradient by dy: tfjs's own divides by the windows' length, padding included. */
const averageGradient = (pool: Run): Run =>
  corrected(
    (x, dy) => tf.grad((x: tf.Tensor) => pool(x) as tf.Tensor)(x as tf.Tensor, dy as tf.Tensor),
    adjoint((x) => pool(x) as tf.Tensor),
  );
const maxGradient =
  (pool: Run): Run =>
  (x) =>
    gradients((x) => pool(x as tf.Tensor))(x as tf.Tensor);
/** Images with many equal numbers. */
const tied =
  (run: Run): Run =>
  (x) =>
    gradients((x) => run(tf.relu(x as tf.Tensor)))(x as tf.Tensor);
/** x with NaN here and there. */
const broken = (x: tf.Tensor | undefined) =>
  tf.where(tf.less(tf.abs(x as tf.Tensor), 0.1), tf.fill((x as tf.Tensor).shape, Number.NaN), x as tf.Tensor);

const argmax =
  (size: Size2, strides: Size2, pad: "same" | "valid" | number, includeBatch = false): Run =>
  (x) => {
    const { result, indexes } = tf.maxPoolWithArgmax(x4(x), size, strides, pad, includeBatch);
    return [result as tf.Tensor, indexes as tf.Tensor];
  };

export const pooling = {
  AvgPool: [
    ...forms(average),
    row("pool", (x) => tf.pool(x4(x), [2, 3], "avg", "same"), [2, 5, 6, 3]),
    row("pool, dilated", (x) => tf.pool(x4(x), 2, "avg", "valid", 2, 1), [2, 5, 6, 3]),
  ],
  AvgPoolGrad: [
    row("valid", gradients(average(2, 2, "valid")), [2, 6, 7, 3]),
    row("valid, overlapping", gradients(average([3, 2], [1, 2], "valid")), [2, 6, 7, 3]),
    row("same", averageGradient(average(3, 2, "same")), [2, 4, 5, 2], [2, 2, 3, 2]),
    row(
      "overlapping, padding by numbers",
      averageGradient(
        average(3, 1, [
          [0, 0],
          [1, 2],
          [0, 1],
          [0, 0],
        ]),
      ),
      [2, 3, 4, 2],
      [2, 4, 3, 2],
    ),
    row("windows rounded up", averageGradient(average(3, 2, 1, "ceil")), [2, 4, 2, 2], [2, 3, 2, 2]),
    row(
      "of an image still in another order",
      (x, f) => gradients((x, f) => average(2, 2, "valid")(image(x, f)))(x as tf.Tensor, f as tf.Tensor),
      [2, 4, 6, 2],
      [3, 3, 2, 3],
    ),
    row(
      "of a sum",
      (x) => tf.grad((x) => tf.sum(average(2, 1, "valid")(x) as tf.Tensor))(x as tf.Tensor),
      [2, 4, 5, 2],
    ),
    row(
      "pool, dilated",
      gradients((x) => tf.pool(x4(x), 2, "avg", "valid", 2, 1)),
      [2, 4, 6, 3],
    ),
  ],
  AvgPool3D: [...forms3(average3), row("wide padding", average3(2, 1, 2), [1, 1, 2, 3, 2])],
  AvgPool3DGrad: [
    row("valid", gradients(average3(2, 1, "valid")), [2, 3, 4, 5, 2]),
    row("same", averageGradient(average3([2, 3, 2], 2, "same")), [1, 3, 4, 3, 2], [1, 2, 2, 2, 2]),
    row("a stride above the window", averageGradient(average3(1, 2, "same")), [1, 4, 3, 2, 2], [1, 2, 2, 1, 2]),
  ],
  MaxPool: [
    ...forms(max),
    { name: "int32", run: max(2, 2, "same"), shapes: [[2, 5, 6, 3]], type: "int32", low: -(2 ** 30), high: 2 ** 30 },
    row("NaN is passed over", (x) => max(2, 1, "same")(broken(x)), [2, 5, 6, 3]),
    row("pool", (x) => tf.pool(x4(x), [2, 3], "max", "same"), [2, 5, 6, 3]),
    row("pool, dilated", (x) => tf.pool(x4(x), 2, "max", "valid", 2, 1), [2, 5, 6, 3]),
  ],
  MaxPoolGrad: [
    row("valid", maxGradient(max(2, 2, "valid")), [2, 6, 7, 3]),
    row("overlapping, same", maxGradient(max(3, 2, "same")), [2, 6, 7, 3]),
    row(
      "overlapping, padding by numbers",
      maxGradient(
        max([3, 2], 1, [
          [0, 0],
          [1, 2],
          [0, 1],
          [0, 0],
        ]),
      ),
      [2, 5, 6, 3],
    ),
    row("ties", tied(max(3, 1, "same")), [2, 6, 7, 3]),
    row("padding by a number", maxGradient(max(3, 2, 1)), [2, 7, 6, 3]),
    // tfjs's gradients forget dimRoundingMode; the windows are those of this padding.
    row(
      "windows rounded up",
      corrected(
        maxGradient(max(3, 2, 1, "ceil")),
        maxGradient(
          max(3, 2, [
            [0, 0],
            [1, 2],
            [1, 2],
            [0, 0],
          ]),
        ),
      ),
      [2, 4, 6, 2],
    ),
    row("a stride above the window", maxGradient(max(2, 3, "same")), [2, 7, 8, 3]),
    row("oblong, fewer windows than fit", maxGradient(max([4, 1], 1, 0)), [2, 6, 7, 2]),
    row("wide padding", (x) => tf.grad((x) => tf.mul(max(2, 1, 3)(x) as tf.Tensor, 2))(x as tf.Tensor), [1, 3, 3, 2]),
    row(
      "between convolutions",
      (x, f, h) =>
        gradients((x, f, h) => tf.conv2d(x4(max(2, 2, "same")(image(x, f)) as tf.Tensor), x4(h), 1, "same"))(
          x as tf.Tensor,
          f as tf.Tensor,
          h as tf.Tensor,
        ),
      [2, 5, 6, 2],
      [3, 3, 2, 3],
      [3, 3, 3, 2],
    ),
    row(
      "pool, dilated",
      maxGradient((x) => tf.pool(x4(x), 2, "max", "valid", 2, 1)),
      [2, 4, 6, 3],
    ),
  ],
  MaxPool3D: [
    ...forms3(max3),
    { name: "int32", run: max3(2, 2, "same"), shapes: [[1, 3, 4, 5, 2]], type: "int32", low: -99, high: 99 },
    row("NaN is passed over", (x) => max3(2, 1, "same")(broken(x)), [1, 3, 4, 5, 2]),
  ],
  MaxPool3DGrad: [
    row("valid", maxGradient(max3(2, 2, "valid")), [2, 4, 5, 6, 2]),
    row("overlapping, same", maxGradient(max3(3, 2, "same")), [1, 4, 5, 6, 2]),
    row("ties", tied(max3(2, 1, "same")), [2, 3, 4, 5, 2]),
    row("padding by a number", maxGradient(max3(3, 2, 1)), [1, 4, 5, 6, 2]),
    row("a stride above the window", maxGradient(max3(1, 2, "same")), [1, 4, 3, 6, 2]),
    // tfjs's kernel mixes up the positions in windows whose height is not their width; this is their maximum by other kernels.
    row(
      "oblong windows",
      corrected(
        maxGradient(max3([1, 3, 2], 1, "valid")),
        maxGradient((x) => {
          const parts = [0, 1, 2].flatMap((i) =>
            [0, 1].map((j) => tf.slice(x as tf.Tensor, [0, 0, i, j, 0], [1, 3, 2, 4, 2])),
          );
          return tf.max(tf.stack(parts), 0);
        }),
      ),
      [1, 3, 4, 5, 2],
    ),
  ],
  MaxPoolWithArgmax: [
    row("valid", argmax(2, 2, "valid"), [2, 6, 7, 3]),
    row("same, overlapping", argmax([3, 2], [1, 2], "same"), [2, 5, 6, 3]),
    row("counted over the batch", argmax(2, 1, "same", true), [3, 4, 5, 2]),
    row("padding by a number, ties", (x) => argmax(3, 2, 1)(tf.relu(x as tf.Tensor)), [2, 7, 6, 3]),
    { name: "int32", run: argmax(2, 2, "same"), shapes: [[2, 5, 6, 3]], type: "int32", low: -9, high: 9 },
    row("of an image still in another order", (x, f) => argmax(2, 2, "same")(image(x, f)), [2, 5, 6, 2], [3, 3, 2, 3]),
  ],
} satisfies Cases<typeof family>;
