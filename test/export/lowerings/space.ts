import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/space.ts";
import { type Cases, everyDtype, image, x4 } from "./cases.ts";

export const space = {
  BatchToSpaceND: [
    ...everyDtype([8, 1, 3, 2], (x) =>
      tf.batchToSpaceND(
        x,
        [2, 2],
        [
          [0, 0],
          [2, 0],
        ],
      ),
    ),
    { name: "rank 2", shapes: [[6, 2]], run: (x) => tf.batchToSpaceND(x as tf.Tensor, [3], [[1, 2]]) },
    {
      name: "rank 5",
      shapes: [[12, 2, 1, 2, 3]],
      run: (x) =>
        tf.batchToSpaceND(
          x as tf.Tensor,
          [2, 3, 1],
          [
            [1, 0],
            [0, 0],
            [0, 1],
          ],
        ),
    },
    {
      name: "of a broadcast tensor",
      shapes: [[1, 1, 3]],
      run: (x) => tf.batchToSpaceND(tf.tile(x as tf.Tensor, [4, 2, 1]), [2], [[0, 1]]),
    },
    { name: "without elements", shapes: [[4, 0, 3]], run: (x) => tf.batchToSpaceND(x as tf.Tensor, [2], [[0, 0]]) },
    {
      name: "of an image still channels-first",
      shapes: [
        [4, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) =>
        tf.batchToSpaceND(
          image(x, f),
          [2, 2],
          [
            [1, 0],
            [0, 3],
          ],
        ),
    },
    {
      name: "gradient",
      shapes: [
        [4, 2, 2],
        [2, 3, 2],
      ],
      run: (x, dy) => tf.grad((v: tf.Tensor) => tf.batchToSpaceND(v, [2], [[0, 1]]))(x as tf.Tensor, dy as tf.Tensor),
    },
  ],
  DepthToSpace: [
    { shapes: [[2, 3, 1, 12]], run: (x) => tf.depthToSpace(x4(x), 2) },
    { name: "blocks of 3", shapes: [[1, 2, 2, 9]], run: (x) => tf.depthToSpace(x4(x), 3, "NHWC") },
    {
      name: "of an image still channels-first",
      shapes: [
        [1, 4, 4, 2],
        [3, 3, 2, 8],
      ],
      run: (x, f) => tf.relu(tf.depthToSpace(image(x, f), 2)),
    },
  ],
  SpaceToBatchND: [
    ...everyDtype([2, 3, 4, 2], (x) =>
      tf.spaceToBatchND(
        x,
        [2, 2],
        [
          [0, 1],
          [2, 0],
        ],
      ),
    ),
    { name: "rank 2", shapes: [[2, 5]], run: (x) => tf.spaceToBatchND(x as tf.Tensor, [3], [[0, 1]]) },
    {
      name: "rank 5",
      shapes: [[1, 2, 3, 2, 2]],
      run: (x) =>
        tf.spaceToBatchND(
          x as tf.Tensor,
          [2, 1, 2],
          [
            [1, 1],
            [0, 0],
            [0, 0],
          ],
        ),
    },
    {
      name: "of a broadcast tensor",
      shapes: [[1, 1, 3]],
      run: (x) => tf.spaceToBatchND(tf.tile(x as tf.Tensor, [2, 4, 1]), [2], [[0, 0]]),
    },
    { name: "without elements", shapes: [[0, 4, 3]], run: (x) => tf.spaceToBatchND(x as tf.Tensor, [2], [[0, 0]]) },
    {
      name: "of an image still channels-first",
      shapes: [
        [1, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) =>
        tf.spaceToBatchND(
          image(x, f),
          [2, 2],
          [
            [0, 0],
            [1, 1],
          ],
        ),
    },
    {
      name: "gradient",
      shapes: [
        [2, 3, 2],
        [4, 2, 2],
      ],
      run: (x, dy) => tf.grad((v: tf.Tensor) => tf.spaceToBatchND(v, [2], [[0, 1]]))(x as tf.Tensor, dy as tf.Tensor),
    },
  ],
} satisfies Cases<typeof family>;
