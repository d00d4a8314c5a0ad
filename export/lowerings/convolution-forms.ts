import type { backend_util } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";
import { type Operand, reshaped, reversed, type Stored, transposed } from "../value.ts";

export type ConvInfo = backend_util.Conv2DInfo;

/** Layouts of images [n, h, w, c] and of filters [h, w, in, out]. */
const NCHW = [0, 3, 1, 2];
const CNHW = [3, 0, 1, 2];
const OIHW = [3, 2, 0, 1];
const IOHW = [2, 3, 0, 1];

/** How a graph's convolutions are written: the same mathematics, at different speed in different places. */
export interface ConvolutionForm {
  /** The order images are stored in. */
  readonly layout: readonly number[];
  forward(g: Graph, x: Operand, filter: Operand, info: ConvInfo): Stored;
  inputGradient(g: Graph, dy: Operand, filter: Operand, info: ConvInfo): Stored;
}

/** A node output in `layout` that is the image [n, h, w, c]. */
export function image(name: string, shape: readonly number[], layout: readonly number[]): Stored {
  return { name, shape: layout.map((axis) => shape[axis] as number), layout };
}

const reach = (info: ConvInfo) => [info.effectiveFilterHeight - 1, info.effectiveFilterWidth - 1] as const;

type Pads = readonly [top: number, left: number, bottom: number, right: number];

function forwardPads({ padInfo: { top, left, bottom, right } }: ConvInfo): Pads {
  return [top, left, bottom, right];
}

/** Padding of the stride-1 convolution with the turned filter that is the input gradient; undefined where there is none. */
function gradientPads(info: ConvInfo): Pads | undefined {
  const [h, w] = reach(info);
  const [top, left, bottom, right] = forwardPads(info);
  const pads: Pads = [h - top, w - left, h - bottom, w - right];
  const unitStride = info.strideHeight === 1 && info.strideWidth === 1;
  return unitStride && pads.every((pad) => pad >= 0) ? pads : undefined;
}

/**
 * The portable form: two-dimensional `Conv` over [n, c, h, w], what every execution provider does well. At strides above 1 the
 * input gradient is `ConvTranspose`; at stride 1 a `Conv` with the filter turned by 180 degrees takes two thirds of its time.
 */
export const channelsFirst: ConvolutionForm = {
  layout: NCHW,
  forward: (g, x, filter, info) => {
    const attributes = { ...attributesOf(info), pads: forwardPads(info) };
    return image(g.node("Conv", [x.inLayout(NCHW), filter.inLayout(OIHW)], attributes), info.outShape, NCHW);
  },
  inputGradient: (g, dy, filter, info) => {
    const pads = gradientPads(info);
    if (pads !== undefined) {
      const inputs = [dy.inLayout(NCHW), reversed(g, filter.inLayout(IOHW), [2, 3])];
      return image(g.node("Conv", inputs, { ...attributesOf(info), pads }), info.inShape, NCHW);
    }
    const [top, left, bottom, right] = forwardPads(info);
    const [h, w] = reach(info);
    const output_padding = [
      info.inHeight - ((info.outHeight - 1) * info.strideHeight + h + 1 - top - bottom),
      info.inWidth - ((info.outWidth - 1) * info.strideWidth + w + 1 - left - right),
    ];
    const attributes = { ...attributesOf(info), pads: forwardPads(info), output_padding };
    const name = g.node("ConvTranspose", [dy.inLayout(NCHW), filter.inLayout(OIHW)], attributes);
    return image(name, info.inShape, NCHW);
  },
};

function attributesOf(info: ConvInfo) {
  return {
    kernel_shape: [info.filterHeight, info.filterWidth],
    strides: [info.strideHeight, info.strideWidth],
    dilations: [info.dilationHeight, info.dilationWidth],
  };
}

/**
 * The form for training steps on CPUs: three-dimensional `Conv` over [1, c, n, h, w], the batch as depth, with filters of depth
 * 1. ONNX Runtime then multiplies one matrix for the whole batch instead of one an image, which counts where images are small:
 * at 512 images of 7x7, 64 to 64 channels, 14 ms instead of 34 (docs/performance.md). Its three-dimensional `ConvTranspose` is
 * slow, so strided input gradients stay in the portable form.
 */
export const channelsBatch: ConvolutionForm = {
  layout: CNHW,
  forward: (g, x, filter, info) => deepConv(g, x, filter.inLayout(OIHW), { ...info, pads: forwardPads(info) }),
  inputGradient: (g, dy, filter, info) => {
    const pads = gradientPads(info);
    if (pads === undefined) {
      return phases(info) === undefined
        ? channelsFirst.inputGradient(g, dy, filter, info)
        : phasedConv(g, dy, filter, info);
    }
    const turned = reversed(g, filter.inLayout(IOHW), [2, 3]);
    return deepConv(g, dy, turned, { ...info, pads, inShape: info.outShape, outShape: info.inShape });
  },
};

/** A convolution of images stored as [c, n, h, w] with a node output [out, in, h, w]. */
function deepConv(g: Graph, x: Operand, filter: string, info: ConvInfo & { readonly pads: Pads }): Stored {
  const [n, h, w, c] = info.inShape;
  const [, outH, outW, outC] = info.outShape;
  const [top, left, bottom, right] = info.pads;
  const { kernel_shape, strides, dilations } = attributesOf(info);
  const images = g.node("Reshape", [x.inLayout(CNHW), g.int64([1, c, n, h, w])]);
  const filters = g.node("Reshape", [filter, g.int64([outC, c, 1, ...kernel_shape])]);
  const convolved = g.node("Conv", [images, filters], {
    kernel_shape: [1, ...kernel_shape],
    strides: [1, ...strides],
    dilations: [1, ...dilations],
    pads: [0, top, left, 0, bottom, right],
  });
  return image(g.node("Reshape", [convolved, g.int64([outC, n, outH, outW])]), info.outShape, CNHW);
}

/**
 * How many taps of a strided convolution's filter each phase of its input gradient has; undefined where they differ, or where
 * the gradient reaches beyond them.
 */
function phases(info: ConvInfo): readonly [height: number, width: number] | undefined {
  const { strideHeight, strideWidth, filterHeight, filterWidth, dilationHeight, dilationWidth } = info;
  const [h, w] = [filterHeight / strideHeight, filterWidth / strideWidth];
  if (!Number.isInteger(h) || !Number.isInteger(w) || dilationHeight !== 1 || dilationWidth !== 1) return undefined;
  const { top, left } = info.padInfo;
  const covered =
    top + info.inHeight <= strideHeight * (info.outHeight + h - 1) &&
    left + info.inWidth <= strideWidth * (info.outWidth + w - 1);
  return covered ? [h, w] : undefined;
}

/**
 * The input gradient of a strided convolution, the transposed convolution, as one convolution at stride 1 whose outputs are the
 * phases of the image, interleaved afterwards:
 *
 *     dx[s g + p - top] = sum over q of dy[g - q] filter[s q + p]
 */
function phasedConv(g: Graph, dy: Operand, filter: Operand, info: ConvInfo): Stored {
  const { batchSize: n, inChannels: c, outChannels: o, strideHeight: sh, strideWidth: sw, padInfo } = info;
  const [h, w] = phases(info) as [number, number];
  const [gridH, gridW] = [info.outHeight + h - 1, info.outWidth + w - 1];
  // [h sh, w sw, c, o] -> [sh, sw, c, o, h, w]
  const split = [h, sh, w, sw, c, o];
  const parts = reshaped(g, filter.name, filter.shape, split);
  const turned = reversed(g, transposed(g, parts, split, [1, 3, 4, 5, 0, 2]), [4, 5]);
  const conv = deepConv(g, dy, turned, {
    ...info,
    ...{ strideHeight: 1, strideWidth: 1, filterHeight: h, filterWidth: w },
    pads: [h - 1, w - 1, h - 1, w - 1],
    inShape: info.outShape,
    outShape: [n, gridH, gridW, sh * sw * c],
  });
  const size = c * n * gridH;
  const columns = woven(g, reshaped(g, conv.name, conv.shape, [sh, sw, size * gridW, 1]), sw);
  const rows = woven(g, reshaped(g, columns, [sh, 1, size * gridW, sw], [1, sh, size, sw * gridW]), sh);
  const interleaved = reshaped(g, rows, [1, 1, size, sh * sw * gridW], [c, n, sh * gridH, sw * gridW]);
  const { top, left } = padInfo;
  const ends = g.int64([top + info.inHeight, left + info.inWidth]);
  return image(g.node("Slice", [interleaved, g.int64([top, left]), ends, g.int64([2, 3])]), info.inShape, CNHW);
}

/** [a, k, m, r] -> [a, 1, m, k * r]: the k along `axis` 1 side by side. A Transpose to so short a last axis takes eight times as long. */
function woven(g: Graph, name: string, k: number): string {
  if (k === 1) return name;
  return g.node("Concat", g.split("Split", [name], k, { axis: 1 }), { axis: 3 });
}

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
 * gives the gradient backwards.
 */
export function filterGradient(g: Graph, x: Operand, dy: Operand, info: ConvInfo): string {
  const turned = turnedInfo(info);
  if (turned === undefined) return correlation(g, x, dy, info, (kh, kw, i, o) => [kh, kw, i, o]);
  const backwards = correlation(g, dy, x, turned, (kh, kw, i, o) => [kh, kw, o, i]);
  return reversed(g, backwards, [0, 1]);
}

/** The convolution that takes dy to x, where that gathers less; undefined where it does not, or is none. */
function turnedInfo(info: ConvInfo): ConvInfo | undefined {
  const pads = gradientPads(info);
  if (pads === undefined || info.outChannels >= info.inChannels) return undefined;
  const [top, left, bottom, right] = pads;
  return {
    ...info,
    ...{ inChannels: info.outChannels, inHeight: info.outHeight, inWidth: info.outWidth },
    ...{ outChannels: info.inChannels, outHeight: info.inHeight, outWidth: info.inWidth },
    padInfo: { ...info.padInfo, top, left, bottom, right },
  };
}

/** dW of [kh, kw, i, o] in the order that `arrange` gives these axes. */
function correlation(
  g: Graph,
  x: Operand,
  dy: Operand,
  info: ConvInfo,
  arrange: (kh: number, kw: number, i: number, o: number) => number[],
): string {
  const { batchSize: n, inChannels, outChannels, inHeight, inWidth, outHeight, outWidth } = info;
  const { top, left } = info.padInfo;
  // What the strided windows leave over at the far end is cut off (below 0) or padded (above).
  const overH =
    (outHeight - 1) * info.strideHeight + (info.filterHeight - 1) * info.dilationHeight + 1 - inHeight - top;
  const overW = (outWidth - 1) * info.strideWidth + (info.filterWidth - 1) * info.dilationWidth + 1 - inWidth - left;
  const [h, w] = [inHeight + Math.min(0, overH), inWidth + Math.min(0, overW)];
  const few = inChannels < FEW_CHANNELS;
  const spatial = <T>(height: T, width: T, channel: T): T[] =>
    few ? [channel, height, width] : [height, width, channel];
  const whole = x.inLayout(few ? NCHW : undefined);
  const cut =
    h === inHeight && w === inWidth
      ? whole
      : g.node("Slice", [whole, g.int64([0, 0]), g.int64([h, w]), g.int64(few ? [2, 3] : [1, 2])]);
  const images = g.node("Reshape", [cut, g.int64([1, n, ...spatial(h, w, inChannels)])]);
  const filters = g.node("Reshape", [dy.inLayout(CNHW), g.int64([outChannels, n, ...spatial(outHeight, outWidth, 1)])]);
  const correlated = g.node("Conv", [images, filters], {
    kernel_shape: spatial(outHeight, outWidth, 1),
    strides: spatial(info.dilationHeight, info.dilationWidth, 1),
    dilations: spatial(info.strideHeight, info.strideWidth, 1),
    pads: [...spatial(top, left, 0), ...spatial(Math.max(0, overH), Math.max(0, overW), 0)],
  });
  // [1, o, kh, kw, i] or [1, o, i, kh, kw]
  const dims = spatial(info.filterHeight, info.filterWidth, inChannels);
  const order = few ? arrange(2, 3, 1, 0) : arrange(1, 2, 3, 0);
  const shape = [outChannels, ...dims];
  return transposed(g, g.node("Reshape", [correlated, g.int64(shape)]), shape, order);
}
