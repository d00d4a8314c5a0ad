import type * as tf from "@tensorflow/tfjs-core";
import { type Landmarks, nearestLandmarks } from "../assignment/nystrom.ts";
import { assignEmbedding, type LinearReadout, type NoveltyScale } from "../assignment/readout.ts";
import {
  type ExpressionDictionary,
  expressedCoefficients,
  expressionEmbedding,
} from "../assignment/self-expression.ts";
import { unitRows } from "../layers.ts";
import type { Method, SampleType } from "../method.ts";
import type { Parameters } from "../parameters.ts";
import { type Config, presets, schema } from "./config.ts";
import { encode, parameterSpecs } from "./networks.ts";
import { phases, refinement } from "./phases.ts";

/** Landmarks that novelty is measured from. */
const NOVELTY_NEIGHBOURS = 10;

function nearest(structure: Parameters, latent: tf.Tensor2D) {
  const landmarks = structure.landmarks as Landmarks["latents"];
  return nearestLandmarks(unitRows(latent), landmarks, Math.min(NOVELTY_NEIGHBOURS, landmarks.shape[0] - 1));
}

function dictionary(structure: Parameters): ExpressionDictionary {
  const { landmarks, map, rows, extension, units } = structure as Record<string, tf.Tensor2D>;
  const reach = structure.reach as tf.Tensor1D;
  return {
    latents: landmarks as tf.Tensor2D,
    map: map as tf.Tensor2D,
    rows: rows as tf.Tensor2D,
    ...(extension && units && { factors: { extension, units, reach } }),
  };
}

/** Deep self-expressive clustering with locality preservation. */
export const udll: Method<Config> = {
  name: "udll",
  paper: "UDLL, 2019, Journal of Electronic Imaging 28(4) 043005, arXiv:1906.07947",
  schema,
  presets,
  spectral: (config) => ({
    clusters: config.clusters,
    neighbours: NOVELTY_NEIGHBOURS,
    eigenvectors: config.eigenvectors,
    landmarks: config.most,
    readout: "self-expression",
    selfExpression: { refinement: refinement(config), assignment: config.assignment, ridge: config.ridge },
    most: { samples: config.most, instead: "it keeps a coefficient for every pair; ebse takes any number" },
  }),
  augmentation: () => "none",
  parameters: parameterSpecs,
  phases,
  encode: (config, parameters, samples) => {
    const sample: SampleType = { kind: "images", shape: samples.shape.slice(1) };
    return encode(config, sample, parameters, samples);
  },
  coefficients: (config, _, structure, latent) =>
    expressedCoefficients(unitRows(latent), nearest(structure, latent), dictionary(structure), config.ridge),
  embed: (config, _, structure, latent, coefficients) => {
    const { kept, power } = config.affinity;
    return expressionEmbedding(coefficients as tf.Tensor2D, nearest(structure, latent), dictionary(structure), {
      kept,
      power,
    });
  },
  assign: (_, structure, latent, embedding) =>
    assignEmbedding(
      latent,
      embedding,
      nearest(structure, latent),
      structure as unknown as LinearReadout & NoveltyScale,
    ),
};
