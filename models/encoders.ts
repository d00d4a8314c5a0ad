import * as tf from "@tensorflow/tfjs-core";
import { SubspanError } from "../runtime/errors.ts";
import { type AutoencoderShape, encode, encoderSpec } from "./autoencoder.ts";
import { parameter } from "./layers.ts";
import type { SampleType } from "./method.ts";
import { mlp, mlpSpec } from "./mlp.ts";
import type { ParameterSpecs, Parameters } from "./parameters.ts";
import { type ResNetShape, resNet, resNetSpec } from "./resnet.ts";

export const ENCODERS = ["convolutional", "resnet18", "mlp"] as const;

/** A network that maps samples to a latent. */
export type Encoder =
  | { readonly kind: "convolutional"; readonly shape: AutoencoderShape }
  | { readonly kind: "resnet18"; readonly shape: ResNetShape }
  | { readonly kind: "mlp"; readonly widths: readonly number[] };

export interface EncoderSettings {
  readonly kind: (typeof ENCODERS)[number];
  /** d. */
  readonly latent: number;
  /** Channels of the first convolutions. */
  readonly width: number;
  /** Widths of the mlp's hidden layers. */
  readonly hidden: readonly number[];
}

/**
 * The encoder for a kind of sample: four convolutions (the published dual autoencoder's encoder) for small grey images,
 * a ResNet-18 for colour, dense layers for vectors.
 *
 * @throws {SubspanError} SHAPE_MISMATCH for samples the encoder is not made for.
 */
export function encoderFor({ kind, latent, width, hidden }: EncoderSettings, sample: SampleType): Encoder {
  const refused = (expected: string) =>
    new SubspanError(
      "SHAPE_MISMATCH",
      `encoder ${kind}: expected ${expected}, got ${sample.kind} [${sample.shape.join(", ")}]`,
    );
  if (kind === "mlp") {
    if (sample.kind !== "features") throw refused("features [d]");
    return { kind, widths: [sample.shape[0] as number, ...hidden, latent] };
  }
  const image = sample.shape as readonly [number, number, number];
  if (sample.kind !== "images") throw refused("images [h, w, c]");
  if (kind === "resnet18") return { kind, shape: { image, latent, width } };
  if (image[0] % 4 !== 0 || image[1] % 4 !== 0) throw refused("images whose height and width are multiples of 4");
  return { kind, shape: { image, latent, width, posterior: false, decoder: "subpixel" } };
}

/**
 * Names begin with `encoder.`, but for an mlp's `features.`: what brings its features to one scale, and is not trained.
 */
export function encoderParameters(encoder: Encoder): ParameterSpecs {
  switch (encoder.kind) {
    case "convolutional":
      return encoderSpec(encoder.shape);
    case "resnet18":
      return resNetSpec(encoder.shape);
    case "mlp": {
      const shape = [encoder.widths[0] as number];
      const scale = { "features.mean": { shape, limit: 0 }, "features.logDeviation": { shape, limit: 0 } };
      return { ...scale, ...mlpSpec("encoder", encoder.widths) };
    }
  }
}

/**
 * Samples as they are stored -> latent, [b, d], of any length. Bytes are brought to 0..1 for the convolutional encoder
 * and to (x / 255 - 1/2) / (1/4), about mean 0 and variance 1, for the ResNet; features to
 *
 *     (x - mean) exp(-logDeviation)
 *
 * with `features.mean` and `features.logDeviation`, [d]. Those start at 0: nothing is changed until they are set.
 *
 * @param samples - images [b, h, w, c], 0..255; features [b, d].
 */
export function encodeSamples(encoder: Encoder, parameters: Parameters, samples: tf.Tensor): tf.Tensor2D {
  const x = tf.cast(samples, "float32");
  switch (encoder.kind) {
    case "convolutional":
      return encode(parameters, tf.div(x, 255)).mean;
    case "resnet18":
      return resNet(parameters, tf.sub(tf.mul(x, 4 / 255), 2));
    case "mlp": {
      const deviations = tf.exp(tf.neg(parameter(parameters, "features.logDeviation")));
      const scaled = tf.mul(tf.sub(x, parameter(parameters, "features.mean")), deviations);
      return mlp(parameters, "encoder", scaled as tf.Tensor2D);
    }
  }
}
