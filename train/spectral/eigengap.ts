import type { Random } from "../random.ts";
import { leadingEigenpairs } from "./eigen.ts";
import { normalisedAffinity } from "./laplacian.ts";
import type { SparseSymmetric } from "./sparse.ts";

/** A number of clusters, and how clearly the spectrum says it. */
export interface ClusterCandidate {
  readonly clusters: number;
  /** 0..1: relative to the eigenvalue behind it. */
  readonly gap: number;
}

/** Eigenvalues below this count as this: parts that so little joins are not told from parts that nothing joins. */
const APART = 0.01;
/** Of the eigenvectors: an eigenvalue is off by about the square of this. */
const TOLERANCE = 1e-5;

/**
 * How clearly an affinity falls into K parts, for each K from 2 to `most`: with lambda_1 <= lambda_2 <= ... the eigenvalues of
 * the Laplacian I - D^-1/2 W D^-1/2, the relative eigengap
 *
 *     gap_K = (lambda_{K+1} - lambda_K) / lambda_{K+1}
 *
 * It is 1 where exactly K parts are not joined at all, and does not change when all eigenvalues are scaled.
 *
 * @returns in the order of K. @throws {SubspanError} as `normalisedAffinity`, or TRAINING_DIVERGED.
 * @see von Luxburg 2007, A Tutorial on Spectral Clustering, section 8.3, arXiv:0711.0189, for the eigengap. Taking it relative
 *   to what is behind it, with eigenvalues of at least 0.01, is ours.
 */
export function relativeEigengaps(affinity: SparseSymmetric, most: number, random: Random): ClusterCandidate[] {
  const operator = normalisedAffinity(affinity);
  const { values } = leadingEigenpairs(operator, Math.min(most + 1, operator.n), { random, tolerance: TOLERANCE });
  const laplacian = Array.from(values, (value) => Math.max(APART, 1 - value));
  return laplacian.slice(1, -1).map((value, i) => {
    const behind = laplacian[i + 2] as number;
    return { clusters: i + 2, gap: (behind - value) / behind };
  });
}

/** Candidates by descending gap, the fewer clusters of equals first. */
export function clearestFirst(candidates: readonly ClusterCandidate[]): ClusterCandidate[] {
  return candidates.toSorted((a, b) => b.gap - a.gap || a.clusters - b.clusters);
}
