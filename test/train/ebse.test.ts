import { expect, test } from "vitest";
import { methodNamed } from "../../models/index.ts";
import type { Samples } from "../../runtime/samples.ts";
import { AUGMENTATIONS } from "../../train/data/index.ts";
import type { TrainEvent } from "../../train/events.ts";
import { type FinishEvent, finishTraining } from "../../train/finish.ts";
import { accuracy } from "../../train/metrics.ts";
import { Random } from "../../train/random.ts";
import { Trainer } from "../../train/trainer.ts";
import type { TrainingState } from "../../train/training-state.ts";
import { tinyImages } from "./tiny.ts";
import { TINY_METHODS } from "./tiny-methods.ts";

const method = methodNamed("ebse");
const session = { threads: 1 };

/** Trains and finishes, and what it said and saved on the way. */
async function trained(samples: Samples, settings: object) {
  const config = method.schema.parse(settings) as object;
  const augmentation = samples.kind === "images" ? { ...AUGMENTATIONS.none, brightness: 0.3 } : AUGMENTATIONS.features;
  const events: TrainEvent[] = [];
  const states: TrainingState[] = [];
  const common = { method, config, samples, augmentation, seed: 5, session };
  const trainer = new Trainer({
    ...common,
    onEvent: (event) => events.push(event),
    save: async (state) => {
      states.push(state);
    },
  });
  const { parameters } = await trainer.train();
  const finish: FinishEvent[] = [];
  const finished = await finishTraining({ ...common, parameters, onEvent: (event) => finish.push(event) });
  return { events, states, finish, ...finished };
}

/** n points of `clusters` subspaces of R^width, each spanned by `rank` random vectors: none of noise. */
function unionOfSubspaces(n: number, clusters: number, rank: number, width: number) {
  const random = new Random(1, "subspaces");
  const normals = (count: number) => Array.from({ length: count }, () => random.normal());
  const bases = Array.from({ length: clusters }, () => Array.from({ length: rank }, () => normals(width)));
  const truth = Int32Array.from({ length: n }, (_, i) => i % clusters);
  const rows = Array.from(truth, (cluster) => {
    const weights = normals(rank);
    return Array.from({ length: width }, (_, j) =>
      weights.reduce((sum, weight, k) => sum + weight * (bases[cluster]?.[k]?.[j] as number), 0),
    );
  });
  return { samples: { kind: "features", data: Float32Array.from(rows.flat()), shape: [n, width] } as const, truth };
}

test("a union of subspaces without noise is recovered exactly", async () => {
  const { samples, truth } = unionOfSubspaces(240, 3, 3, 20);
  const { labels } = await trained(samples, {
    ...{ clusters: 3, latent: 20, hidden: [], energy: { hidden: [32], width: 32 }, queue: 180, anchors: 120 },
    // A linear encoder as it is drawn keeps subspaces what they are.
    ...{ warmup: { epochs: 0 }, head: { epochs: 5, batch: 60 }, joint: { rounds: 0 }, nonzeros: 5 },
  });
  expect(accuracy(labels, truth).accuracy).toBe(1);
});

test("twice the samples take no more memory, but for their own soft labels and neighbours", async () => {
  const settings = { ...TINY_METHODS.ebse, landmarks: 100, eigenvectors: 3 };
  const [some, more] = await Promise.all([120, 240].map(async (n) => trained(tinyImages(n).samples, settings)));
  const shapes = (arrays: object) => Object.entries(arrays).map(([name, { shape }]) => [name, shape]);
  const phases = (states: readonly TrainingState[] | undefined) =>
    (states ?? []).map(({ parameters, moments }) => [
      shapes(parameters),
      shapes(moments?.m ?? {}),
      shapes(moments?.v ?? {}),
    ]);
  expect(phases(some?.states)).toEqual(phases(more?.states));
  expect(shapes(some?.structure as object)).toEqual(shapes(more?.structure as object));
  const targets = some?.states.at(-1)?.targets;
  expect(targets?.values.shape).toEqual([120, 3]);
  expect(targets?.columns.length).toBeLessThanOrEqual(120 * 10);
});

test("effective rank is told each epoch latents learn, and in the end; the coding rate keeps self-expression from lowering it", async () => {
  const settings = {
    ...{ ...TINY_METHODS.ebse, latent: 8, width: 8, warmup: { epochs: 12, batch: 30 }, head: { epochs: 0 } },
    joint: { ...{ rounds: 1, epochs: 10, batch: 30, learningRate: 3e-3 }, assignment: 0, selfExpression: 10, ramp: 0 },
  };
  const rankWith = async (antiCollapse: number) => {
    const { events, metrics, finish } = await trained(tinyImages(90).samples, { ...settings, antiCollapse });
    const ranks = events.flatMap((event) => (event.type === "epoch" ? [event.effectiveRank as number] : []));
    expect(ranks).toHaveLength(22);
    expect(ranks.every((rank) => rank >= 1 && rank <= 8)).toBe(true);
    expect(metrics.effectiveRank).toBeCloseTo(ranks.at(-1) as number, 3);
    const gaps = finish.find(({ stage }) => stage === "cluster")?.eigengaps;
    expect(gaps?.[(metrics.eigenvectors as number) - 1]).toBe(metrics.eigengap);
    return metrics.effectiveRank as number;
  };
  expect(await rankWith(10)).toBeGreaterThan(1.3 * (await rankWith(0)));
});
