import { upcastType } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";
import { type AB, lowering, type X } from "../lowering.ts";
import { uniform } from "../uniform.ts";
import { elementwise, Operand, reshaped, type Stored } from "../value.ts";
import { broadcast, broadcastOf, cast, compute, number, over, sameOf } from "./operands.ts";

/** tfjs `K(a, b)` -> ONNX `Op(a, b)`, a bool; bools are compared as integers. */
const comparison = (op: string) =>
  lowering<AB>({
    infer: (operands) => broadcast(operands, "bool"),
    emit: (g, { a, b }) => {
      const numbers = (x: Operand) => (x.dtype === "bool" ? cast(g, x, "int32") : x);
      return elementwise(g, op, [numbers(a), numbers(b)]);
    },
  });

/** tfjs `K(a, b)` of bools -> ONNX `Op(a, b)`. */
const logical = (op: string) =>
  lowering<AB>({ infer: broadcastOf("bool"), emit: (g, { a, b }) => elementwise(g, op, [a, b]) });

export const Equal = comparison("Equal");
export const Greater = comparison("Greater");
export const GreaterEqual = comparison("GreaterOrEqual");
export const Less = comparison("Less");
export const LessEqual = comparison("LessOrEqual");
export const LogicalAnd = logical("And");
export const LogicalOr = logical("Or");

/** tfjs `NotEqual(a, b)` -> `Not(Equal(a, b))`. */
export const NotEqual = lowering<AB>({
  infer: (operands) => broadcast(operands, "bool"),
  emit: (g, { a, b }) => over(g, "Not", elementwise(g, "Equal", [a, b])),
});

export const LogicalNot = lowering<X>({
  infer: sameOf("bool"),
  emit: (g, { x }) => elementwise(g, "Not", [x]),
});

/** tfjs `K(x)`, a bool: what `test` says of floats, and of other numbers, which are finite, always the same. */
const classification = (test: (g: Graph, x: Operand) => Stored, others: 0 | 1) =>
  lowering<X>({
    infer: ({ x }) => ({ shape: x.shape, dtype: "bool" }),
    emit: (g, { x }) => (x.dtype === "float32" ? test(g, x) : uniform(g, "bool", others)),
  });

export const IsInf = classification((g, x) => elementwise(g, "IsInf", [x]), 0);
export const IsNan = classification((g, x) => elementwise(g, "IsNaN", [x]), 0);
/** tfjs `IsFinite(x)` -> `|x| < Infinity`, which NaN is not either. */
export const IsFinite = classification(
  (g, x) => elementwise(g, "Less", [compute(g, "Abs", [x]), number(g, Number.POSITIVE_INFINITY)]),
  1,
);

interface Selection {
  readonly condition: Operand;
  readonly t: Operand;
  readonly e: Operand;
}

/** The condition, ready to be broadcast. One of rank 1 is of whole rows, for each of which tfjs's own kernel repeats a number. */
function ofElements(g: Graph, { condition, t }: Selection): Operand {
  if (condition.rank !== 1 || t.rank < 2) return condition;
  const shape = [...condition.shape, ...t.shape.slice(1).fill(1)];
  return new Operand(g, { shape, dtype: "bool" }, { name: reshaped(g, condition.name, condition.shape, shape), shape });
}

/** tfjs `Select(condition, t, e)` -> `Where`, of the wider dtype of t and e. tf.where has broadcast all three. */
export const Select = lowering<Selection>({
  infer: ({ t, e }) => ({ shape: t.shape, dtype: upcastType(t.dtype, e.dtype) }),
  emit: (g, { condition, t, e }) => {
    const dtype = upcastType(t.dtype, e.dtype);
    const chosen = ofElements(g, { condition, t, e });
    if (dtype !== "bool") return elementwise(g, "Where", [chosen, cast(g, t, dtype), cast(g, e, dtype)]);
    // ONNX Runtime has no Where of bools.
    const otherwise = compute(g, "And", [compute(g, "Not", [chosen]), e]);
    return elementwise(g, "Or", [compute(g, "And", [chosen, t]), otherwise]);
  },
});
