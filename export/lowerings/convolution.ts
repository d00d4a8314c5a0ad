import { backend_util } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";
import { lowering } from "../lowering.ts";
import { type Operand, reversed, type Stored } from "../value.ts";

/** Layouts: images [n, h, w, c] as ONNX wants them, and filters [h, w, in, out] likewise. */
const NCHW = [0, 3, 1, 2];
const CNHW = [3, 0, 1, 2];
const OIHW = [3, 2, 0, 1];
const IOHW = [2, 3, 0, 1];

type Size4 = [number, number, number, number];

interface ConvAttributes {
  readonly strides: number | [number, number];
  readonly pad: "valid" | "same" | number | backend_util.ExplicitPadding;
  readonly dilations?: number | [number, number];
  readonly dimRoundingMode?: "floor" | "round" | "ceil";
}

function convInfo(
  x: readonly number[],
  filter: readonly number[],
  attributes: ConvAttributes,
): backend_util.Conv2DInfo {
  const { strides, pad, dilations, dimRoundingMode } = attributes;
  return backend_util.computeConv2DInfo(x as Size4, filter as Size4, strides, dilations ?? 1, pad, dimRoundingMode);
}

/** The node attributes of a convolution as ONNX names them. */
function onnxAttributes(info: backend_util.Conv2DInfo) {
  const { top, left, bottom, right } = info.padInfo;
  return {
    kernel_shape: [info.filterHeight, info.filterWidth],
    strides: [info.strideHeight, info.strideWidth],
    dilations: [info.dilationHeight, info.dilationWidth],
    pads: [top, left, bottom, right],
  };
}

/** A node output of shape [n, c, h, w] that is the image [n, h, w, c]. */
function image(name: string, shape: readonly number[]): Stored {
  return { name, shape: NCHW.map((axis) => shape[axis] as number), layout: NCHW };
}

/** tfjs `Conv2D(x, filter)` over channels-last images -> `Conv`. */
export const Conv2D = lowering<{ x: Operand; filter: Operand }, ConvAttributes>({
  infer: ({ x, filter }, attributes) => ({
    shape: convInfo(x.shape, filter.shape, attributes).outShape,
    dtype: x.dtype,
  }),
  emit: (g, { x, filter }, attributes) => {
    const info = convInfo(x.shape, filter.shape, attributes);
    return image(g.node("Conv", [x.inLayout(NCHW), filter.inLayout(OIHW)], onnxAttributes(info)), info.outShape);
  },
});

/**
 * tfjs `Conv2DBackpropInput(dy, filter; inputShape)`, also the transposed convolution. At stride 1 it is a `Conv` with the
 * filter turned by 180 degrees, half as long as ONNX Runtime's `ConvTranspose`; at other strides it is that.
 */
export const Conv2DBackpropInput = lowering<
  { dy: Operand; filter: Operand },
  ConvAttributes & { inputShape: number[] }
>({
  infer: ({ dy }, { inputShape }) => ({ shape: inputShape, dtype: dy.dtype }),
  emit: (g, { dy, filter }, attributes) => {
    const info = convInfo(attributes.inputShape, filter.shape, attributes);
    const { top, left, bottom, right } = info.padInfo;
    const [reachH, reachW] = [info.effectiveFilterHeight - 1, info.effectiveFilterWidth - 1];
    const unitStride = info.strideHeight === 1 && info.strideWidth === 1;
    if (unitStride && Math.max(top, bottom) <= reachH && Math.max(left, right) <= reachW) {
      const pads = [reachH - top, reachW - left, reachH - bottom, reachW - right];
      const turned = reversed(g, filter.inLayout(IOHW), [2, 3]);
      const name = g.node("Conv", [dy.inLayout(NCHW), turned], { ...onnxAttributes(info), pads });
      return image(name, attributes.inputShape);
    }
    const reached = (out: number, stride: number, reach: number, pads: number) => (out - 1) * stride + reach + 1 - pads;
    const output_padding = [
      info.inHeight - reached(info.outHeight, info.strideHeight, reachH, top + bottom),
      info.inWidth - reached(info.outWidth, info.strideWidth, reachW, left + right),
    ];
    const name = g.node("ConvTranspose", [dy.inLayout(NCHW), filter.inLayout(OIHW)], {
      ...onnxAttributes(info),
      output_padding,
    });
    return image(name, attributes.inputShape);
  },
});

/**
 * tfjs `Conv2DBackpropFilter(x, dy; filterShape)`: the correlation of x with dy, summed over the batch.
 *
 *     dW[o, i, :, :] = sum over n of correlate(x[n, i], dy[n, o])
 *
 * As one three-dimensional `Conv` whose channels are the batch and whose depth is the input channels: x is [1, n, i, h, w], dy
 * the filter [o, n, 1, h', w'], strides and dilations swapped. ONNX Runtime then multiplies matrices of in * kh * kw columns;
 * with the input channels as images instead, which is the usual form, the columns are kh * kw and it takes twice as long.
 */
export const Conv2DBackpropFilter = lowering<{ x: Operand; dy: Operand }, ConvAttributes & { filterShape: number[] }>({
  infer: ({ x }, { filterShape }) => ({ shape: filterShape, dtype: x.dtype }),
  emit: (g, { x, dy }, attributes) => {
    const info = convInfo(x.shape, attributes.filterShape, attributes);
    const { batchSize, inChannels, outChannels, inHeight, inWidth, outHeight, outWidth } = info;
    const { top, left } = info.padInfo;
    // What the strided windows leave over at the far end is cut off (below 0) or padded (above).
    const reachH =
      (outHeight - 1) * info.strideHeight + (info.filterHeight - 1) * info.dilationHeight + 1 - inHeight - top;
    const reachW = (outWidth - 1) * info.strideWidth + (info.filterWidth - 1) * info.dilationWidth + 1 - inWidth - left;
    const cut = cropped(g, x.inLayout(NCHW), inHeight + Math.min(0, reachH), inWidth + Math.min(0, reachW), info);
    const [h, w] = [inHeight + Math.min(0, reachH), inWidth + Math.min(0, reachW)];
    const images = g.node("Reshape", [cut, g.int64([1, batchSize, inChannels, h, w])]);
    const filters = g.node("Reshape", [dy.inLayout(CNHW), g.int64([outChannels, batchSize, 1, outHeight, outWidth])]);
    const correlated = g.node("Conv", [images, filters], {
      kernel_shape: [1, outHeight, outWidth],
      strides: [1, info.dilationHeight, info.dilationWidth],
      dilations: [1, info.strideHeight, info.strideWidth],
      pads: [0, top, left, 0, Math.max(0, reachH), Math.max(0, reachW)],
    });
    const gradient = g.node("Reshape", [
      correlated,
      g.int64([outChannels, inChannels, info.filterHeight, info.filterWidth]),
    ]);
    return g.node("Transpose", [gradient], { perm: [2, 3, 1, 0] });
  },
});

function cropped(g: Graph, name: string, height: number, width: number, info: backend_util.Conv2DInfo): string {
  if (height === info.inHeight && width === info.inWidth) return name;
  return g.node("Slice", [name, g.int64([0, 0]), g.int64([height, width]), g.int64([2, 3])]);
}

interface ResizeAttributes {
  readonly alignCorners: boolean;
  readonly halfPixelCenters: boolean;
  readonly size: [number, number];
}

/** How many times a nearest-neighbour enlargement repeats each pixel; other resizings are refused. */
function repeats(
  from: readonly number[],
  [height, width]: readonly number[],
  attributes: ResizeAttributes,
): [number, number] {
  const [h, w] = [(height as number) / (from[1] as number), (width as number) / (from[2] as number)];
  if (attributes.alignCorners || attributes.halfPixelCenters || !Number.isInteger(h) || !Number.isInteger(w)) {
    throw new Error("ResizeNearestNeighbor that is not a whole-number enlargement");
  }
  return [h, w];
}

/** tfjs `ResizeNearestNeighbor(images; size)` by whole factors -> `Resize`. */
export const ResizeNearestNeighbor = lowering<{ images: Operand }, ResizeAttributes>({
  infer: ({ images }, { size }) => ({
    shape: [images.shape[0] as number, ...size, images.shape[3] as number],
    dtype: images.dtype,
  }),
  emit: (g, { images }, attributes) => {
    const scales = Float32Array.of(1, 1, ...repeats(images.shape, attributes.size, attributes));
    const name = g.node(
      "Resize",
      [images.inLayout(NCHW), "", g.constant("float32", [4], new Uint8Array(scales.buffer))],
      {
        mode: "nearest",
        coordinate_transformation_mode: "asymmetric",
        nearest_mode: "floor",
      },
    );
    return image(name, [images.shape[0] as number, ...attributes.size, images.shape[3] as number]);
  },
});

/** Its gradient: the sum over each block of repeated pixels -> `AveragePool` times the block's size. */
export const ResizeNearestNeighborGrad = lowering<{ images: Operand; dy: Operand }, ResizeAttributes>({
  infer: ({ images, dy }) => ({ shape: images.shape, dtype: dy.dtype }),
  emit: (g, { images, dy }, attributes) => {
    const [h, w] = repeats(images.shape, dy.shape.slice(1, 3), attributes);
    const mean = g.node("AveragePool", [dy.inLayout(NCHW)], { kernel_shape: [h, w], strides: [h, w] });
    return image(g.node("Mul", [mean, g.float32(h * w)]), images.shape);
  },
});
