import { SAME, SCALE_NEIGHBOUR } from "../models/assignment/nystrom.ts";
import type { Preset } from "../models/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import type { Augmentation } from "./data/index.ts";
import { resolveConfig, type Settings } from "./hyperparameters.ts";
import { Random } from "./random.ts";
import {
  type ClusterCandidate,
  clearestFirst,
  nearestNeighbours,
  relativeEigengaps,
  selfTunedAffinity,
  unitRows,
} from "./spectral/index.ts";
import { chooseLandmarks, gatherRows } from "./structure.ts";
import { sampleType, Trainer, type TrainerOptions } from "./trainer.ts";

/** In place of a number of clusters: it is to be chosen. */
export const AUTO = "auto";
/** More clusters than this are not looked for, nor clusters of fewer than `SMALLEST` samples on average. */
const MOST = 50;
const SMALLEST = 5;
const NEIGHBOURS = 10;
/** What the method is given while K is not known; nothing of what is computed then depends on it. */
export const PROVISIONAL = 2;
const PRETRAINING: Preset = "quick";

/** How the number of clusters was chosen. */
export interface ClusterChoice {
  readonly type: "clusters";
  readonly clusters: number;
  /** Every number that was looked at, in order. */
  readonly candidates: readonly ClusterCandidate[];
  /** The phase whose latents were looked at. */
  readonly after: string;
  readonly seconds: number;
}

export type ChoosingOptions = Omit<TrainerOptions, "config" | "save" | "augmentation"> & {
  /** Hyperparameters over the preset's, without the number of clusters. */
  readonly settings: Settings;
  readonly augmentation: (config: object) => Augmentation;
};

/**
 * Chooses K by the largest relative eigengap, without labels. A method needs K before it trains, so its first phase alone, which
 * does not depend on K, is trained as preset `quick` has it; the affinity is the self-tuned one of 10 nearest neighbours among
 * the latents that this gives. What was learned is let go: a run with the chosen K is the run that had been told it.
 *
 * @throws {SubspanError} INTERRUPTED; TOO_FEW_SAMPLES for fewer than 15; else as training and `relativeEigengaps`.
 */
export async function chooseClusters({ settings, augmentation, ...options }: ChoosingOptions): Promise<ClusterChoice> {
  const began = performance.now();
  const { method, samples, seed } = options;
  const n = samples.shape[0];
  const most = Math.min(MOST, Math.floor(n / SMALLEST));
  if (most < 3)
    throw new SubspanError("TOO_FEW_SAMPLES", `clusters: ${n} samples are too few to choose by, expected 15 or more`);
  const config = resolveConfig(method, PRETRAINING, { ...settings, clusters: PROVISIONAL });
  const [first] = method.phases(config, sampleType(samples));
  // A phase with targets starts from clusters.
  const phases = first === undefined || first.targets ? [] : [{ ...first, name: `choosing K: ${first.name}` }];
  const trainer = new Trainer({
    ...{ ...options, config, augmentation: augmentation(config) },
    method: { ...method, phases: () => phases },
  });
  const { parameters } = await trainer.train().catch((error: unknown) => {
    const isStopped = error instanceof SubspanError && error.code === "INTERRUPTED";
    throw isStopped ? new SubspanError("INTERRUPTED", "stopped while K was chosen; nothing is written") : error;
  });
  const latents = await trainer.encode(parameters);
  const landmarks = chooseLandmarks(n, method.spectral(config).landmarks, new Random(seed, "landmarks"));
  const neighbours = await nearestNeighbours(unitRows(gatherRows(latents, landmarks)), NEIGHBOURS);
  const { affinity } = selfTunedAffinity(neighbours, { scaleNeighbour: SCALE_NEIGHBOUR, rounding: Math.sqrt(SAME) });
  const candidates = relativeEigengaps(affinity, most, new Random(seed, "eigengap"));
  const [{ clusters }] = clearestFirst(candidates) as [ClusterCandidate];
  const after = phases.length === 0 ? "initialisation" : (first?.name as string);
  const seconds = (performance.now() - began) / 1e3;
  return { type: "clusters", clusters, candidates, after, seconds };
}
