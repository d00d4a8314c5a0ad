import type { Graph } from "../graph.ts";
import { blocked, NCHWC, type Operand, reshaped, reversed, transposed } from "../value.ts";
import { blockOf, CNHW, type Convolution, gradientOf, NCHW, spatial } from "./convolution-forms.ts";
import { patchGradient } from "./patch-gradient.ts";
import { attributesOf, convolved, cut, still, type Windows } from "./windows.ts";
import { hasTiles, tiledFilterGradient } from "./winograd.ts";

const channelFirst = (rank: number) => [rank - 1, 0, ...spatial(rank).map((i) => i + 1)];

/** Windows of more blocks than these take as long as rows do. */
const PATCH_BLOCKS = 2;

/** Below this many input channels the filter gradient's runs of them are shorter than its runs of width. */
const FEW_CHANNELS = 4;

/**
 * The filter gradient, the correlation of x with dy summed over the batch, in either form of graph:
 *
 *     dW[o, i, :, :] = sum over n of correlate(x[n, i], dy[n, o])
 *
 * One three-dimensional `Conv` whose channels are the batch: x is [1, n, h, w, i], dy its filter [o, n, h', w', 1], strides and
 * dilations swapped. The matrix product then has in * kh * kw columns, gathered in runs of `in` numbers. The usual form, input
 * channels as images, has kh * kw columns and takes five times as long; at few channels [1, n, i, h, w] is quicker.
 *
 * What is gathered is kh * kw times the image, so where dy has fewer channels than x it is the image and x the filter, which
 * gives the gradient backwards. Images with a depth take the usual form, depthwise convolutions one with a group a channel.
 */
export function filterGradient(g: Graph, x: Operand, dy: Operand, convolution: Convolution): string {
  if (convolution.groups > 1 || convolution.axes.length > 2) return plainCorrelation(g, x, dy, convolution);
  const block = blockOf(g);
  const isWhole = block !== undefined && convolution.inChannels % block === 0;
  const direct = formInBlocks(convolution, block, isWhole);
  if (direct) return direct(g, x, dy, convolution);
  const turned = convolution.outChannels < convolution.inChannels ? gradientOf(convolution) : undefined;
  if (turned === undefined) return correlation(g, x, dy, convolution, (kh, kw, i, o) => [kh, kw, i, o]);
  const inverse = formInBlocks(turned, block, true);
  if (inverse) {
    const shape = [...turned.axes.map(({ taps }) => taps), turned.inChannels, turned.outChannels];
    return reversed(g, transposed(g, inverse(g, dy, x, turned), shape, [0, 1, 3, 2]), [0, 1]);
  }
  const backwards = correlation(g, dy, x, turned, (kh, kw, i, o) => [kh, kw, o, i]);
  return reversed(g, backwards, [0, 1]);
}

type Form = (g: Graph, x: Operand, dy: Operand, convolution: Convolution) => string;

/** The form over blocks of so many channels, if there is one; by rows only `inRows`. */
function formInBlocks(convolution: Convolution, block: number | undefined, inRows: boolean): Form | undefined {
  if (block === undefined) return undefined;
  if (hasTiles(convolution)) return tiledFilterGradient;
  if (hasPatches(convolution, block)) return (g, x, dy) => patchGradient(g, x, dy, convolution, block);
  if (inRows && inWholeBlocks(convolution, block))
    return (g, x, dy) => blockedCorrelation(g, x, dy, convolution, block);
  return undefined;
}

/** Whether few enough numbers meet in a window for it to be made, and dy's channels are whole blocks. */
const hasPatches = ({ batch, inChannels, outChannels, axes }: Convolution, block: number): boolean =>
  inChannels * axes.reduce((taps, axis) => taps * axis.taps, 1) <= PATCH_BLOCKS * block &&
  batch * inChannels * outChannels > 0 &&
  outChannels % block === 0 &&
  axes.every((axis) => axis.count > 0 && axis.before >= 0 && cut(axis).size === axis.size);

/** Whether the batch and the channels of dy are whole blocks, every stride has a row, and dy's columns see all they need of x. */
function inWholeBlocks({ batch, inChannels, outChannels, axes }: Convolution, block: number): boolean {
  const [height, width] = axes as [Windows, Windows];
  if (height.size < height.stride || height.count === 0) return false;
  const columns = correlated(width);
  const blocks = inChannels > 0 && [batch, outChannels].every((size) => size > 0 && size % block === 0);
  return blocks && columns.count > 0 && columns.taps > 0 && columns.before >= 0 && cut(columns).size === columns.size;
}

/**
 * The filter gradient over blocks, a convolution for each row kh of the filter: batch and rows are its channels, columns and a
 * block of channels of x an image, dy its filters of as many rows as dy has columns.
 *
 *     dW[kh, kw, i, o] = sum over (n, h), w of x[(n, s h + kh), s w + kw, i] dy[o, (n, h), w]
 *
 * Only rows are gathered, in runs of a block of n times w times i numbers. Blocks of n are made by ReorderInput: a Transpose would
 * move single numbers, on one thread.
 */
function blockedCorrelation(g: Graph, x: Operand, dy: Operand, convolution: Convolution, block: number): string {
  const { batch: n, inChannels: i, outChannels: o, axes } = convolution;
  const [height, width] = axes as [Windows, Windows];
  const blocks = n / block;
  const reshape = (name: string, shape: readonly number[]) => g.node("Reshape", [name, g.int64(shape)]);
  // [blocks of n, block, o / block, h, w, block] -> [blocks, o / block, h, w, block of n, block of o] -> o in front
  const channels = o * height.count * width.count;
  const rows = g.node(`${NCHWC}:ReorderInput`, [reshape(blocked(dy, block).name, [blocks, block, 1, channels])], {
    channels_last: 1,
  });
  const parts = reshape(rows, [blocks, o / block, height.count * width.count * block * block]);
  const filters = reshape(g.node("Transpose", [parts], { perm: [1, 0, 2] }), [o, n * height.count, width.count, 1]);
  // [n, images, h, w, lanes] -> [blocks of n, images, h, w, lanes, block of n]
  const lanes = i % block === 0 ? block : i;
  const images = i / lanes;
  const source = lanes === block ? blocked(x, block).name : x.name;
  const run = width.size * lanes * block;
  const all = [1, n, images * height.size * width.size * lanes, 1];
  const inner = g.node(`${NCHWC}:ReorderInput`, [reshape(source, all)], { channels_last: 0 });
  const attributes = { ...attributesOf([correlated(width), still(lanes)], 1), group: 1 };
  const product = (rows: string, count: number) =>
    g.node(`${NCHWC}:Conv`, [reshape(rows, [count, n * height.count, width.size, lanes]), filters], attributes);
  const found = byRows(g, inner, [blocks, images, run], height, product);
  const taps = found.length === 1 ? (found[0] as string) : g.node("Concat", found, { axis: 0 });
  const gradient = g.node(`${NCHWC}:ReorderOutput`, [taps], { channels: o, channels_last: 1 });
  const shape = [height.taps, images, width.taps, lanes * o];
  return reshape(transposed(g, reshape(gradient, shape), shape, [0, 2, 1, 3]), [height.taps, width.taps, i, o]);
}

/**
 * `product` of the rows that each tap of the filter meets, zeros where there are none: one a window, of images in front of blocks.
 * Where strides divide the rows, rows a stride apart lie together: one product has all taps that meet them unmoved.
 *
 * @param name - [blocks, images, size, run], in any shape.
 */
function byRows(
  g: Graph,
  name: string,
  [blocks, images, run]: readonly [number, number, number],
  windows: Windows,
  product: (rows: string, count: number) => string,
): readonly string[] {
  const { size, count, stride, taps } = windows;
  const met = Array.from({ length: taps }, (_, tap) => rowsMet(windows, tap));
  const unmoved = Array.from({ length: stride }, (_, phase) =>
    met.findIndex((m) => m.phase === phase && m.front === 0),
  );
  if (stride === 1 || size !== stride * count || unmoved.includes(-1)) {
    const shape = [blocks, images, size * run];
    const rows = g.node("Reshape", [
      transposed(g, g.node("Reshape", [name, g.int64(shape)]), shape, [1, 0, 2]),
      g.int64([images * blocks, size, run]),
    ]);
    return met.map((own) => product(moved(g, strided(g, rows, windows, own.phase), own), images));
  }
  const shape = [blocks, images, count, stride, run];
  const phases = transposed(g, g.node("Reshape", [name, g.int64(shape)]), shape, [3, 1, 0, 2, 4]);
  const parts = g.split("Split", [product(phases, stride * images)], stride, { axis: 0 });
  const rows = g.node("Reshape", [phases, g.int64([stride, images * blocks, count, run])]);
  return met.map((own, tap) => {
    if (unmoved[own.phase] === tap) return parts[own.phase] as string;
    const others = [-own.phase, 0, own.front, 0, own.phase + 1 - stride, 0, own.back, 0];
    return product(g.node("Pad", [rows, g.int64(others)]), images);
  });
}

/** Where the rows that a tap meets begin, modulo the stride, and how many of them are zeros in front and behind; below 0, left out. */
interface RowsMet {
  readonly phase: number;
  readonly front: number;
  readonly back: number;
}

function rowsMet({ size, count, stride, dilation, before }: Windows, tap: number): RowsMet {
  const first = dilation * tap - before;
  const phase = ((first % stride) + stride) % stride;
  const front = (phase - first) / stride;
  return { phase, front, back: count - front - Math.ceil((size - phase) / stride) };
}

/** Every stride-th row of [images, size, run]. */
function strided(g: Graph, rows: string, { size, stride }: Windows, phase: number): string {
  if (stride === 1) return rows;
  return g.node("Slice", [rows, ...[[phase], [size], [1], [stride]].map((part) => g.int64(part))]);
}

const moved = (g: Graph, rows: string, { front, back }: RowsMet) =>
  front === 0 && back === 0 ? rows : g.node("Pad", [rows, g.int64([0, front, 0, 0, back, 0])]);

/** Windows as long as the output, as many as taps. */
function correlated({ count, taps, stride, dilation, ...axis }: Windows): Windows {
  return { ...axis, count: taps, taps: count, stride: dilation, dilation: stride };
}

/** dW of [kh, kw, i, o] in the order that `arrange` gives these axes. */
function correlation(
  g: Graph,
  x: Operand,
  dy: Operand,
  { batch, inChannels, outChannels, axes }: Convolution,
  arrange: (kh: number, kw: number, i: number, o: number) => number[],
): string {
  const [height, width] = axes as [Windows, Windows];
  const few = inChannels < FEW_CHANNELS;
  const inOrder = <T>(h: T, w: T, channel: T): T[] => (few ? [channel, h, w] : [h, w, channel]);
  const images = g.node("Reshape", [
    x.inLayout(few ? NCHW : undefined),
    g.int64([1, batch, ...inOrder(height.size, width.size, inChannels)]),
  ]);
  const filters = g.node("Reshape", [
    dy.inLayout(CNHW),
    g.int64([outChannels, batch, ...inOrder(height.count, width.count, 1)]),
  ]);
  const windows = inOrder(correlated(height), correlated(width), still(inChannels));
  const product = convolved(g, images, filters, windows);
  // [1, o, kh, kw, i] or [1, o, i, kh, kw]
  const shape = [outChannels, ...inOrder(height.taps, width.taps, inChannels)];
  const order = few ? arrange(2, 3, 1, 0) : arrange(1, 2, 3, 0);
  return transposed(g, g.node("Reshape", [product, g.int64(shape)]), shape, order);
}

/** dW of [...taps, i, o], or of [...taps, i, o / i] depthwise: the input channels as images, or each with its own filters. */
function plainCorrelation(g: Graph, x: Operand, dy: Operand, convolution: Convolution): string {
  const { batch, inChannels, outChannels, groups, axes } = convolution;
  const layout = channelFirst(x.rank);
  const sizes = axes.map(({ size }) => size);
  const apart = [inChannels, batch, ...sizes];
  const images = groups === 1 ? apart : [1, inChannels * batch, ...sizes];
  const name = convolved(
    g,
    reshaped(g, x.inLayout(layout), apart, images),
    dy.inLayout(layout),
    axes.map(correlated),
    groups,
  );
  const taps = axes.map((axis) => axis.taps);
  const shape = [inChannels, outChannels / groups, ...taps];
  const found = reshaped(g, name, groups === 1 ? shape : [1, outChannels, ...taps], shape);
  return transposed(g, found, shape, [...taps.map((_, i) => i + 2), 0, 1]);
}
