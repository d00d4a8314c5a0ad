import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/dilation.ts";
import { type Cases, image, type Run, x4 } from "./cases.ts";
import { gradients, row } from "./rows.ts";

type Size2 = number | [number, number];

const dilation =
  (strides: Size2, pad: "same" | "valid", dilations: Size2 = 1): Run =>
  (x, filter) =>
    tf.dilation2d(x4(x), filter as tf.Tensor3D, strides as [number, number], pad, dilations as [number, number]);

export const dilation2d = {
  Dilation2D: [
    row("same", dilation(1, "same"), [2, 5, 6, 3], [3, 2, 3]),
    row("valid, strides", dilation([2, 1], "valid"), [2, 7, 6, 3], [3, 3, 3]),
    row("same, stride 2, dilated", dilation(2, "same", [1, 2]), [2, 7, 6, 2], [2, 3, 2]),
    row("of one tap", dilation(1, "same"), [2, 3, 4, 2], [1, 1, 2]),
    row(
      "of an image still in another order",
      (x, f, h) => dilation(1, "same")(image(x, f), h as tf.Tensor),
      [2, 5, 6, 2],
      [3, 3, 2, 3],
      [2, 2, 3],
    ),
  ],
  Dilation2DBackpropFilter: [
    row("same", gradients(dilation(1, "same")), [2, 5, 6, 3], [3, 2, 3]),
    row(
      "ties",
      gradients((x, f) => dilation(2, "same")(tf.relu(x as tf.Tensor), tf.relu(f as tf.Tensor))),
      [2, 5, 6, 3],
      [3, 2, 3],
    ),
  ],
  Dilation2DBackpropInput: [
    row("valid, strides", gradients(dilation([2, 1], "valid")), [2, 7, 6, 3], [3, 3, 3]),
    row("stride 2, dilated", gradients(dilation(2, "same", [1, 2])), [2, 7, 6, 2], [2, 3, 2]),
    row("a stride above the filter", gradients(dilation(3, "valid")), [2, 7, 8, 2], [2, 1, 2]),
  ],
} satisfies Cases<typeof family>;
