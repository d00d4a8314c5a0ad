import { SubspanError } from "../../runtime/errors.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import type { Random } from "../random.ts";
import { leadingEigenpairs } from "./eigen.ts";
import type { SymmetricOperator } from "./laplacian.ts";
import { eigenvectorRange, type PartitionOptions, partition } from "./partition.ts";
import type { SparseSymmetric } from "./sparse.ts";

export interface AnchorWeightsOptions {
  /** n, the rows of all blocks together. */
  readonly samples: number;
  /** M, the columns of each. */
  readonly anchors: number;
  /** t, the largest coefficients of a row that count; all of them where there are no more. */
  readonly nonzeros: number;
  /** Whether coefficients below 0 count, by their size. */
  readonly ties: "positive" | "both";
}

/** S, [n, M]: what ties samples to anchors, t entries a row. */
export interface AnchorWeights {
  readonly samples: number;
  readonly anchors: number;
  readonly nonzeros: number;
  /** Row i is entries i t to (i + 1) t - 1, by descending weight; [n t]. */
  readonly columns: Int32Array;
  /** >= 0; a row sums to 1, or to 0 where a sample has no coefficient. [n t]. */
  readonly values: Float64Array;
}

/**
 * The largest c (or |c|) of each sample, squared: the energies that they release, see models/energy.ts; brought to a sum of 1.
 * Of equal coefficients the first count.
 *
 * @param blocks - coefficients of the samples in order, each [rows, M]; one at a time is looked at, so memory grows
 *   with n t.
 * @throws {SubspanError} SHAPE_MISMATCH if a block is not M wide or the blocks are not n high; NOT_FINITE; OUT_OF_RANGE
 *   if t is below 1.
 */
export async function anchorWeights(
  blocks: AsyncIterable<NumberArray> | Iterable<NumberArray>,
  { samples, anchors, nonzeros, ties }: AnchorWeightsOptions,
): Promise<AnchorWeights> {
  if (!Number.isInteger(nonzeros) || nonzeros < 1)
    throw new SubspanError("OUT_OF_RANGE", `nonzeros: expected 1 or more, got ${nonzeros}`);
  const t = Math.min(nonzeros, anchors);
  const [columns, values] = [new Int32Array(samples * t), new Float64Array(samples * t)];
  const weights = { samples, anchors, nonzeros: t, columns, values };
  let done = 0;
  for await (const { data, shape } of blocks) {
    const [rows = 0, width] = shape;
    if (shape.length !== 2 || width !== anchors || done + rows > samples) {
      const expected = `[at most ${samples - done}, ${anchors}]`;
      throw new SubspanError("SHAPE_MISMATCH", `coefficients: expected a block of ${expected}, got [${shape}]`);
    }
    for (let i = 0; i < rows; i++) {
      const row = data.subarray(i * anchors, (i + 1) * anchors);
      keepLargest(row, ties === "both", weights, done + i);
    }
    done += rows;
  }
  if (done !== samples)
    throw new SubspanError("SHAPE_MISMATCH", `coefficients: expected ${samples} rows in all, got ${done}`);
  return weights;
}

/** Fills row `sample` of the weights from its coefficients, [M]; those below 0 count where `both` do. */
function keepLargest(
  coefficients: Float32Array,
  both: boolean,
  { nonzeros, columns, values }: AnchorWeights,
  sample: number,
): void {
  const start = sample * nonzeros;
  const last = start + nonzeros - 1;
  values.fill(0, start, last + 1);
  for (let j = 0; j < coefficients.length; j++) {
    const given = coefficients[j]!;
    if (!Number.isFinite(given))
      throw new SubspanError("NOT_FINITE", `coefficients: sample ${sample} has ${given} for anchor ${j}`);
    const value = both ? Math.abs(given) : given;
    if (value <= values[last]!) continue;
    let place = last;
    for (; place > start && value > values[place - 1]!; place--) {
      values[place] = values[place - 1]!;
      columns[place] = columns[place - 1]!;
    }
    values[place] = value;
    columns[place] = j;
  }
  let sum = 0;
  for (let entry = start; entry <= last; entry++) {
    values[entry]! **= 2;
    sum += values[entry]!;
  }
  if (sum > 0) for (let entry = start; entry <= last; entry++) values[entry]! /= sum;
}

/**
 * A clustering of n samples by their anchors, and all that places a new one: see `anchorEmbedding` in
 * models/assignment.
 */
export interface BipartiteClustering {
  /** 0..clusters-1, [n]. */
  readonly labels: Int32Array;
  /**
   * Weighed rows of the m leading left singular vectors scaled to length 1, [n, m]; a sample without weights stays on
   * the origin.
   */
  readonly embedding: NumberArray<Float64Array>;
  /** m, given or chosen. */
  readonly eigenvectors: number;
  /** sigma, [m], descending, in 0..1. */
  readonly singularValues: Float64Array;
  /** sigma_i^2 - sigma_{i+1}^2 for every pair computed; entry m - 1 is the gap behind the m that were used. */
  readonly eigengaps: Float64Array;
  /** Lambda, the weights of each anchor, [M]; 0 for an anchor that no sample uses. */
  readonly degrees: Float64Array;
  /** Lambda^-1/2 V Sigma^-1, [M, m], weighed: a sample's weights times this are its row of the embedding but for its length. */
  readonly rows: NumberArray;
  /** k-means centres in the embedding, [clusters, m]. */
  readonly centres: NumberArray<Float64Array>;
}

/** The share of the largest singular value below which one counts as 0: what it would be divided by is rounding. */
const NEGLIGIBLE = 1e-4;

/**
 * Spectral clustering of the bipartite graph between samples and anchors, our reading of EBSE at scale:
 *
 *     B = S Lambda^-1/2 = U Sigma V^T,    labels by k-means of the unit rows of the m leading columns of U
 *
 * B B^T is the normalised affinity of samples that share anchors. V comes from B^T B, [M, M], which is only ever
 * multiplied with: time grows with n t m, memory with n (t + m) + M m.
 *
 * @throws {SubspanError} OUT_OF_RANGE if there are fewer anchors than clusters or eigenvectors; TOO_FEW_SAMPLES;
 *   TRAINING_DIVERGED if the singular vectors do not converge.
 * @see Chen & Cai 2011, Large Scale Spectral Clustering with Landmark-Based Representation, AAAI; Liu, He & Chang 2010,
 *   Large Graph Construction for Scalable Semi-Supervised Learning, ICML, for anchors. Coefficients as weights are
 *   ours.
 */
export async function bipartiteClustering(
  weights: AnchorWeights,
  options: PartitionOptions,
): Promise<BipartiteClustering> {
  const { samples: n, anchors, columns } = weights;
  const { clusters } = options;
  if (anchors < clusters)
    throw new SubspanError(
      "OUT_OF_RANGE",
      `anchors: expected at least ${clusters} different ones (clusters), got ${anchors}`,
    );
  const degrees = columnSums(weights);
  const inverseRoots = degrees.map((degree) => (degree > 0 ? 1 / Math.sqrt(degree) : 0));
  const values = weights.values.map((value, entry) => value * inverseRoots[columns[entry]!]!);
  const matrix = { ...weights, values };
  const range = eigenvectorRange(options, Math.min(n, anchors));
  const { computed } = range;
  const pairs = await leadingEigenpairs(gram(matrix), computed, { random: options.random });
  const singularValues = pairs.values.map((value) => Math.sqrt(Math.max(0, value)));
  // V Sigma^-1, and Lambda^-1/2 with it; nothing is extended from a singular value of 0.
  const right = pairs.vectors;
  for (let entry = 0; entry < right.length; entry++) {
    const sigma = singularValues[entry % computed]!;
    right[entry] = sigma > NEGLIGIBLE * singularValues[0]! ? right[entry]! / sigma : 0;
  }
  const left = new Float64Array(n * computed);
  for (let i = 0; i < n; i++) addRow(matrix, i, right, computed, left, i * computed);
  const found = partition({ data: left, shape: [n, computed] }, pairs.values, range, options);
  const m = found.eigenvectors;
  const rows = new Float32Array(anchors * m);
  for (let j = 0; j < anchors; j++) {
    for (let c = 0; c < m; c++) rows[j * m + c] = right[j * computed + c]! * found.weights[c]! * inverseRoots[j]!;
  }
  return {
    labels: found.labels,
    embedding: found.embedding,
    eigenvectors: m,
    singularValues: singularValues.slice(0, m),
    eigengaps: Float64Array.from({ length: computed - 1 }, (_, i) => pairs.values[i]! - pairs.values[i + 1]!),
    degrees,
    rows: { data: rows, shape: [anchors, m] },
    centres: found.centres,
  };
}

/**
 * Samples that share anchors, drawn by the random walk S Lambda^-1 S^T: from a sample to one of its anchors and on to one of that
 * anchor's samples, each in proportion to its weight. Memory and time grow with n.
 *
 * @param count - walks from each sample. @returns for each sample the ends of its walks, each with weight 1; itself is left out,
 *   and so a sample without weights has none.
 */
export function walkedAffinity(weights: AnchorWeights, count: number, random: Random): SparseSymmetric {
  const { samples: n, anchors, nonzeros: t, columns, values } = weights;
  const starts = new Int32Array(anchors + 1);
  columns.forEach((column, entry) => {
    if (values[entry]! > 0) starts[column + 1]!++;
  });
  for (let j = 0; j < anchors; j++) starts[j + 1]! += starts[j]!;
  const [members, shares] = [new Int32Array(starts[anchors]!), new Float64Array(starts[anchors]!)];
  const next = starts.slice();
  columns.forEach((column, entry) => {
    if (!(values[entry]! > 0)) return;
    const at = next[column]!++;
    members[at] = Math.floor(entry / t);
    shares[at] = values[entry]!;
  });
  const [offsets, ends] = [new Int32Array(n + 1), new Int32Array(n * count)];
  let found = 0;
  for (let i = 0; i < n; i++) {
    for (let walk = 0; walk < count && values[i * t]! > 0; walk++) {
      const anchor = columns[drawn(values, i * t, (i + 1) * t, random)]!;
      const end = members[drawn(shares, starts[anchor]!, starts[anchor + 1]!, random)]!;
      if (end !== i) ends[found++] = end;
    }
    offsets[i + 1] = found;
  }
  return { n, offsets, columns: ends.slice(0, found), values: new Float64Array(found).fill(1) };
}

/** An index in from..to - 1, in proportion to its weight. */
function drawn(weights: Float64Array, from: number, to: number, random: Random): number {
  let total = 0;
  for (let at = from; at < to; at++) total += weights[at]!;
  let left = random.uniform(0, total);
  for (let at = from; at < to - 1; at++) {
    left -= weights[at]!;
    if (left < 0) return at;
  }
  return to - 1;
}

function columnSums({ anchors, columns, values }: AnchorWeights): Float64Array {
  const sums = new Float64Array(anchors);
  for (let entry = 0; entry < columns.length; entry++) sums[columns[entry]!]! += values[entry]!;
  return sums;
}

/** B^T B: each sample's row of B times x, given back to the anchors that the row is made of. */
function gram(matrix: AnchorWeights): SymmetricOperator {
  const { samples, anchors, nonzeros, columns, values } = matrix;
  return {
    n: anchors,
    lowest: 0,
    apply: (x, width, y) => {
      const row = new Float64Array(width);
      y.fill(0);
      for (let i = 0; i < samples; i++) {
        row.fill(0);
        addRow(matrix, i, x, width, row, 0);
        for (let entry = i * nonzeros; entry < (i + 1) * nonzeros; entry++) {
          const value = values[entry]!;
          const to = columns[entry]! * width;
          if (value > 0) for (let c = 0; c < width; c++) y[to + c]! += value * row[c]!;
        }
      }
    },
  };
}

/** out += row i of the matrix times x, [M, width]. */
function addRow(
  { nonzeros, columns, values }: AnchorWeights,
  i: number,
  x: Float64Array,
  width: number,
  out: Float64Array,
  to: number,
): void {
  for (let entry = i * nonzeros; entry < (i + 1) * nonzeros; entry++) {
    const value = values[entry]!;
    const from = columns[entry]! * width;
    if (value > 0) for (let c = 0; c < width; c++) out[to + c]! += value * x[from + c]!;
  }
}
