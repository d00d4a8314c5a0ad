import { SubspanError } from "../../runtime/errors.ts";
import type { Neighbours } from "./neighbours.ts";
import { type SparseSymmetric, symmetrised } from "./sparse.ts";

/** An affinity and the local scale of each sample, which places new samples later. */
export interface SelfTunedAffinity {
  readonly affinity: SparseSymmetric;
  /** s_i > 0, [n], in the units of the points; never below the smallest positive distance to a `scaleNeighbour`-th neighbour. */
  readonly localScales: Float64Array;
}

/**
 * Self-tuning affinity: each sample measures distance in its own local scale.
 *
 *     w_ij = exp(-d_ij^2 / (s_i s_j)) for j among the k nearest of i, or i of j; 0 otherwise
 *
 * s_i is the distance from i to its `scaleNeighbour`-th neighbour. Where that is 0 (duplicates), s_i is the smallest
 * positive scale of all samples (1 if there is none), so duplicates have affinity 1 and still reach others. Distances up
 * to `rounding` are those of duplicates.
 *
 * A sample very far from all others can have every affinity round to 0: its degree is 0, see `normalisedAffinity`.
 *
 * @param neighbours - of all n points among themselves, self excluded.
 * @throws {SubspanError} OUT_OF_RANGE if `scaleNeighbour` is not in 1..k.
 * @see Zelnik-Manor & Perona 2004, Self-Tuning Spectral Clustering, NIPS 17, for w and s. The kNN sparsity and its
 *   symmetrising by maximum are ours.
 */
export function selfTunedAffinity(
  neighbours: Neighbours,
  { scaleNeighbour = 7, rounding = 0 } = {},
): SelfTunedAffinity {
  const { n, k, indices, squaredDistances } = neighbours;
  if (!Number.isInteger(scaleNeighbour) || scaleNeighbour < 1 || scaleNeighbour > k) {
    throw new SubspanError("OUT_OF_RANGE", `scaleNeighbour: expected 1..${k} (k neighbours), got ${scaleNeighbour}`);
  }
  const localScales = new Float64Array(n);
  let smallest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < n; i++) {
    const scale = Math.sqrt(squaredDistances[i * k + scaleNeighbour - 1]!);
    localScales[i] = scale;
    if (scale > rounding) smallest = Math.min(smallest, scale);
  }
  const floor = Number.isFinite(smallest) ? smallest : 1;
  for (let i = 0; i < n; i++) localScales[i] = Math.max(localScales[i]!, floor);

  const weights = new Float64Array(n * k);
  for (let i = 0; i < n; i++) {
    for (let entry = i * k; entry < (i + 1) * k; entry++) {
      weights[entry] = Math.exp(-squaredDistances[entry]! / (localScales[i]! * localScales[indices[entry]!]!));
    }
  }
  return { affinity: symmetrised(n, indices, weights, "maximum"), localScales };
}

/**
 * Adaptive-neighbour affinity: the closed-form probabilities of being neighbours. With squared distances d_1 <= d_2 <= ...,
 *
 *     w_ij = (d_{k+1} - d_ij) / (k d_{k+1} - sum_{l<=k} d_il) for the k nearest j, then (W + W^T) / 2
 *
 * Rows sum to 1 before they are symmetrised, so every degree is at least 1/2. Where the k + 1 nearest are all equally far
 * (duplicates among them: the denominator is 0), the k nearest share 1 evenly, the limit of the formula.
 *
 * @param neighbours - the k + 1 nearest of each of the n points: one more than the affinity keeps. k + 1 >= 2.
 * @see Nie, Wang & Huang 2014, Clustering and Projected Clustering with Adaptive Neighbors, KDD.
 */
export function adaptiveNeighbourAffinity(neighbours: Neighbours): SparseSymmetric {
  const { n, indices, squaredDistances } = neighbours;
  const given = neighbours.k;
  const k = given - 1;
  if (k < 1) throw new SubspanError("OUT_OF_RANGE", "neighbours: expected at least 2 a sample (k + 1), got 1");
  const kept = new Int32Array(n * k);
  const weights = new Float64Array(n * k);
  for (let i = 0; i < n; i++) {
    const farthest = squaredDistances[i * given + k]!;
    let denominator = 0;
    for (let l = 0; l < k; l++) denominator += farthest - squaredDistances[i * given + l]!;
    for (let l = 0; l < k; l++) {
      kept[i * k + l] = indices[i * given + l]!;
      weights[i * k + l] = denominator > 0 ? (farthest - squaredDistances[i * given + l]!) / denominator : 1 / k;
    }
  }
  return symmetrised(n, kept, weights, "mean");
}
