import { backend_util } from "@tensorflow/tfjs-core";
import { contraction } from "../lowering.ts";
import type { Operand } from "../value.ts";
import { type Convolution, channelsFirst } from "./convolution-forms.ts";
import { filterGradient } from "./filter-gradient.ts";
import { expectDtype } from "./operands.ts";
import { type Size3, type Size5, windowsOf } from "./windows.ts";

interface ConvAttributes {
  readonly strides: number | Size3;
  readonly pad: "valid" | "same" | number;
  readonly dilations?: number | Size3;
}

function convInfo(x: readonly number[], filter: readonly number[], { strides, pad, dilations }: ConvAttributes) {
  return backend_util.computeConv3DInfo(x as Size5, filter as Size5, strides, dilations ?? 1, pad);
}

function convolution(x: readonly number[], filter: readonly number[], attributes: ConvAttributes): Convolution {
  const info = convInfo(x, filter, attributes);
  const { batchSize: batch, inChannels, outChannels } = info;
  return { batch, inChannels, outChannels, groups: 1, axes: windowsOf(info) };
}

/** tfjs `Conv3D(x, filter)`, x [n, d, h, w, c] -> `Conv`. */
export const Conv3D = contraction<{ x: Operand; filter: Operand }, ConvAttributes>({
  infer: ({ x, filter }, attributes) => {
    expectDtype(x, "float32");
    return { shape: convInfo(x.shape, filter.shape, attributes).outShape, dtype: x.dtype };
  },
  emit: (g, { x, filter }, attributes) =>
    channelsFirst.forward(g, x, filter, convolution(x.shape, filter.shape, attributes)),
});

/** tfjs `Conv3DBackpropInputV2(dy, filter; inputShape)`, also the transposed convolution. */
export const Conv3DBackpropInputV2 = contraction<
  { dy: Operand; filter: Operand },
  ConvAttributes & { inputShape: number[] }
>({
  infer: ({ dy }, { inputShape }) => ({ shape: inputShape, dtype: dy.dtype }),
  emit: (g, { dy, filter }, attributes) =>
    channelsFirst.inputGradient(g, dy, filter, convolution(attributes.inputShape, filter.shape, attributes)),
});

/** tfjs `Conv3DBackpropFilterV2(x, dy; filterShape)`. */
export const Conv3DBackpropFilterV2 = contraction<
  { x: Operand; dy: Operand },
  ConvAttributes & { filterShape: number[] }
>({
  infer: ({ x }, { filterShape }) => ({ shape: filterShape, dtype: x.dtype }),
  emit: (g, { x, dy }, attributes) =>
    filterGradient(g, x, dy, convolution(x.shape, attributes.filterShape, attributes)),
});
