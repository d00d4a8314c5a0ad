import type { NumberArray } from "../../runtime/samples.ts";
import { selfTunedAffinity } from "./affinity.ts";
import { leadingEigenpairs } from "./eigen.ts";
import { normalisedAffinity } from "./laplacian.ts";
import { nearestNeighbours } from "./neighbours.ts";
import { eigenvectorRange, type PartitionOptions, partition } from "./partition.ts";
import type { SparseSymmetric } from "./sparse.ts";

export interface SpectralClusteringOptions extends PartitionOptions {
  /** Nearest neighbours a sample is joined to. Default 10. */
  readonly neighbours?: number;
  /** The neighbour whose distance is a sample's local scale. Default 7. */
  readonly scaleNeighbour?: number;
  /** Distances up to this are those of duplicates, in the units of the points. Default 0. */
  readonly rounding?: number;
}

/** A clustering of n samples and all that places a new one: see `nystromExtension` in models/assignment. */
export interface AffinityClustering {
  /** 0..clusters-1, [n]. */
  readonly labels: Int32Array;
  /** Weighed rows of the m leading eigenvectors scaled to length 1, [n, m]; a sample of degree 0 stays on the origin. */
  readonly embedding: NumberArray<Float64Array>;
  /** m, given or chosen. */
  readonly eigenvectors: number;
  /** What each eigenvector weighs in it, [m]. */
  readonly weights: Float64Array;
  /** Of the normalised affinity, [m], descending. */
  readonly eigenvalues: Float64Array;
  /** The eigenvectors as they are: orthonormal columns, [n, m]; 0 for samples of degree 0. */
  readonly vectors: NumberArray<Float64Array>;
  /** eigenvalue i minus eigenvalue i + 1 for every pair computed; entry m - 1 is the gap behind the m that were used. */
  readonly eigengaps: Float64Array;
  /** Row sums of the affinity, [n]. */
  readonly degrees: Float64Array;
  /** k-means centres in the embedding, [clusters, m]. */
  readonly centres: NumberArray<Float64Array>;
  readonly affinity: SparseSymmetric;
}

export interface SpectralClustering extends AffinityClustering {
  /** s_i of the self-tuning affinity, [n], in the units of the points. */
  readonly localScales: Float64Array;
}

/**
 * Spectral clustering of points: self-tuned kNN affinity, m leading eigenvectors of D^-1/2 W D^-1/2, rows scaled to
 * length 1, k-means. The points are taken as they are: scale latents to length 1 with `unitRows` first if direction is
 * what they mean.
 *
 * @param points - [n, d]. Memory grows with n * neighbours.
 * @throws {SubspanError} TOO_FEW_SAMPLES, NOT_FINITE, OUT_OF_RANGE, SHAPE_MISMATCH, or TRAINING_DIVERGED if the
 *   eigenvectors do not converge.
 * @see Ng, Jordan & Weiss 2001, On Spectral Clustering, NIPS 14; Zelnik-Manor & Perona 2004 for the local scales.
 */
export async function spectralClustering(
  points: NumberArray,
  { neighbours = 10, scaleNeighbour = 7, rounding = 0, ...options }: SpectralClusteringOptions,
): Promise<SpectralClustering> {
  const nearest = await nearestNeighbours(points, neighbours);
  const { affinity, localScales } = selfTunedAffinity(nearest, { scaleNeighbour, rounding });
  return { ...affinityClustering(affinity, options), localScales };
}

/** Spectral clustering of an affinity, see `spectralClustering`; for the number of eigenvectors `partition`. */
export function affinityClustering(affinity: SparseSymmetric, options: PartitionOptions): AffinityClustering {
  const operator = normalisedAffinity(affinity);
  const { n, degrees } = operator;
  const range = eigenvectorRange(options, n);
  const { computed } = range;
  const { values, vectors } = leadingEigenpairs(operator, computed, { random: options.random });
  // Rounding leaves a little in the rows of samples without affinity, which scaling to length 1 would blow up.
  for (let i = 0; i < n; i++) if (degrees[i] === 0) vectors.fill(0, i * computed, (i + 1) * computed);
  const { inertia: _, ...found } = partition({ data: vectors, shape: [n, computed] }, values, range, options);
  return {
    ...found,
    eigenvalues: values.slice(0, found.eigenvectors),
    eigengaps: Float64Array.from({ length: computed - 1 }, (_, i) => values[i]! - values[i + 1]!),
    degrees,
    affinity,
  };
}
