import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/creation.ts";
import type { Cases } from "./cases.ts";

export const creation = {
  Fill: [
    { shapes: [[2]], run: (x) => tf.add(tf.fill([3, 2], 1.5), x as tf.Tensor) },
    { name: "alone", shapes: [[2]], run: () => tf.fill([3, 2], 2, "int32") },
  ],
  OnesLike: [
    {
      shapes: [[2, 3]],
      run: (x) => [tf.onesLike(x as tf.Tensor), tf.add(x as tf.Tensor, tf.onesLike(x as tf.Tensor))],
    },
  ],
  Range: [{ shapes: [[4]], run: (x) => tf.add(x as tf.Tensor, tf.range(0, 4)) }],
  ZerosLike: [{ shapes: [[2, 3]], run: (x) => tf.zerosLike(x as tf.Tensor) }],
} satisfies Cases<typeof family>;
