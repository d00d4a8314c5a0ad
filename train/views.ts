import type { Samples } from "../runtime/samples.ts";
import { Batches } from "./batches.ts";
import { AUGMENTATIONS, type Augmentation } from "./data/index.ts";
import type { AnyArray } from "./executors/executor.ts";
import type { Random } from "./random.ts";

/** Views that are mild enough for any image, where a method trains without views. */
export const MILD: Augmentation = {
  rotation: 7,
  shift: 0.05,
  scale: 0.08,
  anisotropy: 0,
  shear: 0,
  flip: 0,
  brightness: 0,
  erase: 0,
};
/** The same of vectors. */
const MILD_NOISE: Augmentation = { ...AUGMENTATIONS.none, noise: 0.1 };
/** One view of each sample, batch after batch in order, and what is to be said about them. */
export interface Views {
  batch(rows: Int32Array): AnyArray;
  readonly note: string;
}

const AS_IN_TRAINING = "calibrated on views as in training";

/**
 * Views within `augmentation` that hide nothing; mild ones where that allows none. A blotted-out square makes an image harder
 * than those that are assigned later: on digits (preset quick, seed 0) the calibration error of unseen samples was 0.040 with it
 * and is 0.012 without.
 */
export function viewsOf(samples: Samples, augmentation: Augmentation, random: Random): Views {
  const { stroke: _, ...unstruck } = augmentation;
  const whole = { ...unstruck, erase: 0 };
  const { noise = 0, drop = 0, ...ofImages } = whole;
  const isVector = samples.kind === "features";
  const changesNothing = isVector ? noise + drop === 0 : Object.values(ofImages).every((range) => range === 0);
  const mild = isVector ? MILD_NOISE : MILD;
  const batches = new Batches(samples, changesNothing ? mild : whole);
  const note = isVector
    ? `vectors have no views: calibrated on noise of ${mild.noise} of each feature's standard deviation`
    : `trained without views: calibrated on mild ones (shift ${mild.shift}, rotation ${mild.rotation}, scale ${mild.scale})`;
  return {
    batch: (rows) => batches.views(rows, random),
    note: changesNothing ? note : AS_IN_TRAINING + (augmentation.erase > 0 ? ", none blotted out" : ""),
  };
}
