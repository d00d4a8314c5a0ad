import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/elementwise.ts";
import { binary, type Case, type Cases, unary } from "./cases.ts";

type Unary = (x: tf.Tensor) => tf.Tensor;
type Binary = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;

/** x with NaN and both infinities in it. */
const special = (x: tf.Tensor) =>
  tf.where(
    tf.greater(x, 1),
    Number.NaN,
    tf.where(tf.greater(x, 0.5), tf.div(x, 0), tf.where(tf.less(x, -1), -1 / 0, x)),
  );
const ofSpecials = (run: Unary): Case => ({
  name: "NaN and infinities",
  shapes: [[37]],
  low: -2,
  high: 2,
  run: (x) => run(special(x as tf.Tensor)),
});
const ofTransposed = (run: Unary, low: number, high: number): Case => ({
  name: "of a transposed tensor",
  shapes: [[2, 3, 4]],
  low,
  high,
  run: (x) => run(tf.transpose(x as tf.Tensor, [2, 0, 1])),
});
const gradient = (run: Unary, low: number, high: number): Case => ({
  name: "gradient",
  shapes: [[7], [7]],
  low,
  high,
  run: (x, dy) => tf.grad(run)(x as tf.Tensor, dy as tf.Tensor),
});
const smooth = (run: Unary, low = -2, high = 2): Case[] => [
  ...unary(run, low, high),
  ofTransposed(run, low, high),
  ofSpecials(run),
  gradient(run, low, high),
];
const ofIntegers = (run: Unary): Case => ({
  name: "int32",
  shapes: [[3, 4]],
  type: "int32",
  low: -9,
  high: 9,
  run: (x) => run(x as tf.Tensor),
});
const ofBools = (run: Unary): Case => ({
  name: "bool",
  shapes: [[7]],
  run: (x) => run(tf.greater(x as tf.Tensor, 0)),
});
const gradients = (run: Binary, low = -2, high = 2, b: readonly number[] = [3]): Case => ({
  name: "gradients",
  shapes: [[2, 3], b, [2, 3]],
  low,
  high,
  run: (a, b, dy) => tf.grads(run)([a as tf.Tensor, b as tf.Tensor], dy as tf.Tensor),
});
const integers = (run: Binary, low = -9): Case => ({
  name: "int32, broadcast",
  shapes: [
    [4, 1, 3],
    [2, 1],
  ],
  type: "int32",
  low,
  high: 9,
  run: (a, b) => run(a as tf.Tensor, b as tf.Tensor),
});
const mixed = (run: Binary): Case => ({
  name: "int32 and bool",
  shapes: [[2, 3], [3]],
  type: "int32",
  low: -3,
  high: 3,
  run: (a, b) => run(a as tf.Tensor, tf.greater(b as tf.Tensor, 0)),
});
const twoBools = (run: Binary): Case => ({
  name: "bools",
  shapes: [[3, 4], [4]],
  run: (a, b) => run(tf.greater(a as tf.Tensor, 0), tf.greater(b as tf.Tensor, 0)),
});
const empty = (run: Binary): Case => ({
  name: "no numbers",
  shapes: [[2, 0, 3], [3]],
  run: (a, b) => run(a as tf.Tensor, b as tf.Tensor),
});

export const elementwise = {
  Abs: [...smooth(tf.abs), ofIntegers(tf.abs), ofBools(tf.abs)],
  Acos: smooth(tf.acos),
  Acosh: smooth(tf.acosh, 0.5, 4),
  Add: [...binary(tf.add), gradients(tf.add), integers(tf.add), mixed(tf.add), empty(tf.add)],
  AddN: [
    {
      shapes: [
        [2, 3],
        [2, 3],
        [2, 3],
      ],
      run: (...xs) => tf.addN(xs),
    },
    {
      name: "int32",
      shapes: [
        [2, 3],
        [2, 3],
      ],
      type: "int32",
      low: -9,
      high: 9,
      run: (...xs) => tf.addN(xs),
    },
    { name: "a single tensor", shapes: [[2, 3]], run: (x) => tf.addN([x as tf.Tensor]) },
    {
      name: "of different layouts",
      shapes: [
        [2, 3],
        [3, 2],
      ],
      run: (a, b) => tf.addN([a as tf.Tensor, tf.transpose(b as tf.Tensor)]),
    },
  ],
  Asin: smooth(tf.asin),
  Asinh: smooth(tf.asinh, -4, 4),
  Atan: smooth(tf.atan, -4, 4),
  Atanh: smooth(tf.atanh, -1.2, 1.2),
  Cast: [
    { name: "to int32, towards zero", shapes: [[7]], run: (x) => tf.cast(x as tf.Tensor, "int32"), low: -3, high: 3 },
    {
      name: "to bool and back",
      shapes: [[7]],
      run: (x) => tf.cast(tf.cast(tf.relu(x as tf.Tensor), "bool"), "float32"),
    },
    { name: "NaN to bool", shapes: [[7]], run: (x) => tf.cast(special(x as tf.Tensor), "bool") },
    { name: "bool to int32", shapes: [[7]], run: (x) => tf.cast(tf.greater(x as tf.Tensor, 0), "int32") },
    { name: "transposed", shapes: [[2, 3]], run: (x) => tf.cast(tf.transpose(x as tf.Tensor), "bool") },
  ],
  Ceil: smooth(tf.ceil),
  ClipByValue: [
    ...smooth((x) => tf.clipByValue(x, -0.5, 0.7)),
    ofIntegers((x) => tf.clipByValue(x, -3.5, 2.5)),
    ofIntegers((x) => tf.clipByValue(x, 0, Number.POSITIVE_INFINITY)),
  ],
  Cos: smooth(tf.cos),
  Cosh: smooth(tf.cosh),
  Elu: smooth(tf.elu),
  EluGrad: [
    {
      shapes: [
        [2, 3],
        [2, 3],
      ],
      run: (x, dy) => tf.grad((v) => tf.elu(v))(x as tf.Tensor, dy as tf.Tensor),
    },
  ],
  // tfjs's Erf is a polynomial of error 1.5e-7, ONNX Runtime's another.
  Erf: [...smooth(tf.erf), ofIntegers(tf.erf)],
  Exp: [...smooth(tf.exp), ofIntegers((x) => tf.exp(tf.sub(x, tf.scalar(9, "int32")))), ofBools(tf.exp)],
  Expm1: smooth(tf.expm1),
  Floor: smooth(tf.floor),
  Identity: [...smooth(tf.clone), ofBools(tf.clone)],
  LeakyRelu: [...smooth((x) => tf.leakyRelu(x, 0.2)), ofIntegers((x) => tf.leakyRelu(x, 0.2))],
  Log: smooth(tf.log, 0.1, 3),
  Log1p: smooth(tf.log1p, -0.9, 3),
  Maximum: [
    ...binary(tf.maximum),
    gradients(tf.maximum, -2, 2, [2, 3]),
    integers(tf.maximum),
    mixed(tf.maximum),
    twoBools(tf.maximum),
    ofSpecials((x) => tf.maximum(x, 0)),
    ofSpecials((x) => tf.maximum(0, x)),
  ],
  Minimum: [
    ...binary(tf.minimum),
    gradients(tf.minimum, -2, 2, [2, 3]),
    integers(tf.minimum),
    twoBools(tf.minimum),
    ofSpecials((x) => tf.minimum(x, 0)),
  ],
  Multiply: [
    ...binary(tf.mul),
    gradients(tf.mul),
    integers(tf.mul),
    mixed(tf.mul),
    twoBools(tf.mul),
    empty(tf.mul),
    {
      name: "int32 that wraps",
      shapes: [[4]],
      type: "int32",
      low: 1,
      high: 9,
      run: (x) => tf.mul(tf.mul(x as tf.Tensor, tf.scalar(123457, "int32")), tf.scalar(54321, "int32")),
    },
  ],
  Neg: [...smooth(tf.neg), ofIntegers(tf.neg)],
  Pow: [
    ...binary(tf.pow, 0.1),
    gradients(tf.pow, 0.1),
    integers(tf.pow),
    {
      name: "int32 that wraps",
      shapes: [[9]],
      type: "int32",
      low: 3,
      high: 12,
      run: (x) => tf.pow(x as tf.Tensor, tf.scalar(14, "int32")),
    },
    {
      name: "of negative numbers",
      shapes: [[2, 3]],
      run: (x) => [tf.pow(x as tf.Tensor, 3), tf.pow(x as tf.Tensor, 0.5)],
    },
  ],
  Prelu: [
    ...binary(tf.prelu),
    gradients(tf.prelu),
    {
      name: "a slope a channel",
      shapes: [[2, 3, 3, 4], [4]],
      run: (x, alpha) => tf.prelu(x as tf.Tensor, alpha as tf.Tensor),
    },
    {
      name: "of a transposed tensor",
      shapes: [
        [2, 4, 3],
        [3, 1],
      ],
      run: (x, alpha) => tf.prelu(tf.transpose(x as tf.Tensor, [0, 2, 1]), alpha as tf.Tensor),
    },
    {
      name: "of a broadcast tensor",
      shapes: [
        [1, 3],
        [4, 1],
      ],
      run: (x, alpha) => tf.prelu(tf.tile(x as tf.Tensor, [4, 1]), alpha as tf.Tensor),
    },
    {
      name: "int32",
      shapes: [[2, 3], [3]],
      type: "int32",
      low: -3,
      high: 3,
      run: (x, alpha) => tf.prelu(x as tf.Tensor, alpha as tf.Tensor),
    },
    ofSpecials((x) => tf.prelu(x, 0.2)),
  ],
  RealDiv: [
    ...binary(tf.div, 0.3),
    gradients(tf.div, 0.3),
    empty(tf.div),
    { name: "by zero", shapes: [[6]], run: (x) => [tf.div(x as tf.Tensor, 0), tf.divNoNan(x as tf.Tensor, 0)] },
  ],
  Reciprocal: smooth(tf.reciprocal, 0.2),
  Relu: [...smooth(tf.relu), ofIntegers(tf.relu), ofBools(tf.relu)],
  Relu6: [...smooth(tf.relu6, -3, 9), ofIntegers(tf.relu6), ofBools(tf.relu6)],
  Round: [
    ...smooth(tf.round),
    ofIntegers(tf.round),
    {
      name: "halves to even",
      shapes: [[9]],
      type: "int32",
      low: -9,
      high: 9,
      run: (x) => tf.round(tf.add(x as tf.Tensor, 0.5)),
    },
  ],
  Rsqrt: smooth(tf.rsqrt, 0.2),
  Selu: smooth(tf.selu),
  Sigmoid: [...smooth(tf.sigmoid), ofSpecials(tf.logSigmoid)],
  Sign: [...smooth(tf.sign), ofIntegers(tf.sign), ofBools(tf.sign)],
  Sin: smooth(tf.sin),
  Sinh: smooth(tf.sinh),
  Softplus: smooth(tf.softplus, -30, 30),
  Sqrt: smooth(tf.sqrt, 0.01),
  Square: [...smooth(tf.square), ofIntegers(tf.square), ofBools(tf.square)],
  SquaredDifference: [
    ...binary(tf.squaredDifference),
    gradients(tf.squaredDifference, -2, 2, [2, 3]),
    integers(tf.squaredDifference),
  ],
  Step: [
    ...smooth((x) => tf.step(x, 0.3)),
    ...smooth((x) => tf.step(x, 1.5)),
    ...smooth((x) => tf.step(tf.round(x), -0.5)), // at 0 too
    ...smooth((x) => tf.step(tf.round(x), -1)),
    ofSpecials((x) => tf.step(x, -1)),
    ofIntegers((x) => tf.step(x)),
    ofIntegers((x) => tf.step(x, -2.7)),
  ],
  Sub: [...binary(tf.sub), gradients(tf.sub), integers(tf.sub), mixed(tf.sub)],
  Tan: smooth(tf.tan, -1.4, 1.4),
  Tanh: smooth(tf.tanh),
} satisfies Cases<typeof family>;
