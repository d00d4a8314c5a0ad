import { backend_util, type DataType } from "@tensorflow/tfjs-core";
import { ELEMENT_TYPE } from "../../runtime/onnx-schema.ts";
import type { Attribute, Graph } from "../graph.ts";
import { type AB, lowering, type X } from "../lowering.ts";
import { elementType, elementwise, Operand, type Stored, type TensorType } from "../value.ts";

/** Same shape and dtype as x. */
const same = ({ x }: X): TensorType => ({ shape: x.shape, dtype: x.dtype });

function broadcast(a: TensorType, b: TensorType, dtype: DataType = a.dtype): TensorType {
  return { shape: backend_util.assertAndGetBroadcastShape([...a.shape], [...b.shape]), dtype };
}

/** A node over already emitted values of the same shape, kept in their layout. */
function over(g: Graph, op: string, first: Stored, ...rest: readonly string[]): Stored {
  return { ...first, name: g.node(op, [first.name, ...rest]) };
}

/** tfjs `K(x)` -> ONNX `Op(x)`: same shape, same dtype. */
const unary = (op: string, attributes: Readonly<Record<string, Attribute>> = {}) =>
  lowering<X>({ infer: same, emit: (g, { x }) => elementwise(g, op, [x], attributes) });

/** tfjs `K(a, b)` -> ONNX `Op(a, b)` with broadcasting. */
const binary = (op: string) =>
  lowering<AB>({ infer: ({ a, b }) => broadcast(a, b), emit: (g, { a, b }) => elementwise(g, op, [a, b]) });

/** tfjs `K(a, b)` -> ONNX `Op(a, b)`, a bool. */
const comparison = (op: string) =>
  lowering<AB>({ infer: ({ a, b }) => broadcast(a, b, "bool"), emit: (g, { a, b }) => elementwise(g, op, [a, b]) });

export const Abs = unary("Abs");
export const Ceil = unary("Ceil");
export const Cos = unary("Cos");
export const Elu = unary("Elu");
export const Erf = unary("Erf");
export const Exp = unary("Exp");
export const Floor = unary("Floor");
export const Log = unary("Log");
export const Neg = unary("Neg");
export const Reciprocal = unary("Reciprocal");
export const Relu = unary("Relu");
export const Round = unary("Round");
export const Sigmoid = unary("Sigmoid");
export const Sign = unary("Sign");
export const Sin = unary("Sin");
export const Softplus = unary("Softplus");
export const Sqrt = unary("Sqrt");
export const Tanh = unary("Tanh");

export const Add = binary("Add");
export const Maximum = binary("Max");
export const Minimum = binary("Min");
export const Multiply = binary("Mul");
export const Pow = binary("Pow");
export const RealDiv = binary("Div");
export const Sub = binary("Sub");

export const Equal = comparison("Equal");
export const Greater = comparison("Greater");
export const GreaterEqual = comparison("GreaterOrEqual");
export const Less = comparison("Less");
export const LessEqual = comparison("LessOrEqual");
export const LogicalAnd = comparison("And");
export const LogicalOr = comparison("Or");

/** tfjs `NotEqual(a, b)` -> `Not(Equal(a, b))`. */
export const NotEqual = lowering<AB>({
  infer: ({ a, b }) => broadcast(a, b, "bool"),
  emit: (g, { a, b }) => over(g, "Not", elementwise(g, "Equal", [a, b])),
});

export const LogicalNot = lowering<X>({
  infer: ({ x }) => ({ shape: x.shape, dtype: "bool" }),
  emit: (g, { x }) => elementwise(g, "Not", [x]),
});

/**
 * tfjs `FloorDiv(a, b)`, rounding down, int32 of whatever a and b are: ONNX's integer division truncates, so it goes through
 * floats (exact below 2^24).
 */
export const FloorDiv = lowering<AB>({
  infer: ({ a, b }) => broadcast(a, b, "int32"),
  emit: (g, { a, b }) => {
    const float = (x: Operand) => new Operand(g, { shape: x.shape, dtype: "float32" }, cast(g, x, "float32"));
    const floor = over(g, "Floor", elementwise(g, "Div", [float(a), float(b)]));
    return { ...floor, name: g.node("Cast", [floor.name], { to: ELEMENT_TYPE.int32 }) };
  },
});

/** tfjs `AddN(x0, x1, ...)` of equal shapes -> a chain of `Add`. */
export const AddN = lowering<readonly Operand[]>({
  infer: (xs) => ({ shape: (xs[0] as Operand).shape, dtype: (xs[0] as Operand).dtype }),
  emit: (g, xs) =>
    xs.slice(1).reduce<Operand>((sum, x) => new Operand(g, x, elementwise(g, "Add", [sum, x])), xs[0] as Operand)
      .stored,
});

/** tfjs `SquaredDifference(a, b)` -> `d * d` with `d = Sub(a, b)`. */
export const SquaredDifference = lowering<AB>({
  infer: ({ a, b }) => broadcast(a, b),
  emit: (g, { a, b }) => {
    const d = elementwise(g, "Sub", [a, b]);
    return over(g, "Mul", d, d.name);
  },
});

/** tfjs `Square(x)` -> `x * x`. */
export const Square = lowering<X>({ infer: same, emit: (g, { x }) => elementwise(g, "Mul", [x, x]) });

/** tfjs `Rsqrt(x)` -> `Reciprocal(Sqrt(x))`. */
export const Rsqrt = lowering<X>({
  infer: same,
  emit: (g, { x }) => over(g, "Reciprocal", elementwise(g, "Sqrt", [x])),
});

/** tfjs `Log1p(x)` -> `Log(x + 1)`; loses digits for |x| below 1e-7, as float32 sums do. */
export const Log1p = lowering<X>({
  infer: same,
  emit: (g, { x }) => {
    const { stored } = x;
    return over(g, "Log", over(g, "Add", stored, g.float32(1)));
  },
});

/** tfjs `Expm1(x)` -> `Exp(x) - 1`; loses digits for |x| below 1e-7. */
export const Expm1 = lowering<X>({
  infer: same,
  emit: (g, { x }) => over(g, "Sub", elementwise(g, "Exp", [x]), g.float32(1)),
});

/** tfjs `Relu6(x)` -> `Clip(x, 0, 6)`. */
export const Relu6 = lowering<X>({
  infer: same,
  emit: (g, { x }) => over(g, "Clip", x.stored, g.float32(0), g.float32(6)),
});

export const LeakyRelu = lowering<X, { alpha: number }>({
  infer: same,
  emit: (g, { x }, { alpha }) => elementwise(g, "LeakyRelu", [x], { alpha: { float: alpha } }),
});

/** Takes every normal float32 above 2e-38 past 1. */
const STEEP = 1e38;

/**
 * tfjs `Step(x; alpha)`, 1 where x > 0, else alpha -> `Clip(1e38 x, alpha, 1)` for the usual alpha below 1: a third of the time
 * of `Where(Greater(x, 0), 1, alpha)`, which serves the rest. In the gradients of Relu, LeakyRelu and Abs.
 */
export const Step = lowering<X, { alpha: number }>({
  infer: same,
  emit: (g, { x }, { alpha = 0 }) => {
    if (alpha <= 1) return over(g, "Clip", over(g, "Mul", x.stored, g.float32(STEEP)), g.float32(alpha), g.float32(1));
    return over(g, "Where", over(g, "Greater", x.stored, g.float32(0)), g.float32(1), g.float32(alpha));
  },
});

export const ClipByValue = lowering<X, { clipValueMin: number; clipValueMax: number }>({
  infer: same,
  emit: (g, { x }, { clipValueMin, clipValueMax }) =>
    over(g, "Clip", x.stored, g.float32(clipValueMin), g.float32(clipValueMax)),
});

/** tfjs `EluGrad(dy, y)` -> `Where(y >= 0, dy, dy * (y + 1))`. */
export const EluGrad = lowering<{ dy: Operand; y: Operand }>({
  infer: ({ dy }) => ({ shape: dy.shape, dtype: dy.dtype }),
  emit: (g, { dy, y }) => {
    const wrap = (stored: Stored, dtype: DataType = "float32") => new Operand(g, { shape: y.shape, dtype }, stored);
    const scaled = wrap(elementwise(g, "Mul", [dy, wrap(over(g, "Add", y.stored, g.float32(1)))]));
    return elementwise(g, "Where", [wrap(over(g, "GreaterOrEqual", y.stored, g.float32(0)), "bool"), dy, scaled]);
  },
});

/** tfjs `Select(condition, t, e)` -> `Where`. tf.where has broadcast the condition before it calls the kernel. */
export const Select = lowering<{ condition: Operand; t: Operand; e: Operand }>({
  infer: ({ t, e }) => broadcast(t, e),
  emit: (g, { condition, t, e }) => elementwise(g, "Where", [condition, t, e]),
});

/** tfjs `Cast(x; dtype)` -> `Cast`, which truncates floats towards zero as tfjs does. */
export const Cast = lowering<X, { dtype: DataType }>({
  infer: ({ x }, { dtype }) => ({ shape: x.shape, dtype }),
  emit: (g, { x }, { dtype }) => cast(g, x, dtype),
});

function cast(g: Graph, x: Operand, dtype: DataType): Stored {
  return x.dtype === dtype ? x.stored : elementwise(g, "Cast", [x], { to: ELEMENT_TYPE[elementType(dtype)] });
}

export const Identity = lowering<X>({ infer: same, emit: (_, { x }) => x.stored });
