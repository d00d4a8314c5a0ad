import type { NumberArray } from "../../runtime/samples.ts";
import type { Random } from "../random.ts";
import { selfTunedAffinity } from "./affinity.ts";
import { leadingEigenpairs } from "./eigen.ts";
import { type KMeansResult, kMeans } from "./kmeans.ts";
import { normalisedAffinity } from "./laplacian.ts";
import { nearestNeighbours } from "./neighbours.ts";
import type { SparseSymmetric } from "./sparse.ts";

/** How many eigenvectors more than clusters the balance rule tries. */
const BALANCE_RANGE = 4;

export interface AffinityClusteringOptions {
  readonly clusters: number;
  /** m, or "balance" (the default): the m in clusters..clusters + 4 with the most even cluster sizes. */
  readonly eigenvectors?: number | "balance";
  /** Starts of k-means. Default 20. */
  readonly restarts?: number;
  readonly random: Random;
}

export interface SpectralClusteringOptions extends AffinityClusteringOptions {
  /** Nearest neighbours a sample is joined to. Default 10. */
  readonly neighbours?: number;
  /** The neighbour whose distance is a sample's local scale. Default 7. */
  readonly scaleNeighbour?: number;
}

/** A clustering of n samples and all that places a new one: see `nystromExtension` in models/assignment. */
export interface AffinityClustering {
  /** 0..clusters-1, [n]. */
  readonly labels: Int32Array;
  /** Rows of the m leading eigenvectors scaled to length 1, [n, m]; a sample of degree 0 stays on the origin. */
  readonly embedding: NumberArray<Float64Array>;
  /** m, given or chosen. */
  readonly eigenvectors: number;
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
  { neighbours = 10, scaleNeighbour = 7, ...options }: SpectralClusteringOptions,
): Promise<SpectralClustering> {
  const { affinity, localScales } = selfTunedAffinity(await nearestNeighbours(points, neighbours), { scaleNeighbour });
  return { ...affinityClustering(affinity, options), localScales };
}

/**
 * Spectral clustering of an affinity, see `spectralClustering`.
 *
 * "balance" chooses m without labels: it clusters with m = clusters..clusters + 4 and keeps the partition with the highest
 * entropy of cluster sizes (the fewest eigenvectors of equals). It assumes classes of about equal size. On augmented MNIST
 * latents before self-training it scored 13 points above m = clusters and, but for one run of four (0.9 points), within 0.2
 * points of the best m; on Fashion-MNIST, whose spectrum has no gap, no rule was reliable.
 */
export function affinityClustering(affinity: SparseSymmetric, options: AffinityClusteringOptions): AffinityClustering {
  const { clusters, eigenvectors = "balance", restarts = 20, random } = options;
  const operator = normalisedAffinity(affinity);
  const { n, degrees } = operator;
  const most = eigenvectors === "balance" ? Math.min(n, clusters + BALANCE_RANGE) : eigenvectors;
  const computed = Math.max(most, Math.min(n, most + 1)); // One more, for the gap behind the last.
  const { values, vectors } = leadingEigenpairs(operator, computed, { random });
  // Rounding leaves a little in the rows of samples without affinity, which scaling to length 1 would blow up.
  for (let i = 0; i < n; i++) if (degrees[i] === 0) vectors.fill(0, i * computed, (i + 1) * computed);
  let best: { readonly m: number; readonly entropy: number; readonly result: KMeansResult } | undefined;
  for (let m = eigenvectors === "balance" ? Math.min(n, clusters) : eigenvectors; m <= most; m++) {
    const result = kMeans(unitRows(leadingColumns(vectors, computed, m)), { clusters, restarts, random });
    const entropy = sizeEntropy(result.labels, clusters);
    if (best === undefined || entropy > best.entropy) best = { m, entropy, result };
  }
  const { m, result } = best!;
  const raw = leadingColumns(vectors, computed, m);
  return {
    labels: result.labels,
    embedding: unitRows(raw),
    eigenvectors: m,
    eigenvalues: values.slice(0, m),
    vectors: raw,
    eigengaps: Float64Array.from({ length: computed - 1 }, (_, i) => values[i]! - values[i + 1]!),
    degrees,
    centres: result.centres,
    affinity,
  };
}

/** Rows scaled to length 1; a row of zeros stays. Same type, [n, d]. */
export function unitRows<T extends Float32Array | Float64Array>({ data, shape }: NumberArray<T>): NumberArray<T> {
  const [n = 0, d = 0] = shape;
  const scaled = data.slice() as T;
  for (let i = 0; i < n; i++) {
    let squared = 0;
    for (let j = 0; j < d; j++) squared += data[i * d + j]! ** 2;
    if (squared > 0) for (let j = 0; j < d; j++) scaled[i * d + j]! /= Math.sqrt(squared);
  }
  return { data: scaled, shape };
}

/** The first m of `width` columns, [n, m]. */
function leadingColumns(vectors: Float64Array, width: number, m: number): NumberArray<Float64Array> {
  const n = vectors.length / width;
  const data = new Float64Array(n * m);
  for (let i = 0; i < n; i++) data.set(vectors.subarray(i * width, i * width + m), i * m);
  return { data, shape: [n, m] };
}

/** Entropy of the cluster sizes in nats: 0 (all in one) to ln(clusters) (all equal). */
function sizeEntropy(labels: Int32Array, clusters: number): number {
  const sizes = new Int32Array(clusters);
  for (const label of labels) sizes[label]!++;
  let entropy = 0;
  for (const size of sizes) if (size > 0) entropy -= (size / labels.length) * Math.log(size / labels.length);
  return entropy;
}
