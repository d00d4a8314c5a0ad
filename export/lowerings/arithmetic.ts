import { ELEMENT_TYPE } from "../../runtime/onnx-schema.ts";
import type { Graph } from "../graph.ts";
import { type AB, lowering } from "../lowering.ts";
import { elementwise, Operand, reshaped } from "../value.ts";
import { broadcast, broadcastOf, compute, narrowed, number, wide, widened } from "./operands.ts";

/** tfjs `FloorDiv(a, b)`, int32 of whatever a and b are, rounded down in float64 as JavaScript does. */
export const FloorDiv = lowering<AB>({
  infer: (operands) => broadcast(operands, "int32"),
  emit: (g, { a, b }) => {
    const quotient = compute(g, "Div", [widened(g, a), widened(g, b)]);
    return narrowed(g, compute(g, "Floor", [quotient]), "int32").stored;
  },
});

/**
 * tfjs `Mod(a, b)`, of b's sign: the remainder r of a / b, and where a and b differ in sign the remainder of (r + b) / b. In
 * float64 as JavaScript does, since r + b is rounded.
 */
export const Mod = lowering<AB>({
  infer: broadcastOf("float32", "int32"),
  emit: (g, { a, b }) => {
    const [x, y] = [widened(g, a), widened(g, b)];
    const remainder = (of: Operand) => compute(g, "Mod", [of, y], a.dtype, { fmod: 1 });
    const isNegative = (of: Operand) => compute(g, "Less", [of, wide(g, 0)], "bool");
    const alike = compute(g, "Equal", [isNegative(x), isNegative(y)]);
    const rest = remainder(x);
    const shifted = remainder(compute(g, "Add", [rest, y]));
    return narrowed(g, compute(g, "Where", [alike, rest, shifted], a.dtype), a.dtype).stored;
  },
});

/**
 * tfjs `Atan2(a, b)`, the angle of the point (b, a):
 *
 *     t = atan(|a| / |b|),    pi - t where b < 0,    of a's sign
 *
 * The ratio is 1 where both are infinite and 0 where both are zero; zeros have signs.
 */
export const Atan2 = lowering<AB>({
  infer: broadcastOf("float32"),
  emit: (g, { a, b }) => {
    const [height, width] = [compute(g, "Abs", [a]), compute(g, "Abs", [b])];
    const alike = compute(g, "Equal", [height, width], "bool");
    const ratio = compute(
      g,
      "Where",
      [alike, compute(g, "Sign", [width]), compute(g, "Div", [height, width])],
      "float32",
    );
    const acute = compute(g, "Atan", [ratio]);
    const upper = compute(
      g,
      "Where",
      [isSigned(g, b), compute(g, "Sub", [number(g, Math.PI), acute]), acute],
      "float32",
    );
    return elementwise(g, "Where", [isSigned(g, a), compute(g, "Neg", [upper]), upper]);
  },
});

/** Whether x is below 0 or is -0, whose reciprocal is -Infinity. */
function isSigned(g: Graph, x: Operand): Operand {
  const isZero = compute(g, "Equal", [x, number(g, 0)], "bool");
  const telling = compute(g, "Where", [isZero, compute(g, "Reciprocal", [x]), x], "float32");
  return compute(g, "Less", [telling, number(g, 0)], "bool");
}

/**
 * tfjs `BitwiseAnd(a, b)` of int32, which opset 17 lacks. In int64, a and b mod 2^32 are split into bits along a new last axis, bit
 * i being floor(a / 2^i) mod 2, and the products are summed with weights 2^i, that of the sign being -2^31.
 */
export const BitwiseAnd = lowering<AB>({
  infer: broadcastOf("int32"),
  emit: (g, { a, b }) => {
    const powers = Array.from({ length: 32 }, (_, i) => 2 ** i);
    const int64 = (name: string, shape: readonly number[]) =>
      new Operand(g, { shape, dtype: "int32" }, { name, shape });
    const [two, modulus] = [int64(g.int64([2]), [1]), int64(g.int64([2 ** 32]), [1])];
    const bits = (x: Operand) => {
      const shape = [...x.shape, 1];
      const column = g.node("Cast", [reshaped(g, x.name, x.shape, shape)], { to: ELEMENT_TYPE.int64 });
      const unsigned = compute(g, "Mod", [int64(column, shape), modulus]);
      return compute(g, "Mod", [compute(g, "Div", [unsigned, int64(g.int64(powers), [32])]), two]);
    };
    const weights = int64(g.int64(powers.with(31, -(2 ** 31))), [32]);
    const joined = compute(g, "Mul", [compute(g, "Mul", [bits(a), bits(b)]), weights]);
    const sum = g.node("ReduceSum", [joined.name, g.int64([joined.rank - 1])], { keepdims: 0 });
    return g.node("Cast", [sum], { to: ELEMENT_TYPE.int32 });
  },
});
