import { type DataType, util } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";
import { lowering } from "../lowering.ts";
import { Operand, reshaped, type TensorType } from "../value.ts";
import { compute, expectDtype, number } from "./operands.ts";

interface Counted {
  readonly x: Operand;
  readonly weights: Operand;
}

const filled = (g: Graph, value: number, shape: readonly number[], dtype: DataType) =>
  new Operand(g, { shape, dtype }, number(g, value, dtype).stored);

const withShape = (g: Graph, x: Operand, shape: readonly number[]) =>
  new Operand(g, { shape, dtype: x.dtype }, { name: reshaped(g, x.name, x.shape, shape), shape });

/**
 * For each whole number below `size`, the sum of the weights of the elements of x that are it, along the last axis: additions at
 * places, of which there is one more for what is not counted. tfjs throws for negative numbers, a graph does not count them.
 */
function counts(g: Graph, x: Operand, weights: Operand, size: number): Operand {
  const shape = x.shape.slice(0, -1);
  const last = number(g, size, "int32");
  const isNegative = compute(g, "Less", [x, number(g, 0, "int32")], "bool");
  const places = compute(g, "Where", [isNegative, last, compute(g, "Min", [x, last])], "int32");
  const zeros = filled(g, 0, [...shape, size + 1], weights.dtype);
  const axis = x.rank - 1;
  const sums = g.node("ScatterElements", [zeros.name, places.name, weights.name], { axis, reduction: "add" });
  const name = g.node("Slice", [sums, g.int64([0]), g.int64([size]), g.int64([axis])]);
  return new Operand(g, { shape: [...shape, size], dtype: weights.dtype }, { name, shape: [...shape, size] });
}

/** Weights in the shape of what they weigh; without elements, they are all 1. */
const weightsOf = (g: Graph, { x, weights }: Counted) =>
  weights.shape.includes(0) ? filled(g, 1, x.shape, weights.dtype) : withShape(g, weights, x.shape);

function countedType({ x, weights }: Counted, shape: readonly number[]): TensorType {
  expectDtype(x, "int32");
  expectDtype(weights, "float32", "int32");
  return { shape, dtype: weights.dtype };
}

/** tfjs `Bincount(x, weights; size)` of int32. */
export const Bincount = lowering<Counted, { size: number }>({
  infer: (inputs, { size }) => countedType(inputs, [size]),
  emit: (g, inputs, { size }) => {
    const x = withShape(g, inputs.x, [util.sizeFromShape([...inputs.x.shape])]);
    return counts(g, x, weightsOf(g, { x, weights: inputs.weights }), size).stored;
  },
});

/**
 * tfjs `DenseBincount(x, weights; size, binaryOutput)`, row by row of a matrix; binary: 1 for each number that is there, which
 * tfjs leaves out of its promise for a vector, where it counts.
 */
export const DenseBincount = lowering<Counted, { size: number; binaryOutput?: boolean }>({
  infer: (inputs, { size }) => countedType(inputs, [...inputs.x.shape.slice(0, -1), size]),
  emit: (g, { x, weights }, { size, binaryOutput }) => {
    if (!binaryOutput || x.rank === 1) return counts(g, x, weightsOf(g, { x, weights }), size).stored;
    const found = counts(g, x, filled(g, 1, x.shape, weights.dtype), size);
    return compute(g, "Min", [found, number(g, 1, weights.dtype)]).stored;
  },
});
