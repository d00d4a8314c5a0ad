import * as tf from "@tensorflow/tfjs-core";
import { activation, convolution, dense, enlargingConvolution, pixelShuffle, transposedConvolution } from "./layers.ts";
import {
  convolutionSpec,
  denseSpec,
  type ParameterSpec,
  type ParameterSpecs,
  type Parameters,
  transposedConvolutionSpec,
} from "./parameters.ts";

/** What the networks are built for. */
export interface AutoencoderShape {
  /** Image height, width and channels; height and width are multiples of 4. */
  readonly image: readonly [number, number, number];
  /** Width d of the latent. */
  readonly latent: number;
  /** Channels of the first half of the convolutions; the second half has twice as many. 32 is published. */
  readonly width: number;
  /** Whether the encoder also gives a log variance, for the prior and the cluster divergence. */
  readonly posterior: boolean;
  /** `transposed` is the published decoder; `subpixel` costs a third of it. */
  readonly decoder: "transposed" | "subpixel";
}

/** What the encoder gives: latent means, log variances where there is a posterior, and the middle feature map. */
export interface Encoding {
  readonly mean: tf.Tensor2D;
  readonly logVariance: tf.Tensor2D | undefined;
  /** [b, h/4, w/4, 2 * width], after its activation: what the discriminators see of the image. */
  readonly features: tf.Tensor4D;
}

function middle({ image: [h, w] }: AutoencoderShape): [number, number] {
  return [h / 4, w / 4];
}

export function encoderSpec(shape: AutoencoderShape): ParameterSpecs {
  const [h, w] = middle(shape);
  const [narrow, wide] = [shape.width, 2 * shape.width];
  const mean = denseSpec("encoder.mean", h * w * wide, shape.latent);
  const variance = denseSpec("encoder.logVariance", h * w * wide, shape.latent);
  return {
    ...convolutionSpec("encoder.conv1", shape.image[2], narrow),
    ...convolutionSpec("encoder.conv2", narrow, narrow),
    ...convolutionSpec("encoder.conv3", narrow, wide),
    ...convolutionSpec("encoder.conv4", wide, wide),
    ...mean,
    ...(shape.posterior ? variance : {}),
  };
}

/**
 * The published encoder: 3x3 convolutions of 32 (stride 2), 32, 64 (stride 2) and 64 channels at width 32, leaky ReLU, dense latent.
 *
 * @param images - [b, h, w, c] in 0..1.
 * @see Yang et al. 2019, arXiv:1904.13113.
 */
export function encode(parameters: Parameters, images: tf.Tensor4D): Encoding {
  let x = activation(convolution(parameters, "encoder.conv1", images, 2));
  x = activation(convolution(parameters, "encoder.conv2", x));
  const features = activation(convolution(parameters, "encoder.conv3", x, 2));
  const last = activation(convolution(parameters, "encoder.conv4", features));
  const flat = tf.reshape(last, [last.shape[0], -1]) as tf.Tensor2D;
  const mean = dense(parameters, "encoder.mean", flat);
  const posterior = "encoder.logVariance.weights" in parameters;
  // Bounded and starting near -5: a young network's samples then differ little from its means.
  const logVariance = posterior
    ? tf.sub(tf.mul(5, tf.tanh(tf.mul(0.2, dense(parameters, "encoder.logVariance", flat)))), 5)
    : undefined;
  return { mean, logVariance: logVariance as tf.Tensor2D | undefined, features };
}

/** The last bias's start: images of mean brightness sigmoid(-2) = 0.12, as pictures on black are. */
const OUTPUT_BIAS = -2;

/**
 * The decoder's parameters. Its pictures start dark: from grey ones the first steps only darken all pixels alike, which with the
 * published decoder of five layers does not end before the sigmoid is saturated and every picture black for good.
 */
export function decoderSpec(shape: AutoencoderShape): ParameterSpecs {
  const specs = decoderLayers(shape);
  const last = shape.decoder === "subpixel" ? "decoder.conv2.bias" : "decoder.conv5.bias";
  return { ...specs, [last]: { ...(specs[last] as ParameterSpec), centre: OUTPUT_BIAS } };
}

function decoderLayers(shape: AutoencoderShape): ParameterSpecs {
  const [h, w] = middle(shape);
  const [narrow, wide] = [shape.width, 2 * shape.width];
  const dense = denseSpec("decoder.dense", shape.latent, h * w * wide);
  if (shape.decoder === "subpixel") {
    return {
      ...dense,
      ...convolutionSpec("decoder.conv1", wide, narrow),
      ...convolutionSpec("decoder.conv2", narrow, 4 * shape.image[2]),
    };
  }
  return {
    ...dense,
    ...transposedConvolutionSpec("decoder.conv1", wide, wide),
    ...transposedConvolutionSpec("decoder.conv2", wide, wide),
    ...transposedConvolutionSpec("decoder.conv3", wide, narrow),
    ...transposedConvolutionSpec("decoder.conv4", narrow, narrow),
    ...transposedConvolutionSpec("decoder.conv5", narrow, shape.image[2]),
  };
}

/** The decoder, [b, d] -> images [b, h, w, c] in 0..1; the encoder's mirror image or its subpixel form. */
export function decode(shape: AutoencoderShape, parameters: Parameters, latent: tf.Tensor2D): tf.Tensor4D {
  const [h, w] = middle(shape);
  const flat = activation(dense(parameters, "decoder.dense", latent));
  let x = tf.reshape(flat, [latent.shape[0], h, w, 2 * shape.width]) as tf.Tensor4D;
  if (shape.decoder === "subpixel") {
    x = activation(enlargingConvolution(parameters, "decoder.conv1", x));
    return tf.sigmoid(pixelShuffle(convolution(parameters, "decoder.conv2", x), 2));
  }
  x = activation(transposedConvolution(parameters, "decoder.conv1", x));
  x = activation(transposedConvolution(parameters, "decoder.conv2", x, 2));
  x = activation(transposedConvolution(parameters, "decoder.conv3", x));
  x = activation(transposedConvolution(parameters, "decoder.conv4", x, 2));
  return tf.sigmoid(transposedConvolution(parameters, "decoder.conv5", x));
}
