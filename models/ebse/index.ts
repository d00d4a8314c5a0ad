import * as tf from "@tensorflow/tfjs-core";
import { anchorEmbedding } from "../assignment/anchors.ts";
import { type Landmarks, nearestLandmarks } from "../assignment/nystrom.ts";
import { assignEmbedding, type LinearReadout, type NoveltyScale } from "../assignment/readout.ts";
import { encoderParameters, encodeSamples } from "../encoders.ts";
import { coefficients, dictionaryOf, energySpec } from "../energy.ts";
import { unitRows } from "../layers.ts";
import type { Method, SampleType } from "../method.ts";
import { mlpSpec } from "../mlp.ts";
import type { Parameters } from "../parameters.ts";
import { type Config, presets, schema } from "./config.ts";
import { encoderOf, energyOf, labelLogits, learnsLabels, phases } from "./phases.ts";

function encode(config: Config, parameters: Parameters, samples: tf.Tensor): tf.Tensor2D {
  const shape = samples.shape.slice(1);
  const sample: SampleType = { kind: shape.length === 3 ? "images" : "features", shape };
  return encodeSamples(encoderOf(config, sample), parameters, samples);
}

/** Energy-based self-expressiveness: our reading of it. Of the paper only the abstract is open; no code of its authors is. */
export const ebse: Method<Config> = {
  name: "ebse",
  paper:
    "our reading of Li et al. 2021, Energy-Based Self-Expressiveness, arXiv:2110.15037 (its abstract; formulas are ours or SENet's)",
  schema,
  presets,
  spectral: (config) => ({
    clusters: config.clusters,
    neighbours: config.neighbours,
    eigenvectors: config.eigenvectors,
    landmarks: config.landmarks,
    readout: "anchors",
    anchors: { count: config.anchors, nonzeros: config.nonzeros, ties: config.ties },
  }),
  augmentation: ({ augmentation }) => augmentation,
  parameters: (config, sample) => ({
    ...encoderParameters(encoderOf(config, sample)),
    ...energySpec(energyOf(config)),
    ...(learnsLabels(config) ? mlpSpec("head", [config.latent, config.clusters]) : {}),
  }),
  phases,
  encode,
  predict: (config, parameters, samples) => tf.softmax(labelLogits(parameters, encode(config, parameters, samples))),
  coefficients: (config, parameters, structure, latent) =>
    coefficients(
      energyOf(config),
      parameters,
      unitRows(latent),
      dictionaryOf(parameters, structure.anchors as tf.Tensor2D),
    ),
  embed: (config, _, structure, __, given) =>
    anchorEmbedding(given as tf.Tensor2D, structure.rows as tf.Tensor2D, config.nonzeros, config.ties),
  assign: ({ neighbours }, structure, latent, embedding) => {
    const landmarks = structure.landmarks as Landmarks["latents"];
    const nearest = nearestLandmarks(unitRows(latent), landmarks, Math.min(neighbours, landmarks.shape[0] - 1));
    return assignEmbedding(latent, embedding, nearest, structure as unknown as LinearReadout & NoveltyScale);
  },
};
