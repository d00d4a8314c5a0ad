import { SubspanError } from "../../runtime/errors.ts";
import { multiplyBlock, rowSums, type SparseSymmetric } from "./sparse.ts";

/** A symmetric linear map of R^n, known by what it does to a block of vectors. */
export interface SymmetricOperator {
  readonly n: number;
  /** No eigenvalue is below this. */
  readonly lowest: number;
  /** y = A x for a block of `width` vectors; x and y are [n, width], row-major and distinct. */
  apply(x: Float64Array, width: number, y: Float64Array): void;
}

/** The normalised affinity as an operator, and the degrees that normalised it, [n]. */
export interface NormalisedAffinity extends SymmetricOperator {
  readonly degrees: Float64Array;
}

/**
 * The normalised affinity D^-1/2 W D^-1/2. Eigenvalues lie in [-1, 1]; 1 occurs once a connected component.
 *
 * A sample of degree 0 has no affinity to divide: its row and column stay 0, so it adds an eigenvalue 0 and its entry in
 * every eigenvector of another eigenvalue is 0. It lands on the origin of the spectral embedding.
 *
 * @throws {SubspanError} OUT_OF_RANGE if an affinity is negative, NOT_FINITE if one is not a number.
 */
export function normalisedAffinity(affinity: SparseSymmetric): NormalisedAffinity {
  checkAffinity(affinity.values);
  const { n, offsets, columns } = affinity;
  const degrees = rowSums(affinity);
  const inverseRoots = degrees.map(inverseRoot);
  const values = affinity.values.slice();
  for (let i = 0; i < n; i++) {
    for (let entry = offsets[i]!; entry < offsets[i + 1]!; entry++) {
      values[entry]! *= inverseRoots[i]! * inverseRoots[columns[entry]!]!;
    }
  }
  const matrix = { ...affinity, values };
  return { n, lowest: -1, degrees, apply: (x, width, y) => multiplyBlock(matrix, x, width, y) };
}

/** D^-1/2 of a degree: 0 where there is nothing to divide. */
export const inverseRoot = (degree: number) => (degree > 0 ? 1 / Math.sqrt(degree) : 0);

/** The Laplacian I - D^-1/2 W D^-1/2. Eigenvalues lie in [0, 2]; a sample of degree 0 has eigenvalue 1. */
export function laplacian(affinity: SparseSymmetric): SymmetricOperator {
  const normalised = normalisedAffinity(affinity);
  return {
    n: affinity.n,
    lowest: 0,
    apply: (x, width, y) => {
      normalised.apply(x, width, y);
      for (let entry = 0; entry < x.length; entry++) y[entry] = x[entry]! - y[entry]!;
    },
  };
}

/** @throws {SubspanError} OUT_OF_RANGE if an affinity is negative, NOT_FINITE if one is not a number. */
export function checkAffinity(values: Float32Array | Float64Array): void {
  for (const value of values) {
    if (!Number.isFinite(value)) throw new SubspanError("NOT_FINITE", `affinity: expected finite, got ${value}`);
    if (value < 0) throw new SubspanError("OUT_OF_RANGE", `affinity: expected >= 0, got ${value}`);
  }
}
