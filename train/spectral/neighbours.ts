import * as tf from "@tensorflow/tfjs-core";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { encodeModel, trace } from "../../export/index.ts";
import { SubspanError } from "../../runtime/errors.ts";
import type { NumberArray } from "../../runtime/samples.ts";

/** The k nearest points of n samples, row-major; a row is sorted by distance, then index. */
export interface Neighbours {
  readonly n: number;
  readonly k: number;
  /** [n * k], indices of points. */
  readonly indices: Int32Array;
  /** [n * k], computed in float64 and rounded once. */
  readonly squaredDistances: Float32Array;
}

export interface NeighbourOptions {
  /** Samples to find neighbours of, [n, d]; without them those of the points themselves, each without itself. */
  readonly queries?: NumberArray;
  /** Queries a run of the graph. The default keeps a block of scores under 64 MB. */
  readonly blockSize?: number;
}

/** Candidates the graph gives beyond k: the more, the fewer rows its rounding leaves in doubt. */
const SPARE_CANDIDATES = 8;
const BLOCK_SCORES = 2 ** 24;

/**
 * The exact k nearest neighbours, a block of queries at a time. A graph of MatMul and TopK picks k + 9 candidates a query
 * in float32; their distances are recomputed in float64 and the k nearest kept. A point the graph passed over could only be
 * nearer by its rounding error, which is bounded: rows where the bound does not exclude that (equal distances at the k-th
 * place, data far from its median) are searched again in full.
 *
 * A sample is excluded from its own neighbours by index, so its duplicates are neighbours at distance 0.
 *
 * @param points - [n, d]. Memory grows with n * (d + k).
 * @throws {SubspanError} TOO_FEW_SAMPLES if there are not k other points; NOT_FINITE; SHAPE_MISMATCH; OUT_OF_RANGE if k < 1.
 */
export async function nearestNeighbours(
  points: NumberArray,
  k: number,
  { queries, blockSize }: NeighbourOptions = {},
): Promise<Neighbours> {
  const search = prepare(points, k, queries);
  const { m, d, n, candidates } = search;
  const rows = blockSize ?? Math.max(1, Math.min(1024, Math.floor(BLOCK_SCORES / m)));
  const session = await InferenceSession.create(candidateGraph(m, d + 1, candidates));
  try {
    const feed = new Tensor("float32", search.augmentedPoints, [m, d + 1]);
    for (let first = 0; first < n; first += rows) {
      const count = Math.min(rows, n - first);
      const block = new Tensor("float32", augmentedBlock(search, first, count), [count, d + 1]);
      const { scores, indices } = await session.run({ queries: block, points: feed });
      refine(search, first, count, scores!.data as Float32Array, indices!.data as Int32Array);
    }
  } finally {
    await session.release();
  }
  return { n, k, indices: search.indices, squaredDistances: search.squaredDistances };
}

/** Scores of a block of queries against all points, [N, m] in memory alone, and the best `candidates` of each row. */
function candidateGraph(m: number, width: number, candidates: number): Uint8Array {
  const pick = ({ queries, points }: Record<string, tf.Tensor>) => {
    const { values, indices } = tf.topk(tf.matMul(queries!, points!, false, true), candidates);
    return { scores: values, indices };
  };
  const inputs = {
    queries: { type: "float32", shape: ["N", width] },
    points: { type: "float32", shape: [m, width] },
  } as const;
  return encodeModel(trace(pick, { name: "nearest_neighbours", inputs }));
}

interface Search {
  /** Points, queries, width, neighbours, candidates. */
  readonly m: number;
  readonly n: number;
  readonly d: number;
  readonly k: number;
  readonly candidates: number;
  readonly points: Float32Array;
  readonly queries: Float32Array;
  /** Whether query i is point i. */
  readonly selfExcluded: boolean;
  readonly median: Float32Array;
  /** Points less the median, and -||p||^2 / 2: the product with [q, 1] is (||q||^2 - ||q - p||^2) / 2. [m, d + 1]. */
  readonly augmentedPoints: Float32Array;
  readonly indices: Int32Array;
  readonly squaredDistances: Float32Array;
}

function prepare(points: NumberArray, k: number, queries: NumberArray | undefined): Search {
  const [m, d] = parse("points", points);
  const [n, width] = queries === undefined ? [m, d] : parse("queries", queries);
  if (width !== d) throw new SubspanError("SHAPE_MISMATCH", `queries: expected [n, ${d}], got [${n}, ${width}]`);
  if (!Number.isInteger(k) || k < 1) throw new SubspanError("OUT_OF_RANGE", `neighbours: expected 1 or more, got ${k}`);
  const selfExcluded = queries === undefined;
  const others = selfExcluded ? m - 1 : m;
  if (others < k)
    throw new SubspanError("TOO_FEW_SAMPLES", `neighbours: ${k} of each sample need more than ${m} points`);
  const median = medians(points.data, m, d);
  return {
    ...{ m, n, d, k, median, selfExcluded },
    candidates: Math.min(m, k + 1 + SPARE_CANDIDATES),
    points: points.data,
    queries: (queries ?? points).data,
    augmentedPoints: augmented(points.data, median, (halfNorm) => -halfNorm),
    indices: new Int32Array(n * k),
    squaredDistances: new Float32Array(n * k),
  };
}

function parse(name: string, { data, shape }: NumberArray): [number, number] {
  const [n = 0, d = 0] = shape;
  if (shape.length !== 2 || data.length !== n * d) {
    throw new SubspanError("SHAPE_MISMATCH", `${name}: expected [n, d], got [${shape}] with ${data.length} numbers`);
  }
  if (!data.every(Number.isFinite)) throw new SubspanError("NOT_FINITE", `${name}: neighbours need finite numbers`);
  return [n, d];
}

/** The median of each column: taken off, it leaves small norms, so small rounding errors, whatever the outliers. */
function medians(data: Float32Array, n: number, d: number): Float32Array {
  const column = new Float32Array(n);
  return Float32Array.from({ length: d }, (_, j) => {
    for (let i = 0; i < n; i++) column[i] = data[i * d + j]!;
    return column.sort()[n >> 1]!;
  });
}

/** Rows less the median, each followed by `last` of half its squared norm; [rows, d + 1]. */
function augmented(data: Float32Array, median: Float32Array, last: (halfNorm: number) => number): Float32Array {
  const d = median.length;
  const rows = data.length / d;
  const out = new Float32Array(rows * (d + 1));
  for (let i = 0; i < rows; i++) {
    let squared = 0;
    for (let j = 0; j < d; j++) {
      const value = Math.fround(data[i * d + j]! - median[j]!);
      out[i * (d + 1) + j] = value;
      squared += value * value;
    }
    out[i * (d + 1) + d] = last(squared / 2);
  }
  return out;
}

const augmentedBlock = ({ queries, d, median }: Search, first: number, count: number): Float32Array =>
  augmented(queries.subarray(first * d, (first + count) * d), median, () => 1);

/** Fills rows `first` to `first + count` from the graph's candidates, or from all points where those leave a doubt. */
function refine(search: Search, first: number, count: number, scores: Float32Array, picked: Int32Array): void {
  const { candidates, m } = search;
  for (let row = 0; row < count; row++) {
    const query = first + row;
    const from = row * candidates;
    startRow(search, query);
    for (let c = 0; c < candidates; c++) offer(search, query, picked[from + c]!);
    if (candidates === m || isCertain(search, query, scores[from + candidates - 1]!)) continue;
    startRow(search, query);
    for (let point = 0; point < m; point++) offer(search, query, point);
  }
}

function startRow({ squaredDistances, k }: Search, query: number): void {
  squaredDistances.fill(Number.POSITIVE_INFINITY, query * k, (query + 1) * k);
}

/** Inserts a point into the sorted row of a query if it is among the k nearest so far. */
function offer(search: Search, query: number, point: number): void {
  const { points, queries, d, k, indices, squaredDistances } = search;
  if (search.selfExcluded && point === query) return;
  let sum = 0;
  for (let j = 0; j < d; j++) sum += (queries[query * d + j]! - points[point * d + j]!) ** 2;
  const distance = Math.fround(sum);
  const start = query * k;
  let place = start + k;
  while (place > start && isBefore(distance, point, squaredDistances[place - 1]!, indices[place - 1]!)) place--;
  if (place === start + k) return;
  squaredDistances.copyWithin(place + 1, place, start + k - 1);
  indices.copyWithin(place + 1, place, start + k - 1);
  squaredDistances[place] = distance;
  indices[place] = point;
}

const isBefore = (distance: number, index: number, other: number, otherIndex: number): boolean =>
  distance < other || (distance === other && index < otherIndex);

/**
 * Whether no point outside the candidates can be as near as the k-th kept. Let r be its distance. A point within r of the
 * query q has norm at most R = ||q|| + r and true score at least (||q||^2 - r^2) / 2, computed with an error of at most
 * (d + 8) 2^-24 (||q|| R + R^2 / 2 + r^2), the usual bound for a sum of d + 1 float32 products of rounded numbers in any
 * order. All points outside scored at most `lowest`.
 *
 * @see Higham 2002, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1.
 */
function isCertain({ queries, median, d, k, squaredDistances }: Search, query: number, lowest: number): boolean {
  let squaredNorm = 0;
  for (let j = 0; j < d; j++) squaredNorm += (queries[query * d + j]! - median[j]!) ** 2;
  const squaredRadius = squaredDistances[query * k + k - 1]!;
  const norm = Math.sqrt(squaredNorm);
  const reach = norm + Math.sqrt(squaredRadius);
  const error = (d + 8) * 2 ** -24 * (norm * reach + reach ** 2 / 2 + squaredRadius);
  return lowest < (squaredNorm - squaredRadius) / 2 - error;
}
