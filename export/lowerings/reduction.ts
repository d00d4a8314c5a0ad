import { upcastType, util } from "@tensorflow/tfjs-core";
import { ELEMENT_TYPE } from "../../runtime/onnx-schema.ts";
import type { Graph } from "../graph.ts";
import { lowering, type X } from "../lowering.ts";
import { Operand, reshaped, type Stored, type TensorType } from "../value.ts";
import { cast, compute, expectDtype, number, over } from "./operands.ts";

interface ReduceAttributes {
  readonly axis: number | number[];
  readonly keepDims: boolean;
}

function reducedShape(x: Operand, axis: number | number[], keepDims: boolean): number[] {
  const axes = util.parseAxisParam(axis, [...x.shape]);
  return x.shape.flatMap((dim, i) => (axes.includes(i) ? (keepDims ? [1] : []) : [dim]));
}

/**
 * A reduction in whatever layout x is stored in: stored axes are reduced, and the layout of what remains follows. Of channels in
 * blocks the places are reduced first: with axes on both sides of them, ONNX Runtime goes number by number.
 */
function reduce(g: Graph, op: string, x: Operand, { axis, keepDims }: ReduceAttributes): Stored {
  const axes = util.parseAxisParam(axis, [...x.shape]);
  const block = x.held.block;
  if (block !== undefined && axes.includes(1) && axes.includes(2)) {
    const parts = x.inBlocks(block);
    const name = reduced(g, op, parts.stored.name, [2, 3], 1);
    const [n, , , c] = x.shape as [number, number, number, number];
    const places = { shape: [n, 1, 1, c], dtype: x.dtype };
    const rows = new Operand(g, places, { name: reshaped(g, name, [], places.shape), shape: places.shape });
    return reduce(g, op, rows, { axis, keepDims });
  }
  const order = x.stored.layout ?? x.shape.map((_, i) => i);
  const name = x.inLayout(x.stored.layout);
  const storedAxes = axes.map((a) => order.indexOf(a)).sort((a, b) => a - b);
  const keepdims = keepDims ? 1 : 0;
  const isLong = op === "ReduceSum" && axes.length > 1 && storedAxes.every((axis, i) => axis === i);
  const isOne = x.shape[order[0] as number] === 1;
  const start = isLong && !isOne && rowLength(x, order, axes.length) < SHORT ? reduced(g, op, name, [0], 1) : name;
  const result = axes.length === 0 ? name : reduced(g, op, start, storedAxes, keepdims);
  const kept = keepDims ? order : order.filter((a) => !axes.includes(a));
  const shape = kept.map((a) => (axes.includes(a) ? 1 : (x.shape[a] as number)));
  const layout = kept.map((a) => kept.filter((other) => other < a).length);
  return { name: result, shape, layout: layout.every((a, i) => a === i) ? undefined : layout };
}

/**
 * Rows shorter than this are summed number by number, 0.7 ms of [256, 14, 14, 4]; with the first axis gone there are few of them, and
 * its own rows are long.
 */
const SHORT = 16;

/** Numbers of x in a row of the stored axes behind the first `count`. */
const rowLength = (x: Operand, order: readonly number[], count: number) =>
  order.slice(count).reduce((length, axis) => length * (x.shape[axis] as number), 1);

/** Of opset 17's reductions, ReduceSum alone takes its axes as an input. */
function reduced(g: Graph, op: string, name: string, axes: readonly number[], keepdims: 0 | 1): string {
  return op === "ReduceSum" ? g.node(op, [name, g.int64(axes)], { keepdims }) : g.node(op, [name], { axes, keepdims });
}

/** tfjs `Sum`, `Prod`: integers of bools. */
const total = (op: string) =>
  lowering<X, ReduceAttributes>({
    infer: ({ x }, { axis, keepDims }) => ({
      shape: reducedShape(x, axis, keepDims),
      dtype: upcastType(x.dtype, "int32"),
    }),
    emit: (g, { x }, attributes) => reduce(g, op, cast(g, x, upcastType(x.dtype, "int32")), attributes),
  });

export const Sum = total("ReduceSum");
export const Prod = total("ReduceProd");

/** tfjs `Mean(x; axis, keepDims)`, float32 of whatever x is. */
export const Mean = lowering<X, ReduceAttributes>({
  infer: ({ x }, { axis, keepDims }) => ({ shape: reducedShape(x, axis, keepDims), dtype: "float32" }),
  emit: (g, { x }, attributes) => reduce(g, "ReduceMean", cast(g, x, "float32"), attributes),
});

/** The shape of extremes, which no numbers have. */
function extremeShape(x: Operand, axis: number | number[], keepDims: boolean): number[] {
  const shape = reducedShape(x, axis, keepDims);
  if (!x.shape.includes(0) || shape.includes(0)) return shape;
  throw new Error(`shape [${x.shape}] along ${axis}: expected numbers to choose from`);
}

/**
 * An extreme of x. ONNX Runtime's passes over NaN, tfjs's gives it; so does the sum of magnitudes, and only where there is one. NaN
 * is what does not equal itself: of `IsNaN`, WebGPU has no kernel.
 */
function extreme(g: Graph, op: string, x: Operand, attributes: ReduceAttributes): Stored {
  const numbers = x.dtype === "bool" ? cast(g, x, "int32") : x;
  const found = reduce(g, op, numbers, attributes);
  if (x.dtype === "bool") return over(g, "Greater", found, number(g, 0, "int32").name);
  if (x.dtype === "int32") return found;
  const magnitude = reduce(g, "ReduceL1", x, attributes);
  const isNumber = g.node("Equal", [magnitude.name, magnitude.name]);
  return { ...found, name: g.node("Where", [isNumber, found.name, magnitude.name]) };
}

/** tfjs `Max(x; reductionIndices, keepDims)`: the one reduction that names its axes otherwise. */
export const Max = lowering<X, { reductionIndices: number | number[]; keepDims: boolean }>({
  infer: ({ x }, { reductionIndices, keepDims }) => ({
    shape: extremeShape(x, reductionIndices, keepDims),
    dtype: x.dtype,
  }),
  emit: (g, { x }, { reductionIndices, keepDims }) => extreme(g, "ReduceMax", x, { axis: reductionIndices, keepDims }),
});

export const Min = lowering<X, ReduceAttributes>({
  infer: ({ x }, { axis, keepDims }) => ({ shape: extremeShape(x, axis, keepDims), dtype: x.dtype }),
  emit: (g, { x }, attributes) => extreme(g, "ReduceMin", x, attributes),
});

/** tfjs `All(x)`, `Any(x)` of bools -> the minimum, the maximum of integers. */
const logical = (op: string) =>
  lowering<X, ReduceAttributes>({
    infer: ({ x }, { axis, keepDims }) => {
      expectDtype(x, "bool");
      return { shape: reducedShape(x, axis, keepDims), dtype: "bool" };
    },
    emit: (g, { x }, attributes) => extreme(g, op, x, attributes),
  });

export const All = logical("ReduceMin");
export const Any = logical("ReduceMax");

/**
 * tfjs `ArgMax(x; axis)`, `ArgMin` -> the same, int64, cast to int32. Both take the first of equals. tfjs passes over NaN, but for
 * one in the first place, where it stays; here that one is passed over too.
 */
const argument = (op: string, worst: number) =>
  lowering<X, { axis: number }>({
    infer: ({ x }, { axis }) => ({ shape: extremeShape(x, axis, false), dtype: "int32" }),
    emit: (g, { x }, { axis }) => {
      const [a] = util.parseAxisParam(axis, [...x.shape]) as [number];
      const numbers =
        x.dtype === "float32"
          ? compute(g, "Where", [compute(g, "Equal", [x, x], "bool"), x, number(g, worst)], "float32")
          : cast(g, x, "int32");
      return g.node("Cast", [g.node(op, [numbers.name], { axis: a, keepdims: 0 })], { to: ELEMENT_TYPE.int32 });
    },
  });

export const ArgMax = argument("ArgMax", Number.NEGATIVE_INFINITY);
export const ArgMin = argument("ArgMin", Number.POSITIVE_INFINITY);

/** tfjs `Softmax(logits; dim)`, which is always the last axis. */
export const Softmax = lowering<{ logits: Operand }, { dim: number }>({
  infer: ({ logits: { shape, dtype } }, { dim }) => {
    if (dim !== -1 && dim !== shape.length - 1) throw new Error(`dim ${dim}: expected the last axis of [${shape}]`);
    return { shape, dtype };
  },
  emit: (g, { logits }) => g.node("Softmax", [logits.name], { axis: -1 }),
});

interface CumulativeAttributes {
  readonly axis: number;
  readonly exclusive: boolean;
  readonly reverse: boolean;
}

const cumulativeType = ({ x }: X): TensorType => ({ shape: x.shape, dtype: upcastType(x.dtype, "int32") });

/** The axis counted from the front; a scalar has none. */
const axisOf = (x: Operand, axis: number) => util.parseAxisParam(axis, [...x.shape])[0] as number;

/** tfjs `Cumsum(x; axis, exclusive, reverse)` -> `CumSum`; integers of bools. */
export const Cumsum = lowering<X, CumulativeAttributes>({
  infer: cumulativeType,
  emit: (g, { x }, { axis, exclusive, reverse }) => {
    const index = g.constant("int64", [], new Uint8Array(BigInt64Array.of(BigInt(axisOf(x, axis))).buffer));
    const { name } = cast(g, x, upcastType(x.dtype, "int32"));
    return g.node("CumSum", [name, index], { exclusive: exclusive ? 1 : 0, reverse: reverse ? 1 : 0 });
  },
});

/**
 * tfjs `Cumprod(x; axis, exclusive, reverse)`, which ONNX lacks: products of 2, 4, 8 and so on neighbours, each from two products
 * of half as many, in log2(n) steps. A `Pad` with a negative end moves x along its axis and moves ones in.
 */
export const Cumprod = lowering<X, CumulativeAttributes>({
  infer: cumulativeType,
  emit: (g, inputs, { axis, exclusive, reverse }) => {
    const x = cast(g, inputs.x, upcastType(inputs.x.dtype, "int32"));
    const at = axisOf(x, axis);
    const size = x.shape[at] as number;
    const one = number(g, 1, x.dtype).name;
    const pads = (by: number) => [by, -by].map((pad) => x.shape.map((_, i) => (i === at ? pad : 0)));
    const moved = (name: string, by: number) =>
      g.node("Pad", [name, g.int64((reverse ? pads(-by) : pads(by)).flat()), one]);
    let product = exclusive ? moved(x.name, 1) : x.name;
    for (let by = 1; by < size; by *= 2) product = g.node("Mul", [product, moved(product, by)]);
    return product;
  },
});
