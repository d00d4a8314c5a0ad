import type { NumberArray } from "../runtime/samples.ts";
import type { Random } from "./random.ts";
import type { SparseSymmetric } from "./spectral/index.ts";

/**
 * Soft assignments that the network learns from and that learn from it, and the neighbours of each sample.
 *
 * They start from a spectral clustering, half the sample's own cluster and half its neighbours':
 *
 *     t_i = 1/2 onehot(label_i) + 1/2 sum_j w_ij onehot(label_j) / sum_j w_ij
 *
 * After each epoch they move half way to the network's predictions q, sharpened and balanced by frequency:
 *
 *     t <- 1/2 t + 1/2 s,    s_ik ~ q_ik^2 / sum_i q_ik, rows brought to 1
 *
 * @see Xie et al. 2016, Unsupervised Deep Embedding for Clustering Analysis, arXiv:1511.06335, for the sharpening.
 */
export class Targets {
  /** [n, K], rows sum to 1. */
  readonly values: NumberArray;
  /** Row i's neighbours are columns[offsets[i]..offsets[i + 1]]. */
  readonly offsets: Int32Array;
  readonly columns: Int32Array;

  constructor(values: NumberArray, offsets: Int32Array, columns: Int32Array) {
    this.values = values;
    this.offsets = offsets;
    this.columns = columns;
  }

  static fromClustering(labels: Int32Array, affinity: SparseSymmetric, clusters: number): Targets {
    const data = new Float32Array(labels.length * clusters);
    labels.forEach((label, i) => {
      const [from, to] = [affinity.offsets[i] as number, affinity.offsets[i + 1] as number];
      const add = (k: number, share: number) => {
        data[i * clusters + k] = (data[i * clusters + k] as number) + share;
      };
      let degree = 0;
      for (let e = from; e < to; e++) degree += affinity.values[e] as number;
      add(label, degree > 0 ? 0.5 : 1);
      for (let e = from; e < to && degree > 0; e++) {
        add(labels[affinity.columns[e] as number] as number, (0.5 * (affinity.values[e] as number)) / degree);
      }
    });
    const shape = [labels.length, clusters];
    return new Targets({ data, shape }, Int32Array.from(affinity.offsets), Int32Array.from(affinity.columns));
  }

  rows(rows: Int32Array): NumberArray {
    const [, clusters] = this.values.shape as [number, number];
    const out = new Float32Array(rows.length * clusters);
    rows.forEach((row, i) => {
      out.set(this.values.data.subarray(row * clusters, (row + 1) * clusters), i * clusters);
    });
    return { data: out, shape: [rows.length, clusters] };
  }

  /** One of a sample's neighbours; itself where it has none. */
  neighbour(row: number, random: Random): number {
    const from = this.offsets[row] as number;
    const count = (this.offsets[row + 1] as number) - from;
    const at = random.integer(Math.max(1, count));
    return count === 0 ? row : (this.columns[from + at] as number);
  }

  /** Moves the targets half way to the sharpened predictions q, [n, K]. @returns the share of samples whose cluster changed. */
  update(predictions: Float32Array): number {
    const { data, shape } = this.values;
    const [n, clusters] = shape as [number, number];
    const frequency = new Float64Array(clusters);
    predictions.forEach((q, i) => {
      frequency[i % clusters] = (frequency[i % clusters] as number) + q;
    });
    let changed = 0;
    const sharpened = new Float64Array(clusters);
    for (let i = 0; i < n; i++) {
      let total = 0;
      for (let k = 0; k < clusters; k++) {
        const q = predictions[i * clusters + k] as number;
        sharpened[k] = (q * q) / ((frequency[k] as number) + 1e-12);
        total += sharpened[k] as number;
      }
      const row = data.subarray(i * clusters, (i + 1) * clusters);
      const before = largest(row);
      for (let k = 0; k < clusters; k++) row[k] = 0.5 * (row[k] as number) + (0.5 * (sharpened[k] as number)) / total;
      if (largest(row) !== before) changed++;
    }
    return changed / n;
  }
}

/** The index of the largest element, the first of equals. */
export function largest(row: ArrayLike<number>): number {
  let best = 0;
  for (let k = 1; k < row.length; k++) if ((row[k] as number) > (row[best] as number)) best = k;
  return best;
}
