import { backend_util } from "@tensorflow/tfjs-core";
import { applied, contraction, lowering } from "../lowering.ts";
import type { Operand } from "../value.ts";
import { type FusedAttributes, type FusedInputs, fused } from "./activation.ts";
import { convolutionForm } from "./convolution-blocks.ts";
import type { Convolution } from "./convolution-forms.ts";
import { filterGradient } from "./filter-gradient.ts";
import { type Size2, type Size4, windowsOf } from "./windows.ts";

interface DepthwiseAttributes {
  readonly strides: number | Size2;
  readonly pad: "valid" | "same" | number | backend_util.ExplicitPadding;
  readonly dataFormat?: "NHWC" | "NCHW";
  readonly dilations?: number | Size2 | null;
  readonly dimRoundingMode?: "floor" | "round" | "ceil";
}

function depthwiseInfo(x: readonly number[], filter: readonly number[], attributes: DepthwiseAttributes) {
  const { strides, pad, dataFormat, dilations, dimRoundingMode } = attributes;
  // tfjs's CPU backend would take an image in NCHW for one in NHWC.
  if (dataFormat === "NCHW") throw new Error("expected images in NHWC, got NCHW");
  const shapes = [x as Size4, filter as Size4] as const;
  return backend_util.computeConv2DInfo(...shapes, strides, dilations ?? 1, pad, dimRoundingMode, true);
}

function depthwise(
  x: readonly number[],
  filter: readonly number[],
  attributes: DepthwiseAttributes,
  y?: readonly number[],
): Convolution {
  const info = depthwiseInfo(x, filter, attributes);
  const { batchSize: batch, inChannels, outChannels } = info;
  return { batch, inChannels, outChannels, groups: inChannels, axes: windowsOf(info, y?.slice(1, 3)) };
}

/** tfjs `DepthwiseConv2dNative(x, filter)`, filter [h, w, c, m] -> `Conv` with a group for each of the c channels. */
export const DepthwiseConv2dNative = contraction<{ x: Operand; filter: Operand }, DepthwiseAttributes>({
  infer: ({ x, filter }, attributes) => ({
    shape: depthwiseInfo(x.shape, filter.shape, attributes).outShape,
    dtype: x.dtype,
  }),
  emit: (g, { x, filter }, attributes) =>
    convolutionForm(g).forward(g, x, filter, depthwise(x.shape, filter.shape, attributes)),
});

/** tfjs `DepthwiseConv2dNativeBackpropInput(dy, filter; inputShape)`. tfjs's CPU kernel forgets the dilations. */
export const DepthwiseConv2dNativeBackpropInput = contraction<
  { dy: Operand; filter: Operand },
  DepthwiseAttributes & { inputShape: number[] }
>({
  infer: ({ dy }, { inputShape }) => ({ shape: inputShape, dtype: dy.dtype }),
  emit: (g, { dy, filter }, attributes) => {
    const shapes = depthwise(attributes.inputShape, filter.shape, attributes, dy.shape);
    return convolutionForm(g).inputGradient(g, dy, filter, shapes);
  },
});

/** tfjs `DepthwiseConv2dNativeBackpropFilter(x, dy; filterShape)`. tfjs's CPU kernel forgets the dilations. */
export const DepthwiseConv2dNativeBackpropFilter = contraction<
  { x: Operand; dy: Operand },
  DepthwiseAttributes & { filterShape: number[] }
>({
  infer: ({ x }, { filterShape }) => ({ shape: filterShape, dtype: x.dtype }),
  emit: (g, { x, dy }, attributes) =>
    filterGradient(g, x, dy, depthwise(x.shape, attributes.filterShape, attributes, dy.shape)),
});

/** tfjs `FusedDepthwiseConv2D(x, filter, bias, preluActivationWeights; activation, leakyreluAlpha)`. */
export const FusedDepthwiseConv2D = lowering<
  { x: Operand; filter: Operand } & FusedInputs,
  DepthwiseAttributes & FusedAttributes
>({
  infer: DepthwiseConv2dNative.infer,
  emit: (g, { x, filter, ...after }, attributes) =>
    fused(g, applied(g, DepthwiseConv2dNative, { x, filter }, attributes), after, attributes),
});
