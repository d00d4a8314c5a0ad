import { methodNamed } from "../../models/index.ts";
import { SubspanError } from "../../runtime/errors.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { AUGMENTATIONS, type Dataset, subset } from "../../train/data/index.ts";
import { merge, resolveConfig, type Settings } from "../../train/hyperparameters.ts";
import { Random } from "../../train/random.ts";
import {
  denseAffinityClustering,
  kMeans,
  refinedAffinity,
  ridgeSelfExpression,
  spectralClustering,
  unitRows,
} from "../../train/spectral/index.ts";
import { Trainer } from "../../train/trainer.ts";
import { agreement, classesOf } from "./ours.ts";
import type { Measured } from "./rows.ts";
import { senet } from "./senet.ts";

export interface PeerWork {
  readonly data: Dataset;
  readonly settings: Settings;
  readonly seed: number;
  /** Of training, where a peer takes as long as it is given. */
  readonly seconds: number;
}

/** What a peer found: clusters of the samples it could take. */
export interface Clusters {
  readonly labels: Int32Array;
  /** The samples that were clustered; all of them unless said. */
  readonly data?: Dataset;
  readonly trainSeconds?: number;
}

/** Other ways to cluster the same samples. None sees a label; what they share with our methods (k-means, spectral) is our own. */
export const PEERS: Readonly<Record<string, (work: PeerWork) => Promise<Clusters>>> = {
  kmeans: async ({ data, seed }) => byKMeans(pixels(data), data, seed),
  "autoencoder-kmeans": async (work) => {
    const { latents, seconds } = await reconstructed("dscdan", work);
    return { ...byKMeans(latents, work.data, work.seed), trainSeconds: seconds };
  },
  spectral: async ({ data, seed }) => {
    const found = await spectralClustering(unitRows(pixels(data)), {
      clusters: classesOf(data),
      random: new Random(seed, "structure"),
    });
    return { labels: found.labels };
  },
  "ridge-plain": async (work) => byRidge(work, "plain"),
  ridge: async (work) => byRidge(work, "post-processed"),
  "autoencoder-ridge-plain": async (work) => byLatentRidge(work, "plain"),
  "autoencoder-ridge": async (work) => byLatentRidge(work, "post-processed"),
  senet,
};

/** @throws {SubspanError} USAGE for a name that is no peer. */
export async function runPeer(name: string, work: PeerWork): Promise<Measured> {
  const peer = PEERS[name];
  if (peer === undefined)
    throw new SubspanError(
      "USAGE",
      `--method: expected a method or one of ${Object.keys(PEERS).join(", ")}, got ${name}`,
    );
  const began = performance.now();
  const { labels, data = work.data, trainSeconds = 0 } = await peer(work);
  const seconds = (performance.now() - began) / 1000;
  return {
    train_seconds: trainSeconds,
    finish_seconds: seconds - trainSeconds,
    ...agreement("seen", labels, data),
  };
}

/** Samples as vectors, images in 0..1; [n, d]. */
function pixels({ samples: { kind, data, shape } }: Dataset): NumberArray {
  const n = shape[0];
  const scale = kind === "images" ? 1 / 255 : 1;
  return { data: Float32Array.from(data, (value) => scale * value), shape: [n, data.length / n] };
}

function byKMeans(points: NumberArray, data: Dataset, seed: number): Clusters {
  return { labels: kMeans(points, { clusters: classesOf(data), random: new Random(seed, "structure") }).labels };
}

/** What makes an autoencoder of a method: its pretraining, on reconstruction alone. */
const RECONSTRUCTION: Readonly<Record<"dscdan" | "udll", Settings>> = {
  dscdan: { pretraining: { reconstruction: 1, globalInformation: 0 }, augmentation: "none" },
  udll: {},
};

/** Latents of a method's autoencoder after its pretraining, and the seconds that took. */
async function reconstructed(name: "dscdan" | "udll", { data, settings, seed }: PeerWork) {
  const method = methodNamed(name);
  const own = merge(RECONSTRUCTION[name], settings);
  const config = resolveConfig(method, "best", { clusters: classesOf(data), ...own });
  const began = performance.now();
  const trainer = new Trainer({
    method: { ...method, phases: (config, sample) => method.phases(config, sample).slice(0, 1) },
    ...{ config, samples: data.samples, augmentation: AUGMENTATIONS.none, seed },
  });
  const { parameters } = await trainer.train();
  return { latents: await trainer.encode(parameters), seconds: (performance.now() - began) / 1000 };
}

type Form = "plain" | "post-processed";

async function byRidge(work: PeerWork, form: Form): Promise<Clusters> {
  const data = atMost(work);
  return { labels: await expressed(pixels(data), { ...work, data }, form), data };
}

async function byLatentRidge(work: PeerWork, form: Form): Promise<Clusters> {
  const data = atMost(work);
  const { latents, seconds } = await reconstructed("udll", { ...work, data });
  return { labels: await expressed(latents, { ...work, data }, form), data, trainSeconds: seconds };
}

/** As udll finds its clusters, from closed-form coefficients in place of learned ones. */
async function expressed(points: NumberArray, { data, settings, seed }: PeerWork, form: Form): Promise<Int32Array> {
  const { clusters, eigenvectors, selfExpression } = udllSpectral(data, settings, form);
  const { refinement, ridge, assignment } = selfExpression as NonNullable<typeof selfExpression>;
  const rule = assignment === "discretise" ? { rule: assignment } : { eigenvectors };
  const { coefficients } = await ridgeSelfExpression(unitRows(points), ridge);
  const { affinity } = await refinedAffinity(coefficients, refinement);
  const random = new Random(seed, "structure");
  return (await denseAffinityClustering(affinity, { clusters, ...rule, random })).labels;
}

function udllSpectral(data: Dataset, settings: Settings, form: Form) {
  const method = methodNamed("udll");
  const own = merge({ clusters: classesOf(data), affinity: { form } }, settings);
  const config = resolveConfig(method, "best", own);
  return method.spectral(config);
}

/** As many samples as udll takes: all of them, or random ones. */
function atMost({ data, settings, seed }: PeerWork): Dataset {
  const most = udllSpectral(data, settings, "plain").landmarks;
  const n = data.samples.shape[0];
  return n <= most ? data : subset(data, new Random(seed, "subset").permutation(n).slice(0, most));
}
