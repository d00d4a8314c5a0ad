import { SubspanError } from "../../runtime/errors.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import type { Random } from "../random.ts";
import { greedyStart, type Problem } from "./kmeans-start.ts";

export interface KMeansOptions {
  readonly clusters: number;
  /** Independent starts; the one of least inertia is returned. Default 20. */
  readonly restarts?: number;
  /** Lloyd iterations of a start. Default 300. */
  readonly maxIterations?: number;
  /** One start from these centres, [clusters, d], in place of `restarts` random ones. */
  readonly start?: NumberArray<Float32Array | Float64Array>;
  readonly random: Random;
}

export interface KMeansResult {
  /** 0..k-1, [n]: the nearest centre, the first of equals. */
  readonly labels: Int32Array;
  /** Means of their samples, [k, d]. */
  readonly centres: NumberArray<Float64Array>;
  /** Sum over samples of the squared distance to their centre. */
  readonly inertia: number;
}

/**
 * k-means: Lloyd's iterations from greedy k-means++ starts, to a fixed point of the best of them.
 *
 * An empty cluster takes the sample farthest from its centre (of several, each the next farthest). With fewer distinct
 * samples than clusters some clusters stay empty.
 *
 * @param points - [n, d], computed with in float64.
 * @throws {SubspanError} TOO_FEW_SAMPLES if n < clusters; NOT_FINITE; SHAPE_MISMATCH if `points` is not [n, d] or `start`
 *   not [clusters, d]; OUT_OF_RANGE if there is no cluster or no start.
 * @see Arthur & Vassilvitskii 2007, k-means++, SODA, for the start; its greedy form tries 2 + ln k candidates a centre.
 */
export function kMeans(points: NumberArray<Float32Array | Float64Array>, options: KMeansOptions): KMeansResult {
  const { clusters, start, restarts = 20, maxIterations = 300, random } = options;
  const problem = parse(points, clusters);
  if (start !== undefined) return result(problem, lloyd(problem, parseStart(start, problem), maxIterations, 0));
  let best: State | undefined;
  for (let restart = 0; restart < restarts; restart++) {
    const state = lloyd(problem, greedyStart(problem, random), maxIterations, 1e-4);
    if (best === undefined || state.inertia < best.inertia) best = state;
  }
  if (best === undefined) throw new SubspanError("OUT_OF_RANGE", `restarts: expected at least 1, got ${restarts}`);
  return result(problem, lloyd(problem, best.centres, maxIterations, 0));
}

const result = ({ k, d }: Problem, { labels, centres, inertia }: State): KMeansResult => ({
  labels,
  centres: { data: centres, shape: [k, d] },
  inertia,
});

interface State {
  readonly labels: Int32Array;
  readonly centres: Float64Array;
  readonly inertia: number;
}

function parse({ data, shape }: NumberArray<Float32Array | Float64Array>, k: number): Problem {
  const [n = 0, d = 0] = shape;
  if (shape.length !== 2 || data.length !== n * d) {
    throw new SubspanError("SHAPE_MISMATCH", `points: expected [n, d], got [${shape}] with ${data.length} numbers`);
  }
  if (!Number.isInteger(k) || k < 1) throw new SubspanError("OUT_OF_RANGE", `clusters: expected 1 or more, got ${k}`);
  if (n < k) throw new SubspanError("TOO_FEW_SAMPLES", `k-means: expected at least ${k} samples (clusters), got ${n}`);
  if (!data.every(Number.isFinite)) throw new SubspanError("NOT_FINITE", "points: k-means needs finite numbers");
  const x = Float64Array.from(data);
  const squaredNorms = new Float64Array(n);
  for (let i = 0; i < n; i++) for (let j = 0; j < d; j++) squaredNorms[i]! += x[i * d + j]! ** 2;
  return { x, squaredNorms, n, d, k };
}

function parseStart({ data, shape }: NumberArray<Float32Array | Float64Array>, { k, d }: Problem): Float64Array {
  if (shape.length !== 2 || shape[0] !== k || shape[1] !== d || data.length !== k * d) {
    throw new SubspanError("SHAPE_MISMATCH", `start: expected [${k}, ${d}], got [${shape}]`);
  }
  return Float64Array.from(data);
}

/** Lloyd's iterations until no label changes, or until one lowers the inertia by less than `tolerance` times itself. */
function lloyd(problem: Problem, start: Float64Array, maxIterations: number, tolerance: number): State {
  const { n } = problem;
  const centres = start.slice();
  const labels = new Int32Array(n).fill(-1);
  const squared = new Float64Array(n);
  const lanes = makeLanes(problem);
  let inertia = Number.POSITIVE_INFINITY;
  for (let iteration = 0; iteration < maxIterations; iteration++) {
    fillLanes(problem, centres, lanes);
    const changed = assign(problem, labels, squared, lanes);
    const next = squared.reduce((sum, value) => sum + value, 0);
    if (!changed || inertia - next < tolerance * next) return { labels, centres, inertia: next };
    inertia = next;
    moveCentres(problem, centres, labels, squared);
  }
  fillLanes(problem, centres, lanes);
  assign(problem, labels, squared, lanes);
  return { labels, centres, inertia: squared.reduce((sum, value) => sum + value, 0) };
}

/** The centres laid out for `assign`: transposed, [d, lanes], padded to a multiple of 4 by centres infinitely far away. */
interface Lanes {
  readonly lanes: number;
  readonly transposed: Float64Array;
  /** ||c||^2 / 2, [lanes]. */
  readonly halfNorms: Float64Array;
}

function makeLanes({ d, k }: Problem): Lanes {
  const lanes = 4 * Math.ceil(k / 4);
  return { lanes, transposed: new Float64Array(d * lanes), halfNorms: new Float64Array(lanes) };
}

function fillLanes({ d, k }: Problem, centres: Float64Array, { lanes, transposed, halfNorms }: Lanes): void {
  halfNorms.fill(Number.POSITIVE_INFINITY);
  for (let c = 0; c < k; c++) {
    let norm = 0;
    for (let j = 0; j < d; j++) {
      transposed[j * lanes + c] = centres[c * d + j]!;
      norm += centres[c * d + j]! ** 2;
    }
    halfNorms[c] = norm / 2;
  }
}

/** Labels each sample with its nearest centre; fills `squared` with the distances; true if a label changed. */
function assign(problem: Problem, labels: Int32Array, squared: Float64Array, lanes: Lanes): boolean {
  const { x, squaredNorms, n, d } = problem;
  const nearest = { index: 0, score: 0 };
  let changed = false;
  for (let i = 0; i < n; i++) {
    nearestCentre(x, i * d, d, lanes, nearest);
    if (labels[i] !== nearest.index) changed = true;
    labels[i] = nearest.index;
    squared[i] = Math.max(0, squaredNorms[i]! + 2 * nearest.score);
  }
  return changed;
}

/** The centre of a sample, and ||c||^2 / 2 - x c. */
interface Nearest {
  index: number;
  score: number;
}

/** argmin_c ||c||^2 / 2 - x c, the first of equals; four sums at a time, so that none waits for another. */
function nearestCentre(x: Float64Array, row: number, d: number, lanes: Lanes, nearest: Nearest): void {
  const { lanes: count, transposed, halfNorms } = lanes;
  let best = 0;
  let bestScore = Number.POSITIVE_INFINITY;
  for (let c = 0; c < count; c += 4) {
    let s0 = halfNorms[c]!;
    let s1 = halfNorms[c + 1]!;
    let s2 = halfNorms[c + 2]!;
    let s3 = halfNorms[c + 3]!;
    for (let j = 0, at = c; j < d; j++, at += count) {
      const value = x[row + j]!;
      s0 -= value * transposed[at]!;
      s1 -= value * transposed[at + 1]!;
      s2 -= value * transposed[at + 2]!;
      s3 -= value * transposed[at + 3]!;
    }
    if (s0 < bestScore) [best, bestScore] = [c, s0];
    if (s1 < bestScore) [best, bestScore] = [c + 1, s1];
    if (s2 < bestScore) [best, bestScore] = [c + 2, s2];
    if (s3 < bestScore) [best, bestScore] = [c + 3, s3];
  }
  nearest.index = best;
  nearest.score = bestScore;
}

/** Each centre becomes the mean of its samples; empty clusters are given the farthest samples first. */
function moveCentres(
  { x, squaredNorms, n, d, k }: Problem,
  centres: Float64Array,
  labels: Int32Array,
  squared: Float64Array,
): void {
  const sizes = new Int32Array(k);
  for (let i = 0; i < n; i++) sizes[labels[i]!]!++;
  for (let c = 0; c < k; c++) {
    if (sizes[c]! > 0) continue;
    const farthest = indexOfLargest(squared);
    if (squared[farthest]! <= 1e-14 * squaredNorms[farthest]!) break; // Every sample is on a centre, up to rounding.
    sizes[labels[farthest]!]!--;
    sizes[c] = 1;
    labels[farthest] = c;
    squared[farthest] = 0;
  }
  centres.fill(0);
  for (let i = 0; i < n; i++) {
    const to = labels[i]! * d;
    for (let j = 0; j < d; j++) centres[to + j]! += x[i * d + j]!;
  }
  for (let c = 0; c < k; c++) {
    for (let j = 0; j < d; j++) centres[c * d + j]! /= Math.max(1, sizes[c]!);
  }
}

function indexOfLargest(values: Float64Array): number {
  let largest = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[largest]!) largest = i;
  return largest;
}
