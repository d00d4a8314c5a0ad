import type { Graph } from "../graph.ts";
import { blocked, inBlocksOf, NCHWC, Operand, reshaped, reversed, type Stored, transposed } from "../value.ts";
import { after, attributesOf, convolved, cut, span, spread, still, type Windows } from "./windows.ts";

/** A convolution of images [batch, ...sizes, inChannels], in the channels-last order of tfjs. */
export interface Convolution {
  readonly batch: number;
  readonly inChannels: number;
  readonly outChannels: number;
  /** 1, or as many as input channels: depthwise, each channel with filters of its own, [...taps, in, out / in]. */
  readonly groups: number;
  readonly axes: readonly Windows[];
}

const inShape = ({ batch, axes, inChannels }: Convolution) => [batch, ...axes.map(({ size }) => size), inChannels];
const outShape = ({ batch, axes, outChannels }: Convolution) => [batch, ...axes.map(({ count }) => count), outChannels];

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

/**
 * The form for training steps on CPUs that ONNX Runtime has blocked kernels for: images as [n, c / block, h, w, block], filters as
 * [out / block, in / block, kh, kw, block, block]. They gather no columns: 113 GFLOP/s on one core where the form above reaches 60
 * to 85 and a MatMul 80 (`npm run bench:roofline`). ONNX Runtime itself uses them for constant filters only. Images of fewer
 * channels than a block are read as [n, c, h, w]; what else is not whole blocks is left to the form above.
 */
export const channelsInBlocks = (block: number): ConvolutionForm => {
  const takes = ({ batch, inChannels, outChannels, groups, axes }: Convolution) =>
    groups === 1 &&
    batch > 0 &&
    axes.length === 2 &&
    outChannels % block === 0 &&
    (inChannels < block || inChannels % block === 0) &&
    axes.every((axis) => axis.count > 0 && axis.before >= 0 && cut(axis).size === axis.size);
  const isNarrow = (convolution: Convolution) =>
    convolution.outChannels < block &&
    convolution.inChannels % block === 0 &&
    takes({ ...convolution, outChannels: block });
  return {
    forward: (g, x, filter, convolution) => {
      if (takes(convolution)) return blockedConv(g, x, blockedFilters(g, filter, block), convolution, block);
      if (isNarrow(convolution)) return narrowConv(g, x, filter, convolution, block);
      return channelsBatch.forward(g, x, filter, convolution);
    },
    inputGradient: (g, dy, filter, convolution) => {
      const gradient = gradientOf(convolution);
      if (gradient && isNarrow(gradient)) return narrowConv(g, dy, turnedFilter(g, filter), gradient, block);
      const phases = phasesOf(convolution);
      return phases?.every((phase) => isEmpty(phase.gradient) || takes(phase.gradient))
        ? interleaved(g, phases, convolution, block, (phase) => {
            const turned = turnedBlockedFilters(g, everyTap(g, filter, phase.first, convolution), block);
            return blockedConv(g, dy, turned, phase.gradient, block);
          })
        : channelsBatch.inputGradient(g, dy, filter, convolution);
    },
  };
};

/** A node output of this shape, as an operand. */
const plain = (g: Graph, name: string, shape: readonly number[]) =>
  new Operand(g, { shape, dtype: "float32" }, { name, shape });

/** The filter of the input gradient at stride 1, [kh, kw, o, i]. */
function turnedFilter(g: Graph, filter: Operand): Operand {
  const [kh, kw, i, o] = filter.shape as readonly [number, number, number, number];
  const name = g.node("Transpose", [reversed(g, filter.name, [0, 1])], { perm: [0, 1, 3, 2] });
  return plain(g, name, [kh, kw, o, i]);
}

/**
 * A convolution to fewer channels than a block, which would mostly compute zeros: a rectangle of places at once, a channel of the
 * block each. The filter is as much larger, with zeros around it, and the stride is the rectangle's side.
 */
function narrowConv(g: Graph, x: Operand, filter: Operand, convolution: Convolution, block: number): Stored {
  const { batch: n, inChannels: i, outChannels: o, axes } = convolution;
  const sides = rectangle(convolution, block);
  const wider = axes.map((axis, k) => abreast(axis, sides[k] as number)) as [Windows, Windows];
  const [rows, columns] = sides;
  const beside = sideBySide(g, sideBySide(g, filter.name, 1, columns), 0, rows);
  const channels = rows * columns * o;
  const ends = [0, 0, 0, 0, 0, 0, 0, block - channels];
  const whole = channels === block ? beside : g.node("Pad", [beside, g.int64(ends)]);
  const filters = blockedFilters(g, plain(g, whole, [...wider.map(({ taps }) => taps), i, block]), block);
  const y = blockedConv(g, x, filters, { ...convolution, outChannels: block, axes: wider }, block);
  const [height, width] = wider.map(({ count }) => count) as [number, number];
  const flat = g.node("Reshape", [y.name, g.int64([n * height, width, block])]);
  const used = channels === block ? flat : g.node("Slice", [flat, g.int64([0]), g.int64([channels]), g.int64([2])]);
  // [n h, w, rows, columns o] -> [n, h rows, w columns, o]
  const spots = [n * height, width, rows, columns * o];
  const places = transposed(g, reshaped(g, used, [n * height, width, channels], spots), spots, [0, 2, 1, 3]);
  const image = g.node("Reshape", [places, g.int64([n, height * rows, width * columns, o])]);
  const shape = outShape(convolution);
  const isWhole = axes.every(({ count }, k) => count === (wider[k] as Windows).count * (sides[k] as number));
  const cropped = isWhole
    ? image
    : g.node("Slice", [image, g.int64([0, 0]), g.int64(shape.slice(1, 3)), g.int64([1, 2])]);
  return { name: cropped, shape };
}

/** Windows of `side` places each, side by side. */
const abreast = (axis: Windows, side: number): Windows =>
  side === 1 ? axis : { ...axis, count: Math.ceil(axis.count / side), taps: axis.taps + side - 1, stride: side };

/** Rows and columns of places that take the fewest multiplications, as many channels as a block has. */
function rectangle({ outChannels, axes }: Convolution, block: number): [number, number] {
  const most = Math.floor(block / outChannels);
  const [rows, columns] = axes.map(({ stride, dilation }) =>
    Array.from({ length: stride * dilation === 1 ? most : 1 }, (_, k) => k + 1),
  ) as [number[], number[]];
  const cost = (sides: readonly number[]) =>
    axes.map((axis, k) => abreast(axis, sides[k] as number)).reduce((all, { count, taps }) => all * count * taps, 1);
  const candidates = rows.flatMap((row) => columns.map((column): [number, number] => [row, column]));
  return candidates
    .filter(([row, column]) => row * column <= most)
    .reduce((best, sides) => (cost(sides) < cost(best) ? sides : best));
}

/** A filter [kh, kw, i, o] once for each of `count` places along an axis, moved by as much, as channels: the first are the slowest. */
function sideBySide(g: Graph, filter: string, axis: number, count: number): string {
  if (count === 1) return filter;
  const places = Array.from({ length: count }, (_, place) => {
    const pads = [0, 0, 0, 0, 0, 0, 0, 0];
    pads[axis] = place;
    pads[axis + 4] = count - 1 - place;
    return g.node("Pad", [filter, g.int64(pads)]);
  });
  return g.node("Concat", places, { axis: 3 });
}

/** Every s-th place of an image's gradient: the convolution at stride 1 of dy with every s-th tap from the `first`, turned. */
interface Phase {
  readonly first: readonly number[];
  readonly gradient: Convolution;
}

const isEmpty = ({ axes }: Convolution) => axes.some(({ taps }) => taps <= 0);

/**
 * The input gradient of a convolution of stride s by the places' residues r modulo s, rows before columns:
 *
 *     dx[s m + r] = sum over q of dy[m + e - q] filter[s q + p],    p = (r + before) mod s,  e = (r + before - p) / s
 *
 * Undefined for a depth, for dilated strides and for images that strides do not divide.
 */
function phasesOf(convolution: Convolution): readonly Phase[] | undefined {
  const { axes, inChannels, outChannels } = convolution;
  const turned = { ...convolution, inChannels: outChannels, outChannels: inChannels };
  if (axes.every(({ stride }) => stride === 1)) {
    const gradient = gradientOf(convolution);
    return gradient && [{ first: axes.map(() => 0), gradient }];
  }
  if (axes.length !== 2 || axes.some(({ dilation, size, stride }) => dilation > 1 || size % stride > 0))
    return undefined;
  const [rows, columns] = axes.map(({ stride, size, count, taps, before }) =>
    Array.from({ length: stride }, (_, r) => {
      const first = (r + before) % stride;
      const own = Math.ceil((taps - first) / stride);
      return {
        first,
        axis: { ...still(count), count: size / stride, taps: own, before: own - 1 - (r + before - first) / stride },
      };
    }),
  ) as [Part[], Part[]];
  return rows.flatMap((row) =>
    columns.map((column) => ({
      first: [row.first, column.first],
      gradient: { ...turned, axes: [row.axis, column.axis] },
    })),
  );
}

interface Part {
  readonly first: number;
  readonly axis: Windows;
}

/** Every tap of a phase, as many apart as strides. */
function everyTap(g: Graph, filter: Operand, first: readonly number[], { axes }: Convolution): Operand {
  const strides = axes.map(({ stride }) => stride);
  if (strides.every((stride) => stride === 1)) return filter;
  const end = g.int64(axes.map(({ taps }) => taps));
  const name = g.node("Slice", [filter.name, g.int64(first), end, g.int64([0, 1]), g.int64(strides)]);
  const shape = filter.shape.map((size, i) =>
    i < 2 ? Math.ceil((size - (first[i] as number)) / (strides[i] as number)) : size,
  );
  return plain(g, name, shape);
}

/** Phases side by side, columns before rows; those without taps are zeros. */
function interleaved(
  g: Graph,
  phases: readonly Phase[],
  convolution: Convolution,
  block: number,
  compute: (phase: Phase) => Stored,
): Stored {
  const { batch, inChannels, axes } = convolution;
  const [height, width] = axes as [Windows, Windows];
  const [h, w] = [height.size / height.stride, width.size / width.stride];
  const zeros = g.float32(0);
  const columns = phases.map((phase) => {
    const shape = [(batch * inChannels * h * w) / block, block];
    return isEmpty(phase.gradient)
      ? g.node("Expand", [zeros, g.int64(shape)])
      : g.node("Reshape", [compute(phase).name, g.int64(shape)]);
  });
  const side = (names: readonly string[]) =>
    names.length === 1 ? (names[0] as string) : g.node("Concat", names, { axis: 1 });
  const rows = Array.from({ length: height.stride }, (_, r) =>
    side(columns.slice(r * width.stride, (r + 1) * width.stride)),
  );
  const flat = rows.map((name) =>
    g.node("Reshape", [name, g.int64([(batch * inChannels * h) / block, width.size * block])]),
  );
  return inBlocksOf(g, side(flat), inShape(convolution), block);
}

function blockedConv(g: Graph, x: Operand, filter: string, convolution: Convolution, block: number): Stored {
  const { batch, inChannels, axes } = convolution;
  const sizes = axes.map(({ size }) => size);
  const images =
    inChannels < block
      ? x.inLayout(NCHW)
      : g.node("Reshape", [blocked(x, block).name, g.int64([batch, inChannels, ...sizes])]);
  const name = g.node(`${NCHWC}:Conv`, [images, filter], { ...attributesOf(axes, 1), group: 1 });
  return inBlocksOf(g, name, outShape(convolution), block);
}

/** Filters [kh, kw, i, o] -> [o / block, i / block, kh, kw, block of i, block of o], in long runs: ReorderInput, then Transpose. */
function blockedFilters(g: Graph, filter: Operand, block: number): string {
  const [kh, kw, i, o] = filter.shape as readonly [number, number, number, number];
  const columns = reshaped(g, filter.name, filter.shape, [1, kh * kw * i, 1, o]);
  const ordered = g.node(`${NCHWC}:ReorderInput`, [columns], { channels_last: 1 });
  const inner = i % block === 0 ? block : 1;
  return tapsInside(g, ordered, [o / block, kh * kw, i / inner, inner * block], [0, 2, 1, 3], [o, i, kh, kw]);
}

/** The same of the input gradient at stride 1: turned by 180 degrees, the channels that come out first. */
function turnedBlockedFilters(g: Graph, filter: Operand, block: number): string {
  const [kh, kw, i, o] = filter.shape as readonly [number, number, number, number];
  const taps = reshaped(g, filter.name, filter.shape, [kh * kw, i, o, 1]);
  const ordered = g.node(`${NCHWC}:ReorderInput`, [taps], { channels_last: 0 });
  const inner = o % block === 0 ? block : 1;
  const parts = [kh * kw, i / block, o / inner, inner * block];
  const turned = reversed(g, g.node("Reshape", [ordered, g.int64(parts)]), [0]);
  return tapsInside(g, turned, parts, [1, 2, 0, 3], [i, o, kh, kw]);
}

/** Reshape, Transpose, Reshape. */
function tapsInside(
  g: Graph,
  name: string,
  parts: readonly number[],
  perm: readonly number[],
  shape: readonly number[],
): string {
  const moved = g.node("Transpose", [g.node("Reshape", [name, g.int64(parts)])], { perm });
  return g.node("Reshape", [moved, g.int64(shape)]);
}

export function convolutionForm(g: Graph): ConvolutionForm {
  const block = blockOf(g);
  if (block !== undefined) return channelsInBlocks(block);
  return g.convolutions === "channels-batch" ? channelsBatch : channelsFirst;
}

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
