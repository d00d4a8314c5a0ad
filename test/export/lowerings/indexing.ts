import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/indexing.ts";
import type { Cases } from "./cases.ts";

export const indexing = {
  GatherV2: [
    { shapes: [[5, 3]], run: (x) => tf.gather(x as tf.Tensor, tf.tensor1d([4, 0, 2], "int32")) },
    {
      name: "second axis",
      shapes: [[2, 5]],
      run: (x) =>
        tf.gather(
          x as tf.Tensor,
          tf.tensor2d(
            [
              [1, 0],
              [4, 4],
            ],
            [2, 2],
            "int32",
          ),
          1,
        ),
    },
  ],
  OneHot: [{ shapes: [[5]], type: "int32", low: -1, high: 5, run: (x) => tf.oneHot(x as tf.Tensor1D, 4) }],
  TopK: [
    {
      shapes: [[3, 6]],
      run: (x) => {
        const { values, indices } = tf.topk(x as tf.Tensor, 4);
        return [values, indices];
      },
    },
  ],
} satisfies Cases<typeof family>;
