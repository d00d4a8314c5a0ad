import { z } from "zod";
import { eigenvectors } from "../eigenvectors.ts";
import { ENCODERS } from "../encoders.ts";
import { MINIMISERS } from "../energy.ts";
import type { Preset } from "../method.ts";

const weight = (text: string, value: number) => z.number().min(0).default(value).describe(text);

const phase = (epochs: number, batch: number, learningRate: number) => ({
  epochs: z.int().min(0).default(epochs).describe("passes over the data"),
  batch: z.int().min(2).default(batch).describe("samples a step"),
  learningRate: z
    .number()
    .positive()
    .default(learningRate)
    .describe("of Adam, after the warm-up; a cosine takes it to 5 %"),
});

const energy = z.object({
  hidden: z
    .array(z.int().min(1))
    .default([256, 256])
    .describe("widths of the hidden layers of the query and the key network"),
  width: z.int().min(1).default(128).describe("p, the width of queries and keys"),
  minimiser: z
    .enum(MINIMISERS)
    .default("soft-threshold")
    .describe("coefficients of least energy, or of least free energy"),
  temperature: z.number().positive().default(0.05).describe("tau of gibbs"),
  gain: z.enum(["learned", "least-squares"]).default("least-squares").describe("of gibbs"),
  refinements: z
    .int()
    .min(0)
    .max(100)
    .default(10)
    .describe("steps towards the elastic net's minimum, or gibbs's own; 0 leaves coefficients to the network alone"),
  gamma: z.number().positive().default(3).describe("weight of the self-expression error beside the elastic net"),
  lambda: z
    .number()
    .min(0)
    .max(1)
    .default(0.9)
    .describe("share of absolute values in the elastic net; the rest is of squares"),
});

/** Hyperparameters of `ebse`, our reading of it. A weight of 0 switches its term off. */
export const schema = z
  .object({
    clusters: z.int().min(2).describe("K, the number of clusters"),
    encoder: z
      .enum(["auto", ...ENCODERS])
      .default("auto")
      .describe("auto: resnet18 for colour images, convolutional for grey ones, mlp for vectors"),
    latent: z.int().min(2).max(1024).default(32).describe("d, the width of the latent"),
    width: z.int().min(1).default(32).describe("channels of the first convolutions"),
    hidden: z.array(z.int().min(1)).default([512, 512]).describe("widths of the mlp's hidden layers"),
    temperature: z.number().positive().default(0.2).describe("of InfoNCE"),
    augmentation: z
      .union([z.enum(["none", "digits", "strokes", "objects", "colour", "features"]), z.record(z.string(), z.number())])
      .default("digits")
      .describe("of the views: a preset, or ranges"),
    antiCollapse: weight("weight of the coding rate of the latents; 0 leaves it out", 0),
    energy: energy.prefault({}),
    queue: z.int().min(0).default(1024).describe("latents of the momentum encoder in the dictionary, beside the batch"),
    momentum: z.number().min(0).max(1).default(0.99).describe("of the momentum encoder"),
    warmup: z.object(phase(16, 256, 1e-3)).prefault({}),
    head: z.object(phase(8, 256, 3e-3)).prefault({}),
    joint: z
      .object({
        rounds: z
          .int()
          .min(0)
          .default(3)
          .describe("each starts from the clusters of the bipartite graph as it then is"),
        ...phase(4, 250, 5e-4),
        assignment: weight(
          "weight of the cross-entropy with the soft labels of the last clustering; 0 leaves it out",
          1,
        ),
        information: weight("weight of InfoNCE; 0 leaves it out", 0),
        selfExpression: weight(
          "weight of self-expression with its elastic net, in the first round after a linear ramp; 0 leaves it out",
          1,
        ),
        ramp: z.number().min(0).max(1).default(0.5).describe("share of the first round that the ramp takes"),
      })
      .prefault({}),
    anchors: z.int().min(2).default(1000).describe("stored atoms that new samples are expressed by"),
    nonzeros: z.int().min(1).default(10).describe("largest coefficients that tie a sample to anchors"),
    ties: z
      .enum(["positive", "both"])
      .default("positive")
      .describe("whether coefficients below 0 tie a sample to anchors, too"),
    neighbours: z
      .int()
      .min(1)
      .default(10)
      .describe("nearest landmarks that novelty is measured from, and samples that one learns its label with"),
    landmarks: z.int().min(100).max(10_000).default(10_000).describe("training samples that are clustered, at most"),
    eigenvectors: eigenvectors.default("diffusion"),
  })
  .strict();

export type Config = z.infer<typeof schema>;

/** `paper` has what SENet publishes where our reading follows it: gamma, lambda, 3 x 1024 networks, its optimiser's batch. */
export const presets = {
  best: {},
  quick: { warmup: { epochs: 10 }, head: { epochs: 4 }, joint: { rounds: 2, epochs: 3 } },
  paper: {
    energy: { hidden: [1024, 1024, 1024], width: 1024, refinements: 0, gamma: 200 },
    head: { batch: 100, epochs: 16, learningRate: 1e-3 },
    joint: { rounds: 1, epochs: 8, assignment: 0, information: 1, selfExpression: 0.05 },
    ties: "both",
  },
} as const satisfies Record<Preset, object>;
