import type * as tf from "@tensorflow/tfjs-core";

/** The tensors a network computes with, by name: "encoder.conv1.filter". */
export type Parameters = Readonly<Record<string, tf.Tensor>>;

/** A parameter before training: its shape, and where its first values are drawn from, uniform in centre +- limit. */
export interface ParameterSpec {
  readonly shape: readonly number[];
  readonly limit: number;
  /** Absent: 0. */
  readonly centre?: number;
}
export type ParameterSpecs = Readonly<Record<string, ParameterSpec>>;

/** Weights and bias uniform in +-1/sqrt(fan in), PyTorch's default for these layers. */
function layer(
  name: string,
  weights: string,
  shape: readonly number[],
  outputs: number,
  fanIn: number,
): ParameterSpecs {
  const limit = 1 / Math.sqrt(fanIn);
  return { [`${name}.${weights}`]: { shape, limit }, [`${name}.bias`]: { shape: [outputs], limit } };
}

/** A convolution's filter [size, size, inputs, outputs] and bias [outputs]. */
export function convolutionSpec(name: string, inputs: number, outputs: number, size = 3): ParameterSpecs {
  return layer(name, "filter", [size, size, inputs, outputs], outputs, size * size * inputs);
}

/** A transposed convolution's filter, [size, size, outputs, inputs] as tfjs wants it, and bias [outputs]. */
export function transposedConvolutionSpec(name: string, inputs: number, outputs: number, size = 3): ParameterSpecs {
  return layer(name, "filter", [size, size, outputs, inputs], outputs, size * size * inputs);
}

/** A dense layer's weights [inputs, outputs] and bias [outputs]. */
export function denseSpec(name: string, inputs: number, outputs: number): ParameterSpecs {
  return layer(name, "weights", [inputs, outputs], outputs, inputs);
}
