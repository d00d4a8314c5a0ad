import { AUGMENTATIONS } from "../../train/data/index.ts";
import type { Executor } from "../../train/executors/executor.ts";
import { Trainer } from "../../train/trainer.ts";
import { METHOD, tinyConfig, tinyImages } from "./tiny.ts";

/** Trains on 40 tiny images, one step an epoch: the losses, and all weights in the end. */
export async function trainedBy(executor: Executor, settings: object, config: object = tinyConfig(settings)) {
  const { samples } = tinyImages(40);
  const losses: number[] = [];
  const trainer = new Trainer({
    method: METHOD,
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
