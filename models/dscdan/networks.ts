import * as tf from "@tensorflow/tfjs-core";
import { SubspanError } from "../../runtime/errors.ts";
import { type AutoencoderShape, decoderSpec, encoderSpec } from "../autoencoder.ts";
import { activation, convolution, dense, unitRows } from "../layers.ts";
import type { SampleType } from "../method.ts";
import { convolutionSpec, denseSpec, type ParameterSpecs, type Parameters } from "../parameters.ts";
import type { Config } from "./config.ts";

/** The encoder halves height and width twice. */
const STRIDE = 4;

/** @throws {SubspanError} SHAPE_MISMATCH for samples these networks are not made for. */
export function autoencoderShape(config: Config, sample: SampleType): AutoencoderShape {
  const [h = 0, w = 0] = sample.shape;
  if (sample.kind !== "images" || h % STRIDE !== 0 || w % STRIDE !== 0) {
    const expected = `images whose height and width are multiples of ${STRIDE}`;
    throw new SubspanError("SHAPE_MISMATCH", `dscdan: expected ${expected}, got ${sample.kind} [${sample.shape}]`);
  }
  return {
    image: sample.shape as [number, number, number],
    latent: config.latent,
    width: config.width,
    posterior: config.pretraining.prior > 0 || config.joint.clusterPrior > 0,
    decoder: config.decoder,
  };
}

/** Every parameter the configured terms need; a term of weight 0 brings none. */
export function parameterSpecs(config: Config, sample: SampleType): ParameterSpecs {
  const { pretraining, joint, clusters: k, latent: d, discriminator: width } = config;
  const features = 2 * config.width;
  const shape = autoencoderShape(config, sample);
  const usesDecoder = pretraining.reconstruction > 0 || joint.reconstruction > 0;
  const usesGlobal =
    config.estimator === "jensen-shannon" && (pretraining.globalInformation > 0 || joint.globalInformation > 0);
  const usesLocal = pretraining.localInformation > 0 || joint.localInformation > 0;
  return {
    ...encoderSpec(shape),
    ...(usesDecoder ? decoderSpec(shape) : {}),
    ...(usesGlobal
      ? {
          ...denseSpec("global.hidden1", features + d, width),
          ...denseSpec("global.hidden2", width, width),
          ...denseSpec("global.output", width, 1),
        }
      : {}),
    ...(usesLocal
      ? {
          ...convolutionSpec("local.features", features, width, 1),
          ...denseSpec("local.latent", d, width),
          ...convolutionSpec("local.hidden2", width, width, 1),
          ...convolutionSpec("local.output", width, 1, 1),
        }
      : {}),
    ...(joint.clusterPrior > 0 ? { "clusters.means": { shape: [k, d], limit: 0.1 } } : {}),
    ...headSpec(config),
  };
}

function headSpec({ head, latent, clusters }: Config): ParameterSpecs {
  const widths = [latent, ...head];
  const hidden = head.map((width, i) => denseSpec(`head.hidden${i + 1}`, widths[i] as number, width));
  return Object.assign({}, ...hidden, denseSpec("head.output", widths.at(-1) as number, clusters)) as ParameterSpecs;
}

/** The spectral net: unit latents, brought to unit variance, through its hidden layers to K outputs, [b, K]. */
export function spectralNet({ head, latent: d }: Config, parameters: Parameters, latent: tf.Tensor2D): tf.Tensor2D {
  let x = tf.mul(unitRows(latent), Math.sqrt(d)) as tf.Tensor2D;
  head.forEach((_, i) => {
    x = tf.relu(dense(parameters, `head.hidden${i + 1}`, x));
  });
  return dense(parameters, "head.output", x);
}

/** T1: logit that the latents belong to the images, [b, 1], from the mean of the feature map over its places. */
export function globalDiscriminator(parameters: Parameters, features: tf.Tensor4D, latent: tf.Tensor2D): tf.Tensor2D {
  const pooled = tf.mean(features, [1, 2]) as tf.Tensor2D;
  const first = activation(dense(parameters, "global.hidden1", tf.concat([pooled, latent], 1)));
  return dense(parameters, "global.output", activation(dense(parameters, "global.hidden2", first)));
}

/** T2: the same for each place of the feature map, [b, h, w, 1], by 1x1 convolutions over [feature, latent]. */
export function localDiscriminator(parameters: Parameters, features: tf.Tensor4D, latent: tf.Tensor2D): tf.Tensor4D {
  const b = latent.shape[0];
  // A 1x1 convolution over concatenated channels is the sum of one over each part: the latent need not be tiled.
  const ofLatent = tf.reshape(dense(parameters, "local.latent", latent), [b, 1, 1, -1]);
  const first = activation(tf.add(convolution(parameters, "local.features", features), ofLatent) as tf.Tensor4D);
  return convolution(parameters, "local.output", activation(convolution(parameters, "local.hidden2", first)));
}
