import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/convolution.ts";
import { type Cases, kernel, type Run, x4 } from "./cases.ts";

const conv =
  (strides: number | [number, number], pad: "same" | "valid" | number, dilations: number | [number, number] = 1): Run =>
  (x, filter) =>
    tf.conv2d(x4(x), x4(filter), strides, pad, "NHWC", dilations);
const inputGradient =
  (shape: [number, number, number, number], strides: number | [number, number], pad: "same" | "valid" | number): Run =>
  (dy, filter) =>
    kernel("Conv2DBackpropInput", { inputShape: shape, strides, pad, dataFormat: "NHWC" }, ["dy", "filter"])(
      dy as tf.Tensor,
      filter as tf.Tensor,
    );
const filterGradient =
  (shape: [number, number, number, number], strides: number | [number, number], pad: "same" | "valid" | number): Run =>
  (x, dy) =>
    kernel("Conv2DBackpropFilter", { filterShape: shape, strides, pad, dataFormat: "NHWC" }, ["x", "dy"])(
      x as tf.Tensor,
      dy as tf.Tensor,
    );

export const convolution = {
  Conv2D: [
    {
      name: "same, stride 1",
      shapes: [
        [2, 5, 6, 2],
        [3, 3, 2, 4],
      ],
      run: conv(1, "same"),
    },
    {
      name: "same, stride 2, odd size",
      shapes: [
        [2, 7, 6, 1],
        [3, 3, 1, 2],
      ],
      run: conv(2, "same"),
    },
    {
      name: "valid, oblong",
      shapes: [
        [1, 8, 7, 2],
        [3, 2, 2, 3],
      ],
      run: conv([2, 1], "valid"),
    },
    {
      name: "dilated",
      shapes: [
        [1, 8, 8, 2],
        [3, 3, 2, 3],
      ],
      run: conv(1, "same", 2),
    },
    {
      name: "two in a row with bias",
      shapes: [[2, 6, 6, 1], [3, 3, 1, 3], [3], [3, 3, 3, 2]],
      run: (x, f, b, h) =>
        tf.conv2d(
          tf.leakyRelu(tf.add(tf.conv2d(x4(x), x4(f), 1, "same"), b as tf.Tensor), 0.2) as tf.Tensor4D,
          x4(h),
          2,
          "same",
        ),
    },
  ],
  Conv2DBackpropFilter: [
    {
      name: "same, stride 1",
      shapes: [
        [3, 5, 6, 2],
        [3, 5, 6, 4],
      ],
      run: filterGradient([3, 3, 2, 4], 1, "same"),
    },
    {
      name: "same, stride 2",
      shapes: [
        [2, 6, 6, 2],
        [2, 3, 3, 3],
      ],
      run: filterGradient([3, 3, 2, 3], 2, "same"),
    },
    {
      name: "same, stride 2, odd size",
      shapes: [
        [2, 7, 5, 2],
        [2, 4, 3, 3],
      ],
      run: filterGradient([3, 3, 2, 3], 2, "same"),
    },
    {
      name: "valid, rows left over",
      shapes: [
        [2, 8, 8, 2],
        [2, 3, 3, 3],
      ],
      run: filterGradient([3, 3, 2, 3], 2, "valid"),
    },
    {
      name: "fewer outputs than inputs, even filter",
      shapes: [
        [2, 6, 5, 6],
        [2, 6, 5, 2],
      ],
      run: filterGradient([4, 3, 6, 2], 1, "same"),
    },
    {
      name: "fewer outputs than inputs, valid",
      shapes: [
        [2, 6, 5, 6],
        [2, 4, 3, 5],
      ],
      run: filterGradient([3, 3, 6, 5], 1, "valid"),
    },
  ],
  Conv2DBackpropInput: [
    {
      name: "same, stride 1",
      shapes: [
        [2, 5, 6, 4],
        [3, 3, 2, 4],
      ],
      run: inputGradient([2, 5, 6, 2], 1, "same"),
    },
    {
      name: "valid, stride 1",
      shapes: [
        [2, 3, 4, 4],
        [3, 3, 2, 4],
      ],
      run: inputGradient([2, 5, 6, 2], 1, "valid"),
    },
    {
      name: "same, stride 2",
      shapes: [
        [2, 3, 3, 4],
        [3, 3, 2, 4],
      ],
      run: inputGradient([2, 6, 6, 2], 2, "same"),
    },
    {
      name: "same, stride 2, odd size",
      shapes: [
        [2, 4, 3, 4],
        [3, 3, 2, 4],
      ],
      run: inputGradient([2, 7, 5, 2], 2, "same"),
    },
    {
      name: "valid, stride 2, rows left over",
      shapes: [
        [1, 3, 3, 4],
        [3, 3, 2, 4],
      ],
      run: inputGradient([1, 8, 8, 2], 2, "valid"),
    },
    {
      name: "filter of as many taps as two strides",
      shapes: [
        [3, 4, 3, 5],
        [4, 6, 2, 5],
      ],
      run: inputGradient([3, 8, 9, 2], [2, 3], "same"),
    },
    {
      name: "filter of as many taps as the stride, rows left over",
      shapes: [
        [2, 3, 3, 4],
        [2, 2, 2, 4],
      ],
      run: inputGradient([2, 7, 6, 2], 2, "valid"),
    },
    {
      name: "even filter",
      shapes: [
        [1, 6, 6, 4],
        [4, 4, 2, 4],
      ],
      run: inputGradient([1, 6, 6, 2], 1, "same"),
    },
  ],
  ResizeNearestNeighbor: [{ shapes: [[2, 3, 2, 2]], run: (x) => tf.image.resizeNearestNeighbor(x4(x), [6, 4]) }],
  // One image: tfjs's CPU backend sums wrong pixels for the images after the first of a batch.
  ResizeNearestNeighborGrad: [
    {
      shapes: [
        [1, 3, 2, 2],
        [1, 6, 4, 2],
      ],
      run: (x, dy) =>
        tf.grad((v: tf.Tensor) => tf.image.resizeNearestNeighbor(x4(v), [6, 4]))(x as tf.Tensor, dy as tf.Tensor4D),
    },
  ],
} satisfies Cases<typeof family>;
