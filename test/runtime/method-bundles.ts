import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { methodNamed } from "../../models/index.ts";
import type { Precision } from "../../runtime/node.ts";
import { exportRun } from "../../train/export-run.ts";
import { startRun } from "../../train/run.ts";
import { tinyImages } from "../train/tiny.ts";

/** Settings with which each method trains in a second: what is compared is where a graph runs, not what it learnt. */
const METHODS = {
  dscdan: {
    latent: 6,
    pretraining: { epochs: 3, batch: 40 },
    joint: { rounds: 1, epochs: 1, batch: 40 },
    neighbours: 8,
  },
  ebse: {
    latent: 8,
    width: 8,
    energy: { hidden: [16], width: 16 },
    queue: 40,
    augmentation: { rotation: 0, shift: 0, scale: 0, anisotropy: 0, shear: 0, flip: 0, brightness: 0.3, erase: 0 },
    warmup: { epochs: 12, batch: 30 }, // fewer leave all latents in one direction, and novelty then magnifies rounding
    head: { epochs: 10, batch: 30, learningRate: 3e-3 },
    joint: { rounds: 1, epochs: 1, batch: 30 },
    anchors: 30,
    nonzeros: 5,
  },
  udll: {
    layers: [{ kernel: 3, channels: 4 }],
    pretraining: { epochs: 10, batch: 30 },
    fineTuning: { steps: 10, first: 5, every: 5 },
    affinity: { rank: 4, kept: 0.3, power: 4 },
    ridge: 1,
  },
} as const;

export type MethodName = keyof typeof METHODS;
export const METHOD_NAMES = Object.keys(METHODS) as MethodName[];

/** Training images of the bundles, and how many. */
export const TRAINING = 90;

/** A small bundle of each method, trained and exported: their folders, by method. */
export async function methodBundles(
  precision: readonly Precision[] = ["fp32"],
): Promise<Record<MethodName, string> & { remove(): Promise<void> }> {
  const root = await mkdtemp(join(tmpdir(), "subspan-methods-"));
  const folders = await Promise.all(METHOD_NAMES.map((name) => bundleOf(name, root, precision)));
  const byName = Object.fromEntries(METHOD_NAMES.map((name, i) => [name, folders[i]])) as Record<MethodName, string>;
  return { ...byName, remove: () => rm(root, { recursive: true }) };
}

async function bundleOf(name: MethodName, root: string, precision: readonly Precision[]): Promise<string> {
  const { samples } = tinyImages(TRAINING);
  const settings = { ...METHODS[name], clusters: 3, eigenvectors: 3 };
  const data = { name: "tiny", samples, fingerprint: "fedcba9876543210" };
  const common = { method: name, preset: "best", settings, seed: 5, source: "tiny", data } as const;
  const run = await startRun({ folder: join(root, `${name}-run`), ...common }, { session: { threads: 1 } });
  const method = methodNamed(name);
  const { path } = await exportRun({
    ...{ method, config: method.schema.parse(settings) as object, samples },
    ...{ parameters: run.parameters, structure: run.structure, labels: run.labels },
    run: { name, seed: 5, data: { ...data, samples: TRAINING }, metrics: run.metrics, preset: "best" },
    ...{ out: join(root, name), parts: false, withCoefficients: false, precision },
  });
  return path;
}
