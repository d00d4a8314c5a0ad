import { linearSumAssignment } from "linear-sum-assignment";
import { SubspanError } from "../runtime/errors.ts";
import type { NumberArray } from "../runtime/samples.ts";
import { nearestNeighbours, unitRows } from "./spectral/index.ts";

/** Labels of n samples: any numbers, equal for samples of one cluster or class. */
type Labels = ArrayLike<number>;

/** Which class a cluster stands for. A cluster without a class (more clusters than classes) is missing: it is never right. */
export type ClusterMap = ReadonlyMap<number, number>;

/**
 * The one-to-one map from clusters to classes under which most samples are right (Hungarian method). Fitted on samples
 * that were seen, it scores unseen ones with `mappedAccuracy`.
 *
 * @throws {SubspanError} SHAPE_MISMATCH if the labels are empty or of unequal length.
 */
export function clusterMap(labels: Labels, truth: Labels): ClusterMap {
  const { counts, rowNames, columnNames } = contingency(labels, truth);
  const { rowAssignments } = linearSumAssignment(counts, { maximaze: true });
  const map = new Map<number, number>();
  for (const [row, column] of rowAssignments.entries()) {
    if (column >= 0) map.set(rowNames[row]!, columnNames[column]!);
  }
  return map;
}

/** Share of samples whose cluster maps to their class, 0..1. Clusters the map does not have are wrong. */
export function mappedAccuracy(labels: Labels, truth: Labels, map: ClusterMap): number {
  const n = sameLength(labels, truth);
  let right = 0;
  for (let i = 0; i < n; i++) if (map.get(labels[i]!) === truth[i]) right++;
  return right / n;
}

/**
 * Clustering accuracy, 0..1: the share of samples that are right under the best one-to-one map, and that map.
 *
 * @throws {SubspanError} SHAPE_MISMATCH if the labels are empty or of unequal length.
 * @see Yang et al. 2010, Image Clustering Using Local Discriminant Models and Global Integration, IEEE TIP 19(10).
 */
export function accuracy(labels: Labels, truth: Labels): { readonly accuracy: number; readonly map: ClusterMap } {
  const map = clusterMap(labels, truth);
  return { accuracy: mappedAccuracy(labels, truth, map), map };
}

/** Share of samples in the majority class of their cluster, 0..1. An upper bound of accuracy: 1 for clusters of one sample. */
export function purity(labels: Labels, truth: Labels): number {
  const { counts, n } = contingency(labels, truth);
  return sum(counts.map((row) => row.reduce((a, b) => Math.max(a, b)))) / n;
}

/**
 * Mutual information of clusters and classes over the mean of their entropies, 0..1; 1 if both have one part alone.
 *
 * @param mean - of the two entropies; arithmetic is scikit-learn's default, geometric is that of some papers.
 * @throws {SubspanError} SHAPE_MISMATCH if the labels are empty or of unequal length.
 * @see Strehl & Ghosh 2002, Cluster Ensembles, JMLR 3 (geometric).
 */
export function normalizedMutualInformation(
  labels: Labels,
  truth: Labels,
  mean: "arithmetic" | "geometric" = "arithmetic",
): number {
  const { counts, rowSizes, columnSizes, n } = contingency(labels, truth);
  if (rowSizes.length === 1 && columnSizes.length === 1) return 1;
  let information = 0;
  for (const [i, row] of counts.entries()) {
    for (const [j, count] of row.entries()) {
      if (count > 0) information += (count / n) * Math.log((count * n) / (rowSizes[i]! * columnSizes[j]!));
    }
  }
  if (information <= Number.EPSILON) return 0;
  const a = entropy(rowSizes, n);
  const b = entropy(columnSizes, n);
  return information / (mean === "arithmetic" ? (a + b) / 2 : Math.sqrt(a * b));
}

/**
 * Rand index corrected for chance: 1 for equal partitions, about 0 for independent ones, down to -0.5.
 *
 * @throws {SubspanError} SHAPE_MISMATCH if the labels are empty or of unequal length.
 * @see Hubert & Arabie 1985, Comparing Partitions, J. Classification 2.
 */
export function adjustedRandIndex(labels: Labels, truth: Labels): number {
  const { counts, rowSizes, columnSizes, n } = contingency(labels, truth);
  const together = sum(counts.map((row) => sum(row.map(pairs))));
  const rowPairs = sum(rowSizes.map(pairs));
  const columnPairs = sum(columnSizes.map(pairs));
  if (rowPairs === together && columnPairs === together) return 1;
  const expected = (rowPairs * columnPairs) / pairs(n);
  return (together - expected) / ((rowPairs + columnPairs) / 2 - expected);
}

/**
 * Expected calibration error, 0..1: the mean over samples of |accuracy - mean confidence| of their bin.
 *
 * @param confidence - [n], 0..1. Bins are of equal width, open below and closed above; 0 is in the first.
 * @param correct - [n], whether each sample is right (true or 1).
 * @throws {SubspanError} SHAPE_MISMATCH if empty or of unequal length; OUT_OF_RANGE if a confidence is not in 0..1.
 * @see Guo et al. 2017, On Calibration of Modern Neural Networks, ICML.
 */
export function expectedCalibrationError(
  confidence: ArrayLike<number>,
  correct: ArrayLike<number | boolean>,
  bins = 15,
): number {
  const n = sameLength(confidence, correct);
  const excess = new Float64Array(bins);
  for (let i = 0; i < n; i++) {
    const value = confidence[i]!;
    if (!(value >= 0 && value <= 1))
      throw new SubspanError("OUT_OF_RANGE", `confidence ${i}: expected 0..1, got ${value}`);
    excess[Math.max(0, Math.ceil(value * bins) - 1)]! += Number(correct[i]) - value;
  }
  return sum([...excess].map(Math.abs)) / n;
}

/**
 * Area under the ROC curve, 0..1: the chance that a positive scores above a negative, equal scores counting half.
 *
 * @throws {SubspanError} SHAPE_MISMATCH if either is empty, NOT_FINITE if a score is NaN.
 * @see Hanley & McNeil 1982, Radiology 143(1): the Mann-Whitney statistic.
 */
export function auroc(scoresNegative: ArrayLike<number>, scoresPositive: ArrayLike<number>): number {
  const negatives = Float64Array.from(scoresNegative).sort();
  const positives = Float64Array.from(scoresPositive).sort();
  if (negatives.length === 0 || positives.length === 0) {
    throw new SubspanError("SHAPE_MISMATCH", `scores: got ${negatives.length} negative, ${positives.length} positive`);
  }
  if (Number.isNaN(negatives.at(-1)) || Number.isNaN(positives.at(-1))) {
    throw new SubspanError("NOT_FINITE", "scores: expected numbers, got NaN"); // NaN sorts last.
  }
  let below = 0;
  let notAbove = 0;
  let wins = 0;
  for (const score of positives) {
    while (below < negatives.length && negatives[below]! < score) below++;
    while (notAbove < negatives.length && negatives[notAbove]! <= score) notAbove++;
    wins += (below + notAbove) / 2;
  }
  return wins / (negatives.length * positives.length);
}

/**
 * For each sample the label of the seen sample whose latent has the nearest direction: 1-nearest-neighbour classification, what any
 * other way to assign new samples is to be compared with. Given clusters as labels it carries clusters on, given classes, classes.
 *
 * @param latents - of the samples, [n, d]; `seen`, [m, d]. Lengths do not count; `seenLabels` are [m].
 * @throws {SubspanError} SHAPE_MISMATCH if widths differ or labels are not one a seen sample, NOT_FINITE.
 */
export async function nearestLabels(latents: NumberArray, seen: NumberArray, seenLabels: Labels): Promise<Int32Array> {
  if (seen.shape[0] !== seenLabels.length)
    throw new SubspanError("SHAPE_MISMATCH", `seen: ${seen.shape[0]} latents, but ${seenLabels.length} labels`);
  const { indices } = await nearestNeighbours(unitRows(seen), 1, { queries: unitRows(latents) });
  return indices.map((nearest) => seenLabels[nearest]!);
}

/** How many samples each pair of cluster (row) and class (column) shares; both named in order of appearance. */
interface Contingency {
  readonly counts: number[][];
  readonly rowNames: readonly number[];
  readonly columnNames: readonly number[];
  readonly rowSizes: readonly number[];
  readonly columnSizes: readonly number[];
  readonly n: number;
}

function contingency(labels: Labels, truth: Labels): Contingency {
  const n = sameLength(labels, truth);
  const rowNames = [...new Set(Array.from(labels))];
  const columnNames = [...new Set(Array.from(truth))];
  const rowOf = new Map(rowNames.map((name, index) => [name, index]));
  const columnOf = new Map(columnNames.map((name, index) => [name, index]));
  const counts = rowNames.map(() => new Array<number>(columnNames.length).fill(0));
  for (let i = 0; i < n; i++) counts[rowOf.get(labels[i]!)!]![columnOf.get(truth[i]!)!]!++;
  const columnSizes = columnNames.map((_, column) => sum(counts.map((row) => row[column]!)));
  return { counts, rowNames, columnNames, rowSizes: counts.map(sum), columnSizes, n };
}

function sameLength(a: ArrayLike<unknown>, b: ArrayLike<unknown>): number {
  if (a.length === b.length && a.length > 0) return a.length;
  throw new SubspanError(
    "SHAPE_MISMATCH",
    `metric: expected two equal lengths above 0, got ${a.length} and ${b.length}`,
  );
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const pairs = (count: number): number => (count * (count - 1)) / 2;
const entropy = (sizes: readonly number[], n: number): number =>
  -sum(sizes.map((size) => (size / n) * Math.log(size / n)));
