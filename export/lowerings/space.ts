import { backend_util, util } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";
import { applied, lowering, type X } from "../lowering.ts";
import { type Operand, type Stored, storedIn } from "../value.ts";
import { PadV2, Reshape, Slice, Transpose } from "./movement.ts";

/** Splits and joins axes: to `split`, its axes in the order `perm`, then to `joined`. */
function regrouped(g: Graph, x: Operand, split: number[], perm: number[], joined: number[]): Operand {
  const blocks = applied(g, Reshape, { x }, { shape: split });
  return applied(g, Reshape, { x: applied(g, Transpose, { x: blocks }, { perm }) }, { shape: joined });
}

interface Blocks {
  readonly blockShape: number[];
}

/** tfjs `BatchToSpaceND(x; blockShape, crops)`: blocks come from the batch, then the edges are cut off. */
export const BatchToSpaceND = lowering<X, Blocks & { crops: number[][] }>({
  infer: ({ x }, { blockShape, crops }) => ({ shape: unbatched(x, blockShape, crops).size, dtype: x.dtype }),
  emit: (g, { x }, { blockShape, crops }) => {
    const { split, joined, begin, size } = unbatched(x, blockShape, crops);
    const perm = backend_util.getPermuted(split.length, blockShape.length);
    return applied(g, Slice, { x: regrouped(g, x, split, perm, joined) }, { begin, size }).stored;
  },
});

function unbatched(x: Operand, blockShape: number[], crops: number[][]) {
  const product = util.sizeFromShape(blockShape);
  const joined = backend_util.getReshapedPermuted([...x.shape], blockShape, product);
  return {
    split: backend_util.getReshaped([...x.shape], blockShape, product),
    joined,
    begin: joined.map((_, i) => crops[i - 1]?.[0] ?? 0),
    size: joined.map((dim, i) => dim - (crops[i - 1]?.[0] ?? 0) - (crops[i - 1]?.[1] ?? 0)),
  };
}

/** tfjs `SpaceToBatchND(x; blockShape, paddings)`: padded with zeros, blocks go to the batch. */
export const SpaceToBatchND = lowering<X, Blocks & { paddings: [number, number][] }>({
  infer: ({ x }, { blockShape, paddings }) => ({ shape: batched(x, blockShape, paddings).joined, dtype: x.dtype }),
  emit: (g, { x }, { blockShape, paddings }) => {
    const { pads, split, joined } = batched(x, blockShape, paddings);
    const padded = applied(g, PadV2, { x }, { paddings: pads, constantValue: 0 });
    const perm = backend_util.getPermuted(split.length, blockShape.length, false);
    return regrouped(g, padded, split, perm, joined).stored;
  },
});

function batched(x: Operand, blockShape: number[], paddings: [number, number][]) {
  const pads = x.shape.map((_, i): [number, number] => paddings[i - 1] ?? [0, 0]);
  const padded = x.shape.map((dim, i) => dim + (pads[i]?.[0] ?? 0) + (pads[i]?.[1] ?? 0));
  const product = util.sizeFromShape(blockShape);
  return {
    pads,
    split: backend_util.getReshaped(padded, blockShape, product, false),
    joined: backend_util.getReshapedPermuted(padded, blockShape, product, false),
  };
}

const NCHW = [0, 3, 1, 2];

/** tfjs `DepthToSpace(x; blockSize, dataFormat)` of [b, h, w, c] -> `DepthToSpace`, whose depth is in tfjs's order (DCR). */
export const DepthToSpace = lowering<X, { blockSize: number; dataFormat: string }>({
  infer: ({ x }, { blockSize, dataFormat }) => {
    if (dataFormat !== "NHWC")
      throw new Error(`expected dataFormat NHWC, as tfjs's CPU backend does, got ${dataFormat}`);
    return { shape: spread(x, blockSize), dtype: x.dtype };
  },
  emit: (g, { x }, { blockSize }): Stored => {
    const shape = spread(x, blockSize);
    const name = g.node("DepthToSpace", [x.inLayout(NCHW)], { blocksize: blockSize });
    return storedIn(
      NCHW,
      name,
      NCHW.map((axis) => shape[axis] as number),
    );
  },
});

function spread({ shape }: Operand, blockSize: number): number[] {
  const [b, h, w, c] = shape as [number, number, number, number];
  return [b, h * blockSize, w * blockSize, c / blockSize ** 2];
}
