import type { Graph } from "../graph.ts";
import { type Operand, reshaped, reversed, type Stored, transposed } from "../value.ts";
import { after, convolved, span, spread, still, type Windows } from "./windows.ts";

/** A convolution of images [batch, ...sizes, inChannels], in the channels-last order of tfjs. */
export interface Convolution {
  readonly batch: number;
  readonly inChannels: number;
  readonly outChannels: number;
  /** 1, or as many as input channels: depthwise, each channel with filters of its own, [...taps, in, out / in]. */
  readonly groups: number;
  readonly axes: readonly Windows[];
}

export const inShape = ({ batch, axes, inChannels }: Convolution) => [
  batch,
  ...axes.map(({ size }) => size),
  inChannels,
];
export const outShape = ({ batch, axes, outChannels }: Convolution) => [
  batch,
  ...axes.map(({ count }) => count),
  outChannels,
];

/** Layouts of images [n, h, w, c], in front of their channels, and of filters [h, w, in, out]; alike with a depth. */
export const NCHW = [0, 3, 1, 2];
export const CNHW = [3, 0, 1, 2];
export const spatial = (rank: number) => Array.from({ length: rank - 2 }, (_, i) => i);
const batchFirst = (rank: number) => [0, rank - 1, ...spatial(rank).map((i) => i + 1)];
const outFirst = (rank: number) => [rank - 1, rank - 2, ...spatial(rank)];
const inFirst = (rank: number) => [rank - 2, rank - 1, ...spatial(rank)];

/** How a graph's convolutions are written: the same mathematics, at different speed in different places. */
export interface ConvolutionForm {
  forward(g: Graph, x: Operand, filter: Operand, convolution: Convolution): Stored;
  inputGradient(g: Graph, dy: Operand, filter: Operand, convolution: Convolution): Stored;
}

/** A node output in `layout` that is the image [n, h, w, c]. */
export function image(name: string, shape: readonly number[], layout: readonly number[]): Stored {
  return { name, shape: layout.map((axis) => shape[axis] as number), layout };
}

/** ONNX's filters [out, in / groups, ...taps]. */
function filters(g: Graph, filter: Operand, { groups, outChannels, axes }: Convolution): string {
  if (groups === 1) return filter.inLayout(outFirst(filter.rank));
  const layout = inFirst(filter.rank);
  const shape = layout.map((axis) => filter.shape[axis] as number);
  return reshaped(g, filter.inLayout(layout), shape, [outChannels, 1, ...axes.map(({ taps }) => taps)]);
}

/** ONNX's filters of the input gradient at stride 1, [in, out / groups, ...taps]: turned by 180 degrees. */
function turnedFilters(g: Graph, filter: Operand): string {
  return reversed(
    g,
    filter.inLayout(inFirst(filter.rank)),
    spatial(filter.rank).map((i) => i + 2),
  );
}

/** The convolution at stride 1 with the turned filter that is the input gradient; undefined where there is none. */
export function gradientOf(convolution: Convolution): Convolution | undefined {
  const { axes, inChannels, outChannels } = convolution;
  const turned = axes.map((axis) => ({
    ...axis,
    ...{ size: axis.count, count: axis.size, before: span(axis) - 1 - axis.before },
  }));
  const exists = axes.every(({ stride }) => stride === 1) && turned.every((a) => a.before >= 0 && after(a) >= 0);
  return exists ? { ...convolution, axes: turned, inChannels: outChannels, outChannels: inChannels } : undefined;
}

/**
 * The portable form: `Conv` over [n, c, h, w], what every execution provider does well, or over [n, c, d, h, w]. At strides above
 * 1 the input gradient is `ConvTranspose`; at stride 1 a `Conv` with the filter turned takes two thirds of its time.
 */
export const channelsFirst: ConvolutionForm = {
  forward: (g, x, filter, convolution) => {
    const layout = batchFirst(x.rank);
    const name = convolved(
      g,
      x.inLayout(layout),
      filters(g, filter, convolution),
      convolution.axes,
      convolution.groups,
    );
    return image(name, outShape(convolution), layout);
  },
  inputGradient: (g, dy, filter, convolution) => {
    const layout = batchFirst(dy.rank);
    const { axes, groups } = convolution;
    const gradient = gradientOf(convolution);
    const name =
      gradient === undefined
        ? spread(g, dy.inLayout(layout), filters(g, filter, convolution), axes, groups)
        : convolved(g, dy.inLayout(layout), turnedFilters(g, filter), gradient.axes, groups);
    return image(name, inShape(convolution), layout);
  },
};

/**
 * The form for training steps on CPUs: three-dimensional `Conv` over [1, c, n, h, w], the batch as depth, with filters of depth
 * 1. ONNX Runtime then multiplies one matrix for the whole batch instead of one an image, which counts where images are small:
 * at 512 images of 7x7, 64 to 64 channels, 14 ms instead of 34 (docs/performance.md). Its three-dimensional `ConvTranspose` is
 * slow, so strided input gradients stay in the portable form.
 */
export const channelsBatch: ConvolutionForm = {
  forward: (g, x, filter, convolution) => deepConv(g, x, filters(g, filter, convolution), convolution),
  inputGradient: (g, dy, filter, convolution) => {
    const gradient = gradientOf(convolution);
    if (gradient !== undefined) return deepConv(g, dy, turnedFilters(g, filter), gradient);
    return phases(convolution) === undefined
      ? channelsFirst.inputGradient(g, dy, filter, convolution)
      : phasedConv(g, dy, filter, convolution);
  },
};

/** How many channels make a block in this graph; undefined where there are no blocks. */
export function blockOf({ convolutions }: Graph): number | undefined {
  if (convolutions === "blocks-of-8") return 8;
  return convolutions === "blocks-of-16" ? 16 : undefined;
}

/** The order a graph's convolutions leave images of this rank in, but for those in blocks. */
export function imageLayout(g: Graph, rank: number): readonly number[] {
  return g.convolutions !== "channels-first" && rank === 4 ? CNHW : batchFirst(rank);
}

/** A convolution of images stored as [c, n, h, w] with a node output [out, in / groups, h, w]. */
function deepConv(g: Graph, x: Operand, filter: string, convolution: Convolution): Stored {
  const { batch, inChannels, outChannels, axes, groups } = convolution;
  const sizes = axes.map(({ size }) => size);
  const taps = axes.map((axis) => axis.taps);
  const counts = axes.map(({ count }) => count);
  const images = g.node("Reshape", [x.inLayout(CNHW), g.int64([1, inChannels, batch, ...sizes])]);
  const deep = g.node("Reshape", [filter, g.int64([outChannels, inChannels / groups, 1, ...taps])]);
  const name = convolved(g, images, deep, [still(batch), ...axes], groups);
  const flat = g.node("Reshape", [name, g.int64([outChannels, batch, ...counts])]);
  return image(flat, outShape(convolution), CNHW);
}

/**
 * How many taps of a strided convolution's filter each phase of its input gradient has; undefined where they differ, or where
 * the gradient reaches beyond them.
 */
function phases({ axes, groups }: Convolution): readonly number[] | undefined {
  const taps = axes.map((axis) => axis.taps / axis.stride);
  const reached = axes.every(
    ({ before, size, stride, count, dilation }, i) =>
      dilation === 1 && before >= 0 && before + size <= stride * (count + (taps[i] as number) - 1),
  );
  return groups === 1 && reached && taps.every(Number.isInteger) ? taps : undefined;
}

/**
 * The input gradient of a strided convolution, the transposed convolution, as one convolution at stride 1 whose outputs are the
 * phases of the image, interleaved afterwards:
 *
 *     dx[s g + p - top] = sum over q of dy[g - q] filter[s q + p]
 */
function phasedConv(g: Graph, dy: Operand, filter: Operand, convolution: Convolution): Stored {
  const { batch: n, inChannels: c, outChannels: o, axes } = convolution;
  const [height, width] = axes as [Windows, Windows];
  const [sh, sw] = [height.stride, width.stride];
  const [h, w] = phases(convolution) as [number, number];
  // [h sh, w sw, c, o] -> [sh, sw, c, o, h, w]
  const split = [h, sh, w, sw, c, o];
  const parts = reshaped(g, filter.name, filter.shape, split);
  const turned = reversed(g, transposed(g, parts, split, [1, 3, 4, 5, 0, 2]), [4, 5]);
  const grid = (taps: number, { count }: Windows): Windows => ({
    ...still(count),
    ...{ count: count + taps - 1, taps, before: taps - 1 },
  });
  const [rowGrid, columnGrid] = [grid(h, height), grid(w, width)];
  const conv = deepConv(g, dy, turned, {
    ...convolution,
    ...{ inChannels: o, outChannels: sh * sw * c, axes: [rowGrid, columnGrid] },
  });
  const size = c * n * rowGrid.count;
  const columns = woven(g, reshaped(g, conv.name, conv.shape, [sh, sw, size * columnGrid.count, 1]), sw);
  const rows = woven(
    g,
    reshaped(g, columns, [sh, 1, size * columnGrid.count, sw], [1, sh, size, sw * columnGrid.count]),
    sh,
  );
  const whole = [c, n, sh * rowGrid.count, sw * columnGrid.count];
  const interleaved = reshaped(g, rows, [1, 1, size, sh * sw * columnGrid.count], whole);
  const starts = axes.map(({ before }) => before);
  const ends = axes.map(({ before, size: length }) => before + length);
  const name = g.node("Slice", [interleaved, g.int64(starts), g.int64(ends), g.int64([2, 3])]);
  return image(name, inShape(convolution), CNHW);
}

/** [a, k, m, r] -> [a, 1, m, k * r]: the k along `axis` 1 side by side. A Transpose to so short a last axis takes eight times as long. */
function woven(g: Graph, name: string, k: number): string {
  if (k === 1) return name;
  return g.node("Concat", g.split("Split", [name], k, { axis: 1 }), { axis: 3 });
}
