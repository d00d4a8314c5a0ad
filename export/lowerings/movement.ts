import { backend_util, slice_util, util } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";
import { lowering, type X } from "../lowering.ts";
import { type Operand, reshaped, reversed, type Stored } from "../value.ts";

/**
 * The same elements in another shape. A tensor that is one number everywhere stays one number, and one that keeps its shape (the
 * gradients of additions reshape to what is there) keeps its layout.
 */
function reshape(g: Graph, x: Operand, shape: readonly number[]): string | Stored {
  if (util.arraysEqual([...x.shape], [...shape])) return x.stored;
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
  return [...x.shape.slice(0, at), 1, ...x.shape.slice(at)];
}

export const ExpandDims = lowering<{ input: Operand }, { dim: number }>({
  infer: ({ input }, { dim }) => ({ shape: expandedShape(input, dim), dtype: input.dtype }),
  emit: (g, { input }, { dim }) => reshape(g, input, expandedShape(input, dim)),
});

/** tfjs `Transpose(x; perm)`: only the layout changes; whoever needs the order pays for it. */
export const Transpose = lowering<X, { perm: number[] }>({
  infer: ({ x }, { perm }) => ({ shape: perm.map((axis) => x.shape[axis] as number), dtype: x.dtype }),
  emit: (_, { x }, { perm }) => {
    const order = x.stored.layout ?? x.shape.map((_, i) => i);
    const layout = order.map((axis) => perm.indexOf(axis));
    return { ...x.stored, layout: layout.every((axis, i) => axis === i) ? undefined : layout };
  },
});

/** tfjs `Tile(x; reps)` -> `Tile`; repeats of axes of size 1 are a postponed broadcast. */
export const Tile = lowering<X, { reps: number[] }>({
  infer: ({ x }, { reps }) => ({ shape: x.shape.map((dim, i) => dim * (reps[i] as number)), dtype: x.dtype }),
  emit: (g, { x }, { reps }) => {
    const broadcast = x.shape.every((dim, i) => dim === 1 || reps[i] === 1);
    return broadcast ? x.stored : g.node("Tile", [x.name, g.int64(reps)]);
  },
});

export const BroadcastTo = lowering<X, { shape: number[] }>({
  infer: ({ x }, { shape }) => ({ shape, dtype: x.dtype }),
  emit: (g, { x }, { shape }) => {
    const missing = shape.length - x.rank;
    if (missing === 0) return x.stored;
    return {
      name: reshaped(g, x.name, x.shape, [...Array<number>(missing).fill(1), ...x.shape]),
      shape: [...Array<number>(missing).fill(1), ...x.shape],
    };
  },
});

/** tfjs `Concat(x0, x1, ...; axis)`. */
export const Concat = lowering<readonly Operand[], { axis: number }>({
  infer: (xs, { axis }) => {
    const first = xs[0] as Operand;
    const at = util.parseAxisParam(axis, [...first.shape])[0] as number;
    return {
      shape: backend_util.computeOutShape(
        xs.map((x) => [...x.shape]),
        at,
      ),
      dtype: first.dtype,
    };
  },
  emit: (g, xs, { axis }) => {
    const at = util.parseAxisParam(axis, [...(xs[0] as Operand).shape])[0] as number;
    const layout = xs.every((x) => String(x.stored.layout) === String(xs[0]?.stored.layout))
      ? xs[0]?.stored.layout
      : undefined;
    const name = g.node(
      "Concat",
      xs.map((x) => x.inLayout(layout)),
      { axis: layout?.indexOf(at) ?? at },
    );
    const shape = backend_util.computeOutShape(
      xs.map((x) => [...x.shape]),
      at,
    );
    return { name, shape: layout?.map((axis) => shape[axis] as number) ?? shape, layout };
  },
});

/** tfjs `Pack(x0, x1, ...; axis)` -> a new axis for each, then `Concat`. */
export const Pack = lowering<readonly Operand[], { axis: number }>({
  infer: (xs, { axis }) => {
    const { shape, dtype } = xs[0] as Operand;
    return { shape: [...shape.slice(0, axis), xs.length, ...shape.slice(axis)], dtype };
  },
  emit: (g, xs, { axis }) =>
    g.node(
      "Concat",
      xs.map((x) => g.node("Reshape", [x.name, g.int64([...x.shape.slice(0, axis), 1, ...x.shape.slice(axis)])])),
      { axis },
    ),
});

/** tfjs `Unpack(value; axis)` -> a `Gather` each. */
export const Unpack = lowering<{ value: Operand }, { axis: number }>({
  infer: ({ value }, { axis }) => {
    const [at] = util.parseAxisParam(axis, [...value.shape]) as [number];
    const shape = value.shape.filter((_, i) => i !== at);
    return Array.from({ length: value.shape[at] as number }, () => ({ shape, dtype: value.dtype }));
  },
  emit: (g, { value }, { axis }) => {
    const [at] = util.parseAxisParam(axis, [...value.shape]) as [number];
    return Array.from({ length: value.shape[at] as number }, (_, i) => {
      const index = g.constant("int64", [], new Uint8Array(BigInt64Array.of(BigInt(i)).buffer));
      return g.node("Gather", [value.name, index], { axis: at });
    });
  },
});

function slice(
  g: Graph,
  name: string,
  begin: readonly number[],
  size: readonly number[],
  shape: readonly number[],
): string {
  const axes = begin.flatMap((at, i) => (at === 0 && size[i] === shape[i] ? [] : [i]));
  if (axes.length === 0) return name;
  const from = axes.map((i) => begin[i] as number);
  const to = axes.map((i) => (begin[i] as number) + (size[i] as number));
  return g.node("Slice", [name, g.int64(from), g.int64(to), g.int64(axes)]);
}

/** tfjs `Slice(x; begin, size)`; a size of -1 goes to the end. Kept in x's layout. */
export const Slice = lowering<X, { begin: number[]; size: number[] }>({
  infer: ({ x }, { begin, size }) => ({ shape: sliceOf(x, begin, size)[1], dtype: x.dtype }),
  emit: (g, { x }, { begin, size }) => {
    const [from, count] = sliceOf(x, begin, size);
    const order = x.stored.layout ?? x.shape.map((_, i) => i);
    const pick = (list: readonly number[]) => order.map((axis) => list[axis] as number);
    return {
      name: slice(g, x.inLayout(x.stored.layout), pick(from), pick(count), pick(x.shape)),
      shape: pick(count),
      layout: x.stored.layout,
    };
  },
});

function sliceOf(x: Operand, begin: number[], size: number[]): [number[], number[]] {
  const like: unknown = { rank: x.rank, shape: [...x.shape] };
  return slice_util.parseSliceParams(like as Parameters<typeof slice_util.parseSliceParams>[0], begin, size) as [
    number[],
    number[],
  ];
}

/** tfjs `SplitV(x; numOrSizeSplits, axis)` -> a `Slice` each. */
export const SplitV = lowering<X, { numOrSizeSplits: number | number[]; axis: number }>({
  infer: ({ x }, { numOrSizeSplits, axis }) =>
    splits(x, numOrSizeSplits, axis).map(({ size }) => ({ shape: size, dtype: x.dtype })),
  emit: (g, { x }, { numOrSizeSplits, axis }) =>
    splits(x, numOrSizeSplits, axis).map(({ begin, size }) => slice(g, x.name, begin, size, x.shape)),
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

/** tfjs `PadV2(x; paddings, constantValue)`. Kept in x's layout. */
export const PadV2 = lowering<X, { paddings: [number, number][]; constantValue: number }>({
  infer: ({ x }, { paddings }) => ({ shape: padded(x.shape, paddings), dtype: x.dtype }),
  emit: (g, { x }, { paddings, constantValue }) => {
    const order = x.stored.layout ?? x.shape.map((_, i) => i);
    const pads = order.map((axis) => paddings[axis] as [number, number]);
    const value =
      x.dtype === "int32"
        ? g.constant("int32", [], new Uint8Array(Int32Array.of(constantValue).buffer))
        : g.float32(constantValue);
    const name = g.node("Pad", [
      x.inLayout(x.stored.layout),
      g.int64([...pads.map(([before]) => before), ...pads.map(([, after]) => after)]),
      value,
    ]);
    return {
      name,
      shape: padded(
        order.map((axis) => x.shape[axis] as number),
        pads,
      ),
      layout: x.stored.layout,
    };
  },
});

function padded(shape: readonly number[], paddings: readonly (readonly [number, number])[]): number[] {
  return shape.map((dim, i) => dim + (paddings[i]?.[0] ?? 0) + (paddings[i]?.[1] ?? 0));
}

/** tfjs `Reverse(x; dims)` -> `Slice` with steps of -1. */
export const Reverse = lowering<X, { dims: number | number[] }>({
  infer: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
  emit: (g, { x }, { dims }) => {
    const axes = util.parseAxisParam(dims, [...x.shape]);
    return axes.length === 0 ? x.name : reversed(g, x.name, axes);
  },
});
