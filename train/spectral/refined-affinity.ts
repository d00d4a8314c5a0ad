import { SubspanError } from "../../runtime/errors.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { Random } from "../random.ts";
import { denseProduct, squareSide } from "./dense.ts";
import { leadingEigenpairsAsync } from "./eigen.ts";
import { type MatrixProducts, withProducts } from "./products.ts";
import { multiplyBlock, sparseFromDense } from "./sparse.ts";
import { symmetricEigenByQl } from "./tridiagonal.ts";

/** The published post-processing of self-expressive coefficients. */
export interface PostProcessing {
  /** rho, above 0 and at most 1: the largest entries of a column are kept until they pass this share of its absolute sum. */
  readonly kept: number;
  /** r, 1..n: components of the truncated singular value decomposition; published as d K + 1, d from 4 to 12. More than n: n. */
  readonly rank: number;
  /** alpha > 0 of the cosines; published from 2 to 8. */
  readonly power: number;
  /** delta >= 0, put on the diagonal before the decomposition. Default 1, as published for COIL-20; 0 for the others. */
  readonly diagonal?: number;
}

/** How self-expressive coefficients become an affinity. */
export type Refinement = { readonly form: "plain" } | ({ readonly form: "post-processed" } & PostProcessing);

/** What a post-processed affinity is made of, and what gives a new sample its own: see models/assignment/self-expression.ts. */
export interface AffinityFactors {
  /** U, [n, r], orthonormal columns, and s, [r], of largest magnitude first: the leading eigenpairs of the kept coefficients. */
  readonly vectors: NumberArray<Float64Array>;
  readonly values: Float64Array;
  /** Rows of U sqrt|s| scaled to length 1, [n, r]; a row of zeros stays. */
  readonly rows: NumberArray;
  /**
   * U sqrt|s| / (s - delta), [n, r]: kept coefficients without a diagonal times this give rows of U sqrt|s|, but for components
   * whose s is delta, of which they say nothing; they are 0.
   */
  readonly extension: NumberArray;
  /** Half-way between the least coefficient that a sample's column kept and the next, [n]: what reaches it is kept, too. */
  readonly reach: NumberArray;
  /** The largest affinity off the diagonal before all were divided by it, 0..1. */
  readonly maximum: number;
}

export interface RefinedAffinity {
  /** In 0..1, symmetric, its diagonal 0, [n, n]. */
  readonly affinity: NumberArray;
  /** Where it was post-processed. */
  readonly factors?: AffinityFactors;
}

/** Rows of cosines computed at once. */
const ROWS = 512;
/** Kept coefficients are multiplied as a sparse matrix where fewer than this share are not 0. */
const SPARSE = 0.1;
/** Of the decomposition: residuals relative to the largest squared value. On COIL-20 1e-4 gave the same labels as 1e-8. */
const TOLERANCE = 1e-5;

/** An affinity of self-expressive coefficients C, [n, n], in the given form: `plainAffinity` or `postProcessedAffinity`. */
export async function refinedAffinity(
  coefficients: NumberArray,
  refinement: Refinement,
  random?: Random,
): Promise<RefinedAffinity> {
  return refinement.form === "plain"
    ? { affinity: plainAffinity(coefficients) }
    : postProcessedAffinity(coefficients, refinement, random);
}

/**
 * (|C| + |C|^T) / 2 without its diagonal, [n, n]. In the units of C, not scaled.
 *
 * @throws {SubspanError} SHAPE_MISMATCH, NOT_FINITE.
 */
export function plainAffinity(coefficients: NumberArray): NumberArray {
  return symmetricPart(coefficients, Math.abs);
}

/**
 * The affinity that self-expressive subspace clustering is published with.
 *
 * 1. C <- (C + C^T) / 2 without its diagonal.
 * 2. Of each column the largest |entries| are kept until their sum passes rho of the column's; C <- (C + C^T) / 2 + delta I.
 * 3. The r leading singular vectors and values: C ~ U S V^T. C is symmetric: S are the magnitudes of its eigenvalues.
 * 4. w_ij = max(0, cos(row i, row j of U sqrt(S)))^alpha, divided by the largest off the diagonal, which is 0.
 *
 * A sample without coefficients has no row and no affinity: it is given no diagonal either.
 * Entries equal to the least that is kept are kept with it, so that the order of samples does not matter. Where eigenvalues on
 * both sides of rank r are equal, as of duplicates alone, which of their vectors are kept is a matter of `random`.
 *
 * @param coefficients - C, [n, n], whichever of rows or columns express a sample. Not changed. Memory: two more such matrices.
 * @param random - starts the decomposition; it changes nothing but rounding. Default: always the same.
 * @throws {SubspanError} SHAPE_MISMATCH, NOT_FINITE, OUT_OF_RANGE, or TRAINING_DIVERGED if the decomposition does not converge.
 * @see Ji et al. 2014, Efficient Dense Subspace Clustering, WACV, for steps 3 and 4; Ji et al. 2017, Deep Subspace Clustering
 *   Networks, arXiv:1709.02508, whose published scripts add step 2. Step 1 is that of UDLL's script for COIL-20 (Peng et al.
 *   2019, arXiv:1906.07947); those for ORL and Yale B keep entries of C as it is. There the diagonal stays: the normalised
 *   Laplacian that follows ignores it.
 */
export async function postProcessedAffinity(
  coefficients: NumberArray,
  options: PostProcessing,
  random = new Random(0, "post-processing"),
): Promise<Required<RefinedAffinity>> {
  const { kept, power, diagonal = 1 } = options;
  check(options);
  const matrix = symmetricPart(coefficients);
  const n = matrix.shape[0] as number;
  const reach = keepLargest(matrix, kept);
  for (let i = 0; i < n; i++) {
    const row = matrix.data.subarray(i * n, (i + 1) * n);
    if (row.some((value) => value !== 0)) row[i] = diagonal;
  }
  return withProducts(async (products) => {
    const { values, vectors } = await dominantEigenpairs(matrix, Math.min(n, options.rank), products, random);
    const shape = [n, values.length];
    const rows = { data: unitRows(scaledColumns(vectors, values.map(rootOfMagnitude)), n), shape };
    const extension = { data: scaledColumns(vectors, extensionFactors(values, diagonal)), shape };
    const maximum = await cosinePowers(rows, power, matrix.data, products);
    return {
      affinity: matrix,
      factors: { vectors: { data: vectors, shape }, values, rows, extension, reach, maximum },
    };
  });
}

function check({ kept, rank, power, diagonal = 1 }: PostProcessing): void {
  const wrong = (name: string, expected: string, came: number) =>
    new SubspanError("OUT_OF_RANGE", `${name}: expected ${expected}, got ${came}`);
  if (!(kept > 0 && kept <= 1)) throw wrong("kept", "above 0 and at most 1", kept);
  if (!(Number.isInteger(rank) && rank >= 1)) throw wrong("rank", "1 or more", rank);
  if (!(power > 0 && Number.isFinite(power))) throw wrong("power", "above 0", power);
  if (!(diagonal >= 0 && Number.isFinite(diagonal))) throw wrong("diagonal", "0 or more", diagonal);
}

/** (of(a_ij) + of(a_ji)) / 2 with a diagonal of 0, new. @throws {SubspanError} SHAPE_MISMATCH, NOT_FINITE. */
function symmetricPart(coefficients: NumberArray, of = (value: number) => value): NumberArray {
  const n = squareSide("coefficients", coefficients);
  const { data, shape } = coefficients;
  if (!data.every(Number.isFinite)) throw new SubspanError("NOT_FINITE", "coefficients: expected finite numbers");
  const symmetric = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      symmetric[i * n + j] = symmetric[j * n + i] = (of(data[i * n + j]!) + of(data[j * n + i]!)) / 2;
    }
  }
  return { data: symmetric, shape };
}

/**
 * Keeps of each column of a symmetric matrix its largest entries, and takes the symmetric part: an entry that one of its two
 * columns keeps counts half. In place. @returns `AffinityFactors.reach`.
 */
function keepLargest({ data, shape }: NumberArray, share: number): NumberArray {
  const n = shape[0] as number;
  const least = new Float32Array(n);
  const reach = new Float32Array(n);
  for (let j = 0; j < n; j++) [least[j], reach[j]] = leastKept(data.subarray(j * n, (j + 1) * n), share);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const value = data[i * n + j]!;
      const times = Number(Math.abs(value) >= least[i]!) + Number(Math.abs(value) >= least[j]!);
      data[i * n + j] = data[j * n + i] = (value * times) / 2;
    }
  }
  return { data: reach, shape: [n] };
}

/** The least magnitude that is kept, and what lies half-way between it and the next below; of zeros alone, more than any. */
function leastKept(entries: Float32Array, share: number): [number, number] {
  const ascending = entries.map(Math.abs).sort();
  const total = ascending.reduce((sum, value) => sum + value, 0);
  if (total === 0) return [Number.POSITIVE_INFINITY, 1];
  let at = ascending.length - 1;
  for (let sum = ascending[at]!; sum <= share * total && at > 0; ) sum += ascending[--at]!;
  const least = ascending[at]!;
  while (at > 0 && ascending[at] === least) at--;
  return [least, (least + (ascending[at] === least ? 0 : ascending[at]!)) / 2];
}

/**
 * The m eigenpairs of largest magnitude of a symmetric matrix: the leading ones of its square, turned among themselves to be
 * eigenvectors of the matrix too, where eigenvalues of both signs share a square.
 */
async function dominantEigenpairs(
  matrix: NumberArray,
  m: number,
  products: MatrixProducts,
  random: Random,
): Promise<{ readonly values: Float64Array; readonly vectors: Float64Array }> {
  const n = matrix.shape[0] as number;
  const times = operatorOf(matrix, products);
  const square = async (x: Float64Array, width: number, y: Float64Array) => {
    const once = new Float64Array(x.length);
    await times(x, width, once);
    await times(once, width, y);
  };
  const lowest = Math.max(0, gershgorinBound(matrix)) ** 2;
  const { vectors } = await leadingEigenpairsAsync({ n, lowest, apply: square }, m, { random, tolerance: TOLERANCE });
  const image = new Float64Array(n * m);
  await times(vectors, m, image);
  const [block, images] = [vectors, image].map((data) => ({ data, shape: [n, m] }));
  const projected = await products.multiply(block!, images!, "aTb");
  const { values, vectors: rotation } = symmetricEigenByQl(projected.data, m);
  const turned = await products.multiply(block!, { data: rotation, shape: [m, m] });
  const order = Array.from(values.keys()).sort((a, b) => Math.abs(values[b]!) - Math.abs(values[a]!) || a - b);
  const columns = turned.data.map((_, entry) => turned.data[m * Math.floor(entry / m) + order[entry % m]!]!);
  return { values: Float64Array.from(order, (c) => values[c]!), vectors: columns };
}

/** y = A x, by the sparse form of A where that is worth while. */
function operatorOf(matrix: NumberArray, products: MatrixProducts) {
  const filled = matrix.data.reduce((count, value) => count + Number(value !== 0), 0);
  if (filled >= SPARSE * matrix.data.length) {
    return (x: Float64Array, width: number, y: Float64Array) => denseProduct(matrix, x, width, y, products);
  }
  const sparse = sparseFromDense(matrix);
  return async (x: Float64Array, width: number, y: Float64Array) => multiplyBlock(sparse, x, width, y);
}

/** No eigenvalue is below this: the least of a_ii - sum_{j != i} |a_ij|. @see Golub & Van Loan, 4th ed., theorem 7.2.1. */
function gershgorinBound({ data, shape }: NumberArray): number {
  const n = shape[0] as number;
  let bound = Number.POSITIVE_INFINITY;
  for (let i = 0; i < n; i++) {
    let row = data[i * (n + 1)]! + Math.abs(data[i * (n + 1)]!);
    for (let j = 0; j < n; j++) row -= Math.abs(data[i * n + j]!);
    bound = Math.min(bound, row);
  }
  return bound;
}

const rootOfMagnitude = (value: number) => Math.sqrt(Math.abs(value));

/** sqrt|s| / (s - delta); 0 where s is delta up to rounding: of such a component coefficients say nothing. */
function extensionFactors(values: Float64Array, diagonal: number): Float64Array {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value - diagonal)), 0);
  return values.map((value) =>
    Math.abs(value - diagonal) > 1e-6 * largest ? rootOfMagnitude(value) / (value - diagonal) : 0,
  );
}

function scaledColumns(vectors: Float64Array, factors: Float64Array): Float32Array {
  const m = factors.length;
  return Float32Array.from(vectors, (value, entry) => value * factors[entry % m]!);
}

/** Rows scaled to length 1, in place. Rows that are nothing but rounding become 0. */
function unitRows(rows: Float32Array, n: number): Float32Array {
  const m = rows.length / n;
  const lengths = Float64Array.from({ length: n }, (_, i) => Math.hypot(...rows.subarray(i * m, (i + 1) * m)));
  const negligible = 1e-6 * lengths.reduce((most, length) => Math.max(most, length), 0);
  for (let i = 0; i < n; i++) {
    for (let c = i * m; c < (i + 1) * m; c++) rows[c] = lengths[i]! > negligible ? rows[c]! / lengths[i]! : 0;
  }
  return rows;
}

/** Fills `out`, [n, n], with max(0, <u_i, u_j>)^power over the largest off the diagonal, which becomes 0. @returns the largest. */
async function cosinePowers(
  rows: NumberArray,
  power: number,
  out: Float32Array,
  products: MatrixProducts,
): Promise<number> {
  const [n, m] = rows.shape as [number, number];
  let maximum = 0;
  for (let first = 0; first < n; first += ROWS) {
    const count = Math.min(ROWS, n - first);
    const some = { data: rows.data.subarray(first * m, (first + count) * m), shape: [count, m] };
    const before = { data: rows.data.subarray(0, (first + count) * m), shape: [first + count, m] };
    const { data } = await products.multiply(some, before, "abT");
    for (let i = first; i < first + count; i++) {
      for (let j = 0; j < i; j++) {
        const value = Math.fround(Math.max(0, data[(i - first) * (first + count) + j]!) ** power);
        out[i * n + j] = out[j * n + i] = value;
        maximum = Math.max(maximum, value);
      }
      out[i * (n + 1)] = 0;
    }
  }
  if (maximum > 0) for (let entry = 0; entry < out.length; entry++) out[entry]! /= maximum;
  return maximum;
}
