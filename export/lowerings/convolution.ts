import { backend_util } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";
import { applied, contraction, lowering } from "../lowering.ts";
import { Operand, reshaped, type Stored } from "../value.ts";
import { type FusedAttributes, type FusedInputs, fused } from "./activation.ts";
import { convolutionForm } from "./convolution-blocks.ts";
import type { Convolution } from "./convolution-forms.ts";
import { filterGradient } from "./filter-gradient.ts";
import { Slice, Transpose } from "./movement.ts";
import { type Size2, type Size4, windowsOf } from "./windows.ts";

interface ConvAttributes {
  readonly strides: number | Size2;
  readonly pad: "valid" | "same" | number | backend_util.ExplicitPadding;
  readonly dataFormat?: "NHWC" | "NCHW";
  readonly dilations?: number | Size2;
  readonly dimRoundingMode?: "floor" | "round" | "ceil";
}

function convInfo(x: readonly number[], filter: readonly number[], attributes: ConvAttributes) {
  const { strides, pad, dataFormat, dilations, dimRoundingMode } = attributes;
  const format = backend_util.convertConv2DDataFormat(dataFormat ?? "NHWC");
  const shapes = [x as Size4, filter as Size4] as const;
  return backend_util.computeConv2DInfo(...shapes, strides, dilations ?? 1, pad, dimRoundingMode, false, format);
}

/** The convolution between images of these shapes. */
function convolution(
  x: readonly number[],
  filter: readonly number[],
  y: readonly number[],
  attributes: ConvAttributes,
): Convolution {
  const info = convInfo(x, filter, attributes);
  const { batchSize: batch, inChannels, outChannels, dataFormat } = info;
  const counts = dataFormat === "channelsLast" ? y.slice(1, 3) : y.slice(2);
  return { batch, inChannels, outChannels, groups: 1, axes: windowsOf(info, counts) };
}

/** An image in dataFormat as one in NHWC: its axes are counted otherwise, its data stays. */
function channelsLast(g: Graph, x: Operand, { dataFormat }: ConvAttributes): Operand {
  return dataFormat === "NCHW" ? applied(g, Transpose, { x }, { perm: [0, 2, 3, 1] }) : x;
}

/** The way back: an image stored as NHWC, of this shape in dataFormat. */
function inFormat(g: Graph, stored: Stored, shape: readonly number[], { dataFormat }: ConvAttributes): Stored {
  if (dataFormat !== "NCHW") return stored;
  const [n, c, h, w] = shape as Size4;
  const x = new Operand(g, { shape: [n, h, w, c], dtype: "float32" }, stored);
  return applied(g, Transpose, { x }, { perm: [0, 3, 1, 2] }).stored;
}

/** tfjs `Conv2D(x, filter)` over images in NHWC or NCHW -> `Conv`. */
export const Conv2D = contraction<{ x: Operand; filter: Operand }, ConvAttributes>({
  infer: ({ x, filter }, attributes) => ({
    shape: convInfo(x.shape, filter.shape, attributes).outShape,
    dtype: x.dtype,
  }),
  emit: (g, { x, filter }, attributes) => {
    const { outShape } = convInfo(x.shape, filter.shape, attributes);
    const shapes = convolution(x.shape, filter.shape, outShape, attributes);
    const y = convolutionForm(g).forward(g, channelsLast(g, x, attributes), filter, shapes);
    return inFormat(g, y, outShape, attributes);
  },
});

/** tfjs `Conv2DBackpropInput(dy, filter; inputShape)`, also the transposed convolution -> `Conv` or `ConvTranspose`. */
export const Conv2DBackpropInput = contraction<
  { dy: Operand; filter: Operand },
  ConvAttributes & { inputShape: number[] }
>({
  infer: ({ dy }, { inputShape }) => ({ shape: inputShape, dtype: dy.dtype }),
  emit: (g, { dy: given, filter }, attributes) => {
    const { outShape } = convInfo(attributes.inputShape, filter.shape, attributes);
    // A transposed convolution to a small image: tfjs looks at as much of dy as the image has windows.
    const dy =
      typeof attributes.pad === "string"
        ? applied(g, Slice, { x: given }, { begin: [0, 0, 0, 0], size: outShape })
        : given;
    const shapes = convolution(attributes.inputShape, filter.shape, dy.shape, attributes);
    const dx = convolutionForm(g).inputGradient(g, channelsLast(g, dy, attributes), filter, shapes);
    return inFormat(g, dx, attributes.inputShape, attributes);
  },
});

/** tfjs `Conv2DBackpropFilter(x, dy; filterShape)` -> `Conv` with the batch as channels. */
export const Conv2DBackpropFilter = contraction<
  { x: Operand; dy: Operand },
  ConvAttributes & { filterShape: number[] }
>({
  infer: ({ x }, { filterShape }) => ({ shape: filterShape, dtype: x.dtype }),
  emit: (g, { x, dy }, attributes) => {
    const shapes = convolution(x.shape, attributes.filterShape, dy.shape, attributes);
    return filterGradient(g, channelsLast(g, x, attributes), channelsLast(g, dy, attributes), shapes);
  },
});

/** A vector with a number for each channel, ready to be broadcast over images in dataFormat. */
function perChannel(g: Graph, x: Operand | undefined, { dataFormat }: ConvAttributes): Operand | undefined {
  if (x === undefined || dataFormat !== "NCHW" || x.rank !== 1) return x;
  const shape = [...x.shape, 1, 1];
  return new Operand(g, { shape, dtype: x.dtype }, { name: reshaped(g, x.name, x.shape, shape), shape });
}

/** tfjs `FusedConv2D(x, filter, bias, preluActivationWeights; activation, leakyreluAlpha)`. */
export const FusedConv2D = lowering<{ x: Operand; filter: Operand } & FusedInputs, ConvAttributes & FusedAttributes>({
  infer: Conv2D.infer,
  emit: (g, { x, filter, ...after }, attributes) => {
    const bias = perChannel(g, after.bias, attributes);
    const preluActivationWeights = perChannel(g, after.preluActivationWeights, attributes);
    const y = applied(g, Conv2D, { x, filter }, attributes);
    return fused(
      g,
      y,
      { ...(bias && { bias }), ...(preluActivationWeights && { preluActivationWeights }) },
      attributes,
    );
  },
});
