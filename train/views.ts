import type { Samples } from "../runtime/samples.ts";
import { Batches } from "./batches.ts";
import type { Augmentation } from "./data/index.ts";
import type { AnyArray } from "./executors/executor.ts";
import type { Random } from "./random.ts";
import { gatherRows } from "./structure.ts";

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
/** Standard deviation of the noise that makes a view of a vector, in those of its features. */
const MILD_NOISE = 0.1;
/** One view of each sample, batch after batch in order, and what is to be said about them. */
export interface Views {
  batch(rows: Int32Array): AnyArray;
  readonly note: string;
}

/** Views within `augmentation`; mild ones where that allows none, and noise for vectors. */
export function viewsOf(samples: Samples, augmentation: Augmentation, random: Random): Views {
  if (samples.kind === "features") {
    const note = `vectors have no views: calibrated on noise of ${MILD_NOISE} of each feature's standard deviation`;
    return { batch: noisyRows(samples, random), note };
  }
  const isIdentity = Object.values(augmentation).every((range) => range === 0);
  const batches = new Batches(samples, isIdentity ? MILD : augmentation);
  const mild = `shift ${MILD.shift}, rotation ${MILD.rotation}, scale ${MILD.scale}`;
  const note = isIdentity
    ? `trained without views: calibrated on mild ones (${mild})`
    : "calibrated on views as in training";
  return { batch: (rows) => batches.views(rows, random), note };
}

function noisyRows({ data, shape }: Extract<Samples, { kind: "features" }>, random: Random): Views["batch"] {
  const [n, d] = shape;
  const deviations = Float64Array.from({ length: d }, (_, j) => {
    let [sum, squares] = [0, 0];
    for (let i = 0; i < n; i++) {
      const value = data[i * d + j] as number;
      sum += value;
      squares += value * value;
    }
    return Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2));
  });
  return (rows) => {
    const out = gatherRows({ data, shape }, rows);
    out.data.forEach((value, at) => {
      out.data[at] = value + MILD_NOISE * (deviations[at % d] as number) * random.normal();
    });
    return out;
  };
}
