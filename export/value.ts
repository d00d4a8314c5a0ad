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
  /**
   * An image [n, h, w, c] whose channels are in blocks of so many, all of it, as [n, c / block, h, w, block]: `shape` and `layout`
   * count the channels as two axes.
   */
  readonly block?: number | undefined;
}

/** The layout of an image in blocks, and the operators of ONNX Runtime's CPU provider that know it. */
export const BLOCKED = [0, 3, 1, 2, 4];
export const NCHWC = "com.microsoft.nchwc";
const NCHW = [0, 3, 1, 2];

/**
 * An operand of a lowering. `name` is the tensor as tfjs sees it; `held` is what the graph holds, and `stored` the same without
 * blocks, which few nodes understand.
 */
export class Operand implements TensorType {
  readonly shape: readonly number[];
  readonly dtype: DataType;
  readonly held: Stored;
  readonly graph: Graph;

  constructor(graph: Graph, type: TensorType, held: Stored) {
    this.graph = graph;
    this.shape = type.shape;
    this.dtype = type.dtype;
    this.held = held;
  }

  get stored(): Stored {
    return this.#plain(true);
  }

  /** Without blocks: an image's channels come last or, which costs the same, first. */
  #plain(channelsLast: boolean): Stored {
    const { graph: g, held, shape } = this;
    if (held.block === undefined) return held;
    const layout = channelsLast ? undefined : NCHW;
    const stored = (layout ?? [0, 1, 2, 3]).map((axis) => shape[axis] as number);
    if (this.dtype !== "float32") {
      const parts = new Operand(
        g,
        { shape: inParts(shape, held.block), dtype: this.dtype },
        { ...held, block: undefined },
      );
      return { name: reshaped(g, parts.name, parts.shape, shape), shape };
    }
    const [n, h, w, c] = shape as readonly [number, number, number, number];
    const image = reshaped(g, held.name, held.shape, [n, c, h, w]);
    const attributes = { channels: c, channels_last: channelsLast ? 1 : 0 };
    return { name: g.node(`${NCHWC}:ReorderOutput`, [image], attributes), shape: stored, layout };
  }

  /** The operand with its channels as two axes, [..., c / block, block]; [..., 1, 1] where it has but one. */
  inBlocks(block: number): Operand {
    const { graph: g, dtype, rank } = this;
    if (rank === 0) return this;
    const type = { shape: inParts(this.shape, block), dtype };
    if (this.held.block === block) return new Operand(g, type, { ...this.held, block: undefined });
    const { name, shape, layout } = this.stored;
    if (shape.length === 0) return new Operand(g, type, this.stored);
    const isImage = rank === 4 && dtype === "float32" && (this.shape[3] as number) > 1;
    if (isImage && util.sizeFromShape([...shape]) === util.sizeFromShape([...this.shape])) {
      return new Operand(g, type, { ...blocked(this, block), block: undefined });
    }
    const at = layout === undefined ? rank - 1 : layout.indexOf(rank - 1);
    const parts = [...shape.slice(0, at), ...inParts([shape[at] as number], block), ...shape.slice(at + 1)];
    const order = layout?.flatMap((axis) => (axis === rank - 1 ? [axis, axis + 1] : [axis]));
    return new Operand(g, type, { name: reshaped(g, name, shape, parts), shape: parts, layout: order });
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
    const stored = this.#plain(layout.length !== 4 || layout.every((axis, i) => axis === i));
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

/** A shape with its last axis as two. */
function inParts(shape: readonly number[], block: number): number[] {
  const channels = shape.at(-1) as number;
  return [...shape.slice(0, -1), ...(channels === 1 ? [1, 1] : [channels / block, block])];
}

/** An image [n, h, w, c] of floats, its channels in blocks that divide them. */
export function blocked(x: Operand, block: number): Stored {
  if (x.held.block === block) return x.held;
  const { graph: g, shape } = x;
  const channelsLast = x.stored.layout === undefined;
  const name = g.node(`${NCHWC}:ReorderInput`, [x.inLayout(channelsLast ? undefined : NCHW)], {
    channels_last: channelsLast ? 1 : 0,
  });
  return inBlocksOf(g, name, shape, block);
}

/** How a node output is stored that an operator for blocks gives, [n, c, h, w] by its own account. */
export function inBlocksOf(g: Graph, name: string, shape: readonly number[], block: number): Stored {
  const parts = inParts(shape, block);
  const stored = BLOCKED.map((axis) => parts[axis] as number);
  return { name: g.node("Reshape", [name, g.int64(stored)]), shape: stored, layout: BLOCKED, block };
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
  const image = operands.find((x) => x.held.block !== undefined && covers(x, operands));
  if (image?.held.block !== undefined) {
    const inputs = operands.map((x) => alongRows(g, x.inBlocks(image.held.block as number), image.held.shape));
    return { ...image.held, name: g.node(op, inputs, attributes) };
  }
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

/**
 * An operand of an image in blocks. ONNX Runtime broadcasts runs of the last axes: numbers for each channel are repeated for a row,
 * since runs of a block alone take twice as long.
 */
function alongRows(g: Graph, x: Operand, [, , , width]: readonly number[]): string {
  const { name, shape } = x.aligned(BLOCKED);
  const [n, blocks, h, w, block] = shape as readonly [number, number, number, number, number];
  if (shape.length !== BLOCKED.length || h !== 1 || w !== 1 || block === 1 || width === 1) return name;
  return g.node("Expand", [name, g.int64([n, blocks, h, width as number, block])]);
}

/** Whether the others broadcast to x. */
function covers(x: Operand, operands: readonly Operand[]): boolean {
  return operands.every(
    ({ shape, rank }) => rank <= x.rank && shape.every((size, i) => size === 1 || size === x.shape[i + x.rank - rank]),
  );
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

/** The layout of the largest operand of full rank, of those as large one that is not in tfjs's order; undefined: tfjs's order. */
function commonLayout(operands: readonly Operand[]): readonly number[] | undefined {
  const rank = Math.max(...operands.map((x) => x.rank));
  const full = operands.filter((x) => x.rank === rank).map(({ stored }) => stored);
  const sizes = full.map(({ shape }) => util.sizeFromShape([...shape]));
  return full.find(({ layout }, i) => layout !== undefined && sizes[i] === Math.max(...sizes))?.layout;
}

/** ONNX's element type of a tfjs dtype. */
export function elementType(dtype: DataType): ElementType {
  if (dtype === "float32" || dtype === "int32" || dtype === "bool") return dtype;
  throw new SubspanError("TRACE_REFUSED", `tensors of dtype ${dtype} have no ONNX form`);
}
