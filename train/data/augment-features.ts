import type { Samples } from "../../runtime/samples.ts";
import type { Random } from "../random.ts";

/** How far a random view of a vector may be from it. */
export interface FeatureAugmentation {
  /** Standard deviation of the Gaussian noise on a feature, in those of the feature over all samples. */
  readonly noise: number;
  /** Probability that a feature is lost: its mean stands in. */
  readonly drop: number;
}

/** Mean and standard deviation of each feature over the samples, [d] each. */
export interface FeatureScale {
  readonly means: Float64Array;
  readonly deviations: Float64Array;
}

/** Of features [n, d], in two passes: the means first, then the distances from them. */
export function featureScale({ data, shape: [n, d] }: Extract<Samples, { kind: "features" }>): FeatureScale {
  const averages = (of: (value: number, j: number) => number) => {
    const sums = new Float64Array(d);
    for (let at = 0; at < data.length; at++) sums[at % d] = (sums[at % d] as number) + of(data[at] as number, at % d);
    return sums.map((sum) => sum / n);
  };
  const means = averages((value) => value);
  const variances = averages((value, j) => (value - (means[j] as number)) ** 2);
  return { means, deviations: variances.map(Math.sqrt) };
}

/**
 * Draws a random view of every listed vector.
 *
 * @param out - [indices, d], written whole.
 * @param features - [n, d].
 * @param random - takes 3 draws a feature whatever the settings.
 */
export function augmentFeatures(
  out: Float32Array,
  features: Float32Array,
  indices: Int32Array,
  { means, deviations }: FeatureScale,
  { noise, drop }: FeatureAugmentation,
  random: Random,
): void {
  const d = means.length;
  for (let i = 0; i < indices.length; i++) {
    const from = (indices[i] as number) * d;
    for (let j = 0; j < d; j++) {
      const isLost = random.uniform() < drop;
      const value = isLost ? (means[j] as number) : (features[from + j] as number);
      out[i * d + j] = value + noise * (deviations[j] as number) * random.normal();
    }
  }
}
