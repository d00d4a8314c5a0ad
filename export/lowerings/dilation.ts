import { backend_util } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";
import { lowering } from "../lowering.ts";
import { type Operand, reshaped } from "../value.ts";
import { expectDtype } from "./operands.ts";
import { after, type Size2, type Size3, type Size4, type Windows, windowsOf } from "./windows.ts";

interface DilationAttributes {
  readonly strides: number | Size2;
  readonly pad: "valid" | "same";
  readonly dilations: number | Size2;
}

interface Inputs {
  readonly x: Operand;
  readonly filter: Operand;
}

function dilationInfo({ x, filter }: Inputs, { strides, pad, dilations }: DilationAttributes) {
  const [images, taps] = [x.shape as Size4, filter.shape as Size3];
  return backend_util.computeDilation2DInfo(images, taps, strides, pad, "NHWC", dilations);
}

/** The images with their padding, in the order [n, h, w, c] of all here. */
interface Padded {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
}

function padded(g: Graph, x: Operand, axes: readonly Windows[]): Padded {
  expectDtype(x, "float32");
  const behind = axes.map((axis) => Math.max(0, after(axis)));
  const [rows, columns] = axes.map(({ size, before }, i) => size + before + (behind[i] as number)) as [number, number];
  const around = g.int64([0, ...axes.map(({ before }) => before), 0, 0, ...behind, 0]);
  const isPadded = rows > (x.shape[1] as number) || columns > (x.shape[2] as number);
  return {
    name: isPadded ? g.node("Pad", [x.name, around, g.float32(Number.NEGATIVE_INFINITY)]) : x.name,
    rows,
    columns,
  };
}

/** For each tap of the filter, row by row, what it adds up to in every window: x at the tap's offset, plus the tap. */
function sums(g: Graph, { name }: Padded, filter: Operand, axes: readonly Windows[]): string[] {
  const [height, width] = axes as [Windows, Windows];
  const count = height.taps * width.taps;
  const taps = reshaped(g, filter.name, filter.shape, [count, filter.shape[2] as number]);
  const rows = count === 1 ? [taps] : g.split("Split", [taps], count, { axis: 0 });
  return rows.map((row, tap) => {
    const starts = [Math.floor(tap / width.taps) * height.dilation, (tap % width.taps) * width.dilation];
    const ends = axes.map((axis, i) => (starts[i] as number) + (axis.count - 1) * axis.stride + 1);
    const strides = g.int64(axes.map(({ stride }) => stride));
    return g.node("Add", [g.node("Slice", [name, g.int64(starts), g.int64(ends), g.int64([1, 2]), strides]), row]);
  });
}

/** What tfjs finds where a window holds nothing but padding. */
const LEAST = Number.MIN_SAFE_INTEGER;

/** tfjs `Dilation2D(x, filter)`, of grey scales: the maximum of x + filter over taps -> `Slice` and `Add` a tap, one `Max`. */
export const Dilation2D = lowering<Inputs, DilationAttributes>({
  infer: (inputs, attributes) => ({ shape: dilationInfo(inputs, attributes).outShape, dtype: inputs.x.dtype }),
  emit: (g, { x, filter }, attributes) => {
    const axes = windowsOf(dilationInfo({ x, filter }, attributes));
    return g.node("Max", [...sums(g, padded(g, x, axes), filter, axes), g.float32(LEAST)]);
  },
});

/** Which tap was the maximum, the first of equals: int64 of the output's shape. */
function argument(g: Graph, images: Padded, filter: Operand, axes: readonly Windows[]): string {
  const stacked = sums(g, images, filter, axes).map((sum) => g.node("Unsqueeze", [sum, g.int64([0])]));
  return g.node("ArgMax", [g.node("Concat", stacked, { axis: 0 })], { axis: 0, keepdims: 0 });
}

/** tfjs `Dilation2DBackpropFilter(x, filter, dy)` -> for each tap the `ReduceSum` of dy where that tap was the maximum. */
export const Dilation2DBackpropFilter = lowering<Inputs & { dy: Operand }, DilationAttributes>({
  infer: ({ filter }) => ({ shape: filter.shape, dtype: filter.dtype }),
  emit: (g, { x, filter, dy }, attributes) => {
    const axes = windowsOf(dilationInfo({ x, filter }, attributes));
    const at = argument(g, padded(g, x, axes), filter, axes);
    const [h, w, c] = filter.shape as Size3;
    const rows = Array.from({ length: h * w }, (_, tap) => {
      const own = g.node("Where", [g.node("Equal", [at, g.int64([tap])]), dy.name, g.float32(0)]);
      return g.node("Reshape", [g.node("ReduceSum", [own, g.int64([0, 1, 2])], { keepdims: 0 }), g.int64([1, c])]);
    });
    return g.node("Reshape", [g.node("Concat", rows, { axis: 0 }), g.int64(filter.shape)]);
  },
});

/** tfjs `Dilation2DBackpropInput(x, filter, dy)` -> `ScatterElements`: dy where each window's first maximum is, added up. */
export const Dilation2DBackpropInput = lowering<Inputs & { dy: Operand }, DilationAttributes>({
  infer: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
  emit: (g, { x, filter, dy }, attributes) => {
    const axes = windowsOf(dilationInfo({ x, filter }, attributes));
    const [height, width] = axes as [Windows, Windows];
    const images = padded(g, x, axes);
    const { rows, columns } = images;
    const grid = (h: number, w: number, rowStep: number, columnStep: number) =>
      Array.from({ length: h * w }, (_, i) => Math.floor(i / w) * rowStep * columns + (i % w) * columnStep);
    const [n, , , c] = x.shape as Size4;
    const offsets = g.int64(grid(height.taps, width.taps, height.dilation, width.dilation));
    const offset = g.node("Gather", [offsets, argument(g, images, filter, axes)], { axis: 0 });
    const corners = g.int64(grid(height.count, width.count, height.stride, width.stride));
    const flat = g.int64([n, height.count * width.count, c]);
    const at = g.node("Add", [g.node("Reshape", [offset, flat]), g.node("Unsqueeze", [corners, g.int64([1])])]);
    const zeros = g.node("Expand", [g.float32(0), g.int64([n, rows * columns, c])]);
    const scattered = g.node("ScatterElements", [zeros, at, g.node("Reshape", [dy.name, flat])], {
      axis: 1,
      reduction: "add",
    });
    const starts = axes.map(({ before }) => before);
    const ends = axes.map(({ before, size }) => before + size);
    const whole = g.node("Reshape", [scattered, g.int64([n, rows, columns, c])]);
    return g.node("Slice", [whole, g.int64(starts), g.int64(ends), g.int64([1, 2])]);
  },
});
