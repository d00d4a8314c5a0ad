import { backend_util, type DataType, slice_util, type Tensor, util } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";
import { applied, lowering, type X } from "../lowering.ts";
import { uniform } from "../uniform.ts";
import { Operand, reshaped, reversed, type Stored, storedIn } from "../value.ts";
import { Cast } from "./elementwise.ts";

/**
 * The same elements in another shape. A tensor that is one number everywhere stays one number, and one that keeps its shape (the
 * gradients of additions reshape to what is there) keeps its layout.
 */
function reshape(g: Graph, x: Operand, shape: readonly number[]): string | Stored {
  if (util.arraysEqual([...x.shape], [...shape])) return x.held;
  const { name, shape: stored } = x.stored;
  if (stored.every((dim) => dim === 1)) return { name: reshaped(g, name, stored, []), shape: [] };
  return reshaped(g, x.name, x.shape, shape);
}

/** tfjs `Reshape(x; shape)`, where shape may hold one -1. */
export const Reshape = lowering<X, { shape: number[] }>({
  infer: ({ x }, { shape }) => ({
    shape: util.inferFromImplicitShape([...shape], util.sizeFromShape([...x.shape])),
    dtype: x.dtype,
  }),
  emit: (g, { x }, { shape }) =>
    reshape(g, x, util.inferFromImplicitShape([...shape], util.sizeFromShape([...x.shape]))),
});

function expandedShape(x: Operand, dim: number): number[] {
  const at = dim < 0 ? x.rank + 1 + dim : dim;
  if (at < 0 || at > x.rank) throw new Error(`Axis must be in the interval [${-(x.rank + 1)}, ${x.rank}], got ${dim}`);
  return [...x.shape.slice(0, at), 1, ...x.shape.slice(at)];
}

export const ExpandDims = lowering<{ input: Operand }, { dim: number }>({
  infer: ({ input }, { dim }) => ({ shape: expandedShape(input, dim), dtype: input.dtype }),
  emit: (g, { input }, { dim }) => reshape(g, input, expandedShape(input, dim)),
});

/** tfjs `Transpose(x; perm)`: only the layout changes; whoever needs the order pays for it. */
export const Transpose = lowering<X, { perm: number[] }>({
  infer: ({ x }, { perm }) => ({ shape: perm.map((axis) => x.shape[axis] as number), dtype: x.dtype }),
  emit: (_, { x }, { perm }) =>
    storedIn(
      x.order.map((axis) => perm.indexOf(axis)),
      x.stored.name,
      x.stored.shape,
    ),
});

/** tfjs `Tile(x; reps)` -> `Tile`, in x's layout; repeats of axes of size 1 are a postponed broadcast. */
export const Tile = lowering<X, { reps: number[] }>({
  infer: ({ x }, { reps }) => ({ shape: x.shape.map((dim, i) => dim * (reps[i] as number)), dtype: x.dtype }),
  emit: (g, { x }, { reps }) => {
    const { name, shape } = x.stored;
    const repeats = shape.map((dim, i) => (dim === 1 ? 1 : (reps[x.order[i] as number] as number)));
    if (repeats.every((count) => count === 1)) return x.stored;
    const tiled = shape.map((dim, i) => dim * (repeats[i] as number));
    return { ...x.stored, name: g.node("Tile", [name, g.int64(repeats)]), shape: tiled };
  },
});

export const BroadcastTo = lowering<X, { shape: number[] }>({
  infer: ({ x }, { shape }) => ({ shape, dtype: x.dtype }),
  emit: (g, { x }, { shape }) => {
    const missing = shape.length - x.rank;
    if (missing === 0) return x.held;
    return {
      name: reshaped(g, x.name, x.shape, [...Array<number>(missing).fill(1), ...x.shape]),
      shape: [...Array<number>(missing).fill(1), ...x.shape],
    };
  },
});

/**
 * tfjs `Concat(x0, x1, ...; axis)`, in the layout if all share one. As in tfjs, operands without elements are left out and the
 * first gives the dtype.
 */
export const Concat = lowering<readonly Operand[], { axis: number }>({
  infer: (xs, { axis }) => {
    const [at] = util.parseAxisParam(axis, [...(xs[0] as Operand).shape]) as [number];
    const shapes = xs.map((x) => [...x.shape]);
    backend_util.assertParamsConsistent(shapes, at);
    return { shape: backend_util.computeOutShape(shapes, at), dtype: filled(xs).dtype };
  },
  emit: (g, xs, { axis }) => {
    const [at] = util.parseAxisParam(axis, [...(xs[0] as Operand).shape]) as [number];
    const { parts, dtype } = filled(xs);
    if (parts.length === 0) return uniform(g, dtype, 0);
    if (parts.length === 1) return (parts[0] as Operand).stored;
    const alike = parts.map((x) => applied(g, Cast, { x }, { dtype }));
    const { layout } = (alike[0] as Operand).stored;
    const shared = alike.every((x) => String(x.stored.layout) === String(layout)) ? layout : undefined;
    const name = g.node(
      "Concat",
      alike.map((x) => x.inLayout(shared)),
      { axis: shared?.indexOf(at) ?? at },
    );
    const shape = backend_util.computeOutShape(
      alike.map((x) => [...x.shape]),
      at,
    );
    return { name, shape: shared?.map((axis) => shape[axis] as number) ?? shape, layout: shared };
  },
});

/** The operands that have elements, and the dtype they are concatenated in. */
function filled(xs: readonly Operand[]): { readonly parts: readonly Operand[]; readonly dtype: DataType } {
  const parts = xs.filter((x) => util.sizeFromShape([...x.shape]) > 0);
  const [first] = parts.length === 1 ? parts : xs;
  return { parts, dtype: (first as Operand).dtype };
}

/** tfjs `Pack(x0, x1, ...; axis)` -> a new axis for each, then `Concat`. */
export const Pack = lowering<readonly Operand[], { axis: number }>({
  infer: (xs, { axis }) => {
    const { shape, dtype, rank } = xs[0] as Operand;
    const other = xs.find((x) => x.dtype !== dtype || !util.arraysEqual([...x.shape], [...shape]));
    if (other) throw new Error(`expected ${dtype} of shape [${shape}], got ${other.dtype} of shape [${other.shape}]`);
    const at = axis < 0 ? rank + 1 + axis : axis;
    return { shape: [...shape.slice(0, at), xs.length, ...shape.slice(at)], dtype };
  },
  emit: (g, xs, { axis }) => {
    const rows = xs.map((input) => applied(g, ExpandDims, { input }, { dim: axis }));
    return applied(g, Concat, rows, { axis }).stored;
  },
});

/** tfjs `Unpack(value; axis)` -> a `Gather` each, in value's layout. */
export const Unpack = lowering<{ value: Operand }, { axis: number }>({
  infer: ({ value }, { axis }) => {
    const [at] = util.parseAxisParam(axis, [...value.shape]) as [number];
    const shape = value.shape.filter((_, i) => i !== at);
    return Array.from({ length: value.shape[at] as number }, () => ({ shape, dtype: value.dtype }));
  },
  emit: (g, { value }, { axis }) => {
    const [at] = util.parseAxisParam(axis, [...value.shape]) as [number];
    const rest = value.order.filter((axis) => axis !== at);
    const place = value.order.indexOf(at);
    return Array.from({ length: value.shape[at] as number }, (_, i) => {
      const index = g.constant("int64", [], new Uint8Array(BigInt64Array.of(BigInt(i)).buffer));
      return storedIn(
        rest.map((axis) => (axis > at ? axis - 1 : axis)),
        g.node("Gather", [value.inLayout(value.order), index], { axis: place }),
        rest.map((axis) => value.shape[axis] as number),
      );
    });
  },
});

/** How many elements there are from `begin` to before `end` (-1 is before 0) in steps of `strides`, an entry an axis. */
function spans(begin: number[], end: number[], strides: number[]): number[] {
  return begin.map((from, i) => Math.max(0, Math.ceil(((end[i] as number) - from) / (strides[i] as number))));
}

/** How far from its end a bound on a long axis is counted from there. Less than half of any size that `trace` takes for a symbol. */
const NEAR_END = 500;

/** A bound as ONNX counts below 0, where it is near the end of a long axis: -3 holds of any size, N - 3 of none below 3. */
function fromItsEnd(at: number, size: number): number {
  return at > NEAR_END && at < size && size - at < NEAR_END ? at - size : at;
}

/** These elements of x, as it is stored. */
function part(g: Graph, x: Operand, begin: number[], end: number[], strides: number[]): Operand {
  const sizes = spans(begin, end, strides);
  if (util.arraysEqual(sizes, [...x.shape]) && strides.every((step) => step === 1)) return x;
  const { name, shape } = x.stored;
  const pick = (list: number[], places: readonly number[]) => places.map((i) => list[x.order[i] as number] as number);
  // Where x only repeats itself, so does any part of it that has elements.
  const all = shape.map((_, i) => i);
  const cut = pick(sizes, all).map((size, i) => (shape[i] === 1 && size > 0 ? 1 : size));
  const starts = pick(begin, all);
  const places = all.filter((i) => shape[i] !== cut[i] || (cut[i] !== 1 && starts[i] !== 0));
  if (places.length === 0) return new Operand(g, { shape: sizes, dtype: x.dtype }, x.stored);
  const bound = (at: number, place: number) => fromItsEnd(at, shape[place] as number);
  const from = places.map((i) => bound(starts[i] as number, i));
  const to = pick(end, places).map((at, i) => (at < 0 ? -(2 ** 31) : bound(at, places[i] as number)));
  const steps = pick(strides, places);
  const inputs = [name, g.int64(from), g.int64(to), g.int64(places)];
  const sliced = g.node("Slice", steps.every((step) => step === 1) ? inputs : [...inputs, g.int64(steps)]);
  return new Operand(g, { shape: sizes, dtype: x.dtype }, { ...x.stored, name: sliced, shape: cut });
}

/** tfjs `Slice(x; begin, size)`; a size of -1 goes to the end. */
export const Slice = lowering<X, { begin: number[]; size: number[] }>({
  infer: ({ x }, { begin, size }) => ({ shape: sliceOf(x, begin, size)[1], dtype: x.dtype }),
  emit: (g, { x }, { begin, size }) => {
    const [from, count] = sliceOf(x, begin, size);
    const end = from.map((at, i) => at + (count[i] as number));
    const strides = from.map(() => 1);
    return part(g, x, from, end, strides).held;
  },
});

function sliceOf(x: Operand, begin: number[], size: number[]): [number[], number[]] {
  const like = { rank: x.rank, shape: [...x.shape] } as unknown as Tensor;
  const [from, count] = slice_util.parseSliceParams(like, begin, size) as [number[], number[]];
  slice_util.assertParamsValid(like, from, count);
  return [from, count];
}

interface Strides {
  readonly begin: number[];
  readonly end: number[];
  readonly strides: number[];
  readonly beginMask: number;
  readonly endMask: number;
  readonly ellipsisMask: number;
  readonly newAxisMask: number;
  readonly shrinkAxisMask: number;
}

/** tfjs `StridedSlice(x; begin, end, strides, masks)`, Python's indexing -> `Slice`, then the shape with new and lost axes. */
export const StridedSlice = lowering<X, Strides>({
  infer: ({ x }, attributes) => ({ shape: stridesOf(x, attributes).finalShape, dtype: x.dtype }),
  emit: (g, { x }, attributes) => {
    const { begin, end, strides, finalShape } = stridesOf(x, attributes);
    if (util.sizeFromShape(finalShape) === 0) return uniform(g, x.dtype, 0);
    return reshape(g, part(g, x, begin, end, strides), finalShape);
  },
});

function stridesOf(x: Operand, { begin, end, strides, ...masks }: Strides) {
  const { beginMask, endMask, ellipsisMask, newAxisMask, shrinkAxisMask } = masks;
  return slice_util.sliceInfo(
    [...x.shape],
    begin,
    end,
    strides,
    beginMask,
    endMask,
    ellipsisMask,
    newAxisMask,
    shrinkAxisMask,
  );
}

/** tfjs `SplitV(x; numOrSizeSplits, axis)` -> a `Slice` each. */
export const SplitV = lowering<X, { numOrSizeSplits: number | number[]; axis: number }>({
  infer: ({ x }, { numOrSizeSplits, axis }) =>
    splits(x, numOrSizeSplits, axis).map(({ size }) => ({ shape: size, dtype: x.dtype })),
  emit: (g, { x }, { numOrSizeSplits, axis }) =>
    splits(x, numOrSizeSplits, axis).map((split) => applied(g, Slice, { x }, split).stored),
});

function splits(x: Operand, numOrSizeSplits: number | number[], axis: number): { begin: number[]; size: number[] }[] {
  const [at] = util.parseAxisParam(axis, [...x.shape]) as [number];
  const like = { shape: [...x.shape] };
  const sizes = backend_util.prepareSplitSize(
    like as Parameters<typeof backend_util.prepareSplitSize>[0],
    numOrSizeSplits,
    at,
  );
  let from = 0;
  return sizes.map((count) => {
    const begin = x.shape.map((_, i) => (i === at ? from : 0));
    from += count;
    return { begin, size: x.shape.map((dim, i) => (i === at ? count : dim)) };
  });
}

type Paddings = readonly (readonly [before: number, after: number])[];

/** tfjs `PadV2(x; paddings, constantValue)` -> `Pad` in x's layout. */
export const PadV2 = lowering<X, { paddings: Paddings; constantValue: number }>({
  infer: ({ x }, { paddings }) => ({ shape: padded(x.shape, paddings), dtype: x.dtype }),
  emit: (g, { x }, { paddings, constantValue }) => {
    if (paddings.flat().every((count) => count === 0)) return x.stored;
    const pads = x.order.map((axis) => paddings[axis] as Paddings[number]);
    const name = g.node("Pad", [x.inLayout(x.order), counts(g, pads), uniform(g, x.dtype, constantValue).name]);
    const shape = x.order.map((axis) => x.shape[axis] as number);
    return { name, shape: padded(shape, pads), layout: x.stored.layout };
  },
});

function padded(shape: readonly number[], paddings: Paddings): number[] {
  return shape.map((dim, i) => dim + (paddings[i]?.[0] ?? 0) + (paddings[i]?.[1] ?? 0));
}

/** ONNX's form of paddings: all that come before, then all that come after. */
function counts(g: Graph, paddings: Paddings): string {
  return g.int64([...paddings.map(([before]) => before), ...paddings.map(([, after]) => after)]);
}

/**
 * tfjs `MirrorPad(x; paddings, mode)` -> `Pad` that reflects, or, as ONNX has no mode that repeats the edge, `Concat` of x and its
 * edges backwards.
 */
export const MirrorPad = lowering<X, { paddings: Paddings; mode: "reflect" | "symmetric" }>({
  infer: ({ x }, { paddings }) => ({ shape: padded(x.shape, paddings), dtype: x.dtype }),
  emit: (g, { x }, { paddings, mode }) => {
    const { name, shape } = x.stored;
    // Where x only repeats itself, so does its mirror image.
    const pads = shape.map((dim, i) => (dim === 1 ? [0, 0] : paddings[x.order[i] as number]) as Paddings[number]);
    if (pads.flat().every((count) => count === 0)) return x.stored;
    const mirrored =
      mode === "reflect"
        ? g.node("Pad", [name, counts(g, pads)], { mode })
        : pads.reduce((grown, pad, axis) => withMirroredEdges(g, grown, axis, pad), name);
    return { ...x.stored, name: mirrored, shape: padded(shape, pads) };
  },
});

/** The node output `name` between its first and its last numbers along `axis` backwards. */
function withMirroredEdges(g: Graph, name: string, axis: number, [before, after]: Paddings[number]): string {
  const backwards = (from: number, to: number) =>
    g.node("Slice", [name, g.int64([from]), g.int64([to]), g.int64([axis]), g.int64([-1])]);
  const first = before === 0 ? [] : [backwards(before - 1, -(2 ** 31))];
  const last = after === 0 ? [] : [backwards(-1, -1 - after)];
  return first.length + last.length === 0 ? name : g.node("Concat", [...first, name, ...last], { axis });
}

/** tfjs `Reverse(x; dims)` -> `Slice` with steps of -1, as x is stored. */
export const Reverse = lowering<X, { dims: number | number[] }>({
  infer: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
  emit: (g, { x }, { dims }) => {
    const { name, shape } = x.stored;
    const axes = util.parseAxisParam(dims, [...x.shape]);
    const places = shape.flatMap((dim, i) => (dim !== 1 && axes.includes(x.order[i] as number) ? [i] : []));
    return places.length === 0 ? x.stored : { ...x.stored, name: reversed(g, name, places) };
  },
});
