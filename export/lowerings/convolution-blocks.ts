import type { Graph } from "../graph.ts";
import { blocked, inBlocksOf, NCHWC, Operand, reshaped, reversed, type Stored, transposed } from "../value.ts";
import {
  blockOf,
  type Convolution,
  type ConvolutionForm,
  channelsBatch,
  channelsFirst,
  gradientOf,
  inShape,
  NCHW,
  outShape,
} from "./convolution-forms.ts";
import { attributesOf, cut, still, type Windows } from "./windows.ts";
import { hasTiles, tiledConv, tiledInputGradient } from "./winograd.ts";

/** The form that a graph asks for. */
export function convolutionForm(g: Graph): ConvolutionForm {
  const block = blockOf(g);
  if (block !== undefined) return channelsInBlocks(block);
  return g.convolutions === "channels-batch" ? channelsBatch : channelsFirst;
}

/**
 * The form for training steps on CPUs that ONNX Runtime has blocked kernels for: images as [n, c / block, h, w, block], filters as
 * [out / block, in / block, kh, kw, block, block]. They gather no columns: 113 GFLOP/s on one core where `channelsBatch` reaches
 * 60 to 85 and a MatMul 80 (`npm run bench:roofline`). ONNX Runtime itself uses them for constant filters only. Images of fewer
 * channels than a block are read as [n, c, h, w]; what else is not whole blocks is left to `channelsBatch`.
 * What repays it goes by Winograd's tiles.
 */
const channelsInBlocks = (block: number): ConvolutionForm => {
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
      if (hasTiles(convolution)) return tiledConv(g, x, filter, convolution);
      if (takes(convolution)) return blockedConv(g, x, blockedFilters(g, filter, block), convolution, block);
      if (isNarrow(convolution)) return narrowConv(g, x, filter, convolution, block);
      return channelsBatch.forward(g, x, filter, convolution);
    },
    inputGradient: (g, dy, filter, convolution) => {
      if (hasTiles(convolution)) return tiledInputGradient(g, dy, filter, convolution);
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

/** A convolution of whole blocks to whole blocks, or of images with fewer channels than a block. */
export function blockedConv(g: Graph, x: Operand, filter: string, convolution: Convolution, block: number): Stored {
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
