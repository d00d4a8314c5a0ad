import { type DataType, util } from "@tensorflow/tfjs-core";
import { ELEMENT_TYPE } from "../../runtime/onnx-schema.ts";
import { lowering, type X } from "../lowering.ts";
import { uniform } from "../uniform.ts";
import type { Operand } from "../value.ts";
import { expectDtype, number } from "./operands.ts";

/** tfjs `Fill(; shape, value, dtype)`. */
export const Fill = lowering<object, { shape: number[]; value: number; dtype?: DataType }>({
  infer: (_, { shape, value, dtype }) => ({ shape, dtype: dtype ?? util.inferDtype(value) }),
  emit: (g, _, { value, dtype }) => uniform(g, dtype ?? util.inferDtype(value), value),
});

const like = (value: number) =>
  lowering<X>({
    infer: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
    emit: (g, { x }) => uniform(g, x.dtype, value),
  });

export const ZerosLike = like(0);
export const OnesLike = like(1);

interface RangeAttributes {
  readonly start: number;
  readonly stop: number;
  readonly step: number;
  readonly dtype?: DataType;
}

/** tfjs's own count and step of a range: a step of 1 also goes down, and a larger one that leads away has no numbers. */
function progression({ start, stop, step }: RangeAttributes): { readonly count: number; readonly step: number } {
  if (start === stop || (start < stop && step < 0) || (stop < start && step > 1)) return { count: 0, step };
  return { count: Math.abs(Math.ceil((stop - start) / step)), step: stop < start && step === 1 ? -1 : step };
}

/**
 * tfjs `Range(; start, stop, step, dtype)` -> `start + step * Range(0, count, 1)`, as many numbers as tfjs counts in float64. Its
 * length is fixed at the trace, or follows the batch where `stop` does. tfjs adds up steps, and their roundings with them.
 */
export const Range = lowering<object, RangeAttributes>({
  infer: (_, attributes) => {
    const { start, dtype = "float32" } = attributes;
    const { count, step } = progression(attributes);
    if (dtype === "int32" && !(Number.isInteger(start) && Number.isInteger(step))) {
      throw new Error(`int32 numbers from ${start} in steps of ${step}: expected integers`);
    }
    return { shape: [count], dtype };
  },
  emit: (g, _, attributes) => {
    const { count, step } = progression(attributes);
    const { start, dtype = "float32" } = attributes;
    const scalar = (value: number) => number(g, value, dtype);
    const index = g.node("Range", [scalar(0).name, scalar(count).name, scalar(1).name]);
    const scaled = step === 1 ? index : g.node("Mul", [index, scalar(step).name]);
    return start === 0 ? scaled : g.node("Add", [scaled, scalar(start).name]);
  },
});

/**
 * tfjs `LinSpace(; start, stop, num)` -> `start + (stop - start) * Range(0, num, 1) / (num - 1)`, or by 1 where that is 0. tfjs adds
 * up steps, and their roundings with them.
 */
export const LinSpace = lowering<object, { start: number; stop: number; num: number }>({
  infer: (_, { num }) => ({ shape: [num], dtype: "float32" }),
  emit: (g, _, { start, stop, num }) => {
    const index = g.node("Range", [g.float32(0), g.float32(num), g.float32(1)]);
    const last = g.node("Max", [g.float32(num - 1), g.float32(1)]);
    return g.node("Add", [g.node("Div", [g.node("Mul", [index, g.float32(stop - start)]), last]), g.float32(start)]);
  },
});

/**
 * tfjs `BroadcastArgs(s0, s1)`, the shape that two shapes broadcast to: ones are put before the shorter, and where one has 1 the
 * other's size is taken. Where neither has and they differ, a `Gather` reads past its table of one 0, which is an error as in tfjs.
 */
export const BroadcastArgs = lowering<{ s0: Operand; s1: Operand }>({
  infer: ({ s0, s1 }) => {
    for (const s of [s0, s1]) expectDtype(s, "int32");
    return { shape: [Math.max(s0.shape[0] as number, s1.shape[0] as number)], dtype: "int32" };
  },
  emit: (g, { s0, s1 }) => {
    const rank = Math.max(s0.shape[0] as number, s1.shape[0] as number);
    const one = number(g, 1, "int32").name;
    const padded = (s: Operand) => g.node("Pad", [s.name, g.int64([rank - (s.shape[0] as number), 0]), one]);
    const [a, b] = [padded(s0), padded(s1)] as const;
    const taken = g.node("Where", [g.node("Equal", [a, one]), b, a]);
    const fits = g.node("Or", [g.node("Equal", [taken, b]), g.node("Equal", [b, one])]);
    const past = g.node("Cast", [g.node("Not", [fits])], { to: ELEMENT_TYPE.int32 });
    const table = g.constant("int32", [1], new Uint8Array(4));
    return g.node("Add", [taken, g.node("Gather", [table, past])]);
  },
});
