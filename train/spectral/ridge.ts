import { SubspanError } from "../../runtime/errors.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { type Matrix, type MatrixProducts, withProducts } from "./products.ts";

/** Closed-form self-expression of n latents, [n, d]. */
export interface RidgeSelfExpression {
  /** C, [n, n], symmetric, each sample's own coefficient on the diagonal, 0 <= c_ii < 1. */
  readonly coefficients: NumberArray;
  /** 1 - c_ii, [n], above 0, to more digits than the diagonal leaves where c_ii is near 1. */
  readonly residues: Float64Array;
  /** Z^T (G + lambda I)^-1, [d, n]: a latent times this gives its coefficients. */
  readonly map: NumberArray;
}

/**
 * Self-expression by ridge regression: with rows of Z as dictionary and G = Z Z^T,
 *
 *     C = argmin ||Z - C Z||_F^2 + lambda ||C||_F^2 = G (G + lambda I)^-1
 *
 * A new latent z has the coefficients z Z^T (G + lambda I)^-1. Inverted is G + lambda I, [n, n], or Z^T Z + lambda I, [d, d],
 * whichever is smaller: Z^T (G + lambda I)^-1 = (Z^T Z + lambda I)^-1 Z^T. In float64, whose relative error is about 1e-16
 * (||G|| + lambda) / lambda, and rounded once.
 *
 * lambda is in the units of G: of rows of length 1, samples' cosines. A row of zeros has and gives coefficients of 0.
 *
 * @param latents - Z, [n, d]. Memory: 8 bytes times twice the smaller of n^2 and d^2, and the results.
 * @param lambda - above 0.
 * @throws {SubspanError} OUT_OF_RANGE, NOT_FINITE, SHAPE_MISMATCH.
 * @see Lu et al. 2012, Robust and Efficient Subspace Segmentation via Least Squares Regression, ECCV, arXiv:1404.6736.
 */
export async function ridgeSelfExpression(latents: NumberArray, lambda: number): Promise<RidgeSelfExpression> {
  const z = parse(latents, lambda);
  const [n, d] = z.shape as [number, number];
  return withProducts(async (products) => (n <= d ? byGram(z, lambda, products) : byCovariance(z, lambda, products)));
}

/**
 * Coefficients that express each sample by the others alone: c_ii = 0 is asked for, not made so afterwards.
 *
 *     argmin ||Z - C Z||_F^2 + lambda ||C||_F^2 with diag(C) = 0 = I - diag(1 / p_ii) P,    P = (G + lambda I)^-1
 *
 * As P = (I - C) / lambda with the C of `ridgeSelfExpression`, its entries off the diagonal are c_ij / (1 - c_ii). Row i
 * expresses sample i; the columns of the published form, I - P diag(1 / p_ii), are these rows.
 *
 * @returns [n, n], not symmetric. It is what a sample would be given that came after the others.
 * @see Lu et al. 2012, as above; the derivation by Lagrange multipliers is that of sparse precision matrices.
 */
export function withoutItself({ coefficients, residues }: RidgeSelfExpression): NumberArray {
  const { data, shape } = coefficients;
  const n = residues.length;
  const out = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) out[i * n + j] = i === j ? 0 : data[i * n + j]! / residues[i]!;
  }
  return { data: out, shape };
}

function parse({ data, shape }: NumberArray, lambda: number): Matrix<Float64Array> {
  const [n = 0, d = 0] = shape;
  if (shape.length !== 2 || n < 1 || d < 1 || data.length !== n * d) {
    throw new SubspanError("SHAPE_MISMATCH", `latents: expected [n, d], got [${shape}] with ${data.length} numbers`);
  }
  if (!data.every(Number.isFinite)) throw new SubspanError("NOT_FINITE", "latents: expected finite numbers");
  if (!(lambda > 0 && Number.isFinite(lambda))) {
    throw new SubspanError("OUT_OF_RANGE", `lambda: expected above 0, got ${lambda}`);
  }
  return { data: Float64Array.from(data), shape };
}

/** With P = (G + lambda I)^-1: C = I - lambda P, and the map Z^T P. */
async function byGram(z: Matrix<Float64Array>, lambda: number, products: MatrixProducts): Promise<RidgeSelfExpression> {
  const n = z.shape[0] as number;
  const inverse = await ridgedInverse(await products.multiply(z, z, "abT"), lambda, products);
  const map = rounded(await products.multiply(z, inverse, "aTb"));
  const residues = Float64Array.from({ length: n }, (_, i) => lambda * inverse.data[i * (n + 1)]!);
  const data = Float32Array.from(inverse.data, (value) => -lambda * value);
  for (let i = 0; i < n; i++) data[i * (n + 1)] = 1 - residues[i]!;
  return { coefficients: { data, shape: [n, n] }, residues, map };
}

/** With S = (Z^T Z + lambda I)^-1: the map S Z^T, and C = Z S Z^T. */
async function byCovariance(
  z: Matrix<Float64Array>,
  lambda: number,
  products: MatrixProducts,
): Promise<RidgeSelfExpression> {
  const [n, d] = z.shape as [number, number];
  const inverse = await ridgedInverse(await products.multiply(z, z, "aTb"), lambda, products);
  const exact = await products.multiply(inverse, z, "abT");
  const map = rounded(exact);
  const coefficients = await products.multiply(rounded(z), map);
  const residues = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let own = 0;
    for (let j = 0; j < d; j++) own += z.data[i * d + j]! * exact.data[j * n + i]!;
    residues[i] = 1 - own;
    coefficients.data[i * (n + 1)] = own;
    for (let j = 0; j < i; j++) coefficients.data[j * n + i] = coefficients.data[i * n + j]!;
  }
  return { coefficients, residues, map };
}

const rounded = ({ data, shape }: Matrix): NumberArray => ({ data: Float32Array.from(data), shape });

/** Columns that are eliminated at once. */
const BLOCK = 128;

/**
 * (A + lambda I)^-1 of a positive semidefinite A, in its place: Gauss-Jordan elimination, a block of columns at a time, whose
 * pivots are positive definite, so that none is searched for. With B the inverse of the pivot block A_pp,
 *
 *     A_pp <- B,  A_pj <- B A_pj,  A_ij <- A_ij - A_ip B A_pj,  A_ip <- -A_ip B    for i, j outside p
 *
 * @see Higham 2002, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 14.4.
 */
async function ridgedInverse(
  a: Matrix<Float64Array>,
  lambda: number,
  products: MatrixProducts,
): Promise<Matrix<Float64Array>> {
  const n = a.shape[0] as number;
  const { data } = a;
  for (let i = 0; i < n; i++) data[i * (n + 1)]! += lambda;
  for (let first = 0; first < n; first += BLOCK) {
    const size = Math.min(BLOCK, n - first);
    const rows = data.slice(first * n, (first + size) * n);
    const pivot = new Float64Array(size * size);
    for (let p = 0; p < size; p++) pivot.set(rows.subarray(p * n + first, p * n + first + size), p * size);
    invertPositive(pivot, size);
    for (let p = 0; p < size; p++) rows.fill(0, p * n + first, p * n + first + size);
    const inverse = { data: pivot, shape: [size, size] };
    const { data: scaled } = await products.multiply(inverse, { data: rows, shape: [size, n] });
    for (let p = 0; p < size; p++) scaled.set(pivot.subarray(p * size, (p + 1) * size), p * n + first);
    await eliminate(data, n, first, size, { data: scaled, shape: [size, n] }, products);
  }
  return a;
}

/** Takes A_ip times the pivot's new rows off all rows i, whose columns p are counted as 0, and puts the new rows in place. */
async function eliminate(
  data: Float64Array,
  n: number,
  first: number,
  size: number,
  pivotRows: Matrix<Float64Array>,
  products: MatrixProducts,
): Promise<void> {
  for (let top = 0; top < n; top += 4 * BLOCK) {
    const count = Math.min(4 * BLOCK, n - top);
    const columns = new Float64Array(count * size);
    for (let i = 0; i < count; i++) {
      const at = (top + i) * n + first;
      columns.set(data.subarray(at, at + size), i * size);
      data.fill(0, at, at + size);
    }
    const { data: product } = await products.multiply({ data: columns, shape: [count, size] }, pivotRows);
    for (let entry = 0; entry < product.length; entry++) data[top * n + entry]! -= product[entry]!;
  }
  data.set(pivotRows.data, first * n);
}

/** Inverts a small positive definite matrix, [n, n], in place, by Gauss-Jordan elimination without pivoting. */
function invertPositive(a: Float64Array, n: number): void {
  for (let p = 0; p < n; p++) {
    const pivot = 1 / a[p * n + p]!;
    a[p * n + p] = 1;
    for (let j = 0; j < n; j++) a[p * n + j]! *= pivot;
    for (let i = 0; i < n; i++) {
      if (i === p) continue;
      const factor = a[i * n + p]!;
      a[i * n + p] = 0;
      for (let j = 0; j < n; j++) a[i * n + j]! -= factor * a[p * n + j]!;
    }
  }
}
