import * as tf from "@tensorflow/tfjs-core";
import { SubspanError } from "../../runtime/errors.ts";
import { parameter, scaled } from "../layers.ts";
import type { SampleType } from "../method.ts";
import type { ParameterSpecs, Parameters } from "../parameters.ts";
import type { Config } from "./config.ts";

type Image = readonly [height: number, width: number, channels: number];

/** A convolution of the stack: its taps, and the images before and after it. */
interface Layer {
  readonly kernel: number;
  readonly from: Image;
  readonly to: Image;
}

/** @throws {SubspanError} SHAPE_MISMATCH for samples that are no images. */
function stack({ layers }: Config, sample: SampleType): Layer[] {
  if (sample.kind !== "images") {
    throw new SubspanError("SHAPE_MISMATCH", `udll: expected images, got ${sample.kind} [${sample.shape}]`);
  }
  let from = sample.shape as Image;
  return layers.map(({ kernel, channels }) => {
    const [h, w] = from;
    const layer = { kernel, from, to: [Math.ceil(h / 2), Math.ceil(w / 2), channels] as const };
    from = layer.to;
    return layer;
  });
}

/** Filters of the encoder [k, k, in, out] and of the decoder [k, k, out, in], after Glorot and Bengio; biases of zero. */
export function parameterSpecs(config: Config, sample: SampleType): ParameterSpecs {
  const entries = stack(config, sample).flatMap(({ kernel, from, to }, i) => {
    const [inputs, outputs] = [from[2], to[2]];
    const filter = {
      shape: [kernel, kernel, inputs, outputs],
      limit: Math.sqrt(6 / (kernel * kernel * (inputs + outputs))),
    };
    return [
      [`encoder.conv${i + 1}.filter`, filter],
      [`encoder.conv${i + 1}.bias`, { shape: [outputs], limit: 0 }],
      [`decoder.conv${i + 1}.filter`, filter],
      [`decoder.conv${i + 1}.bias`, { shape: [inputs], limit: 0 }],
    ] as const;
  });
  return Object.fromEntries(entries);
}

/** Bytes -> latent, [b, d]: the last feature map in one row, after its ReLU. */
export function encode(config: Config, sample: SampleType, parameters: Parameters, images: tf.Tensor): tf.Tensor2D {
  let x = scaled(images);
  stack(config, sample).forEach((_, i) => {
    const filter = parameter<tf.Tensor4D>(parameters, `encoder.conv${i + 1}.filter`);
    x = tf.relu(tf.add(tf.conv2d(x, filter, 2, "same"), parameter(parameters, `encoder.conv${i + 1}.bias`)));
  });
  return tf.reshape(x, [x.shape[0], -1]) as tf.Tensor2D;
}

/** Latent [b, d] -> images [b, h, w, c]: transposed convolutions in the encoder's order backwards, a ReLU after each. */
export function decode(config: Config, sample: SampleType, parameters: Parameters, latent: tf.Tensor2D): tf.Tensor4D {
  const layers = stack(config, sample);
  const b = latent.shape[0];
  let x = tf.reshape(latent, [b, ...(layers.at(-1) as Layer).to]) as tf.Tensor4D;
  for (let i = layers.length - 1; i >= 0; i--) {
    const filter = parameter<tf.Tensor4D>(parameters, `decoder.conv${i + 1}.filter`);
    const shape: [number, number, number, number] = [b, ...(layers[i] as Layer).from];
    const enlarged = tf.conv2dTranspose(x, filter, shape, 2, "same");
    x = tf.relu(tf.add(enlarged, parameter(parameters, `decoder.conv${i + 1}.bias`)));
  }
  return x;
}
