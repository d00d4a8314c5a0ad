import { SubspanError } from "../../runtime/errors.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { eigenvectorRange, type PartitionOptions, partition } from "./balance.ts";
import { leadingEigenpairs } from "./eigen.ts";
import type { SymmetricOperator } from "./laplacian.ts";

export interface AnchorWeightsOptions {
  /** n, the rows of all blocks together. */
  readonly samples: number;
  /** M, the columns of each. */
  readonly anchors: number;
  /** t, the largest coefficients of a row that count; all of them where there are no more. */
  readonly nonzeros: number;
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
 * The largest |c| of each sample, brought to a sum of 1. Of equal coefficients the first count.
 *
 * @param blocks - coefficients of the samples in order, each [rows, M]; one at a time is looked at, so memory grows
 *   with n t.
 * @throws {SubspanError} SHAPE_MISMATCH if a block is not M wide or the blocks are not n high; NOT_FINITE; OUT_OF_RANGE
 *   if t is below 1.
 */
export async function anchorWeights(
  blocks: AsyncIterable<NumberArray> | Iterable<NumberArray>,
  { samples, anchors, nonzeros }: AnchorWeightsOptions,
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
    for (let i = 0; i < rows; i++) keepLargest(data.subarray(i * anchors, (i + 1) * anchors), weights, done + i);
    done += rows;
  }
  if (done !== samples)
    throw new SubspanError("SHAPE_MISMATCH", `coefficients: expected ${samples} rows in all, got ${done}`);
  return weights;
}

/** Fills row `sample` of the weights from its coefficients, [M]. */
function keepLargest(coefficients: Float32Array, { nonzeros, columns, values }: AnchorWeights, sample: number): void {
  const start = sample * nonzeros;
  const last = start + nonzeros - 1;
  values.fill(-1, start, last + 1);
  for (let j = 0; j < coefficients.length; j++) {
    const value = Math.abs(coefficients[j]!);
    if (!(value <= Number.MAX_VALUE))
      throw new SubspanError("NOT_FINITE", `coefficients: sample ${sample} has ${coefficients[j]} for anchor ${j}`);
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
  for (let entry = start; entry <= last; entry++) sum += values[entry]!;
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
   * Rows of the m leading left singular vectors scaled to length 1, [n, m]; a sample without weights stays on the
   * origin.
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
  /** Lambda^-1/2 V Sigma^-1, [M, m]: a sample's weights times this are its row of the left singular vectors. */
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
    throw new SubspanError("OUT_OF_RANGE", `anchors: expected at least ${clusters} (clusters), got ${anchors}`);
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
  const found = partition({ data: left, shape: [n, computed] }, range, options);
  const m = found.eigenvectors;
  const rows = new Float32Array(anchors * m);
  for (let j = 0; j < anchors; j++) {
    for (let c = 0; c < m; c++) rows[j * m + c] = right[j * computed + c]! * inverseRoots[j]!;
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
