import { expect, test } from "vitest";
import { ABLATIONS } from "../../bench/accuracy/ablations.ts";
import { settingsOf } from "../../cli/options.ts";
import { methodNamed } from "../../models/index.ts";
import { merge, resolveConfig } from "../../train/hyperparameters.ts";
import { augmentationOf } from "../../train/run.ts";
import { Trainer } from "../../train/trainer.ts";
import { CLUSTERS, tinyImages } from "../train/tiny.ts";

const { samples } = tinyImages(32);
const short = { epochs: 1, batch: 16 };

/** Settings with which every phase is two steps. */
const TINY = {
  dscdan: { latent: 6, width: 4, neighbours: 8, pretraining: short, joint: { ...short, rounds: 1 } },
  ebse: {
    ...{ latent: 8, width: 8, energy: { hidden: [8], width: 8 }, queue: 16, neighbours: 8 },
    ...{ warmup: short, head: short, joint: short },
  },
  udll: {
    ...{ layers: [{ kernel: 3, channels: 2 }], pretraining: short, affinity: { rank: 3 } },
    fineTuning: { steps: 2, first: 1, every: 1 },
  },
};

const CASES = Object.entries(TINY).flatMap(([method, tiny]) =>
  (ABLATIONS[method] ?? []).map(({ name, set }) => ({ method, name, set, tiny })),
);

test.each(CASES)("$method trains $name", async ({ method: of, set, tiny }) => {
  const method = methodNamed(of);
  const config = resolveConfig(method, "quick", merge({ clusters: CLUSTERS, ...tiny }, settingsOf(set)));
  const options = { method, config, samples, augmentation: augmentationOf(method, config), seed: 1 };
  const losses: number[] = [];
  const trainer = new Trainer({
    ...{ ...options, session: { threads: 1 } },
    onEvent: (event) => {
      if (event.type === "step") losses.push(event.loss);
    },
  });
  const { parameters } = await trainer.train();
  expect(losses.length).toBeGreaterThan(0);
  expect(Object.values(parameters).every(({ data }) => data.every(Number.isFinite))).toBe(true);
});
