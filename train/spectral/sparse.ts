import { SubspanError } from "../../runtime/errors.ts";
import type { NumberArray } from "../../runtime/samples.ts";

/** A sparse symmetric matrix in compressed rows: both triangles stored, columns ascending within a row, no zeros stored. */
export interface SparseSymmetric {
  readonly n: number;
  /** Row i is entries offsets[i] to offsets[i + 1] - 1; [n + 1]. */
  readonly offsets: Int32Array;
  readonly columns: Int32Array;
  readonly values: Float64Array;
}

/** How w_ij and w_ji become one: the larger, or their mean; a missing entry counts as 0. */
export type Symmetrising = "maximum" | "mean";

/**
 * The symmetric matrix of a directed k-neighbour list.
 *
 * @param indices - [n * k]: row i has entries at columns indices[i * k], ..., each column at most once a row.
 * @param weights - [n * k], >= 0. Zeros are dropped.
 */
export function symmetrised(
  n: number,
  indices: Int32Array,
  weights: Float64Array,
  combine: Symmetrising,
): SparseSymmetric {
  const k = indices.length / n;
  const count = 2 * indices.length;
  const rows = new Int32Array(count);
  const columns = new Int32Array(count);
  const values = new Float64Array(count);
  let stored = 0;
  for (let entry = 0; entry < indices.length; entry++) {
    if (weights[entry] === 0) continue;
    const i = Math.floor(entry / k);
    rows[stored] = columns[stored + 1] = i;
    columns[stored] = rows[stored + 1] = indices[entry]!;
    values[stored] = values[stored + 1] = weights[entry]!;
    stored += 2;
  }
  const byColumn = countingSort(columns, stored, n);
  return mergeDuplicates(n, countingSort(rows, stored, n, byColumn), { rows, columns, values }, combine);
}

/** The sparse form of (A + A^T) / 2 for a dense [n, n] matrix. */
export function sparseFromDense(dense: NumberArray<Float32Array | Float64Array>): SparseSymmetric {
  const [n = 0, width] = dense.shape;
  if (dense.shape.length !== 2 || n !== width || dense.data.length !== n * n) {
    throw new SubspanError("SHAPE_MISMATCH", `matrix: expected [n, n], got [${dense.shape}]`);
  }
  const mean = (i: number, j: number) => (dense.data[i * n + j]! + dense.data[j * n + i]!) / 2;
  const offsets = new Int32Array(n + 1);
  for (let i = 0; i < n; i++) {
    offsets[i + 1] = offsets[i]!;
    for (let j = 0; j < n; j++) if (mean(i, j) !== 0) offsets[i + 1]!++;
  }
  const columns = new Int32Array(offsets[n]!);
  const values = new Float64Array(offsets[n]!);
  for (let i = 0, next = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const value = mean(i, j);
      if (value === 0) continue;
      columns[next] = j;
      values[next++] = value;
    }
  }
  return { n, offsets, columns, values };
}

/** Row sums, [n]. Of an affinity: the degrees. */
export function rowSums({ n, offsets, values }: SparseSymmetric): Float64Array {
  const sums = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    for (let entry = offsets[i]!; entry < offsets[i + 1]!; entry++) sums[i]! += values[entry]!;
  }
  return sums;
}

/** y = A x for a block of `width` vectors; x and y are [n, width], row-major and distinct. Fastest if `width` is 8 l. */
export function multiplyBlock(a: SparseSymmetric, x: Float64Array, width: number, y: Float64Array): void {
  const whole = width - (width % 8);
  for (let i = 0; i < a.n; i++) {
    for (let c = 0; c < whole; c += 8) multiplyEight(a, x, width, y, i, c);
    for (let c = whole; c < width; c++) {
      let sum = 0;
      for (let entry = a.offsets[i]!; entry < a.offsets[i + 1]!; entry++) {
        sum += a.values[entry]! * x[a.columns[entry]! * width + c]!;
      }
      y[i * width + c] = sum;
    }
  }
}

/** Row i, columns c to c + 7 of the product: eight sums kept in registers take 40 % of the time of a loop over columns. */
function multiplyEight(
  a: SparseSymmetric,
  x: Float64Array,
  width: number,
  y: Float64Array,
  i: number,
  c: number,
): void {
  const { columns, values } = a;
  const end = a.offsets[i + 1]!;
  let [s0, s1, s2, s3, s4, s5, s6, s7] = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let entry = a.offsets[i]!; entry < end; entry++) {
    const value = values[entry]!;
    const from = columns[entry]! * width + c;
    s0 += value * x[from]!;
    s1 += value * x[from + 1]!;
    s2 += value * x[from + 2]!;
    s3 += value * x[from + 3]!;
    s4 += value * x[from + 4]!;
    s5 += value * x[from + 5]!;
    s6 += value * x[from + 6]!;
    s7 += value * x[from + 7]!;
  }
  const to = i * width + c;
  y[to] = s0;
  y[to + 1] = s1;
  y[to + 2] = s2;
  y[to + 3] = s3;
  y[to + 4] = s4;
  y[to + 5] = s5;
  y[to + 6] = s6;
  y[to + 7] = s7;
}

/** The order that sorts `keys` (0..n-1), stable with respect to `order`: one pass of a radix sort. */
function countingSort(keys: Int32Array, count: number, n: number, order?: Int32Array): Int32Array {
  const next = new Int32Array(n + 1);
  for (let entry = 0; entry < count; entry++) next[keys[entry]! + 1]!++;
  for (let key = 0; key < n; key++) next[key + 1]! += next[key]!;
  const sorted = new Int32Array(count);
  for (let place = 0; place < count; place++) {
    const entry = order === undefined ? place : order[place]!;
    sorted[next[keys[entry]!]!++] = entry;
  }
  return sorted;
}

interface Triplets {
  readonly rows: Int32Array;
  readonly columns: Int32Array;
  readonly values: Float64Array;
}

/** Compressed rows from triplets visited in row, then column order. */
function mergeDuplicates(n: number, order: Int32Array, triplets: Triplets, combine: Symmetrising): SparseSymmetric {
  const offsets = new Int32Array(n + 1);
  const columns = new Int32Array(order.length);
  const values = new Float64Array(order.length);
  let last = -1;
  let lastRow = -1;
  for (const entry of order) {
    const row = triplets.rows[entry]!;
    const column = triplets.columns[entry]!;
    const value = combine === "mean" ? triplets.values[entry]! / 2 : triplets.values[entry]!;
    if (row === lastRow && column === columns[last]) {
      values[last] = combine === "mean" ? values[last]! + value : Math.max(values[last]!, value);
      continue;
    }
    last++;
    lastRow = row;
    columns[last] = column;
    values[last] = value;
    offsets[row + 1]!++;
  }
  for (let i = 0; i < n; i++) offsets[i + 1]! += offsets[i]!;
  return { n, offsets, columns: columns.slice(0, last + 1), values: values.slice(0, last + 1) };
}
