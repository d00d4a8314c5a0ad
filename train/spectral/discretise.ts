import { SubspanError } from "../../runtime/errors.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import type { Random } from "../random.ts";
import { orthonormalise } from "./block.ts";
import { symmetricEigen } from "./jacobi.ts";

export interface DiscretiseOptions {
  /** Independent starts; the one of largest `fit` is returned. Default 20. */
  readonly restarts?: number;
  /** One start from this row in place of `restarts` random ones, 0..n-1. */
  readonly start?: number;
  /** Rotations of a start, at most. Default 20. */
  readonly maxIterations?: number;
  readonly random: Random;
}

export interface DiscretiseResult {
  /** 0..k-1, [n]: the largest entry of each turned row, the first of equals. A row of zeros is in 0. */
  readonly labels: Int32Array;
  /** R, [k, k], orthonormal: the cluster of any row u of the embedding is argmax(u R). */
  readonly rotation: NumberArray<Float64Array>;
  /** trace of R^T X^T L for the labels' indicator L: n where every row is on an axis, less the farther from it. */
  readonly fit: number;
}

/**
 * Discretisation of a spectral embedding: the rotation that brings the rows nearest to the k axes, and the axis that each is
 * nearest to. In turn, labels are the largest entries of X R, and R is the orthonormal matrix nearest to them: U V^T for
 * X^T L = U S V^T. The rows' starting axes are rows of X, each next one as orthogonal as can be to those before it.
 *
 * @param vectors - X, [n, k]: the k leading eigenvectors, by column. Rows are scaled to length 1 here; rows of zeros count
 *   for nothing.
 * @throws {SubspanError} TOO_FEW_SAMPLES if n < k; NOT_FINITE; SHAPE_MISMATCH; OUT_OF_RANGE if there is no such start.
 * @see Yu & Shi 2003, Multiclass Spectral Clustering, ICCV. From a given row it takes the steps of scikit-learn's
 *   `discretize`; trying several and comparing their fit, without labels, is ours.
 */
export function discretise(vectors: NumberArray<Float64Array>, options: DiscretiseOptions): DiscretiseResult {
  const { restarts = 20, maxIterations = 20, start, random } = options;
  const [n, k] = parse(vectors, start);
  const x = scaledToUnit(vectors.data, n, k);
  if (start !== undefined) return refine(x, n, k, startingAxes(x, n, k, start), maxIterations, random);
  let best: DiscretiseResult | undefined;
  for (let restart = 0; restart < restarts; restart++) {
    const result = refine(x, n, k, startingAxes(x, n, k, random.integer(n)), maxIterations, random);
    if (best === undefined || result.fit > best.fit) best = result;
  }
  if (best === undefined) throw new SubspanError("OUT_OF_RANGE", `restarts: expected at least 1, got ${restarts}`);
  return best;
}

function parse({ data, shape }: NumberArray<Float64Array>, start: number | undefined): [number, number] {
  const [n = 0, k = 0] = shape;
  if (shape.length !== 2 || k < 1 || data.length !== n * k) {
    throw new SubspanError("SHAPE_MISMATCH", `vectors: expected [n, k], got [${shape}] with ${data.length} numbers`);
  }
  if (n < k)
    throw new SubspanError("TOO_FEW_SAMPLES", `discretise: expected at least ${k} samples (clusters), got ${n}`);
  if (!data.every(Number.isFinite)) throw new SubspanError("NOT_FINITE", "vectors: discretise needs finite numbers");
  if (start !== undefined && !(Number.isInteger(start) && start >= 0 && start < n)) {
    throw new SubspanError("OUT_OF_RANGE", `start: expected 0..${n - 1}, got ${start}`);
  }
  return [n, k];
}

function scaledToUnit(data: Float64Array, n: number, k: number): Float64Array {
  const x = data.slice();
  for (let i = 0; i < n; i++) {
    const length = Math.hypot(...data.subarray(i * k, (i + 1) * k));
    if (length > 0) for (let j = 0; j < k; j++) x[i * k + j]! /= length;
  }
  return x;
}

/** Rows of x as columns, [k, k]: row `start`, then each time the row, not of zeros, of least summed |cosine| with those before it. */
function startingAxes(x: Float64Array, n: number, k: number, start: number): Float64Array {
  const axes = new Float64Array(k * k);
  const isZero = (i: number) => x.subarray(i * k, (i + 1) * k).every((value) => value === 0);
  const shared = Float64Array.from({ length: n }, (_, i) => (isZero(i) ? Number.POSITIVE_INFINITY : 0));
  let chosen = start;
  for (let axis = 0; axis < k; axis++) {
    for (let j = 0; j < k; j++) axes[j * k + axis] = x[chosen * k + j]!;
    for (let i = 0; i < n; i++) {
      let cosine = 0;
      for (let j = 0; j < k; j++) cosine += x[i * k + j]! * axes[j * k + axis]!;
      shared[i]! += Math.abs(cosine);
    }
    chosen = shared.reduce((least, value, i) => (value < shared[least]! ? i : least), 0);
  }
  return axes;
}

function refine(
  x: Float64Array,
  n: number,
  k: number,
  axes: Float64Array,
  maxIterations: number,
  random: Random,
): DiscretiseResult {
  const labels = new Int32Array(n).fill(-1);
  let rotation = axes;
  let fit = Number.NEGATIVE_INFINITY;
  for (let iteration = 0; iteration <= maxIterations; iteration++) {
    const changed = assign(x, n, k, rotation, labels);
    if (!changed) break;
    const nearest = nearestRotation(x, n, k, labels, random);
    if (iteration > 0 && nearest.fit <= fit) break;
    ({ rotation, fit } = nearest);
  }
  return { labels, rotation: { data: rotation, shape: [k, k] }, fit };
}

/** labels_i = argmax (x R)_i, the first of equals; true if one changed. */
function assign(x: Float64Array, n: number, k: number, rotation: Float64Array, labels: Int32Array): boolean {
  const turned = new Float64Array(k);
  let changed = false;
  for (let i = 0; i < n; i++) {
    turned.fill(0);
    for (let a = 0; a < k; a++) {
      const value = x[i * k + a]!;
      for (let b = 0; b < k; b++) turned[b]! += value * rotation[a * k + b]!;
    }
    let largest = 0;
    for (let b = 1; b < k; b++) if (turned[b]! > turned[largest]!) largest = b;
    if (labels[i] !== largest) changed = true;
    labels[i] = largest;
  }
  return changed;
}

/**
 * The orthonormal R that maximises trace(R^T T), T = X^T L: U V^T for T = U S V^T, at which it is the sum of S. With the
 * eigenvectors V of T^T T, the columns of T V are those of U times S; where S vanishes U is any orthonormal completion.
 */
function nearestRotation(
  x: Float64Array,
  n: number,
  k: number,
  labels: Int32Array,
  random: Random,
): { readonly rotation: Float64Array; readonly fit: number } {
  const sums = new Float64Array(k * k);
  for (let i = 0; i < n; i++) for (let j = 0; j < k; j++) sums[j * k + labels[i]!]! += x[i * k + j]!;
  const gram = new Float64Array(k * k);
  for (let j = 0; j < k; j++) {
    for (let a = 0; a < k; a++) for (let b = 0; b < k; b++) gram[a * k + b]! += sums[j * k + a]! * sums[j * k + b]!;
  }
  const { vectors } = symmetricEigen(gram, k);
  const left = product(sums, vectors, k);
  let fit = 0;
  for (let c = 0; c < k; c++) fit += Math.hypot(...Array.from({ length: k }, (_, j) => left[j * k + c]!));
  orthonormalise(left, k, k, random);
  return { rotation: product(left, vectors, k, true), fit };
}

/** a b, or a b^T, of [k, k] matrices. */
function product(a: Float64Array, b: Float64Array, k: number, transposed = false): Float64Array {
  return Float64Array.from({ length: k * k }, (_, entry) => {
    const [row, column] = [Math.floor(entry / k), entry % k];
    let sum = 0;
    for (let j = 0; j < k; j++) sum += a[row * k + j]! * (transposed ? b[column * k + j]! : b[j * k + column]!);
    return sum;
  });
}
