import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/depthwise.ts";
import { type Cases, corrected, image, kernel, type Run, x4 } from "./cases.ts";
import { gradients, row } from "./rows.ts";

type Size2 = number | [number, number];
type Size4 = [number, number, number, number];
type Pad = "same" | "valid" | number | [[number, number], [number, number], [number, number], [number, number]];

const depthwise =
  (strides: Size2, pad: Pad, dilations: Size2 = 1, rounding?: "floor" | "ceil"): Run =>
  (x, filter) =>
    tf.depthwiseConv2d(x4(x), x4(filter), strides, pad, "NHWC", dilations, rounding);
const inputGradient = (inputShape: Size4, strides: Size2, pad: Pad, dilations: Size2 = 1): Run =>
  kernel("DepthwiseConv2dNativeBackpropInput", { inputShape, strides, pad, dilations }, ["dy", "filter"]) as Run;
const filterGradient = (filterShape: Size4, strides: Size2, pad: Pad, dilations: Size2 = 1): Run =>
  kernel("DepthwiseConv2dNativeBackpropFilter", { filterShape, strides, pad, dilations }, ["x", "dy"]) as Run;
const fused =
  (activation: tf.fused.Activation): Run =>
  (x, filter, bias, preluActivationWeights) =>
    tf.fused.depthwiseConv2d({
      ...{ x: x4(x), filter: x4(filter), strides: 1, pad: "same", activation, leakyreluAlpha: 0.3 },
      ...(bias && { bias }),
      ...(preluActivationWeights && { preluActivationWeights }),
    });

/** A filter with zeros between its taps: a dilated convolution is one with this filter. */
const spread = (filter: tf.Tensor | undefined): tf.Tensor4D => {
  const [h, w, c, m] = x4(filter).shape;
  const apart = tf.pad(tf.reshape(filter as tf.Tensor, [h, 1, w, 1, c * m]), [
    [0, 0],
    [0, 1],
    [0, 0],
    [0, 1],
    [0, 0],
  ]);
  return tf.slice(tf.reshape(apart, [2 * h, 2 * w, c, m]), 0, [2 * h - 1, 2 * w - 1, c, m]) as tf.Tensor4D;
};
/** The taps of a filter's gradient that are not between taps. */
const taps = (gradient: tf.Tensor): tf.Tensor => {
  const [h, w, c, m] = gradient.shape as Size4;
  const even = tf.reshape(
    tf.pad(gradient, [
      [0, 1],
      [0, 1],
      [0, 0],
      [0, 0],
    ]),
    [(h + 1) / 2, 2, (w + 1) / 2, 2, c * m],
  );
  return tf.reshape(tf.slice(even, 0, [(h + 1) / 2, 1, (w + 1) / 2, 1, c * m]), [(h + 1) / 2, (w + 1) / 2, c, m]);
};

export const depthwiseConvolution = {
  DepthwiseConv2dNative: [
    row("same", depthwise(1, "same"), [2, 5, 6, 3], [3, 3, 3, 1]),
    row("two filters a channel", depthwise(1, "valid"), [2, 5, 6, 3], [3, 2, 3, 2]),
    row("stride 2, odd size", depthwise(2, "same"), [2, 7, 5, 3], [3, 3, 3, 2]),
    row("oblong strides", depthwise([1, 2], "valid"), [2, 7, 8, 3], [3, 3, 3, 1]),
    row("dilated", depthwise(1, "same", 2), [2, 7, 8, 3], [3, 3, 3, 2]),
    row("dilated by different numbers", depthwise(1, "valid", [2, 3]), [2, 7, 9, 3], [3, 3, 3, 1]),
    row("padding by a number", depthwise(2, 1), [2, 7, 6, 3], [3, 3, 3, 1]),
    row(
      "padding by numbers",
      depthwise(1, [
        [0, 0],
        [1, 2],
        [0, 3],
        [0, 0],
      ]),
      [2, 5, 6, 3],
      [3, 3, 3, 2],
    ),
    row("windows rounded up", depthwise(2, 1, 1, "ceil"), [2, 4, 6, 3], [3, 3, 3, 1]),
    row("one channel", depthwise(1, "same"), [2, 5, 6, 1], [3, 3, 1, 4]),
    row(
      "one image without a batch",
      (x, f) => tf.depthwiseConv2d(x as tf.Tensor3D, x4(f), 1, "same"),
      [5, 6, 3],
      [3, 3, 3, 2],
    ),
    row(
      "of an image still in another order",
      (x, f, h) => depthwise(1, "same")(tf.relu(image(x, f)), h as tf.Tensor),
      [2, 5, 6, 2],
      [3, 3, 2, 3],
      [3, 3, 3, 2],
    ),
    row(
      "separable",
      (x, f, h) => tf.separableConv2d(x4(x), x4(f), x4(h), [1, 2], "same"),
      [2, 5, 6, 3],
      [3, 3, 3, 2],
      [1, 1, 6, 4],
    ),
    row(
      "separable, dilated",
      (x, f, h) => tf.separableConv2d(x4(x), x4(f), x4(h), 1, "valid", 2),
      [2, 7, 6, 3],
      [3, 2, 3, 2],
      [1, 1, 6, 4],
    ),
    row(
      "gradients of a separable one",
      gradients((x, f, h) => tf.separableConv2d(x4(x), x4(f), x4(h), 1, "same")),
      [2, 5, 6, 2],
      [3, 3, 2, 2],
      [1, 1, 4, 3],
    ),
  ],
  DepthwiseConv2dNativeBackpropInput: [
    row("same", inputGradient([2, 5, 6, 3], 1, "same"), [2, 5, 6, 3], [3, 3, 3, 1]),
    row("two filters a channel", inputGradient([2, 5, 6, 3], 1, "valid"), [2, 3, 5, 6], [3, 2, 3, 2]),
    row("stride 2", inputGradient([2, 7, 6, 3], 2, "same"), [2, 4, 3, 6], [3, 3, 3, 2]),
    row("valid, rows left over", inputGradient([2, 8, 6, 3], [2, 1], "valid"), [2, 3, 4, 3], [3, 3, 3, 1]),
    // tfjs's kernel forgets the dilations; a filter with zeros between its taps is the same.
    row(
      "dilated",
      corrected(inputGradient([2, 7, 6, 2], 1, "same", 2), (dy, f) =>
        inputGradient([2, 7, 6, 2], 1, "same")(dy as tf.Tensor, spread(f)),
      ),
      [2, 7, 6, 4],
      [3, 2, 2, 2],
    ),
    row(
      "gradients, padding by numbers",
      gradients(
        depthwise(1, [
          [0, 0],
          [1, 2],
          [0, 3],
          [0, 0],
        ]),
      ),
      [2, 5, 6, 2],
      [3, 3, 2, 2],
    ),
    row("gradients, stride 2", gradients(depthwise(2, "same")), [2, 6, 7, 3], [3, 3, 3, 1]),
    row("gradients, windows rounded up", gradients(depthwise(2, 1, 1, "ceil")), [2, 4, 6, 2], [3, 3, 2, 2]),
  ],
  DepthwiseConv2dNativeBackpropFilter: [
    row("same", filterGradient([3, 3, 3, 1], 1, "same"), [2, 5, 6, 3], [2, 5, 6, 3]),
    row("two filters a channel", filterGradient([3, 2, 3, 2], 1, "valid"), [2, 5, 6, 3], [2, 3, 5, 6]),
    row("stride 2", filterGradient([3, 3, 3, 2], 2, "same"), [2, 7, 6, 3], [2, 4, 3, 6]),
    row("valid, rows left over", filterGradient([3, 3, 3, 1], 2, "valid"), [2, 8, 8, 3], [2, 3, 3, 3]),
    row(
      "dilated",
      corrected(filterGradient([3, 2, 2, 2], 1, "same", 2), (x, dy) =>
        taps(filterGradient([5, 3, 2, 2], 1, "same")(x as tf.Tensor, dy as tf.Tensor) as tf.Tensor),
      ),
      [2, 7, 6, 2],
      [2, 7, 6, 4],
    ),
    row(
      "of images still in another order",
      (x, f) => {
        const y = image(x, f);
        return filterGradient([3, 3, 3, 1], 1, "same")(y, tf.relu(y));
      },
      [2, 5, 6, 2],
      [3, 3, 2, 3],
    ),
  ],
  FusedDepthwiseConv2D: [
    ...(["linear", "relu", "relu6", "elu", "sigmoid", "leakyrelu"] as const).map((activation) =>
      row(activation, fused(activation), [2, 5, 6, 2], [3, 3, 2, 2], [4]),
    ),
    row("without a bias", fused("relu"), [2, 5, 6, 2], [3, 3, 2, 1]),
    row("prelu", fused("prelu"), [2, 5, 6, 2], [3, 3, 2, 2], [4], [4]),
    row("one bias", fused("relu"), [2, 5, 6, 2], [3, 3, 2, 2], []),
    row("gradients", gradients(fused("linear")), [2, 5, 6, 2], [3, 3, 2, 2], [4]),
  ],
} satisfies Cases<typeof family>;
