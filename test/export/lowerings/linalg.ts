import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/linalg.ts";
import type { Cases } from "./cases.ts";

export const linalg = {
  BatchMatMul: [
    {
      name: "matrices",
      shapes: [
        [3, 4],
        [4, 2],
      ],
      run: (a, b) => tf.matMul(a as tf.Tensor, b as tf.Tensor),
    },
    {
      name: "both transposed",
      shapes: [
        [4, 3],
        [2, 4],
      ],
      run: (a, b) => tf.matMul(a as tf.Tensor, b as tf.Tensor, true, true),
    },
    {
      name: "batches",
      shapes: [
        [2, 3, 4],
        [2, 4, 5],
      ],
      run: (a, b) => tf.matMul(a as tf.Tensor, b as tf.Tensor),
    },
    {
      name: "batches, transposed",
      shapes: [
        [2, 4, 3],
        [1, 5, 4],
      ],
      run: (a, b) => tf.matMul(a as tf.Tensor, b as tf.Tensor, true, true),
    },
  ],
} satisfies Cases<typeof family>;
