import { shared } from "@tensorflow/tfjs-backend-cpu";
import { util } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";
import { applied, lowering } from "../lowering.ts";
import { constant, constantIntegers, knownIntegers, uniform } from "../uniform.ts";
import { elementwise, Operand, type Stored, type TensorType } from "../value.ts";
import { Cast } from "./elementwise.ts";
import { GatherV2 } from "./indexing.ts";
import { Reshape } from "./movement.ts";

type Reduction = "none" | "add";

/**
 * `rows` [r, width] with `updates` [n, width] put or added to the rows that `at` names, int32 of n elements, one after the other:
 * of several for one row the last stays. `ScatterElements`, since ONNX Runtime's ScatterND writes rows from several threads and
 * loses terms of sums.
 */
function scattered(g: Graph, rows: Operand, at: string, updates: Operand, reduction: Reduction): Operand {
  const [n, width] = updates.shape as [number, number];
  if (n * width === 0) return rows;
  const column = g.node("Reshape", [at, g.int64([n, 1])]);
  const indices = width === 1 ? column : g.node("Expand", [column, g.int64([n, width])]);
  const name = g.node("ScatterElements", [rows.name, indices, updates.name], { axis: 0, reduction });
  return new Operand(g, rows, { name, shape: rows.shape });
}

/** Scatters by `indices` [..., k], which count along the first k axes of `into`; of rank 0 or 1, they count along its first. */
function scatteredNd(g: Graph, into: Operand, indices: Operand, updates: Operand, reduction: Reduction): Stored {
  const k = indices.rank > 1 ? (indices.shape.at(-1) as number) : 1;
  const sizes = into.shape.slice(0, k);
  const n = k === 0 ? 0 : util.sizeFromShape([...indices.shape]) / k;
  const width = util.sizeFromShape(into.shape.slice(k));
  if (n * width === 0) return into.stored;
  const matrix = (x: Operand, height: number) => applied(g, Reshape, { x }, { shape: [height, width] });
  const at = k === 1 ? indices.name : flat(g, indices, n, sizes);
  const rows = scattered(g, matrix(into, util.sizeFromShape(sizes)), at, matrix(updates, n), reduction);
  return applied(g, Reshape, { x: rows }, { shape: [...into.shape] }).stored;
}

/** The numbers of the places that `indices`, n for each of `sizes`, have among all: the last axis counts fastest. */
function flat(g: Graph, indices: Operand, n: number, sizes: readonly number[]): string {
  const strides = Int32Array.from(sizes, (_, i) => util.sizeFromShape(sizes.slice(i + 1)));
  const weights = g.constant("int32", [sizes.length], new Uint8Array(strides.buffer));
  const matrix = g.node("Reshape", [indices.name, g.int64([n, sizes.length])]);
  return g.node("ReduceSum", [g.node("Mul", [matrix, weights]), g.int64([1])]);
}

function filledWith(g: Graph, { shape, dtype }: TensorType, stored = uniform(g, dtype, 0)): Operand {
  return new Operand(g, { shape, dtype }, stored);
}

interface Updates {
  readonly indices: Operand;
  readonly updates: Operand;
}

/** tfjs `ScatterNd(indices, updates; shape)`: updates of one place are added. */
export const ScatterNd = lowering<Updates, { shape: number[] }>({
  infer: ({ updates }, { shape }) => ({ shape, dtype: updates.dtype }),
  emit: (g, { indices, updates }, { shape }) =>
    scatteredNd(g, filledWith(g, { shape, dtype: updates.dtype }), indices, updates, "add"),
});

/** tfjs `TensorScatterUpdate(tensor, indices, updates)`: of several updates of one place the last stays. */
export const TensorScatterUpdate = lowering<Updates & { tensor: Operand }>({
  infer: ({ tensor }) => ({ shape: tensor.shape, dtype: tensor.dtype }),
  emit: (g, { tensor, indices, updates }) => scatteredNd(g, tensor, indices, updates, "none"),
});

interface Sparse {
  readonly sparseIndices: Operand;
  readonly sparseValues: Operand;
  readonly defaultValue: Operand;
}

/** tfjs `SparseToDense(sparseIndices, sparseValues, defaultValue; outputShape)`; values may be one number for all. */
export const SparseToDense = lowering<Sparse, { outputShape: number[] }>({
  infer: ({ sparseValues }, { outputShape }) => ({ shape: outputShape, dtype: sparseValues.dtype }),
  emit: (g, { sparseIndices, sparseValues, defaultValue }, { outputShape }) => {
    const dense = filledWith(g, { shape: outputShape, dtype: sparseValues.dtype }, defaultValue.stored);
    const n = sparseIndices.shape[0] ?? 1;
    const values = filledWith(g, { shape: [n], dtype: sparseValues.dtype }, sparseValues.stored);
    return scatteredNd(g, dense, sparseIndices, values, "none");
  },
});

/** tfjs `UnsortedSegmentSum(x, segmentIds; numSegments)`, a float32: rows with ids outside of [0, numSegments) are left out. */
export const UnsortedSegmentSum = lowering<{ x: Operand; segmentIds: Operand }, { numSegments: number }>({
  infer: ({ x, segmentIds }, { numSegments }) => {
    if (segmentIds.rank !== 1) throw new Error(`expected segmentIds of rank 1, got shape [${segmentIds.shape}]`);
    if (numSegments < 1) throw new Error(`expected at least 1 segment, got ${numSegments}`);
    return { shape: [numSegments, ...x.shape.slice(1)], dtype: "float32" };
  },
  emit: (g, { x, segmentIds }, { numSegments }) => {
    const shape = [x.shape[0] as number, util.sizeFromShape(x.shape.slice(1))];
    const numbers = applied(g, Cast, { x }, { dtype: "float32" });
    const updates = applied(g, Reshape, { x: numbers }, { shape });
    const bound = (value: number) => uniform(g, "int32", value).name;
    const [ids, first] = [segmentIds.name, bound(0)];
    const isIn = g.node("And", [g.node("GreaterOrEqual", [ids, first]), g.node("Less", [ids, bound(numSegments)])]);
    const at = g.node("Where", [isIn, ids, first]);
    const kept = g.node("Where", [g.node("Unsqueeze", [isIn, g.int64([1])]), updates.name, g.float32(0)]);
    const rows = filledWith(g, { shape: [numSegments, shape[1] as number], dtype: "float32" });
    const sums = scattered(g, rows, at, new Operand(g, updates, { name: kept, shape }), "add");
    return applied(g, Reshape, { x: sums }, { shape: [numSegments, ...x.shape.slice(1)] }).stored;
  },
});

interface Segments {
  readonly data: Operand;
  readonly indices: Operand;
  readonly segmentIds: Operand;
}

/**
 * tfjs `SparseSegmentSum(data, indices, segmentIds)`, or `SparseSegmentMean`: the rows of data that indices name, summed by segment.
 * The last id gives the result's size, so the ids must be constants.
 */
const sparseSegments = (isMean: boolean) =>
  lowering<Segments>({
    infer: (inputs) => ({
      shape: [segmentSizes(inputs).length, ...inputs.data.shape.slice(1)],
      dtype: inputs.data.dtype,
    }),
    emit: (g, inputs) => {
      const { data, indices, segmentIds } = inputs;
      const sizes = segmentSizes(inputs);
      const [n, m, width] = [indices.shape[0] as number, sizes.length, util.sizeFromShape(data.shape.slice(1))];
      const rows = applied(g, GatherV2, { x: data, indices }, { axis: 0 });
      const updates = applied(g, Reshape, { x: rows }, { shape: [n, width] });
      const zeros = filledWith(g, { shape: [m, width], dtype: data.dtype });
      const sums = scattered(g, zeros, segmentIds.name, updates, "add");
      const column: TensorType = { shape: [m, 1], dtype: data.dtype };
      const divisors = constant(
        g,
        column,
        Int32Array.from(sizes, (size) => Math.max(1, size)),
      );
      const means = elementwise(g, "Div", [sums, new Operand(g, column, divisors)]);
      const x = isMean ? new Operand(g, sums, means) : sums;
      return applied(g, Reshape, { x }, { shape: [m, ...data.shape.slice(1)] }).stored;
    },
  });

export const SparseSegmentMean = sparseSegments(true);
export const SparseSegmentSum = sparseSegments(false);

/** How many rows each segment has, counted (and refused, where they do not rise) by tfjs's own sum of as many ones. */
function segmentSizes({ data, indices, segmentIds }: Segments): number[] {
  const rows = data.shape[0] as number;
  const ids = knownIntegers(segmentIds, "segmentIds");
  const at = constantIntegers(indices) ?? new Int32Array(ids.length);
  const ones = new Float32Array(rows).fill(1);
  return Array.from(shared.sparseSegmentReductionImpl(ones, [rows, 1], "float32", at, ids)[0]);
}
