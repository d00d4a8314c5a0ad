import { backend_util } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";
import { lowering } from "../lowering.ts";
import type { Operand } from "../value.ts";
import {
  type ConvInfo,
  type ConvolutionForm,
  channelsBatch,
  channelsFirst,
  filterGradient,
  image,
} from "./convolution-forms.ts";

type Size4 = [number, number, number, number];

interface ConvAttributes {
  readonly strides: number | [number, number];
  readonly pad: "valid" | "same" | number | backend_util.ExplicitPadding;
  readonly dilations?: number | [number, number];
  readonly dimRoundingMode?: "floor" | "round" | "ceil";
}

function convInfo(x: readonly number[], filter: readonly number[], attributes: ConvAttributes): ConvInfo {
  const { strides, pad, dilations, dimRoundingMode } = attributes;
  return backend_util.computeConv2DInfo(x as Size4, filter as Size4, strides, dilations ?? 1, pad, dimRoundingMode);
}

function form(g: Graph): ConvolutionForm {
  return g.convolutions === "channels-batch" ? channelsBatch : channelsFirst;
}

/** tfjs `Conv2D(x, filter)` over channels-last images -> `Conv`. */
export const Conv2D = lowering<{ x: Operand; filter: Operand }, ConvAttributes>({
  infer: ({ x, filter }, attributes) => ({
    shape: convInfo(x.shape, filter.shape, attributes).outShape,
    dtype: x.dtype,
  }),
  emit: (g, { x, filter }, attributes) => {
    const info = convInfo(x.shape, filter.shape, attributes);
    return form(g).forward(g, x, filter, info);
  },
});

/** tfjs `Conv2DBackpropInput(dy, filter; inputShape)`, also the transposed convolution -> `Conv` or `ConvTranspose`. */
export const Conv2DBackpropInput = lowering<
  { dy: Operand; filter: Operand },
  ConvAttributes & { inputShape: number[] }
>({
  infer: ({ dy }, { inputShape }) => ({ shape: inputShape, dtype: dy.dtype }),
  emit: (g, { dy, filter }, attributes) => {
    const info = convInfo(attributes.inputShape, filter.shape, attributes);
    return form(g).inputGradient(g, dy, filter, info);
  },
});

/** tfjs `Conv2DBackpropFilter(x, dy; filterShape)` -> `Conv` with the batch as channels. */
export const Conv2DBackpropFilter = lowering<{ x: Operand; dy: Operand }, ConvAttributes & { filterShape: number[] }>({
  infer: ({ x }, { filterShape }) => ({ shape: filterShape, dtype: x.dtype }),
  emit: (g, { x, dy }, attributes) => filterGradient(g, x, dy, convInfo(x.shape, attributes.filterShape, attributes)),
});

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
    const { layout } = form(g);
    const scales = Float32Array.of(1, 1, ...repeats(images.shape, attributes.size, attributes));
    const name = g.node(
      "Resize",
      [images.inLayout(layout), "", g.constant("float32", [4], new Uint8Array(scales.buffer))],
      {
        mode: "nearest",
        coordinate_transformation_mode: "asymmetric",
        nearest_mode: "floor",
      },
    );
    return image(name, [images.shape[0] as number, ...attributes.size, images.shape[3] as number], layout);
  },
});

/** Its gradient: the sum over each block of repeated pixels -> `AveragePool` times the block's size. */
export const ResizeNearestNeighborGrad = lowering<{ images: Operand; dy: Operand }, ResizeAttributes>({
  infer: ({ images, dy }) => ({ shape: images.shape, dtype: dy.dtype }),
  emit: (g, { images, dy }, attributes) => {
    const { layout } = form(g);
    const [h, w] = repeats(images.shape, dy.shape.slice(1, 3), attributes);
    const mean = g.node("AveragePool", [dy.inLayout(layout)], { kernel_shape: [h, w], strides: [h, w] });
    return image(g.node("Mul", [mean, g.float32(h * w)]), images.shape, layout);
  },
});
