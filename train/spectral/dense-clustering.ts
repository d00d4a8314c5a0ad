import { SubspanError } from "../../runtime/errors.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import type { AffinityClustering } from "./clustering.ts";
import { denseProduct, squareSide } from "./dense.ts";
import { discretise } from "./discretise.ts";
import { type AwaitedOperator, leadingEigenpairsAsync } from "./eigen.ts";
import { checkAffinity, inverseRoot, normalisedAffinity } from "./laplacian.ts";
import { eigenvectorRange, type Partition, type PartitionOptions, partition, unitRows } from "./partition.ts";
import { type MatrixProducts, withProducts } from "./products.ts";
import type { SparseSymmetric } from "./sparse.ts";

/** Of float32. */
const ROUNDING = 2 ** -24;
/** The affinity is multiplied as a sparse matrix where fewer than this share of its entries count. */
const SPARSE = 0.1;

export interface DenseClusteringOptions extends PartitionOptions {
  /** What parts the rows of the embedding. Default k-means. "discretise" is made for as many eigenvectors as clusters. */
  readonly rule?: "k-means" | "discretise";
}

/**
 * A clustering by a dense affinity, [n, n]. Centres of "discretise" are the axes that rows are nearest to, of length 1: as with
 * k-means, a sample's label is its nearest centre.
 */
export interface DenseAffinityClustering extends Omit<AffinityClustering, "affinity"> {
  readonly affinity: NumberArray;
}

/**
 * Spectral clustering of a dense affinity: the m leading eigenvectors of D^-1/2 W D^-1/2, rows scaled to length 1, k-means or
 * `discretise`. For the number of eigenvectors see `partition`; of "discretise" it is the number of clusters.
 *
 * @param affinity - W >= 0, [n, n], symmetric; the lower triangle is not compared with the upper. Where it is not all but
 *   empty its products run on ONNX Runtime, in float64 and some rows at a time: no other [n, n] matrix is made.
 * @throws {SubspanError} SHAPE_MISMATCH, NOT_FINITE, OUT_OF_RANGE, TOO_FEW_SAMPLES, or TRAINING_DIVERGED if the eigenvectors do
 *   not converge.
 */
export async function denseAffinityClustering(
  affinity: NumberArray,
  { rule = "k-means", ...options }: DenseClusteringOptions,
): Promise<DenseAffinityClustering> {
  const n = squareSide("affinity", affinity);
  const range = eigenvectorRange(rule === "discretise" ? asManyAsClusters(options) : options, n);
  const { computed } = range;
  const { values, vectors, degrees } = await withProducts(async (products) => {
    const operator = normalised(affinity, products);
    return { ...(await leadingEigenpairsAsync(operator, computed, options)), degrees: operator.degrees };
  });
  // Rounding leaves a little in the rows of samples without affinity, which scaling to length 1 would blow up.
  for (let i = 0; i < n; i++) if (degrees[i] === 0) vectors.fill(0, i * computed, (i + 1) * computed);
  const columns = { data: vectors, shape: [n, computed] };
  const found = rule === "discretise" ? discretised(columns, options) : partition(columns, values, range, options);
  return {
    labels: found.labels,
    embedding: found.embedding,
    vectors: found.vectors,
    weights: found.weights,
    centres: found.centres,
    eigenvectors: found.eigenvectors,
    eigenvalues: values.slice(0, found.eigenvectors),
    eigengaps: Float64Array.from({ length: computed - 1 }, (_, i) => values[i]! - values[i + 1]!),
    degrees,
    affinity,
  };
}

/** @throws {SubspanError} OUT_OF_RANGE if another number of eigenvectors is asked for. */
function asManyAsClusters(options: PartitionOptions): PartitionOptions {
  const { clusters, eigenvectors = clusters } = options;
  if (eigenvectors === clusters || eigenvectors === "clusters") return { ...options, eigenvectors: clusters };
  throw new SubspanError(
    "OUT_OF_RANGE",
    `discretise: expected ${clusters} eigenvectors (clusters), got ${eigenvectors}`,
  );
}

/** As `partition`, by rotation of the first `clusters` columns. */
function discretised(
  { data, shape }: NumberArray<Float64Array>,
  { clusters, restarts, random }: PartitionOptions,
): Omit<Partition, "inertia"> {
  const [n = 0, width = 0] = shape;
  const columns = Float64Array.from(
    { length: n * clusters },
    (_, entry) => data[width * Math.floor(entry / clusters) + (entry % clusters)]!,
  );
  const vectors = { data: columns, shape: [n, clusters] };
  const embedding = unitRows(vectors);
  const { labels, rotation } = discretise(embedding, { random, ...(restarts && { restarts }) });
  const weights = new Float64Array(clusters).fill(1);
  return { labels, embedding, vectors, weights, centres: transposed(rotation), eigenvectors: clusters };
}

function transposed({ data, shape }: NumberArray<Float64Array>): NumberArray<Float64Array> {
  const [rows = 0, columns = 0] = shape;
  const turned = data.map((_, entry) => data[(entry % rows) * columns + Math.floor(entry / rows)]!);
  return { data: turned, shape: [columns, rows] };
}

type Normalised = AwaitedOperator & { readonly degrees: Float64Array };

/**
 * D^-1/2 W D^-1/2 as an operator. An entry below the rounding of both its rows' sums is left out: of an affinity of high powers
 * that is all but a hundredth of the entries, and the rest is multiplied as a sparse matrix.
 */
function normalised(affinity: NumberArray, products: MatrixProducts): Normalised {
  const { data } = affinity;
  checkAffinity(data);
  const n = squareSide("affinity", affinity);
  const degrees = new Float64Array(n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) degrees[i]! += data[i * n + j]!;
  const counts = (i: number, j: number) => data[i * n + j]! > ROUNDING * Math.min(degrees[i]!, degrees[j]!);
  let counted = 0;
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) if (counts(i, j)) counted++;
  return counted < SPARSE * n * n
    ? normalisedAffinity(sparseWhere(counts, affinity, counted))
    : denselyNormalised(affinity, degrees, products);
}

/** As `normalisedAffinity` of a sparse one; the roots of the degrees scale vectors in place of W. */
function denselyNormalised(affinity: NumberArray, degrees: Float64Array, products: MatrixProducts): Normalised {
  const inverseRoots = degrees.map(inverseRoot);
  const scaled = (x: Float64Array, width: number) =>
    x.map((value, entry) => value * inverseRoots[Math.floor(entry / width)]!);
  return {
    n: degrees.length,
    lowest: -1,
    degrees,
    apply: async (x, width, y) => {
      await denseProduct(affinity, scaled(x, width), width, y, products);
      y.set(scaled(y, width));
    },
  };
}

function sparseWhere(
  holds: (i: number, j: number) => boolean,
  { data, shape }: NumberArray,
  count: number,
): SparseSymmetric {
  const n = shape[0] as number;
  const offsets = new Int32Array(n + 1);
  const columns = new Int32Array(count);
  const values = new Float64Array(count);
  for (let i = 0, next = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (!holds(i, j)) continue;
      columns[next] = j;
      values[next++] = data[i * n + j]!;
    }
    offsets[i + 1] = next;
  }
  return { n, offsets, columns, values };
}
