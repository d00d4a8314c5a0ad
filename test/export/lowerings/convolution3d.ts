import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/convolution3d.ts";
import type { Cases, Run } from "./cases.ts";
import { gradients, row } from "./rows.ts";

type Size3 = number | [number, number, number];

const x5 = (x: tf.Tensor | undefined) => x as tf.Tensor5D;
const conv =
  (strides: Size3, pad: "same" | "valid" | number, dilations: Size3 = 1): Run =>
  (x, filter) =>
    tf.conv3d(x5(x), x5(filter), strides, pad as "same", "NDHWC", dilations as [number, number, number]);
const transposed =
  (shape: [number, number, number, number, number], strides: Size3, pad: "same" | "valid"): Run =>
  (x, filter) =>
    tf.conv3dTranspose(x5(x), x5(filter), shape, strides, pad);

export const convolution3d = {
  Conv3D: [
    row("same", conv(1, "same"), [2, 3, 4, 5, 2], [2, 3, 3, 2, 3]),
    row("valid, different strides", conv([1, 2, 3], "valid"), [2, 4, 6, 7, 2], [2, 3, 1, 2, 3]),
    row("same, stride 2", conv(2, "same"), [1, 5, 4, 5, 2], [3, 3, 2, 2, 3]),
    // Here tfjs's windows begin behind the image's first numbers.
    row("same, a stride above the filter", conv(3, "same"), [1, 6, 5, 7, 2], [1, 2, 1, 2, 3]),
    row("dilated", conv(1, "same", [1, 2, 2]), [1, 4, 6, 5, 2], [2, 3, 2, 2, 3]),
    row("padding by a number", conv(1, 1), [1, 3, 4, 5, 2], [3, 3, 3, 2, 2]),
    row(
      "one volume without a batch",
      (x, f) => tf.conv3d(x as tf.Tensor4D, x5(f), 1, "same"),
      [3, 4, 5, 2],
      [2, 3, 3, 2, 3],
    ),
    row(
      "twice",
      (x, f, h) =>
        conv(2, "valid")(tf.relu(conv(1, "same")(x as tf.Tensor, f as tf.Tensor) as tf.Tensor), h as tf.Tensor),
      [2, 3, 4, 5, 2],
      [2, 3, 3, 2, 3],
      [2, 2, 2, 3, 1],
    ),
  ],
  Conv3DBackpropInputV2: [
    row("gradients", gradients(conv(1, "same")), [2, 3, 4, 5, 2], [2, 3, 3, 2, 3]),
    row("gradients, different strides", gradients(conv([1, 2, 3], "valid")), [1, 4, 6, 7, 2], [2, 3, 1, 2, 3]),
    row("transposed, valid", transposed([2, 3, 4, 5, 2], 1, "valid"), [2, 2, 3, 3, 3], [2, 2, 3, 2, 3]),
    row("transposed, stride 2", transposed([1, 4, 5, 6, 2], 2, "same"), [1, 2, 3, 3, 3], [2, 3, 2, 2, 3]),
  ],
  Conv3DBackpropFilterV2: [
    row("gradients, stride 2", gradients(conv(2, "same")), [2, 4, 3, 5, 2], [2, 3, 2, 2, 3]),
    row("gradients, a stride above the filter", gradients(conv(3, "same")), [2, 6, 5, 7, 2], [1, 2, 1, 2, 3]),
  ],
} satisfies Cases<typeof family>;
