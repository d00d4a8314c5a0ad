import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/reduction.ts";
import { type Cases, reduced } from "./cases.ts";

export const reduction = {
  All: reduced((x, axis, keep) => tf.all(tf.greater(x, -0.5), axis, keep)),
  Any: reduced((x, axis, keep) => tf.any(tf.greater(x, 0.5), axis, keep)),
  ArgMax: [{ shapes: [[3, 5]], run: (x) => [tf.argMax(x as tf.Tensor, 1), tf.argMax(x as tf.Tensor, 0)] }],
  ArgMin: [{ shapes: [[3, 5]], run: (x) => tf.argMin(x as tf.Tensor, -1) }],
  Cumsum: [
    { shapes: [[2, 5]], run: (x) => tf.cumsum(x as tf.Tensor, 1) },
    { name: "exclusive, reverse", shapes: [[2, 5]], run: (x) => tf.cumsum(x as tf.Tensor, 1, true, true) },
  ],
  LogSoftmax: [{ shapes: [[3, 4]], run: (x) => tf.logSoftmax(x as tf.Tensor) }],
  Max: reduced(tf.max),
  Mean: reduced(tf.mean),
  Min: reduced(tf.min),
  Prod: reduced(tf.prod),
  Softmax: [{ shapes: [[3, 4]], run: (x) => tf.softmax(x as tf.Tensor) }],
  Sum: reduced(tf.sum),
} satisfies Cases<typeof family>;
