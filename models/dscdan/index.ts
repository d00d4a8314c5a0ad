import * as tf from "@tensorflow/tfjs-core";
import { type Landmarks, nearestLandmarks, nystromExtension } from "../assignment/nystrom.ts";
import { assignEmbedding, type LinearReadout, type NoveltyScale } from "../assignment/readout.ts";
import { encode } from "../autoencoder.ts";
import { scaled, unitRows } from "../layers.ts";
import type { Method } from "../method.ts";
import type { Parameters } from "../parameters.ts";
import { type Config, presets, schema } from "./config.ts";
import { parameterSpecs, spectralNet } from "./networks.ts";
import { phases } from "./phases.ts";

type Readout = LinearReadout & NoveltyScale;

function nearest(config: Config, structure: Parameters, latent: tf.Tensor2D) {
  const landmarks = structure.landmarks as tf.Tensor2D;
  return nearestLandmarks(unitRows(latent), landmarks, Math.min(config.neighbours, landmarks.shape[0] - 1));
}

/** Deep spectral clustering with a dual autoencoder network. */
export const dscdan: Method<Config> = {
  name: "dscdan",
  paper: "Yang et al. 2019, Deep Spectral Clustering Using Dual Autoencoder Network, CVPR, arXiv:1904.13113",
  schema,
  presets,
  spectral: ({ clusters, neighbours, eigenvectors, landmarks, readout }) => ({
    clusters,
    neighbours,
    eigenvectors,
    landmarks,
    readout,
  }),
  augmentation: ({ augmentation }) => augmentation,
  parameters: parameterSpecs,
  phases,
  encode: (_, parameters, samples) => encode(parameters, scaled(samples)).mean,
  predict: (config, parameters, samples) =>
    tf.softmax(spectralNet(config, parameters, encode(parameters, scaled(samples)).mean)),
  outputs: spectralNet,
  embed: (config, parameters, structure, latent) => {
    if (config.readout !== "nystrom") {
      return tf.matMul(spectralNet(config, parameters, latent), structure.orthonormalizer as tf.Tensor2D);
    }
    const landmarks: Landmarks = {
      latents: structure.landmarks as tf.Tensor2D,
      scales: structure.scales as tf.Tensor1D,
      rows: structure.rows as tf.Tensor2D,
    };
    return nystromExtension(nearest(config, structure, latent), landmarks);
  },
  assign: (config, structure, latent, embedding) =>
    assignEmbedding(latent, embedding, nearest(config, structure, latent), structure as unknown as Readout),
};
