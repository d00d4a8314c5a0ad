import * as tf from "@tensorflow/tfjs-core";
import type { Case, Run } from "./cases.ts";

/** A case in one line. */
export const row = (name: string, run: Run, ...shapes: number[][]): Case => ({ name, run, shapes });

/** The gradients by all inputs of a sum in which every number of the output counts differently. */
export const gradients =
  (run: Run): Run =>
  (...inputs) =>
    tf.grads((...xs: tf.Tensor[]) => tf.sin(run(...xs) as tf.Tensor))(inputs);

/**
 * The gradient by the first input of a function that is linear in it, from its values alone: what each number of x adds to a sum
 * over the output, weighted by dy.
 */
export const adjoint =
  (run: (x: tf.Tensor) => tf.Tensor): Run =>
  (x, dy) => {
    const { shape, size } = x as tf.Tensor;
    const parts = Array.from({ length: size }, (_, i) => {
      const unit = tf.reshape(tf.oneHot(tf.tensor1d([i], "int32"), size, 1, 0, "float32"), shape);
      return tf.sum(tf.mul(run(unit), dy as tf.Tensor));
    });
    return tf.reshape(tf.stack(parts), shape);
  };
