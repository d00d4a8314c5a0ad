import { backend_util, type DataType, util } from "@tensorflow/tfjs-core";
import { SubspanError } from "../runtime/errors.ts";
import type { ElementType } from "../runtime/onnx-schema.ts";
import type { Attribute, Graph } from "./graph.ts";

/** What is known of a tensor while tracing. */
export interface TensorType {
  readonly shape: readonly number[];
  readonly dtype: DataType;
}

/**
 * How a tensor is held in the graph. tfjs is channels-last and ONNX channels-first, and tfjs multiplies gradients by tensors
 * of ones, so both permutation and broadcast are postponed until some node really needs them:
 *
 *     tensor = Expand(Transpose(node output, inverse of layout), shape of the tensor)
 *
 * Elementwise operations and reductions commute with both and keep them; between convolutions nothing is transposed.
 */
export interface Stored {
  readonly name: string;
  /** Shape of the node output: in the order of `layout`, with 1 where the tensor repeats itself; [] for one number. */
  readonly shape: readonly number[];
  /** stored axis i is the tensor's axis layout[i]; absent: in the tensor's own order. */
  readonly layout?: readonly number[] | undefined;
}

/** An operand of a lowering. `name` is the tensor as tfjs sees it; `stored` is what the graph holds. */
export class Operand implements TensorType {
  readonly shape: readonly number[];
  readonly dtype: DataType;
  readonly stored: Stored;
  readonly graph: Graph;

  constructor(graph: Graph, type: TensorType, stored: Stored) {
    this.graph = graph;
    this.shape = type.shape;
    this.dtype = type.dtype;
    this.stored = stored;
  }

  get name(): string {
    return this.inLayout(undefined);
  }

  get rank(): number {
    return this.shape.length;
  }

  /** The tensor's axes as they are stored: the layout, spelt out. */
  get order(): readonly number[] {
    return this.stored.layout ?? this.shape.map((_, i) => i);
  }

  /** The whole tensor, its axes in the order of `layout`. */
  inLayout(layout: readonly number[] | undefined): string {
    const shape = layout === undefined ? this.shape : layout.map((axis) => this.shape[axis] as number);
    const aligned = this.aligned(layout ?? this.shape.map((_, i) => i));
    if (util.arraysEqual([...aligned.shape], [...shape])) return aligned.name;
    // ONNX Runtime 1.30 drops some Expands to no elements, and their input comes through.
    if (shape.includes(0)) return this.graph.constant(elementType(this.dtype), shape, new Uint8Array());
    return this.graph.node("Expand", [aligned.name, this.graph.int64(shape)]);
  }

  /** The tensor ready to be broadcast with others stored in `layout`, whose rank may be higher; not expanded. */
  aligned(layout: readonly number[]): { readonly name: string; readonly shape: readonly number[] } {
    const { stored } = this;
    if (stored.shape.length === 0) return stored;
    const own = stored.layout ?? stored.shape.map((_, i) => i);
    const missing = layout.length - own.length;
    // The stored axes as axes of the higher rank; the axes in front are new, of size 1.
    const padded = [...Array.from({ length: missing }, (_, i) => i), ...own.map((axis) => axis + missing)];
    const shape = [...Array<number>(missing).fill(1), ...stored.shape];
    const order = layout.map((axis) => padded.indexOf(axis));
    return permuted(this.graph, { name: stored.name, shape: stored.shape }, shape, order);
  }
}

/** How a node output is stored whose axis i is the tensor's axis layout[i]. */
export function storedIn(layout: readonly number[], name: string, shape: readonly number[]): Stored {
  return { name, shape, layout: layout.every((axis, i) => axis === i) ? undefined : layout };
}

/** Reshape to `shape`, then transpose by `order`; where only axes of size 1 move, a Reshape does it all. */
function permuted(
  g: Graph,
  input: { name: string; shape: readonly number[] },
  shape: readonly number[],
  order: readonly number[],
): { name: string; shape: readonly number[] } {
  const result = order.map((axis) => shape[axis] as number);
  const moved = order.filter((axis) => shape[axis] !== 1);
  const inOrder = moved.every((axis, i) => i === 0 || axis > (moved[i - 1] as number));
  if (inOrder) return { name: reshaped(g, input.name, input.shape, result), shape: result };
  const name = reshaped(g, input.name, input.shape, shape);
  return { name: transposed(g, name, shape, order), shape: result };
}

/** A Transpose, with the axes that stay together as one: ONNX Runtime's optimiser then has nothing to rearrange. */
export function transposed(g: Graph, name: string, shape: readonly number[], order: readonly number[]): string {
  const axes = order.filter((axis) => shape[axis] !== 1);
  const starts = axes.flatMap((axis, i) => (i > 0 && isNext(axes[i - 1] as number, axis, shape) ? [] : [i]));
  const blocks = starts.map((start, i) => axes.slice(start, starts[i + 1]));
  const sizes = blocks.map((block) => block.reduce((size, axis) => size * (shape[axis] as number), 1));
  const sorted = [...blocks].sort((a, b) => (a[0] as number) - (b[0] as number));
  const perm = blocks.map((block) => sorted.indexOf(block));
  const blocked = reshaped(
    g,
    name,
    shape,
    perm.map((_, i) => sizes[perm.indexOf(i)] as number),
  );
  const result = order.map((axis) => shape[axis] as number);
  return reshaped(g, g.node("Transpose", [blocked], { perm }), sizes, result);
}

/** Whether `axis` follows `previous` in memory, but for axes of size 1. */
function isNext(previous: number, axis: number, shape: readonly number[]): boolean {
  return axis > previous && shape.slice(previous + 1, axis).every((dim) => dim === 1);
}

/** A Reshape, unless the shape stays. */
export function reshaped(g: Graph, name: string, from: readonly number[], to: readonly number[]): string {
  if (util.arraysEqual([...from], [...to])) return name;
  // Without `allowzero`, a 0 means the size that the input has there.
  return g.node("Reshape", [name, g.int64(to)], to.includes(0) ? { allowzero: 1 } : {});
}

/** The node output `name` backwards along `axes`. */
export function reversed(g: Graph, name: string, axes: readonly number[]): string {
  const all = (value: number) => g.int64(axes.map(() => value));
  return g.node("Slice", [name, all(-1), all(-(2 ** 31)), g.int64(axes), all(-1)]);
}

/** An elementwise node over operands that broadcast, in the layout most of the data is in. */
export function elementwise(
  g: Graph,
  op: string,
  operands: readonly Operand[],
  attributes: Readonly<Record<string, Attribute>> = {},
): Stored {
  const rank = Math.max(...operands.map((x) => x.rank));
  const aligned = (layout: readonly number[]) => {
    const inputs = operands.map((x) => x.aligned(layout));
    const shape = inputs.map((x) => [...x.shape]).reduce((a, b) => backend_util.assertAndGetBroadcastShape(a, b));
    return { layout, inputs, shape };
  };
  const first = aligned(commonLayout(operands) ?? Array.from({ length: rank }, (_, i) => i));
  const { layout, inputs, shape } = broadcastsSlowly(first) ? aligned(singlesFirst(first)) : first;
  const name = g.node(
    op,
    inputs.map((x) => x.name),
    attributes,
  );
  return shape.length < rank ? { name, shape } : storedIn(layout, name, shape);
}

interface Aligned {
  readonly layout: readonly number[];
  readonly inputs: readonly { readonly shape: readonly number[] }[];
  readonly shape: readonly number[];
}

/**
 * Whether operands of different shapes give a last axis of size 1. ONNX Runtime broadcasts runs of the last axis, so this goes
 * number by number: a [128, 28, 28, 1] times a scalar takes fifty times as long as a [1, 128, 28, 28].
 */
function broadcastsSlowly({ inputs, shape }: Aligned): boolean {
  const differ = inputs.some((x) => !util.arraysEqual([...x.shape], [...shape]));
  return differ && shape.at(-1) === 1 && shape.some((size) => size !== 1);
}

/** The layout with the axes of size 1 moved to the front, which moves no data. */
function singlesFirst({ layout, shape }: Aligned): readonly number[] {
  return [...layout.filter((_, i) => shape[i] === 1), ...layout.filter((_, i) => shape[i] !== 1)];
}

/** The layout of the largest operand of full rank that has one; undefined when all are in tfjs's order. */
function commonLayout(operands: readonly Operand[]): readonly number[] | undefined {
  const rank = Math.max(...operands.map((x) => x.rank));
  const size = (x: Operand) => util.sizeFromShape([...x.stored.shape]);
  return operands.filter((x) => x.rank === rank && x.stored.layout !== undefined).sort((a, b) => size(b) - size(a))[0]
    ?.stored.layout;
}

/** ONNX's element type of a tfjs dtype. */
export function elementType(dtype: DataType): ElementType {
  if (dtype === "float32" || dtype === "int32" || dtype === "bool") return dtype;
  throw new SubspanError("TRACE_REFUSED", `tensors of dtype ${dtype} have no ONNX form`);
}
