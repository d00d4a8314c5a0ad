import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/movement.ts";
import { type Cases, x4 } from "./cases.ts";

export const movement = {
  BroadcastTo: [{ shapes: [[3, 1]], run: (x) => tf.broadcastTo(x as tf.Tensor, [2, 3, 4]) }],
  Concat: [
    {
      shapes: [
        [2, 3],
        [2, 1],
      ],
      run: (a, b) => tf.concat([a as tf.Tensor, b as tf.Tensor], 1),
    },
    {
      name: "of images still channels-first",
      shapes: [
        [1, 4, 4, 2],
        [3, 3, 2, 2],
      ],
      run: (x, f) => {
        const y = tf.conv2d(x4(x), x4(f), 1, "same");
        return tf.concat([y, tf.relu(y)], 3);
      },
    },
  ],
  ExpandDims: [{ shapes: [[2, 3]], run: (x) => [tf.expandDims(x as tf.Tensor, 1), tf.expandDims(x as tf.Tensor, -1)] }],
  Pack: [
    {
      shapes: [
        [2, 3],
        [2, 3],
      ],
      run: (a, b) => [tf.stack([a as tf.Tensor, b as tf.Tensor], 0), tf.stack([a as tf.Tensor, b as tf.Tensor], 2)],
    },
  ],
  PadV2: [
    {
      shapes: [[2, 3]],
      run: (x) =>
        tf.pad(
          x as tf.Tensor,
          [
            [1, 0],
            [2, 1],
          ],
          0.5,
        ),
    },
    {
      name: "of an image still channels-first",
      shapes: [
        [1, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) =>
        tf.pad(tf.conv2d(x4(x), x4(f), 1, "same"), [
          [0, 0],
          [1, 2],
          [0, 1],
          [0, 0],
        ]),
    },
  ],
  Reshape: [
    { shapes: [[2, 6]], run: (x) => tf.reshape(x as tf.Tensor, [3, -1]) },
    {
      name: "of an image still channels-first",
      shapes: [
        [2, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) => tf.reshape(tf.conv2d(x4(x), x4(f), 1, "same"), [2, -1]),
    },
    {
      name: "of a broadcast number",
      shapes: [[]],
      run: (x) => tf.reshape(tf.mul(x as tf.Tensor, tf.ones([2, 3])), [6]),
    },
  ],
  Reverse: [{ shapes: [[2, 3, 4]], run: (x) => tf.reverse(x as tf.Tensor, [0, 2]) }],
  Slice: [
    { shapes: [[4, 5]], run: (x) => tf.slice(x as tf.Tensor, [1, 0], [2, -1]) },
    {
      name: "of an image still channels-first",
      shapes: [
        [1, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) => tf.slice(tf.conv2d(x4(x), x4(f), 1, "same"), [0, 1, 0, 1], [1, 2, 4, 2]),
    },
  ],
  SplitV: [{ shapes: [[2, 6]], run: (x) => tf.split(x as tf.Tensor, [1, 3, 2], 1) }],
  Tile: [
    { shapes: [[2, 3]], run: (x) => tf.tile(x as tf.Tensor, [2, 2]) },
    { name: "of axes of size 1", shapes: [[1, 3]], run: (x) => tf.tile(x as tf.Tensor, [4, 1]) },
  ],
  Transpose: [
    { shapes: [[2, 3, 4]], run: (x) => tf.transpose(x as tf.Tensor, [2, 0, 1]) },
    {
      name: "twice, then added",
      shapes: [[2, 3, 4], [4]],
      run: (x, b) => tf.add(tf.transpose(tf.transpose(x as tf.Tensor, [2, 0, 1]), [1, 2, 0]), b as tf.Tensor),
    },
  ],
  Unpack: [{ shapes: [[2, 3]], run: (x) => tf.unstack(x as tf.Tensor, 1) }],
} satisfies Cases<typeof family>;
