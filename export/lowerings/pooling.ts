import { backend_util } from "@tensorflow/tfjs-core";
import { ELEMENT_TYPE } from "../../runtime/onnx-schema.ts";
import type { Graph } from "../graph.ts";
import { lowering, type X } from "../lowering.ts";
import { uniform } from "../uniform.ts";
import { Operand, reversed, type Stored } from "../value.ts";
import { image, imageLayout } from "./convolution-forms.ts";
import { type LinearMap, mapped, transpose, whole } from "./linear-maps.ts";
import {
  after,
  cut,
  fitted,
  pads,
  restored,
  type Size2,
  type Size3,
  type Size4,
  type Size5,
  span,
  still,
  type Windows,
  windowsOf,
} from "./windows.ts";

interface PoolAttributes {
  readonly filterSize: number | Size2 | Size3;
  readonly strides: number | Size2 | Size3;
  readonly pad: "valid" | "same" | number | backend_util.ExplicitPadding;
  readonly dimRoundingMode?: "floor" | "round" | "ceil";
}

/** The windows on images [n, h, w, c] or [n, d, h, w, c]; as many as there are in an output of shape `y`, if that is known. */
function poolWindows(shape: readonly number[], attributes: PoolAttributes, y?: readonly number[]): Windows[] {
  const { filterSize: size, strides, pad, dimRoundingMode: rounding } = attributes;
  const counts = y?.slice(1, -1);
  if (shape.length === 4) {
    const info = [shape as Size4, size as Size2, strides as Size2, 1, pad, rounding] as const;
    return windowsOf(backend_util.computePool2DInfo(...info), counts);
  }
  const info = [shape as Size5, size as Size3, strides as Size3, 1, pad as number, rounding] as const;
  return windowsOf(backend_util.computePool3DInfo(...info), counts);
}

/** Whether tfjs's CPU kernels leave the images as they are: in two dimensions, under windows of one number, at the same size. */
const isKept = (axes: readonly Windows[]) =>
  axes.length === 2 && axes.every(({ taps, count, size }) => taps === 1 && count === size);

/** `poolWindows` for gradients, which are those of what tfjs's kernels do. */
function gradientWindows(input: Operand, dy: Operand, attributes: PoolAttributes): Windows[] {
  const axes = poolWindows(input.shape, attributes, dy.shape);
  return isKept(axes) ? axes.map(({ size }) => still(size)) : axes;
}

/** Whether ONNX has no padding so wide: as long as a window, which may then hold nothing else. */
const isWide = (axes: readonly Windows[]) =>
  axes.map(cut).some((axis) => axis.before >= span(axis) || after(axis) >= span(axis));

/** ONNX's attributes of a pooling; tfjs's has no dilations. */
function attributesOf(axes: readonly Windows[]) {
  return { kernel_shape: axes.map(({ taps }) => taps), strides: axes.map(({ stride }) => stride), pads: pads(axes) };
}

const pooledShape = ({ shape }: Operand, axes: readonly Windows[]) => [
  shape[0] as number,
  ...axes.map(({ count }) => count),
  shape.at(-1) as number,
];

/** In three dimensions tfjs gives float32 of whatever it pools. */
const pooledType = (x: Operand) => (x.rank === 5 ? "float32" : (x.dtype as "float32" | "int32"));

/** tfjs `K(x; filterSize, strides, pad, dimRoundingMode)` over images [n, h, w, c] or [n, d, h, w, c]. */
function pooling(pool: (g: Graph, x: Operand, axes: readonly Windows[]) => Stored) {
  return lowering<X, PoolAttributes>({
    infer: ({ x }, attributes) => ({
      shape: pooledShape(x, poolWindows(x.shape, attributes)),
      dtype: pooledType(x),
    }),
    emit: (g, { x }, attributes) => {
      const axes = poolWindows(x.shape, attributes);
      if (isKept(axes)) return x.stored;
      // No window fits a volume that is shorter.
      return axes.some(({ count }) => count === 0) ? uniform(g, pooledType(x), 0) : pool(g, x, axes);
    },
  });
}

/** Which numbers of the image each window holds. */
function held({ size, count, taps, stride, dilation, before }: Windows): number[][] {
  return Array.from({ length: count }, (_, i) => {
    const all = Array.from({ length: taps }, (_, tap) => stride * i + dilation * tap - before);
    return all.filter((at) => at >= 0 && at < size);
  });
}

/** A row a window: its mean as a sum over the image. Of a window that holds nothing it is `none` times the image. */
const averages = (axis: Windows, none = 0): LinearMap =>
  held(axis).map((at) =>
    Array.from({ length: axis.size }, (_, i) => (at.length === 0 ? none : at.includes(i) ? 1 / at.length : 0)),
  );

/**
 * The means of windows over the numbers that they hold, without padding -> `AveragePool`; with padding wider than ONNX's, products
 * with constant matrices. The mean of nothing is NaN in two dimensions and 0 in three, as in tfjs.
 */
const averagePool = pooling((g, x, axes) => {
  if (isWide(axes)) {
    const none = axes.length === 2 ? Number.NaN : 0;
    return axes.reduce((y, axis, i) => mapped(g, y, i + 1, averages(axis, none)), whole(x));
  }
  const layout = imageLayout(g, x.rank);
  const [name, fit] = fitted(g, x.inLayout(layout), axes);
  return image(g.node("AveragePool", [name], attributesOf(fit)), pooledShape(x, axes), layout);
});

export const AvgPool = averagePool;
export const AvgPool3D = averagePool;

/**
 * tfjs `K(dy, input)` -> the means as linear maps along height and width, transposed: right for any overlap and padding. tfjs's
 * own kernels divide by the windows' lengths, padding included, although the means do not.
 */
const averageGradient = lowering<{ dy: Operand; input: Operand }, PoolAttributes>({
  infer: ({ dy, input }) => ({ shape: input.shape, dtype: dy.dtype }),
  emit: (g, { dy, input }, attributes) =>
    gradientWindows(input, dy, attributes).reduce(
      (dx, axis, i) => mapped(g, dx, i + 1, transpose(averages(axis))),
      whole(dy),
    ),
});

export const AvgPoolGrad = averageGradient;
export const AvgPool3DGrad = averageGradient;

const LOWEST = Number.NEGATIVE_INFINITY;

/**
 * Images [n, c, ...] as `MaxPool` compares them as tfjs does: without NaN, which tfjs passes over and ONNX Runtime takes or leaves
 * by where it stands; integers as float64, for want of a `MaxPool` of int32; what is padded more widely than ONNX pads, padded.
 */
function comparable(g: Graph, x: Operand, axes: readonly Windows[], layout: readonly number[]): [string, Windows[]] {
  const given = x.inLayout(layout);
  const isFloat = x.dtype === "float32";
  const numbers = isFloat
    ? g.node("Where", [g.node("Equal", [given, given]), given, g.float32(LOWEST)])
    : g.node("Cast", [given], { to: ELEMENT_TYPE.float64 });
  const [name, fit] = fitted(g, numbers, axes);
  if (!isWide(axes)) return [name, fit];
  if (!isFloat) throw new Error(`expected float32 where padding is as wide as a window, got ${x.dtype}`);
  const around = pads(fit);
  const [before, behind] = [around.slice(0, axes.length), around.slice(axes.length)];
  const padded = g.node("Pad", [name, g.int64([0, 0, ...before, 0, 0, ...behind]), g.float32(LOWEST)]);
  return [
    padded,
    fit.map((axis, i) => ({ ...axis, size: axis.size + axis.before + (behind[i] as number), before: 0 })),
  ];
}

/** The adjoint of what `comparable` does to the images' sizes. */
function uncut(g: Graph, name: string, axes: readonly Windows[]): string {
  if (!isWide(axes)) return restored(g, name, axes);
  const fit = axes.map(cut);
  const starts = fit.map(({ before }) => before);
  const ends = fit.map(({ before, size }) => before + size);
  const along = fit.map((_, i) => i + 2);
  return restored(g, g.node("Slice", [name, g.int64(starts), g.int64(ends), g.int64(along)]), axes);
}

/** -Infinity for the windows that hold nothing, of which ONNX Runtime makes the lowest of numbers, else 0. */
function nothing(g: Graph, axes: readonly Windows[]): string {
  const empty = axes.map((axis) => held(axis).map((at) => (at.length === 0 ? LOWEST : 0)));
  const table = empty.reduce((table, line) => table.flatMap((a) => line.map((b) => a + b)));
  const bytes = new Uint8Array(Float32Array.from(table).buffer);
  return g.constant(
    "float32",
    axes.map(({ count }) => count),
    bytes,
  );
}

const maxPool = pooling((g, x, axes) => {
  const layout = imageLayout(g, x.rank);
  const [name, fit] = comparable(g, x, axes, layout);
  const found = g.node("MaxPool", [name], attributesOf(fit));
  const maxima = isWide(axes) ? g.node("Add", [found, nothing(g, axes)]) : found;
  const typed = x.dtype === "float32" ? maxima : g.node("Cast", [maxima], { to: ELEMENT_TYPE[pooledType(x)] });
  return image(typed, pooledShape(x, axes), layout);
});

export const MaxPool = maxPool;
export const MaxPool3D = maxPool;

/** The maxima and where they are. Written unlike the node of the maxima alone, which is much quicker and the graph's own. */
function located(g: Graph, name: string, fit: readonly Windows[]): readonly [maxima: string, indices: string] {
  return g.split("MaxPool", [name], 2, { ...attributesOf(fit), storage_order: 0 }) as [string, string];
}

/** dy, added up where each window's first maximum is -> `ScatterElements` at the indices of `MaxPool`. */
function toMaxima(g: Graph, dy: Operand, x: Operand, axes: readonly Windows[]): Stored {
  const layout = imageLayout(g, x.rank);
  const [name, fit] = comparable(g, x, axes, layout);
  const shape = [...layout.slice(0, 2).map((axis) => x.shape[axis] as number), ...fit.map(({ size }) => size)];
  const zeros = g.node("Expand", [g.float32(0), g.int64([shape.reduce((a, b) => a * b, 1)])]);
  const flat = (values: string) => g.node("Reshape", [values, g.int64([-1])]);
  const at = [flat(located(g, name, fit)[1]), flat(dy.inLayout(layout))];
  const sums = g.node("ScatterElements", [zeros, ...at], { axis: 0, reduction: "add" });
  return image(uncut(g, g.node("Reshape", [sums, g.int64(shape)]), axes), x.shape, layout);
}

interface MaxGradientInputs {
  readonly dy: Operand;
  readonly input: Operand;
  readonly output: Operand;
}

/** tfjs `MaxPoolGrad(dy, input, output)`: of equal maxima the first counts. */
export const MaxPoolGrad = lowering<MaxGradientInputs, PoolAttributes>({
  infer: ({ dy, input }) => ({ shape: input.shape, dtype: dy.dtype }),
  emit: (g, { dy, input }, attributes) => toMaxima(g, dy, input, gradientWindows(input, dy, attributes)),
});

/**
 * tfjs `MaxPool3DGrad(dy, input, output)`: of equal maxima the last counts, as in tfjs's CPU kernel, so all is turned round. That
 * kernel mixes up positions in windows that are not as wide as high.
 */
export const MaxPool3DGrad = lowering<MaxGradientInputs, PoolAttributes>({
  infer: MaxPoolGrad.infer,
  emit: (g, { dy, input }, attributes) => {
    const layout = imageLayout(g, 5);
    const turned = (x: Operand) => {
      const name = reversed(g, x.inLayout(layout), [2, 3, 4]);
      return new Operand(g, x, image(name, x.shape, layout));
    };
    const axes = gradientWindows(input, dy, attributes).map((axis) => ({ ...axis, before: after(axis) }));
    const dx = toMaxima(g, turned(dy), turned(input), axes);
    return turned(new Operand(g, input, dx)).stored;
  },
});

/**
 * tfjs `MaxPoolWithArgmax(x; includeBatchInIndex)` -> `MaxPool`, whose indices count n, c, h, w; tfjs's count h, w, c, after n or
 * alone.
 */
export const MaxPoolWithArgmax = lowering<X, PoolAttributes & { includeBatchInIndex: boolean }>({
  infer: ({ x }, attributes) => {
    const shape = pooledShape(x, poolWindows(x.shape, attributes));
    return [
      { shape, dtype: x.dtype },
      { shape, dtype: "int32" },
    ];
  },
  emit: (g, { x }, attributes) => {
    const layout = [0, 3, 1, 2];
    const axes = poolWindows(x.shape, attributes);
    const [name, fit] = comparable(g, x, axes, layout);
    const sizes = fit.map(({ size }) => size);
    if (sizes.some((size, i) => size !== axes[i]?.size)) {
      throw new Error(`expected windows over all of the image and no more, got windows over [${sizes}]`);
    }
    const [maxima, at] = located(g, name, fit);
    const [, h, w, c] = x.shape as Size4;
    const inImage = g.node("Mod", [at, g.int64([c * h * w])]);
    const pixel = g.node("Mul", [g.node("Mod", [inImage, g.int64([h * w])]), g.int64([c])]);
    const index = g.node("Add", [pixel, g.node("Div", [inImage, g.int64([h * w])])]);
    const ahead = g.node("Sub", [at, inImage]);
    const counted = attributes.includeBatchInIndex ? g.node("Add", [index, ahead]) : index;
    const shape = pooledShape(x, axes);
    const int32 = (value: string) => g.node("Cast", [value], { to: ELEMENT_TYPE.int32 });
    return [image(x.dtype === "float32" ? maxima : int32(maxima), shape, layout), image(int32(counted), shape, layout)];
  },
});
