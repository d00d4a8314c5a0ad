import { z } from "zod";
import { eigenvectors } from "../eigenvectors.ts";
import type { Preset } from "../method.ts";

const weight = (text: string, value: number) => z.number().min(0).default(value).describe(text);
const share = (text: string) => z.number().min(0).max(1).describe(text);

const augmentation = z.object({
  rotation: z.number().min(0).max(180).describe("degrees, either way"),
  shift: share("of the side, either way"),
  scale: share("1 +- this, both axes"),
  anisotropy: share("1 +- this, the second axis on top of scale"),
  shear: z.number().min(0).max(2).describe("tangent of the angle, either way"),
  flip: share("probability of a left-right mirror image"),
  brightness: share("1 +- this times every value"),
  erase: share("of the side: a square of at most this side is blotted out").default(0),
  stroke: share("probability of a bright stroke across it").optional(),
});

const pretraining = z.object({
  epochs: z.int().min(0).default(24).describe("passes over the data"),
  batch: z.int().min(2).default(256).describe("samples a step"),
  learningRate: z.number().positive().default(1e-3).describe("of Adam, after the warm-up; a cosine takes it to 5 %"),
  reconstruction: weight(
    "weight of the relative reconstruction (squared error summed over pixels); 0 leaves it out",
    0,
  ),
  globalInformation: weight("weight of the mutual information of an image and its latent; 0 leaves it out", 1),
  localInformation: weight(
    "weight of the mutual information of each place of the middle map and the latent; 0 leaves it out",
    0,
  ),
  prior: weight("weight of the KL divergence from N(0, I); 0 leaves it out, and the log variances with it", 0),
});

const spectral = z.object({
  epochs: z.int().min(0).default(0).describe("passes in which the spectral net alone learns, on frozen latents"),
  batch: z
    .int()
    .min(16)
    .default(1024)
    .describe("samples a step; the affinity and the orthonormality are those of the batch"),
  learningRate: z.number().positive().default(1e-3).describe("of Adam"),
  neighbours: z.int().min(1).default(3).describe("k of the affinity within a batch"),
});

const joint = z.object({
  rounds: z.int().min(0).default(3).describe("each starts from a spectral clustering of the latents as they then are"),
  epochs: z.int().min(0).default(4).describe("passes a round"),
  batch: z.int().min(16).default(250).describe("samples a step"),
  learningRate: z.number().positive().default(5e-4).describe("of Adam"),
  reconstruction: weight("as in pretraining", 0),
  globalInformation: weight("as in pretraining", 0),
  localInformation: weight("as in pretraining", 0),
  clusterPrior: weight(
    "weight of the KL divergence from one Gaussian a cluster, which the prior becomes; 0 leaves it out",
    0,
  ),
  spectral: weight("weight of the spectral loss of the orthonormalised outputs; 0 leaves it out", 0),
  assignment: weight(
    "weight of the cross-entropy with the soft labels of the last spectral clustering; 0 leaves it out",
    1,
  ),
});

/** Hyperparameters of `dscdan`. A weight of 0 switches its term off: that is how the terms are ablated. */
export const schema = z
  .object({
    clusters: z.int().min(2).describe("K, the number of clusters"),
    latent: z.int().min(2).max(1024).default(32).describe("d, the width of the latent"),
    width: z
      .int()
      .min(1)
      .default(32)
      .describe("channels of the first two convolutions; the next two have twice as many"),
    decoder: z.enum(["transposed", "subpixel"]).default("subpixel").describe("published, or a third of its cost"),
    noise: z.number().min(0).default(0.1).describe("standard deviation of the multiplicative noise on the latent"),
    delta: z.number().min(0).default(0.5).describe("weight of the plain beside the relative reconstruction"),
    estimator: z
      .enum(["infonce", "jensen-shannon"])
      .default("infonce")
      .describe("of the global mutual information: InfoNCE between two views, or the published discriminator"),
    temperature: z.number().positive().default(0.2).describe("of InfoNCE"),
    discriminator: z.int().min(1).default(120).describe("width of the discriminators' two hidden layers"),
    augmentation: z
      .union([z.enum(["none", "digits", "strokes", "objects"]), augmentation])
      .default("strokes")
      .describe("of the views: a preset, or ranges"),
    antiCollapse: weight("weight of the coding rate of the latents; 0 leaves it out", 0),
    head: z.array(z.int().min(1)).default([]).describe("hidden widths of the spectral net; [] is one linear layer"),
    pretraining: pretraining.prefault({}),
    spectral: spectral.prefault({}),
    joint: joint.prefault({}),
    neighbours: z.int().min(1).default(10).describe("k of the affinity that is clustered"),
    eigenvectors: eigenvectors.default("balance"),
    landmarks: z.int().min(100).max(10_000).default(10_000).describe("training samples kept for new ones, at most"),
    readout: z
      .enum(["nystrom", "centres", "head"])
      .default("nystrom")
      .describe(
        "how samples are assigned: Nystrom extension, centres in the orthonormal outputs, or the net's largest output",
      ),
  })
  .strict();

export type Config = z.infer<typeof schema>;

/**
 * The presets, as differences from the defaults. `paper` is the published definition: five terms, Jensen-Shannon estimators, a
 * 1024-1024-512-K spectral net, no augmentation. It states no epochs; those here are ours.
 */
export const presets = {
  best: {},
  quick: { pretraining: { epochs: 10 }, joint: { rounds: 2, epochs: 3 } },
  paper: {
    latent: 120,
    decoder: "transposed",
    estimator: "jensen-shannon",
    augmentation: "none",
    head: [1024, 1024, 512],
    pretraining: {
      epochs: 20,
      batch: 100,
      reconstruction: 1,
      globalInformation: 0.01,
      localInformation: 0.01,
      prior: 1,
    },
    spectral: { epochs: 20 },
    joint: {
      rounds: 1,
      epochs: 5,
      batch: 1024,
      learningRate: 1e-3,
      reconstruction: 1,
      globalInformation: 0.01,
      localInformation: 0.01,
      clusterPrior: 1,
      spectral: 1,
      assignment: 0,
    },
    readout: "centres",
  },
} as const satisfies Record<Preset, object>;
