import { z } from "zod";
import { eigenvectors } from "../eigenvectors.ts";
import type { Preset } from "../method.ts";

const weight = (text: string, value: number) => z.number().min(0).default(value).describe(text);

const layer = z.object({
  kernel: z.int().min(1).max(31).describe("taps a side"),
  channels: z.int().min(1).describe("of its output"),
});

const pretraining = z.object({
  epochs: z.int().min(0).default(300).describe("passes over the data, at most"),
  batch: z.int().min(1).default(96).describe("samples a step"),
  learningRate: z.number().positive().default(1e-3).describe("of Adam"),
  improvement: z
    .number()
    .min(0)
    .max(1)
    .default(0.05)
    .describe("pretraining stops when ten epochs lower the mean error of the ten before by less than this share"),
});

/** Relative weights are the published ones of COIL-20 at its mean |x|^2 = 195 and the published latents' mean |z|^2 = 441. */
const fineTuning = z.object({
  steps: z
    .int()
    .min(0)
    .default(120)
    .describe("updates at most, each on all samples; 0: no coefficients are learned, closed-form ones are clustered"),
  learningRate: z.number().positive().default(1e-3).describe("of Adam"),
  relative: z
    .boolean()
    .default(true)
    .describe(
      "errors relative to the data's and the latents' squared norms, the coefficients' by samples; else plain sums",
    ),
  reconstruction: weight("weight of the reconstruction error; 0 leaves it out", 0.44),
  coefficients: weight("weight of the coefficients' norm; 0 leaves it out", 0.0023),
  selfExpression: weight("weight of the self-expression error", 1000),
  locality: weight("weight of tr(Z^T L Z), latents smooth on the prior graph; 0 leaves it out", 18),
  start: z.number().min(0).default(1e-8).describe("every coefficient before the first update"),
  first: z.int().min(1).default(20).describe("update after which the refined affinity is first taken"),
  every: z
    .int()
    .min(1)
    .default(10)
    .describe("updates between one refined affinity and the next; their mean is clustered"),
  tolerance: z
    .number()
    .min(0)
    .default(0.05)
    .describe(
      "fine-tuning stops when a refined affinity moves the mean affinity by less than this, relative to its norm",
    ),
});

const affinity = z.object({
  form: z.enum(["post-processed", "plain"]).default("post-processed").describe("refined, or |C| symmetrised"),
  kept: z
    .number()
    .gt(0)
    .max(1)
    .default(0.04)
    .describe("share of a column's absolute sum that its largest entries keep"),
  rank: z.int().min(1).default(12).describe("r: r K + 1 components are kept of the symmetric coefficients"),
  power: z.number().positive().default(8).describe("of the cosine of two samples' components"),
});

/** Hyperparameters of `udll`. */
export const schema = z
  .object({
    clusters: z.int().min(2).describe("K, the number of clusters"),
    layers: z
      .array(layer)
      .min(1)
      .default([{ kernel: 3, channels: 15 }])
      .describe("convolutions of the encoder, each at stride 2; the decoder mirrors them"),
    most: z.int().min(2).default(5000).describe("samples, at most: there are as many coefficients as pairs of them"),
    neighbours: z.int().min(1).default(4).describe("k of the prior graph"),
    pretraining: pretraining.prefault({}),
    fineTuning: fineTuning.prefault({}),
    affinity: affinity.prefault({}),
    assignment: z
      .enum(["k-means", "discretise"])
      .default("k-means")
      .describe("how the spectral embedding is cut: k-means, or the published rotation of exactly K eigenvectors"),
    eigenvectors: eigenvectors.default("balance"),
    ridge: z.number().positive().default(10).describe("lambda of the closed-form coefficients of new samples"),
  })
  .strict();

export type Config = z.infer<typeof schema>;

/** `paper`: the published COIL-20 script, its step count and its rotation; the diagonal is masked, which it is not there. */
export const presets = {
  best: {},
  quick: { pretraining: { epochs: 100 }, fineTuning: { steps: 40 } },
  paper: {
    neighbours: 3,
    fineTuning: {
      steps: 68,
      relative: false,
      reconstruction: 1,
      coefficients: 1,
      first: 68,
      every: 34,
      tolerance: 0,
    },
    assignment: "discretise",
  },
} as const satisfies Record<Preset, object>;
