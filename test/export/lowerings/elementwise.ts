import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/elementwise.ts";
import { binary, bools, type Cases, compared, unary } from "./cases.ts";

export const elementwise = {
  Abs: unary(tf.abs),
  Add: binary(tf.add),
  AddN: [
    {
      shapes: [
        [2, 3],
        [2, 3],
        [2, 3],
      ],
      run: (...xs) => tf.addN(xs),
    },
  ],
  Cast: [
    { name: "to int32, towards zero", shapes: [[7]], run: (x) => tf.cast(x as tf.Tensor, "int32"), low: -3, high: 3 },
    {
      name: "to bool and back",
      shapes: [[7]],
      run: (x) => tf.cast(tf.cast(tf.relu(x as tf.Tensor), "bool"), "float32"),
    },
  ],
  Ceil: unary(tf.ceil),
  ClipByValue: unary((x) => tf.clipByValue(x, -0.5, 0.7)),
  Cos: unary(tf.cos),
  Elu: unary(tf.elu),
  EluGrad: [
    {
      shapes: [
        [2, 3],
        [2, 3],
      ],
      run: (x, dy) => tf.grad((v) => tf.elu(v))(x as tf.Tensor, dy),
    },
  ],
  Equal: compared(tf.equal),
  // tfjs's Erf is a polynomial of error 1.5e-7, ONNX Runtime's another.
  Erf: unary(tf.erf),
  Exp: unary(tf.exp),
  Expm1: unary(tf.expm1),
  Floor: unary(tf.floor),
  FloorDiv: [
    {
      shapes: [[6], [6]],
      type: "int32",
      low: -9,
      high: 9,
      run: (a, b) => tf.floorDiv(a as tf.Tensor, tf.maximum(tf.abs(b as tf.Tensor), tf.scalar(1, "int32"))),
    },
  ],
  Greater: compared(tf.greater),
  GreaterEqual: compared(tf.greaterEqual),
  Identity: unary(tf.clone),
  LeakyRelu: unary((x) => tf.leakyRelu(x, 0.2)),
  Less: compared(tf.less),
  LessEqual: compared(tf.lessEqual),
  Log: unary(tf.log, 0.1, 3),
  Log1p: unary(tf.log1p, -0.9, 3),
  LogicalAnd: bools(tf.logicalAnd),
  LogicalNot: [{ shapes: [[5]], run: (x) => tf.logicalNot(tf.greater(x as tf.Tensor, 0)) }],
  LogicalOr: bools(tf.logicalOr),
  Maximum: binary(tf.maximum),
  Minimum: binary(tf.minimum),
  Multiply: binary(tf.mul),
  Neg: unary(tf.neg),
  NotEqual: compared(tf.notEqual),
  Pow: binary(tf.pow, 0.1),
  RealDiv: binary(tf.div, 0.3),
  Reciprocal: unary(tf.reciprocal, 0.2),
  Relu: unary(tf.relu),
  Relu6: unary(tf.relu6, -3, 9),
  Round: unary(tf.round),
  Rsqrt: unary(tf.rsqrt, 0.2),
  Select: [
    {
      shapes: [
        [2, 3],
        [2, 3],
        [2, 3],
      ],
      run: (c, t, e) => tf.where(tf.greater(c as tf.Tensor, 0), t as tf.Tensor, e as tf.Tensor),
    },
  ],
  Sigmoid: unary(tf.sigmoid),
  Sign: unary(tf.sign),
  Sin: unary(tf.sin),
  Softplus: unary(tf.softplus, -30, 30),
  Sqrt: unary(tf.sqrt, 0.01),
  Square: unary(tf.square),
  SquaredDifference: binary(tf.squaredDifference),
  Step: unary((x) => tf.step(x, 0.3)),
  Sub: binary(tf.sub),
  Tanh: unary(tf.tanh),
} satisfies Cases<typeof family>;
