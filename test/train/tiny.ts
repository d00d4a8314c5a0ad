import { methodNamed } from "../../models/index.ts";
import type { Samples } from "../../runtime/samples.ts";
import type { ClustererDefinition } from "../../train/clusterer-graph.ts";
import { AUGMENTATIONS } from "../../train/data/index.ts";
import { type FinishedTraining, type FinishOptions, finishTraining } from "../../train/finish.ts";
import { Random } from "../../train/random.ts";
import { sampleType, Trainer } from "../../train/trainer.ts";

export const SIDE = 8;
export const CLUSTERS = 3;

export type Images = Extract<Samples, { kind: "images" }>;

/** Which pixels are bright in each class: the left half, the upper half, a frame. */
const BRIGHT: readonly ((y: number, x: number) => boolean)[] = [
  (_, x) => x < SIDE / 2,
  (y) => y < SIDE / 2,
  (y, x) => Math.min(y, x, SIDE - 1 - y, SIDE - 1 - x) === 0,
];

/** n images of 8 x 8 grey pixels of three classes that nobody confuses, class after class. */
export function tinyImages(n = 120, seed = 1): { readonly samples: Images; readonly truth: Int32Array } {
  const random = new Random(seed, "tiny");
  const truth = Int32Array.from({ length: n }, (_, i) => i % CLUSTERS);
  const data = new Uint8Array(n * SIDE * SIDE);
  for (let at = 0; at < data.length; at++) {
    const place = at % (SIDE * SIDE);
    const isBright = BRIGHT[truth[Math.floor(at / (SIDE * SIDE))] as number]?.(Math.floor(place / SIDE), place % SIDE);
    data[at] = (isBright ? 180 : 20) + random.integer(50);
  }
  return { samples: { kind: "images", data, shape: [n, SIDE, SIDE, 1] }, truth };
}

/** Images of noise alone, like none of the classes. */
export function noiseImages(n = 60): Images {
  const random = new Random(7, "unlike");
  const data = Uint8Array.from({ length: n * SIDE * SIDE }, () => random.integer(256));
  return { kind: "images", data, shape: [n, SIDE, SIDE, 1] };
}

export const METHOD = methodNamed("dscdan");

/** A configuration that trains in a second. */
export function tinyConfig(settings: object = {}): object {
  return METHOD.schema.parse({
    clusters: CLUSTERS,
    latent: 6,
    pretraining: { epochs: 3, batch: 40 },
    joint: { rounds: 1, epochs: 1, batch: 40 },
    neighbours: 8,
    eigenvectors: CLUSTERS,
    ...settings,
  }) as object;
}

export type TinyRun = FinishOptions & FinishedTraining & { readonly truth: Int32Array };

/** Trains and finishes on tiny images. */
export async function tinyRun(settings: object = {}, n = 120): Promise<TinyRun> {
  const { samples, truth } = tinyImages(n);
  const common = {
    method: METHOD,
    config: tinyConfig(settings),
    samples,
    augmentation: AUGMENTATIONS.digits,
    seed: 3,
    session: { threads: 1 },
  };
  const { parameters } = await new Trainer(common).train();
  const options = { ...common, parameters };
  return { ...options, ...(await finishTraining(options)), truth };
}

export function definitionOf({ method, config, samples, parameters, structure }: TinyRun): ClustererDefinition {
  return { method, config, parameters, structure, sample: sampleType(samples) };
}
