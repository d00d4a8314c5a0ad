import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/convolution.ts";
import { type Case, type Cases, corrected, image, kernel, type Run, x4 } from "./cases.ts";
import { gradients, row } from "./rows.ts";

type Size2 = number | [number, number];
type Size4 = [number, number, number, number];
type Pad = "same" | "valid" | number | [[number, number], [number, number], [number, number], [number, number]];
type Rounding = "floor" | "round" | "ceil";

const conv =
  (strides: Size2, pad: Pad, dilations: Size2 = 1, rounding?: Rounding): Run =>
  (x, filter) =>
    tf.conv2d(x4(x), x4(filter), strides, pad, "NHWC", dilations, rounding);
const channelsFirst =
  (strides: Size2, pad: Pad, dilations: Size2 = 1): Run =>
  (x, filter) =>
    tf.conv2d(x4(x), x4(filter), strides, pad, "NCHW", dilations);
const inputGradient = (inputShape: Size4, strides: Size2, pad: Pad, dataFormat = "NHWC"): Run =>
  kernel("Conv2DBackpropInput", { inputShape, strides, pad, dataFormat }, ["dy", "filter"]) as Run;
const filterGradient = (filterShape: Size4, strides: Size2, pad: Pad, dataFormat = "NHWC"): Run =>
  kernel("Conv2DBackpropFilter", { filterShape, strides, pad, dataFormat }, ["x", "dy"]) as Run;
const fused =
  (options: { activation?: tf.fused.Activation; leakyreluAlpha?: number; dataFormat?: "NHWC" | "NCHW" }): Run =>
  (x, filter, bias, preluActivationWeights) => {
    const inputs = { x: x4(x), filter: x4(filter), strides: 1, pad: "same" as const };
    return tf.fused.conv2d({
      ...inputs,
      ...options,
      ...(bias && { bias }),
      ...(preluActivationWeights && { preluActivationWeights }),
    });
  };
const ACTIVATIONS = ["linear", "relu", "relu6", "elu", "sigmoid", "leakyrelu"] as const;

/** Images whose channels are whole blocks of 8 and of 16. The numbers are small: each of the result sums hundreds of products. */
const wide = (name: string, run: Run, ...shapes: number[][]): Case => ({ name, run, shapes, low: -0.25, high: 0.25 });
const inARow: Run = (x, f, b, h) => {
  const y = tf.leakyRelu(tf.add(tf.conv2d(x4(x), x4(f), 1, "same"), b as tf.Tensor), 0.2);
  return tf.conv2d(x4(tf.mul(y, tf.mean(y, [1, 2], true))), x4(h), 2, "same");
};
const inBlocks = {
  Conv2D: [
    wide("of no channels", conv(1, "same"), [1, 3, 3, 0], [1, 1, 0, 2]),
    wide("a window larger than the image", conv(1, "valid"), [2, 2, 3, 1], [3, 3, 1, 1]),
    wide("wide", conv(1, "same"), [2, 5, 6, 16], [3, 3, 16, 32]),
    wide("wide, stride 2, odd size", conv(2, "same"), [2, 7, 6, 32], [3, 3, 32, 16]),
    wide("wide, dilated", conv(1, "same", 2), [1, 8, 8, 16], [3, 3, 16, 16]),
    wide("wide, rows left over", conv(2, "valid"), [1, 8, 8, 16], [3, 3, 16, 16]),
    wide("wide, a stride above the filter", conv(3, "same"), [2, 7, 8, 16], [1, 2, 16, 16]),
    wide("wide, padding wider than the filter", conv(1, 3), [1, 3, 3, 16], [2, 2, 16, 16]),
    wide("from one channel to many", conv(2, "same"), [2, 6, 6, 1], [3, 3, 1, 16]),
    wide("from many channels to few", conv(1, "same"), [2, 6, 6, 16], [3, 3, 16, 4]),
    wide("from many channels to one", conv(1, "same", 2), [2, 6, 7, 16], [3, 1, 16, 2]),
    wide("from many channels to one, odd size", conv(1, "same"), [2, 7, 5, 16], [3, 3, 16, 1]),
    wide("from many channels to few, valid", conv(1, "valid"), [1, 5, 9, 16], [3, 2, 16, 3]),
    wide("from many channels to few, a stride along the rows", conv([2, 1], "same"), [1, 5, 6, 16], [3, 3, 16, 2]),
    wide("from many channels to few, stride 2", conv(2, "same"), [2, 6, 6, 16], [3, 3, 16, 2]),
    wide("wide, NCHW", channelsFirst(1, "same"), [2, 16, 5, 6], [3, 3, 16, 16]),
    wide("wide, two in a row with a bias and a mean", inARow, [2, 6, 6, 16], [3, 3, 16, 32], [32], [3, 3, 32, 16]),
    wide(
      "wide, and what is done with numbers of other types",
      (x, f) => {
        const y = conv(1, "same")(x as tf.Tensor, f as tf.Tensor) as tf.Tensor4D;
        return [
          tf.where(tf.greater(y, 0), y, tf.mul(y, 3)),
          tf.sum(tf.greater(y, 0.1), [1, 2]),
          tf.max(y, 3),
          tf.sum(y),
        ];
      },
      [2, 5, 6, 16],
      [3, 3, 16, 32],
    ),
    wide(
      "wide, sliced, padded and transposed",
      (x, f) => {
        const y = conv(1, "same")(x as tf.Tensor, f as tf.Tensor) as tf.Tensor4D;
        return [
          tf.slice(y, [1, 0, 0, 0]),
          tf.pad(y, [
            [0, 0],
            [1, 0],
            [0, 0],
            [0, 1],
          ]),
          tf.transpose(y),
          tf.maxPool(y, 2, 2, "same"),
        ];
      },
      [2, 5, 6, 16],
      [3, 3, 16, 32],
    ),
  ],
  Conv2DBackpropFilter: [
    wide("of no image", filterGradient([3, 3, 2, 3], 1, "same"), [0, 4, 5, 2], [0, 4, 5, 3]),
    wide("wide, a batch of blocks", filterGradient([3, 3, 16, 32], 1, "same"), [16, 4, 5, 16], [16, 4, 5, 32]),
    wide("wide, stride 2, odd size", filterGradient([3, 3, 32, 16], 2, "same"), [16, 7, 5, 32], [16, 4, 3, 16]),
    wide("wide, rows left over", filterGradient([3, 2, 16, 16], 2, "valid"), [16, 8, 8, 16], [16, 3, 4, 16]),
    wide("wide, stride 2, even filter", filterGradient([4, 4, 16, 16], 2, "same"), [16, 6, 8, 16], [16, 3, 4, 16]),
    wide("wide, a stride above the image", filterGradient([3, 3, 16, 16], 2, "same"), [16, 1, 3, 16], [16, 1, 2, 16]),
    wide("wide, to few channels", filterGradient([3, 2, 16, 4], 1, "same"), [16, 5, 4, 16], [16, 5, 4, 4]),
    wide("wide, to few channels, valid", filterGradient([3, 3, 32, 2], 1, "valid"), [16, 5, 6, 32], [16, 3, 4, 2]),
    wide("wide, to few channels, 36 a window", filterGradient([3, 3, 16, 4], 1, "same"), [16, 5, 4, 16], [16, 5, 4, 4]),
    wide("wide, to one channel", filterGradient([3, 3, 32, 1], 1, "same"), [3, 5, 4, 32], [3, 5, 4, 1]),
    wide("wide, from one channel, stride 2", filterGradient([3, 3, 1, 32], 2, "same"), [3, 7, 6, 1], [3, 4, 3, 32]),
    wide("wide, from three channels", filterGradient([3, 3, 3, 16], 1, "same"), [2, 4, 5, 3], [2, 4, 5, 16]),
    wide("wide, from few channels, valid", filterGradient([2, 3, 2, 16], 2, "valid"), [2, 9, 8, 2], [2, 4, 3, 16]),
    wide("wide, one tap", filterGradient([1, 1, 16, 16], 2, "same"), [16, 4, 4, 16], [16, 2, 2, 16]),
    wide("wide, a batch of another size", filterGradient([3, 3, 16, 16], 1, "same"), [3, 4, 4, 16], [3, 4, 4, 16]),
  ],
  Conv2DBackpropInput: [
    wide("wide", inputGradient([2, 5, 6, 16], 1, "same"), [2, 5, 6, 32], [3, 3, 16, 32]),
    wide("wide, stride 2", inputGradient([2, 6, 8, 32], 2, "same"), [2, 3, 4, 16], [3, 3, 32, 16]),
    wide("wide, stride 2, odd size", inputGradient([2, 7, 5, 16], 2, "same"), [2, 4, 3, 16], [3, 3, 16, 16]),
    wide("wide, stride 2, padding before", inputGradient([2, 6, 6, 16], 2, 1), [2, 3, 3, 16], [3, 3, 16, 16]),
    wide("wide, strides of 2 and 3", inputGradient([1, 4, 9, 16], [2, 3], "same"), [1, 2, 3, 16], [4, 6, 16, 16]),
    wide("wide, a stride above the filter", inputGradient([2, 4, 6, 16], 2, "same"), [2, 2, 3, 16], [1, 1, 16, 16]),
    wide("wide, rows left over", inputGradient([1, 8, 8, 16], 2, "valid"), [1, 3, 3, 16], [3, 3, 16, 16]),
    wide("wide, to one channel", inputGradient([2, 5, 6, 1], 1, "same"), [2, 5, 6, 16], [2, 3, 1, 16]),
    wide("wide, to few channels", inputGradient([2, 5, 6, 3], 1, "same"), [2, 5, 6, 16], [3, 3, 3, 16]),
    wide("wide, from few channels", inputGradient([2, 5, 6, 16], 1, "same"), [2, 5, 6, 4], [3, 3, 16, 4]),
    wide("wide, gradients", gradients(inARow), [2, 6, 6, 16], [3, 3, 16, 32], [32], [3, 3, 32, 16]),
  ],
};

const FOUR_SIDES: Pad = [
  [0, 0],
  [1, 0],
  [3, 2],
  [0, 0],
];

/** Images of so many channels that 3 x 3 taps go by tiles of 4 x 4 places, where channels are in blocks. */
const inTiles = {
  Conv2D: [
    wide("by tiles", conv(1, "same"), [1, 5, 6, 128], [3, 3, 128, 144]),
    wide("by tiles, whole", conv(1, "same"), [2, 8, 4, 144], [3, 3, 144, 128]),
    wide("by tiles, valid", conv(1, "valid"), [1, 7, 9, 128], [3, 3, 128, 128]),
    wide("by tiles, one place", conv(1, "valid"), [3, 3, 3, 128], [3, 3, 128, 128]),
    wide("by tiles, padding wider than the filter", conv(1, 4), [1, 2, 3, 128], [3, 3, 128, 128]),
    wide("by tiles, padding by numbers", conv(1, FOUR_SIDES), [1, 4, 5, 128], [3, 3, 128, 128]),
    wide("by tiles, NCHW", channelsFirst(1, "same"), [2, 128, 5, 6], [3, 3, 128, 128]),
    wide(
      "by tiles, two in a row with a bias and a mean",
      inARow,
      [1, 5, 6, 128],
      [3, 3, 128, 144],
      [144],
      [3, 3, 144, 128],
    ),
  ],
  Conv2DBackpropFilter: [
    wide("by tiles", filterGradient([3, 3, 128, 144], 1, "same"), [2, 5, 4, 128], [2, 5, 4, 144]),
    wide("by tiles, valid", filterGradient([3, 3, 128, 128], 1, "valid"), [2, 7, 3, 128], [2, 5, 1, 128]),
  ],
  Conv2DBackpropInput: [
    wide("by tiles", inputGradient([1, 5, 6, 128], 1, "same"), [1, 5, 6, 144], [3, 3, 128, 144]),
    wide("by tiles, valid", inputGradient([1, 7, 4, 128], 1, "valid"), [1, 5, 2, 128], [3, 3, 128, 128]),
    {
      ...wide("by tiles, gradients", gradients(inARow), [1, 5, 6, 128], [3, 3, 128, 144], [144], [3, 3, 144, 128]),
      low: -0.1,
      high: 0.1,
    },
  ],
};

export const convolution = {
  Conv2D: [
    ...inBlocks.Conv2D,
    ...inTiles.Conv2D,
    row("same, stride 1", conv(1, "same"), [2, 5, 6, 2], [3, 3, 2, 4]),
    row("same, stride 2, odd size", conv(2, "same"), [2, 7, 6, 1], [3, 3, 1, 2]),
    row("valid, oblong", conv([2, 1], "valid"), [1, 8, 7, 2], [3, 2, 2, 3]),
    row("dilated", conv(1, "same", 2), [1, 8, 8, 2], [3, 3, 2, 3]),
    row("valid, dilated by different numbers", conv(1, "valid", [2, 3]), [2, 8, 9, 2], [3, 2, 2, 3]),
    row("a stride above the filter", conv(3, "same"), [2, 7, 8, 2], [1, 2, 2, 3]),
    row("padding by a number", conv(2, 1), [2, 7, 6, 2], [3, 3, 2, 4]),
    row(
      "padding by numbers",
      conv(
        [1, 2],
        [
          [0, 0],
          [1, 2],
          [0, 3],
          [0, 0],
        ],
      ),
      [2, 5, 6, 2],
      [3, 3, 2, 4],
    ),
    row("padding wider than the filter", conv(1, 3), [1, 3, 3, 2], [2, 2, 2, 2]),
    row("windows rounded up", conv(2, 1, 1, "ceil"), [2, 4, 6, 2], [3, 3, 2, 4]),
    row("windows rounded down", conv(3, 0, 1, "floor"), [2, 7, 8, 2], [3, 3, 2, 4]),
    // tfjs counts the windows of both axes by the filter's height and the stride along it.
    row("an oblong filter and padding by a number", conv(1, 1), [2, 6, 7, 2], [2, 4, 2, 3]),
    row("an oblong filter and fewer windows than fit", conv(1, 0), [2, 6, 7, 2], [4, 1, 2, 3]),
    row("an oblong stride and fewer windows than fit", conv([3, 1], 0), [1, 9, 9, 2], [3, 3, 2, 3]),
    row("one image without a batch", (x, f) => tf.conv2d(x as tf.Tensor3D, x4(f), 1, "same"), [5, 6, 2], [3, 3, 2, 4]),
    row("NCHW", channelsFirst(1, "same"), [2, 2, 5, 6], [3, 3, 2, 4]),
    row("NCHW, stride 2", channelsFirst([2, 1], "valid"), [2, 2, 7, 6], [3, 2, 2, 3]),
    row("NCHW, dilated", channelsFirst(1, 1, 2), [2, 2, 7, 6], [3, 3, 2, 3]),
    row(
      "NCHW, padding by numbers",
      channelsFirst(1, [
        [0, 0],
        [0, 0],
        [1, 2],
        [0, 3],
      ]),
      [2, 2, 5, 6],
      [3, 3, 2, 4],
    ),
    row(
      "NCHW twice",
      (x, f, h) => channelsFirst(2, "same")(tf.relu(tf.conv2d(x4(x), x4(f), 1, "same", "NCHW")), h as tf.Tensor),
      [2, 2, 5, 6],
      [3, 3, 2, 4],
      [3, 3, 4, 1],
    ),
    row(
      "NCHW of a transposed image",
      (x, f) => channelsFirst(1, "same")(tf.transpose(x4(x), [0, 3, 1, 2]), f as tf.Tensor),
      [2, 5, 6, 2],
      [3, 3, 2, 4],
    ),
    row(
      "a transposed filter",
      (x, f) => conv(1, "same")(x as tf.Tensor, tf.transpose(f as tf.Tensor, [3, 0, 2, 1])),
      [2, 5, 6, 2],
      [3, 4, 2, 3],
    ),
    row("one dimension", (x, f) => tf.conv1d(x as tf.Tensor3D, f as tf.Tensor3D, 2, "same"), [2, 9, 3], [4, 3, 5]),
    row(
      "one dimension, dilated",
      (x, f) => tf.conv1d(x as tf.Tensor3D, f as tf.Tensor3D, 1, "same", "NWC", 2),
      [2, 9, 3],
      [3, 3, 5],
    ),
    row(
      "one dimension, one sequence",
      (x, f) => tf.conv1d(x as tf.Tensor2D, f as tf.Tensor3D, 1, "valid"),
      [9, 3],
      [3, 3, 5],
    ),
    row(
      "one dimension, gradients",
      gradients((x, f) => tf.conv1d(x as tf.Tensor3D, f as tf.Tensor3D, 1, "valid")),
      [2, 7, 2],
      [3, 2, 3],
    ),
    row(
      "two in a row with bias",
      (x, f, b, h) => {
        const y = tf.add(tf.conv2d(x4(x), x4(f), 1, "same"), b as tf.Tensor);
        return tf.conv2d(x4(tf.leakyRelu(y, 0.2)), x4(h), 2, "same");
      },
      [2, 6, 6, 1],
      [3, 3, 1, 3],
      [3],
      [3, 3, 3, 2],
    ),
  ],
  Conv2DBackpropFilter: [
    ...inBlocks.Conv2DBackpropFilter,
    ...inTiles.Conv2DBackpropFilter,
    row("same, stride 1", filterGradient([3, 3, 2, 4], 1, "same"), [3, 5, 6, 2], [3, 5, 6, 4]),
    row("same, stride 2", filterGradient([3, 3, 2, 3], 2, "same"), [2, 6, 6, 2], [2, 3, 3, 3]),
    row("same, stride 2, odd size", filterGradient([3, 3, 2, 3], 2, "same"), [2, 7, 5, 2], [2, 4, 3, 3]),
    row("valid, rows left over", filterGradient([3, 3, 2, 3], 2, "valid"), [2, 8, 8, 2], [2, 3, 3, 3]),
    row("valid, rows left over, many channels", filterGradient([3, 3, 5, 3], 2, "valid"), [2, 8, 8, 5], [2, 3, 3, 3]),
    row("fewer outputs than inputs, even filter", filterGradient([4, 3, 6, 2], 1, "same"), [2, 6, 5, 6], [2, 6, 5, 2]),
    row("fewer outputs than inputs, valid", filterGradient([3, 3, 6, 5], 1, "valid"), [2, 6, 5, 6], [2, 4, 3, 5]),
    row(
      "padding by numbers",
      filterGradient([3, 3, 2, 3], 1, [
        [0, 0],
        [1, 2],
        [0, 3],
        [0, 0],
      ]),
      [2, 6, 5, 2],
      [2, 7, 6, 3],
    ),
    row("padding wider than the filter", filterGradient([2, 2, 6, 2], 1, 3), [2, 3, 3, 6], [2, 8, 8, 2]),
    row("NCHW", filterGradient([3, 3, 2, 4], 2, "same", "NCHW"), [3, 2, 5, 6], [3, 4, 3, 3]),
    row(
      "of images still in another order",
      (x, f) => {
        const y = image(x, f);
        return filterGradient([3, 3, 3, 3], 1, "same")(y, tf.relu(y));
      },
      [2, 5, 6, 2],
      [3, 3, 2, 3],
    ),
  ],
  Conv2DBackpropInput: [
    ...inBlocks.Conv2DBackpropInput,
    ...inTiles.Conv2DBackpropInput,
    row("same, stride 1", inputGradient([2, 5, 6, 2], 1, "same"), [2, 5, 6, 4], [3, 3, 2, 4]),
    row("valid, stride 1", inputGradient([2, 5, 6, 2], 1, "valid"), [2, 3, 4, 4], [3, 3, 2, 4]),
    row("same, stride 2", inputGradient([2, 6, 6, 2], 2, "same"), [2, 3, 3, 4], [3, 3, 2, 4]),
    row("same, stride 2, odd size", inputGradient([2, 7, 5, 2], 2, "same"), [2, 4, 3, 4], [3, 3, 2, 4]),
    row("valid, stride 2, rows left over", inputGradient([1, 8, 8, 2], 2, "valid"), [1, 3, 3, 4], [3, 3, 2, 4]),
    row(
      "filter of as many taps as two strides",
      inputGradient([3, 8, 9, 2], [2, 3], "same"),
      [3, 4, 3, 5],
      [4, 6, 2, 5],
    ),
    row(
      "filter of as many taps as the stride, rows left over",
      inputGradient([2, 7, 6, 2], 2, "valid"),
      [2, 3, 3, 4],
      [2, 2, 2, 4],
    ),
    row("a stride above the filter", inputGradient([2, 7, 8, 2], 3, "same"), [2, 3, 3, 4], [1, 2, 2, 4]),
    row("even filter", inputGradient([1, 6, 6, 2], 1, "same"), [1, 6, 6, 4], [4, 4, 2, 4]),
    row(
      "padding by numbers",
      inputGradient(
        [2, 5, 6, 2],
        [1, 2],
        [
          [0, 0],
          [1, 2],
          [0, 3],
          [0, 0],
        ],
      ),
      [2, 6, 4, 4],
      [3, 3, 2, 4],
    ),
    row("padding wider than the filter", inputGradient([1, 3, 3, 2], 1, 3), [1, 8, 8, 4], [2, 2, 2, 4]),
    row("NCHW", inputGradient([2, 2, 5, 6], 1, "same", "NCHW"), [2, 4, 5, 6], [3, 3, 2, 4]),
    row("NCHW, stride 2", inputGradient([2, 2, 5, 6], 2, "same", "NCHW"), [2, 4, 3, 3], [3, 3, 2, 4]),
    row(
      "gradients of a convolution",
      gradients(
        conv(1, [
          [0, 0],
          [1, 0],
          [0, 2],
          [0, 0],
        ]),
      ),
      [2, 5, 6, 2],
      [3, 3, 2, 4],
    ),
    row("gradients of a strided convolution", gradients(conv(2, "same")), [2, 6, 7, 2], [3, 3, 2, 4]),
    row("gradients in NCHW", gradients(channelsFirst(1, "same")), [2, 2, 5, 6], [3, 3, 2, 4]),
    // tfjs's gradients forget dimRoundingMode; the windows are those of this padding.
    row(
      "gradients where windows are rounded up",
      corrected(
        gradients(conv(2, 1, 1, "ceil")),
        gradients(
          conv(2, [
            [0, 0],
            [1, 2],
            [1, 2],
            [0, 0],
          ]),
        ),
      ),
      [2, 4, 4, 2],
      [3, 3, 2, 3],
    ),
    row("gradients with fewer windows than fit", gradients(conv(1, 0)), [2, 6, 7, 2], [4, 1, 2, 3]),
    row(
      "a transposed convolution",
      (x, f) => tf.conv2dTranspose(x4(x), x4(f), [2, 7, 8, 2], 2, "same"),
      [2, 4, 4, 3],
      [3, 3, 2, 3],
    ),
    row(
      "a transposed convolution to a small image",
      (x, f) => tf.conv2dTranspose(x4(x), x4(f), [2, 3, 4, 2], 1, "same"),
      [2, 5, 6, 3],
      [5, 4, 2, 3],
    ),
    row(
      "gradients of a transposed convolution",
      gradients((x, f) => tf.conv2dTranspose(x4(x), x4(f), [2, 8, 8, 2], 2, "same")),
      [2, 4, 4, 3],
      [3, 3, 2, 3],
    ),
  ],
  FusedConv2D: [
    ...ACTIVATIONS.map((activation) =>
      row(activation, fused({ activation, leakyreluAlpha: 0.3 }), [2, 5, 6, 2], [3, 3, 2, 4], [4]),
    ),
    row("without a bias", fused({ activation: "relu" }), [2, 5, 6, 2], [3, 3, 2, 4]),
    row("prelu, a number a channel", fused({ activation: "prelu" }), [2, 5, 6, 2], [3, 3, 2, 4], [4], [4]),
    row("prelu, a number a pixel", fused({ activation: "prelu" }), [2, 5, 6, 2], [3, 3, 2, 4], [], [5, 6, 4]),
    row("NCHW", fused({ activation: "prelu", dataFormat: "NCHW" }), [2, 2, 5, 6], [3, 3, 2, 4], [4], [4]),
    row(
      "NCHW, one bias, weights by channel",
      fused({ activation: "prelu", dataFormat: "NCHW" }),
      [2, 4, 5, 6],
      [3, 3, 4, 4],
      [],
      [4, 1, 1],
    ),
    row(
      "of images still in another order",
      (x, f, h, b) => fused({ activation: "relu" })(image(x, f), h as tf.Tensor, b as tf.Tensor),
      [2, 5, 6, 2],
      [3, 3, 2, 3],
      [3, 3, 3, 4],
      [4],
    ),
    row("gradients", gradients(fused({})), [2, 5, 6, 2], [3, 3, 2, 4], [4]),
    row("gradients through an activation", gradients(fused({ activation: "elu" })), [2, 5, 6, 2], [3, 3, 2, 4], [4]),
  ],
} satisfies Cases<typeof family>;
