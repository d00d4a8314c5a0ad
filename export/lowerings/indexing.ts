import { shared } from "@tensorflow/tfjs-backend-cpu";
import { backend_util, type DataType, type TensorInfo, util } from "@tensorflow/tfjs-core";
import { ELEMENT_TYPE } from "../../runtime/onnx-schema.ts";
import type { Graph } from "../graph.ts";
import { applied, lowering, type X } from "../lowering.ts";
import { constant, constantIntegers, knownIntegers, uniform } from "../uniform.ts";
import { elementType, type Operand, reshaped, storedIn } from "../value.ts";
import { Cast } from "./elementwise.ts";

interface Gathered {
  readonly x: Operand;
  readonly indices: Operand;
}

/**
 * tfjs `GatherV2(x, indices; axis, batchDims)` -> `Gather`; with batch dimensions `GatherND` of x with the axis behind them. Indices
 * outside of [0, size) are refused, as by tfjs; traced ones by ONNX Runtime, but for -size to -1, which count from the end.
 */
export const GatherV2 = lowering<Gathered, { axis: number; batchDims?: number }>({
  infer: ({ x, indices }, attributes) => {
    const { axis, shape } = gathered({ x, indices }, attributes);
    const last = (x.shape[axis] as number) - 1;
    const beyond = constantIntegers(indices)?.find((index) => index < 0 || index > last);
    if (beyond !== undefined) throw new Error(`GatherV2: the index value ${beyond} is not in [0, ${last}]`);
    return { shape, dtype: x.dtype };
  },
  emit: (g, { x, indices }, attributes) => {
    const { axis, batches, shape } = gathered({ x, indices }, attributes);
    if (batches === 0) return g.node("Gather", [x.name, indices.name], { axis });
    const axes = x.shape.map((_, i) => i);
    const order = [...axes.slice(0, batches), axis, ...axes.slice(batches).filter((i) => i !== axis)];
    const name = g.node("GatherND", [x.inLayout(order), column(g, indices)], { batch_dims: batches });
    // Stored: batches, indices, the axes between batches and axis, the axes after it.
    const [outer, inner] = [axis - batches, indices.rank - batches];
    const places = shape.map((_, i) => i);
    const layout = [
      ...places.slice(0, batches),
      ...places.slice(axis, axis + inner),
      ...places.slice(batches, batches + outer),
      ...places.slice(axis + inner),
    ];
    return storedIn(
      layout,
      name,
      layout.map((place) => shape[place] as number),
    );
  },
});

function gathered({ x, indices }: Gathered, { axis, batchDims = 0 }: { axis: number; batchDims?: number }) {
  const [at] = util.parseAxisParam(axis, [...x.shape]) as [number];
  const { outputShape } = backend_util.segment_util.collectGatherOpShapeInfo(info(x), info(indices), at, batchDims);
  return { axis: at, batches: batchDims < 0 ? batchDims + indices.rank : batchDims, shape: outputShape };
}

/** An operand as tfjs's own checks take it. */
function info({ shape, dtype }: Operand): TensorInfo {
  return { dataId: {}, shape: [...shape], dtype };
}

/** GatherND's form of single indices: int64, with an axis of size 1 behind. */
function column(g: Graph, indices: Operand): string {
  const name = reshaped(g, indices.name, indices.shape, [...indices.shape, 1]);
  return g.node("Cast", [name], { to: ELEMENT_TYPE.int64 });
}

interface Picked {
  readonly params: Operand;
  readonly indices: Operand;
}

/** tfjs `GatherNd(params, indices)` -> `GatherND`; indices of no axes repeat all of params. */
export const GatherNd = lowering<Picked>({
  infer: ({ params, indices }) => {
    const [shape] = backend_util.prepareAndValidate(info(params), info(indices));
    return { shape, dtype: params.dtype };
  },
  emit: (g, { params, indices }) => {
    if (indices.shape.at(-1) !== 0) {
      return g.node("GatherND", [params.name, g.node("Cast", [indices.name], { to: ELEMENT_TYPE.int64 })]);
    }
    const shape = [...indices.shape.slice(1).map(() => 1), ...params.shape];
    return { name: reshaped(g, params.name, params.shape, shape), shape };
  },
});

/**
 * tfjs `TopK(x; k, sorted)` over the last axis -> `TopK`, its int64 indices cast to int32. Both put the lower of equals first; the
 * graph's are always sorted.
 */
export const TopK = lowering<X, { k: number; sorted: boolean }>({
  infer: ({ x }, { k }) => {
    const shape = [...x.shape.slice(0, -1), k];
    return [
      { shape, dtype: x.dtype },
      { shape, dtype: "int32" },
    ];
  },
  emit: (g, { x }, { k }) => {
    // ONNX Runtime 1.30 ends the process when it looks for the largest of no rows.
    if (k * util.sizeFromShape([...x.shape]) === 0) return [uniform(g, x.dtype, 0), uniform(g, "int32", 0)];
    const numbers = x.dtype === "bool" ? applied(g, Cast, { x }, { dtype: "int32" }) : x;
    const [values, indices] = g.split("TopK", [numbers.name, g.int64([k])], 2, { axis: -1 }) as [string, string];
    return [
      x.dtype === "bool" ? g.node("Cast", [values], { to: ELEMENT_TYPE.bool }) : values,
      g.node("Cast", [indices], { to: ELEMENT_TYPE.int32 }),
    ];
  },
});

/** tfjs `OneHot(indices; depth, onValue, offValue)` -> `Where(indices == range, on, off)`: out-of-range rows are all off. */
export const OneHot = lowering<
  { indices: Operand },
  { dtype?: DataType; depth: number; onValue: number; offValue: number }
>({
  infer: ({ indices }, { dtype = "int32", depth }) => ({ shape: [...indices.shape, depth], dtype }),
  emit: (g, { indices }, { dtype = "int32", depth, onValue, offValue }) => {
    const number = (type: DataType, value: number) => uniform(g, type, value).name;
    const range = g.node("Range", [number("int32", 0), number("int32", depth), number("int32", 1)]);
    const isOn = g.node("Equal", [g.node("Unsqueeze", [indices.name, g.int64([-1])]), range]);
    // ONNX Runtime's Where takes no bools.
    const chosen = dtype === "bool" ? "int32" : dtype;
    const name = g.node("Where", [isOn, number(chosen, onValue), number(chosen, offValue)]);
    return chosen === dtype ? name : g.node("Cast", [name], { to: ELEMENT_TYPE[elementType(dtype)] });
  },
});

/**
 * tfjs `SearchSorted(sortedSequence, values; side)`, both [b, ...] -> how many of the sequence are less than the value (left), or not
 * greater (right). Compares all with all, [b, values, sequence].
 */
export const SearchSorted = lowering<{ sortedSequence: Operand; values: Operand }, { side: "left" | "right" }>({
  infer: ({ values }) => ({ shape: values.shape, dtype: "int32" }),
  emit: (g, { sortedSequence, values }, { side }) => {
    const type = comparable(sortedSequence.dtype, values.dtype);
    const along = (x: Operand, axis: number) => {
      const name = g.node("Unsqueeze", [x.name, g.int64([axis])]);
      return x.dtype === type ? name : g.node("Cast", [name], { to: ELEMENT_TYPE[type] });
    };
    const operator = side === "left" ? "Less" : "LessOrEqual";
    const isBefore = g.node(operator, [along(sortedSequence, 1), along(values, 2)]);
    const counted = g.node("Cast", [isBefore], { to: ELEMENT_TYPE.int32 });
    return g.node("ReduceSum", [counted, g.int64([2])], { keepdims: 0 });
  },
});

/** The type in which ONNX Runtime compares both exactly. */
function comparable(a: DataType, b: DataType): "float32" | "float64" | "int32" {
  if (a === "float32" && b === "float32") return "float32";
  return a === "float32" || b === "float32" ? "float64" : "int32";
}

interface SparseShapes {
  readonly inputIndices: Operand;
  readonly inputShape: Operand;
  readonly newShape: Operand;
}

/**
 * tfjs `SparseReshape(inputIndices, inputShape, newShape)` -> the same places counted in another shape, and that shape. Both shapes
 * must be constants.
 */
export const SparseReshape = lowering<SparseShapes>({
  infer: (inputs) => {
    const rank = reshapedTo(inputs).to.length;
    return [
      { shape: [inputs.inputIndices.shape[0] as number, rank], dtype: "int32" },
      { shape: [rank], dtype: "int32" },
    ];
  },
  emit: (g, inputs) => {
    const { from, to } = reshapedTo(inputs);
    const shape = constant(g, { shape: [to.length], dtype: "int32" }, Int32Array.from(to));
    if (util.sizeFromShape(from) === 0) return [uniform(g, "int32", 0), shape];
    const strides = (sizes: readonly number[]) => g.int64(sizes.map((_, i) => util.sizeFromShape(sizes.slice(i + 1))));
    const indices = g.node("Cast", [inputs.inputIndices.name], { to: ELEMENT_TYPE.int64 });
    const places = g.node("ReduceSum", [g.node("Mul", [indices, strides(from)]), g.int64([1])]);
    const counted = g.node("Mod", [g.node("Div", [places, strides(to)]), g.int64(to)]);
    return [g.node("Cast", [counted], { to: ELEMENT_TYPE.int32 }), shape];
  },
});

/** The two shapes; tfjs's own reshape of no indices finds the second, or refuses it. */
function reshapedTo({ inputShape, newShape }: SparseShapes): { readonly from: number[]; readonly to: number[] } {
  const from = [...knownIntegers(inputShape, "inputShape")];
  const asked = [...knownIntegers(newShape, "newShape")];
  const [, , to] = shared.sparseReshapeImpl(new Int32Array(), [0, from.length], "int32", from, asked);
  return { from, to };
}

interface Suppression {
  readonly maxOutputSize: number;
  readonly iouThreshold: number;
  readonly scoreThreshold: number;
  readonly padToMaxOutputSize: boolean;
}

/**
 * tfjs `NonMaxSuppressionV4(boxes, scores; ...)` -> `NonMaxSuppression`, its boxes' numbers padded with zeros, and their count.
 * tfjs suppresses from iouThreshold on, ONNX above it: the graph has the next smaller float32.
 */
export const NonMaxSuppressionV4 = lowering<{ boxes: Operand; scores: Operand }, Suppression>({
  infer: (_, { maxOutputSize, iouThreshold, padToMaxOutputSize }) => {
    if (!padToMaxOutputSize) throw new Error("the size of its result depends on data unless padToMaxOutputSize is set");
    if (iouThreshold <= 0) throw new Error(`expected an iouThreshold above 0, got ${iouThreshold}`);
    return [
      { shape: [maxOutputSize], dtype: "int32" },
      { shape: [], dtype: "int32" },
    ];
  },
  emit: (g, { boxes, scores }, { maxOutputSize, iouThreshold, scoreThreshold }) => {
    const n = boxes.shape[0] as number;
    const size = g.int64([maxOutputSize]);
    const selected = g.node("NonMaxSuppression", [
      g.node("Reshape", [boxes.name, g.int64([1, n, 4])]),
      g.node("Reshape", [scores.name, g.int64([1, 1, n])]),
      size,
      g.float32(below(iouThreshold)),
      g.float32(scoreThreshold),
    ]);
    // Each a row of batch, class and box.
    const box = g.constant("int64", [], new Uint8Array(BigInt64Array.of(2n).buffer));
    const indices = g.node("Cast", [g.node("Gather", [selected, box], { axis: 1 })], { to: ELEMENT_TYPE.int32 });
    const count = g.node("Shape", [indices]);
    const pads = g.node("Concat", [g.int64([0]), g.node("Sub", [size, count])], { axis: 0 });
    const valid = g.node("Reshape", [g.node("Cast", [count], { to: ELEMENT_TYPE.int32 }), g.int64([])]);
    return [g.node("Pad", [indices, pads, uniform(g, "int32", 0).name]), valid];
  },
});

/** The greatest float32 below a positive number. */
function below(value: number): number {
  const float = Float32Array.of(value);
  if ((float[0] as number) >= value) new Int32Array(float.buffer)[0] = (new Int32Array(float.buffer)[0] as number) - 1;
  return float[0] as number;
}
