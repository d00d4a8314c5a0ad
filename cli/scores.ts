import { SubspanError } from "../runtime/errors.ts";
import {
  adjustedRandIndex,
  type ClusterMap,
  clusterMap,
  type Dataset,
  mappedAccuracy,
  normalizedMutualInformation,
  purity,
} from "../train/index.ts";
import { percent } from "./text.ts";

/** How clusters agree with labels, each 0..1 (ARI from -0.5). */
export interface Scores {
  readonly acc: number;
  readonly nmi: number;
  readonly ari: number;
}

/** Which class, by name, each cluster stands for. */
export type NamedMap = Readonly<Record<string, string>>;

/** The class of each sample, by name: two sources may number the same classes differently. */
export function classNames({ name, labels, labelNames }: Dataset): string[] {
  if (labels === undefined) throw new SubspanError("USAGE", `${name} has no labels to score against`);
  return Array.from(labels, (label) => labelNames?.[label] ?? String(label));
}

/** The one-to-one map under which most samples are right. */
export function fitMap(clusters: Int32Array, truth: readonly string[]): NamedMap {
  const classes = [...new Set(truth)];
  const map = clusterMap(clusters, numbered(truth, classes));
  return Object.fromEntries([...map].map(([cluster, index]) => [cluster, classes[index] as string]));
}

/** How NMI is normalised: by the arithmetic or the geometric mean of the entropies. */
export const NMI_MEANS = ["arithmetic", "geometric"] as const;

/** @param map - fitted on samples that were seen; on these samples themselves unless said. */
export function scoresOf(
  clusters: Int32Array,
  truth: readonly string[],
  map = fitMap(clusters, truth),
  mean: (typeof NMI_MEANS)[number] = "arithmetic",
): Scores {
  const classes = [...new Set([...truth, ...Object.values(map)])];
  const numbers = numbered(truth, classes);
  const byNumber: ClusterMap = new Map(Object.entries(map).map(([k, name]) => [Number(k), classes.indexOf(name)]));
  return {
    acc: mappedAccuracy(clusters, numbers, byNumber),
    nmi: normalizedMutualInformation(clusters, numbers, mean),
    ari: adjustedRandIndex(clusters, numbers),
  };
}

/** Share of samples in the majority class of their cluster: no map does better. */
export const purityOf = (clusters: Int32Array, truth: readonly string[]): number =>
  purity(clusters, numbered(truth, [...new Set(truth)]));

const numbered = (truth: readonly string[], classes: readonly string[]): number[] => {
  const index = new Map(classes.map((name, i) => [name, i]));
  return truth.map((name) => index.get(name) as number);
};

export const scoreCells = ({ acc, nmi, ari }: Scores): string[] => [acc, nmi, ari].map(percent);
