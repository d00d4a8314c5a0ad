import { methodNamed, type Preset } from "../../models/index.ts";
import { AUGMENTATIONS } from "../../train/data/index.ts";
import type { Executor } from "../../train/executors/executor.ts";
import { resolveConfig, type Settings } from "../../train/hyperparameters.ts";
import { Trainer } from "../../train/trainer.ts";
import { CLUSTERS, tinyImages } from "./tiny.ts";

/** Trains on 40 tiny images, with batches of 40 one step an epoch: the losses, and all weights in the end. */
export async function trainedBy(
  executor: Executor,
  settings: Settings,
  { method: name = "dscdan", preset = "quick" }: { readonly method?: string; readonly preset?: Preset } = {},
) {
  const method = methodNamed(name);
  const config = resolveConfig(method, preset, { clusters: CLUSTERS, eigenvectors: CLUSTERS, ...settings });
  const { samples } = tinyImages(40);
  const losses: number[] = [];
  const trainer = new Trainer({
    method,
    config,
    samples,
    augmentation: AUGMENTATIONS.digits,
    seed: 3,
    executor,
    onEvent: (event) => {
      if (event.type === "step") losses.push(event.loss);
    },
  });
  const { parameters } = await trainer.train();
  return { losses, weights: Object.values(parameters).flatMap(({ data }) => [...data]) };
}

const greatest = (numbers: readonly number[]) => numbers.reduce((most, x) => Math.max(most, x), 0);

export function greatestDifference(a: readonly number[], b: readonly number[]): number {
  return greatest(a.map((x, i) => Math.abs(x - (b[i] as number))));
}

export function greatestRelativeDifference(a: readonly number[], b: readonly number[]): number {
  return greatest(a.map((x, i) => Math.abs(1 - (b[i] as number) / x)));
}
