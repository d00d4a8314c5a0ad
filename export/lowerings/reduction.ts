import { type DataType, util } from "@tensorflow/tfjs-core";
import { ELEMENT_TYPE } from "../../runtime/onnx-schema.ts";
import type { Graph } from "../graph.ts";
import { lowering, type X } from "../lowering.ts";
import { Operand, type Stored } from "../value.ts";

interface ReduceAttributes {
  readonly axis: number | number[];
  readonly keepDims: boolean;
}

function reducedShape(x: Operand, axis: number | number[], keepDims: boolean): number[] {
  const axes = util.parseAxisParam(axis, [...x.shape]);
  return x.shape.flatMap((dim, i) => (axes.includes(i) ? (keepDims ? [1] : []) : [dim]));
}

/** A reduction in whatever layout x is stored in: stored axes are reduced, and the layout of what remains follows. */
function reduce(g: Graph, op: string, x: Operand, { axis, keepDims }: ReduceAttributes): Stored {
  const axes = util.parseAxisParam(axis, [...x.shape]);
  const order = x.stored.layout ?? x.shape.map((_, i) => i);
  const name = x.inLayout(x.stored.layout);
  const storedAxes = axes.map((a) => order.indexOf(a)).sort((a, b) => a - b);
  const keepdims = keepDims ? 1 : 0;
  // Of opset 17's reductions, ReduceSum alone takes its axes as an input.
  const reduced =
    axes.length === 0
      ? name
      : op === "ReduceSum"
        ? g.node(op, [name, g.int64(storedAxes)], { keepdims })
        : g.node(op, [name], { axes: storedAxes, keepdims });
  const kept = keepDims ? order : order.filter((a) => !axes.includes(a));
  const shape = kept.map((a) => (axes.includes(a) ? 1 : (x.shape[a] as number)));
  const layout = kept.map((a) => kept.filter((other) => other < a).length);
  return { name: reduced, shape, layout: layout.every((a, i) => a === i) ? undefined : layout };
}

/** tfjs `K(x; axis, keepDims)` -> ONNX `Op`. */
const reduction = (op: string) =>
  lowering<X, ReduceAttributes>({
    infer: ({ x }, { axis, keepDims }) => ({ shape: reducedShape(x, axis, keepDims), dtype: x.dtype }),
    emit: (g, { x }, attributes) => reduce(g, op, x, attributes),
  });

export const Sum = reduction("ReduceSum");

/** tfjs `Mean(x; axis, keepDims)`, float32 of whatever x is. */
export const Mean = lowering<X, ReduceAttributes>({
  infer: ({ x }, { axis, keepDims }) => ({ shape: reducedShape(x, axis, keepDims), dtype: "float32" }),
  emit: (g, { x }, attributes) => {
    const { shape, stored } = x;
    const float = x.dtype === "float32" ? stored.name : g.node("Cast", [stored.name], { to: ELEMENT_TYPE.float32 });
    return reduce(g, "ReduceMean", new Operand(g, { shape, dtype: "float32" }, { ...stored, name: float }), attributes);
  },
});

/** tfjs `Max(x; reductionIndices, keepDims)`: the one reduction that names its axes otherwise. */
export const Max = lowering<X, { reductionIndices: number | number[]; keepDims: boolean }>({
  infer: ({ x }, { reductionIndices, keepDims }) => ({
    shape: reducedShape(x, reductionIndices, keepDims),
    dtype: x.dtype,
  }),
  emit: (g, { x }, { reductionIndices, keepDims }) => reduce(g, "ReduceMax", x, { axis: reductionIndices, keepDims }),
});

export const Min = reduction("ReduceMin");
export const Prod = reduction("ReduceProd");

/** tfjs `All(x)`, `Any(x)` of bools -> the minimum, the maximum of integers. */
const logical = (op: string) =>
  lowering<X, ReduceAttributes>({
    infer: ({ x }, { axis, keepDims }) => ({ shape: reducedShape(x, axis, keepDims), dtype: "bool" as DataType }),
    emit: (g, { x }, attributes) => {
      const name = g.node("Cast", [x.name], { to: ELEMENT_TYPE.int32 });
      const integers = new Operand(g, { shape: x.shape, dtype: "int32" }, { name, shape: x.shape });
      const reduced = reduce(g, op, integers, attributes);
      return { ...reduced, name: g.node("Cast", [reduced.name], { to: ELEMENT_TYPE.bool }) };
    },
  });

export const All = logical("ReduceMin");
export const Any = logical("ReduceMax");

/** tfjs `ArgMax(x; axis)` -> `ArgMax`, int64, cast to int32. Both take the first of equals. */
const argument = (op: string) =>
  lowering<X, { axis: number }>({
    infer: ({ x }, { axis }) => ({ shape: reducedShape(x, axis, false), dtype: "int32" }),
    emit: (g, { x }, { axis }) => {
      const [a] = util.parseAxisParam(axis, [...x.shape]) as [number];
      return g.node("Cast", [g.node(op, [x.name], { axis: a, keepdims: 0 })], { to: ELEMENT_TYPE.int32 });
    },
  });

export const ArgMax = argument("ArgMax");
export const ArgMin = argument("ArgMin");

/** tfjs `Softmax(logits; dim)`, which is always the last axis. */
export const Softmax = lowering<{ logits: Operand }, { dim: number }>({
  infer: ({ logits }) => ({ shape: logits.shape, dtype: logits.dtype }),
  emit: (g, { logits }) => g.node("Softmax", [logits.name], { axis: -1 }),
});

export const LogSoftmax = lowering<{ logits: Operand }, { axis: number }>({
  infer: ({ logits }) => ({ shape: logits.shape, dtype: logits.dtype }),
  emit: (g, { logits }) => g.node("LogSoftmax", [logits.name], { axis: -1 }),
});

export const Cumsum = lowering<X, { axis: number; exclusive: boolean; reverse: boolean }>({
  infer: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
  emit: (g, { x }, { axis, exclusive, reverse }) => {
    const index = g.constant("int64", [], new Uint8Array(BigInt64Array.of(BigInt(axis)).buffer));
    return g.node("CumSum", [x.name, index], { exclusive: exclusive ? 1 : 0, reverse: reverse ? 1 : 0 });
  },
});
