import * as tf from "@tensorflow/tfjs-core";
import type { Parameters } from "./parameters.ts";

/** A parameter by its name. @throws {Error} naming those there are. */
export function parameter<T extends tf.Tensor>(parameters: Parameters, name: string): T {
  const tensor = parameters[name];
  if (tensor === undefined) throw new Error(`no parameter ${name} among ${Object.keys(parameters).join(", ")}`);
  return tensor as T;
}

/** Bytes as numbers in 0..1. */
export function scaled(images: tf.Tensor): tf.Tensor4D {
  return tf.div(tf.cast(images, "float32"), 255) as tf.Tensor4D;
}

/** Convolution with SAME padding and bias: [b, h, w, in] -> [b, ceil(h / stride), ceil(w / stride), out]. */
export function convolution(parameters: Parameters, name: string, x: tf.Tensor4D, stride = 1): tf.Tensor4D {
  const filter = parameter<tf.Tensor4D>(parameters, `${name}.filter`);
  return tf.add(tf.conv2d(x, filter, stride, "same"), parameter(parameters, `${name}.bias`));
}

/** Transposed convolution with SAME padding and bias: [b, h, w, in] -> [b, h * stride, w * stride, out]. */
export function transposedConvolution(parameters: Parameters, name: string, x: tf.Tensor4D, stride = 1): tf.Tensor4D {
  const filter = parameter<tf.Tensor4D>(parameters, `${name}.filter`);
  const [b, h, w] = x.shape;
  const shape: [number, number, number, number] = [b, h * stride, w * stride, filter.shape[2]];
  return tf.add(tf.conv2dTranspose(x, filter, shape, stride, "same"), parameter(parameters, `${name}.bias`));
}

/** The 4 taps of a transposed convolution with stride 2 that does what 3 taps do on an image enlarged by 2, [4, 3]. */
const ENLARGED_TAPS = [0, 0, 1, 0, 1, 1, 1, 1, 0, 1, 0, 0];

/**
 * Each pixel repeated 2 x 2 times, then a 3x3 convolution with SAME padding and bias: [b, h, w, in] -> [b, 2h, 2w, out].
 *
 * Of an enlarged image the nine taps see only 2 x 2 different pixels. With the taps that share a pixel added, it is one transposed
 * convolution of 4 x 4 taps with stride 2: 16 products a pixel of the small image instead of 36, the same sums.
 */
export function enlargingConvolution(parameters: Parameters, name: string, x: tf.Tensor4D): tf.Tensor4D {
  const filter = parameter<tf.Tensor4D>(parameters, `${name}.filter`);
  const [b, h, w] = x.shape;
  const [, , inputs, outputs] = filter.shape;
  const taps = tf.tensor2d(ENLARGED_TAPS, [4, 3]);
  const rows = tf.reshape(tf.matMul(taps, tf.reshape(filter, [3, -1])), [4, 3, inputs * outputs]);
  const both = tf.matMul(taps, tf.reshape(tf.transpose(rows, [1, 0, 2]), [3, -1]));
  // [column, row, in, out] -> [row, column, out, in]
  const folded = tf.transpose(tf.reshape(both, [4, 4, inputs, outputs]), [1, 0, 3, 2]) as tf.Tensor4D;
  const enlarged = tf.conv2dTranspose(x, folded, [b, 2 * h, 2 * w, outputs], 2, "same");
  return tf.add(enlarged, parameter(parameters, `${name}.bias`));
}

/** x W + bias: [b, in] -> [b, out]. */
export function dense(parameters: Parameters, name: string, x: tf.Tensor2D): tf.Tensor2D {
  return tf.add(
    tf.matMul(x, parameter<tf.Tensor2D>(parameters, `${name}.weights`)),
    parameter(parameters, `${name}.bias`),
  );
}

const SLOPE = 0.2;

/**
 * Leaky ReLU with slope 0.2, as in the published networks. tfjs's own gradient chooses between dy and 0.2 dy by `where`, which
 * is the slowest elementwise operation of ONNX Runtime; this one multiplies by the slope. It reads the result, whose sign is that of
 * x: x itself is needed by nothing else then, and a convolution can do bias and activation on its way out.
 */
export function activation<T extends tf.Tensor>(x: T): T {
  const leaky = tf.customGrad((input, save) => {
    const value = tf.leakyRelu(input as tf.Tensor, SLOPE);
    (save as tf.GradSaveFunc)([value]);
    const gradFunc = (dy: tf.Tensor, [saved]: tf.Tensor[]) => tf.mul(dy, tf.step(saved as tf.Tensor, SLOPE));
    return { value, gradFunc };
  });
  return leaky(x) as T;
}

/** Channels to space: [b, h, w, r * r * c] -> [b, h * r, w * r, c]. In operations whose gradients tfjs has. */
export function pixelShuffle(x: tf.Tensor4D, r: number): tf.Tensor4D {
  const [b, h, w, channels] = x.shape;
  const c = channels / (r * r);
  const split = tf.transpose(tf.reshape(x, [b, h, w, r, r, c]), [0, 1, 3, 2, 4, 5]);
  return tf.reshape(split, [b, h * r, w * r, c]);
}

/** Rows of length 1: x / max(||x||, 1e-8), [n, d]. */
export function unitRows(x: tf.Tensor2D): tf.Tensor2D {
  const squares = tf.sum(tf.square(x), 1, true);
  return tf.mul(x, tf.rsqrt(tf.maximum(squares, 1e-16)));
}

/** x as a constant: no gradient flows through it. */
export function stopGradient<T extends tf.Tensor>(x: T): T {
  const constant = tf.customGrad((input) => {
    const tensor = input as tf.Tensor;
    return { value: tf.clone(tensor), gradFunc: (dy: tf.Tensor) => tf.zerosLike(dy) };
  });
  return constant(x) as T;
}
