import { backend_util, type DataType, util } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";
import { type AB, lowering, type X } from "../lowering.ts";
import { elementwise, Operand, type Stored } from "../value.ts";
import { broadcastOf, cast, compute, narrowed, number, over, same, sameOf, widened } from "./operands.ts";

/** tfjs `K(x)` -> ONNX `Op(x)` of floats. Of other numbers tfjs would truncate the results to integers. */
const unary = (op: string) => lowering<X>({ infer: sameOf("float32"), emit: (g, { x }) => elementwise(g, op, [x]) });

/** tfjs `K(x)` -> ONNX `Op(x)` of numbers; a bool is its own result. */
const ofNumbers = (op: string) =>
  lowering<X>({ infer: same, emit: (g, { x }) => (x.dtype === "bool" ? x.held : elementwise(g, op, [x])) });

/** tfjs `K(x)` -> ONNX `Op(x)` of floats; a whole number is its own result. */
const rounding = (op: string) =>
  lowering<X>({ infer: same, emit: (g, { x }) => (x.dtype === "float32" ? elementwise(g, op, [x]) : x.held) });

/**
 * tfjs `K(a, b)` -> ONNX `Op(a, b)` with broadcasting; of bools, the logical operator that gives the same 0 or 1. Where there is
 * none, as for 1 + 1, tfjs leaves a bool that is neither.
 */
const binary = (op: string, logical?: string) =>
  lowering<AB>({
    infer: broadcastOf("float32", "int32", ...(logical === undefined ? [] : ["bool" as const])),
    emit: (g, { a, b }) => elementwise(g, a.dtype === "bool" ? (logical as string) : op, [a, b]),
  });

export const Acos = unary("Acos");
export const Acosh = unary("Acosh");
export const Asin = unary("Asin");
export const Asinh = unary("Asinh");
export const Atan = unary("Atan");
export const Atanh = unary("Atanh");
export const Cos = unary("Cos");
export const Cosh = unary("Cosh");
export const Erf = unary("Erf");
export const Log = unary("Log");
export const Reciprocal = unary("Reciprocal");
export const Sin = unary("Sin");
export const Sinh = unary("Sinh");
export const Sqrt = unary("Sqrt");
export const Tan = unary("Tan");
export const Tanh = unary("Tanh");

export const Abs = ofNumbers("Abs");
export const Ceil = rounding("Ceil");
export const Floor = rounding("Floor");
export const Round = rounding("Round");

export const Add = binary("Add");
export const Maximum = binary("Max", "Or");
export const Minimum = binary("Min", "And");
export const Multiply = binary("Mul", "And");
export const Sub = binary("Sub");

/** tfjs `Pow(a, b)` -> `Pow`; of integers in float64, where 0 to the -1 is infinite. */
export const Pow = lowering<AB>({
  infer: broadcastOf("float32", "int32"),
  emit: (g, { a, b }) => {
    if (a.dtype === "float32") return elementwise(g, "Pow", [a, b]);
    return narrowed(g, compute(g, "Pow", [widened(g, a), widened(g, b)]), a.dtype).held;
  },
});

/** tfjs `RealDiv(a, b)` of floats -> `Div`. tf.div calls FloorDiv for integers. */
export const RealDiv = lowering<AB>({
  infer: broadcastOf("float32"),
  emit: (g, { a, b }) => elementwise(g, "Div", [a, b]),
});

/** tfjs `AddN(x0, x1, ...)` of equal shapes -> a chain of `Add`. */
export const AddN = lowering<readonly [Operand, ...Operand[]]>({
  infer: ([x]) => sameOf("float32", "int32")({ x }),
  emit: (g, xs) => xs.slice(1).reduce((sum, x) => compute(g, "Add", [sum, x]), xs[0]).held,
});

/** tfjs `SquaredDifference(a, b)` -> `d * d` with `d = Sub(a, b)`. */
export const SquaredDifference = lowering<AB>({
  infer: broadcastOf("float32", "int32"),
  emit: (g, { a, b }) => {
    const d = elementwise(g, "Sub", [a, b]);
    return over(g, "Mul", d, d.name);
  },
});

/** tfjs `Square(x)` -> `x * x`. */
export const Square = lowering<X>({
  infer: same,
  emit: (g, { x }) => (x.dtype === "bool" ? x.held : elementwise(g, "Mul", [x, x])),
});

export const Neg = lowering<X>({
  infer: sameOf("float32", "int32"),
  emit: (g, { x }) => elementwise(g, "Neg", [x]),
});

/** tfjs `Sign(x)` -> `Sign`, but of NaN tfjs gives 0. */
export const Sign = lowering<X>({
  infer: same,
  emit: (g, { x }) => {
    if (x.dtype === "bool") return x.held;
    const sign = compute(g, "Sign", [x]);
    return x.dtype === "int32"
      ? sign.held
      : elementwise(g, "Where", [compute(g, "IsNaN", [x], "bool"), number(g, 0), sign]);
  },
});

/** tfjs `Exp(x)`, a float32 of whatever x is; of integers in float64, as JavaScript has it. */
export const Exp = lowering<X>({
  infer: ({ x }) => ({ shape: x.shape, dtype: "float32" }),
  emit: (g, { x }) => {
    if (x.dtype === "float32") return elementwise(g, "Exp", [x]);
    return narrowed(g, compute(g, "Exp", [widened(g, x)]), "float32").held;
  },
});

/** tfjs `Rsqrt(x)` -> `Reciprocal(Sqrt(x))`. */
export const Rsqrt = lowering<X>({
  infer: sameOf("float32"),
  emit: (g, { x }) => over(g, "Reciprocal", elementwise(g, "Sqrt", [x])),
});

/** tfjs `Log1p(x)` -> `Log(x + 1)`; loses digits for |x| below 1e-7, as float32 sums do. */
export const Log1p = lowering<X>({
  infer: sameOf("float32"),
  emit: (g, { x }) => over(g, "Log", over(g, "Add", x.held, g.float32(1))),
});

/** tfjs `Expm1(x)` -> `Exp(x) - 1`; loses digits for |x| below 1e-7. */
export const Expm1 = lowering<X>({
  infer: sameOf("float32"),
  emit: (g, { x }) => over(g, "Sub", elementwise(g, "Exp", [x]), g.float32(1)),
});

export const Elu = unary("Elu");
export const Selu = unary("Selu");
export const Sigmoid = unary("Sigmoid");
export const Softplus = unary("Softplus");
export const Relu = ofNumbers("Relu");

/** tfjs `Relu6(x)` -> `Clip(x, 0, 6)`; a bool is its own result. */
export const Relu6 = lowering<X>({
  infer: same,
  emit: (g, { x }) => {
    if (x.dtype === "bool") return x.held;
    return over(g, "Clip", x.held, number(g, 0, x.dtype).name, number(g, 6, x.dtype).name);
  },
});

/** tfjs `LeakyRelu(x; alpha)`, a float32 of whatever x is. */
export const LeakyRelu = lowering<X, { alpha: number }>({
  infer: ({ x }) => ({ shape: x.shape, dtype: "float32" }),
  emit: (g, { x }, { alpha }) => elementwise(g, "LeakyRelu", [cast(g, x, "float32")], { alpha: { float: alpha } }),
});

/**
 * tfjs `Prelu(x, alpha)`, a float32 -> `PRelu` where alpha broadcasts to x as it is stored; else `Where(x < 0, alpha x, x)`, since
 * in tfjs x may broadcast too.
 */
export const Prelu = lowering<{ x: Operand; alpha: Operand }>({
  infer: ({ x, alpha }) => ({
    shape: backend_util.assertAndGetBroadcastShape([...x.shape], [...alpha.shape]),
    dtype: "float32",
  }),
  emit: (g, inputs) => {
    const [x, alpha] = [cast(g, inputs.x, "float32"), cast(g, inputs.alpha, "float32")];
    const isWhole = util.sizeFromShape([...x.stored.shape]) === util.sizeFromShape([...x.shape]);
    const fits =
      alpha.rank <= x.rank && alpha.shape.every((size, i) => size === 1 || size === x.shape.at(i - alpha.rank));
    if (isWhole && fits) return elementwise(g, "PRelu", [x, alpha]);
    return elementwise(g, "Where", [compute(g, "Less", [x, number(g, 0)], "bool"), compute(g, "Mul", [alpha, x]), x]);
  },
});

/** Takes every normal float32 above 2e-38 past 1. */
const STEEP = 1e38;

/** 1 where x > 0, else 0. */
const unitStep = (g: Graph, x: Operand): Stored =>
  elementwise(g, "HardSigmoid", [x], { alpha: { float: STEEP }, beta: { float: 0 } });

/**
 * tfjs `Step(x; alpha)`, 1 where x > 0, else alpha -> `HardSigmoid`, `Clip(1e38 x, 0, 1)` in one node, for the usual 0, twice it
 * less 1 for the -1 of Abs's gradient, and `Clip(1e38 x, alpha, 1)` between 0 and 1: a third of the time of `Where(Greater(x, 0), 1,
 * alpha)`, which serves the rest. In the gradients of Relu, LeakyRelu and Abs. NaN stays NaN; of integers tfjs truncates alpha.
 */
export const Step = lowering<X, { alpha: number }>({
  infer: sameOf("float32", "int32"),
  emit: (g, { x }, { alpha = 0 }) => {
    const isFloat = x.dtype === "float32";
    if (isFloat && alpha === 0) return unitStep(g, x);
    if (isFloat && alpha === -1) {
      const doubled = compute(g, "Mul", [new Operand(g, x, unitStep(g, x)), number(g, 2)]);
      return elementwise(g, "Sub", [doubled, number(g, 1)]);
    }
    if (isFloat && alpha > 0 && alpha <= 1) {
      return over(g, "Clip", over(g, "Mul", x.held, g.float32(STEEP)), g.float32(alpha), g.float32(1));
    }
    const [zero, one, low] = [0, 1, alpha].map((value) => number(g, value, x.dtype)) as [Operand, Operand, Operand];
    const step = compute(g, "Where", [compute(g, "Greater", [x, zero], "bool"), one, low], x.dtype);
    return x.dtype === "int32" ? step.held : elementwise(g, "Where", [compute(g, "IsNaN", [x], "bool"), x, step]);
  },
});

/** tfjs `EluGrad(dy, y)` -> `Where(y >= 0, dy, dy * (y + 1))`. */
export const EluGrad = lowering<{ dy: Operand; y: Operand }>({
  infer: ({ dy }) => ({ shape: dy.shape, dtype: dy.dtype }),
  emit: (g, { dy, y }) => {
    const scaled = compute(g, "Mul", [dy, compute(g, "Add", [y, number(g, 1)])]);
    return elementwise(g, "Where", [compute(g, "GreaterOrEqual", [y, number(g, 0)], "bool"), dy, scaled]);
  },
});

/** tfjs `ClipByValue(x; clipValueMin, clipValueMax)` -> `Clip`. Of integers tfjs truncates the bounds. */
export const ClipByValue = lowering<X, { clipValueMin: number; clipValueMax: number }>({
  infer: sameOf("float32", "int32"),
  emit: (g, { x }, { clipValueMin, clipValueMax }) => {
    const bound = (value: number) =>
      x.dtype === "float32" ? value : Math.trunc(Math.min(Math.max(value, -(2 ** 31)), 2 ** 31 - 1));
    const [low, high] = [clipValueMin, clipValueMax].map((value) => number(g, bound(value), x.dtype).name);
    return over(g, "Clip", x.held, low as string, high as string);
  },
});

/**
 * tfjs `Cast(x; dtype)` -> `Cast`, which truncates floats towards zero as tfjs does. What no int32 holds, NaN with it, has no
 * value that ONNX would promise.
 */
export const Cast = lowering<X, { dtype: DataType }>({
  infer: ({ x }, { dtype }) => ({ shape: x.shape, dtype }),
  emit: (g, { x }, { dtype }) => cast(g, x, dtype).held,
});

export const Identity = lowering<X>({ infer: same, emit: (_, { x }) => x.held });
