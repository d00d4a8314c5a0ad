import { SAME, SCALE_NEIGHBOUR } from "../models/assignment/nystrom.ts";
import type { Arrays, SpectralSettings } from "../models/index.ts";
import type { NumberArray } from "../runtime/samples.ts";
import type { Random } from "./random.ts";
import { kMeans, type SpectralClustering, spectralClustering, unitRows } from "./spectral/index.ts";

/** The read-out's own part of a structure, and the clusters it was made from, where it was made from any. */
export interface Clustered {
  readonly structure: Arrays;
  readonly labels?: Int32Array;
  /** Of the normalised affinity: eigenvalue i minus eigenvalue i + 1, where there is one. */
  readonly eigengaps?: Float64Array;
  readonly metrics: Record<string, number>;
}

/** Quantiles of the training samples' distances that an exported graph keeps. */
const QUANTILES = 257;
/** How near to singular outputs may be: the share of their mean eigenvalue added to each, as in `models/orthonormal.ts`. */
const RIDGE = 1e-6;

/** Spectral clustering of latents brought to length 1. Of few samples each has all others as neighbours. */
export function clusterLatents(
  latents: NumberArray,
  settings: SpectralSettings,
  random: Random,
): Promise<SpectralClustering> {
  const { clusters, eigenvectors } = settings;
  const neighbours = Math.min(settings.neighbours, (latents.shape[0] as number) - 1);
  const scaleNeighbour = Math.min(SCALE_NEIGHBOUR, neighbours);
  const rounding = Math.sqrt(SAME); // equal samples in other places of a batch have latents that differ in their last bits
  return spectralClustering(unitRows(latents), {
    clusters,
    neighbours,
    scaleNeighbour,
    rounding,
    eigenvectors,
    random,
  });
}

/** Rows of `array` by index. */
export function gatherRows({ data, shape }: NumberArray, indices: Int32Array): NumberArray {
  const width = shape[1] as number;
  const out = new Float32Array(indices.length * width);
  indices.forEach((from, i) => {
    out.set(data.subarray(from * width, (from + 1) * width), i * width);
  });
  return { data: out, shape: [indices.length, width] };
}

/** At most `count` of n samples, in order; all of them where that is enough. */
export function chooseLandmarks(n: number, count: number, random: Random): Int32Array {
  const all = Int32Array.from({ length: n }, (_, i) => i);
  return n <= count ? all : random.permutation(n).slice(0, count).sort();
}

/**
 * The landmarks' rows of the Nystrom extension, w_k v_k(j) / (mu_k sqrt(deg(j))), [m, k]. A landmark without affinity has a
 * row of zeros, and so has an eigenvalue of 0: nothing is extended from either.
 */
export function extensionRows({
  vectors,
  eigenvalues,
  degrees,
  weights,
  eigenvectors: k,
}: Pick<SpectralClustering, "vectors" | "eigenvalues" | "degrees" | "weights" | "eigenvectors">): NumberArray {
  const m = degrees.length;
  const data = new Float32Array(m * k);
  for (let j = 0; j < m; j++) {
    const root = Math.sqrt(degrees[j] as number);
    for (let c = 0; c < k; c++) {
      const factor = (eigenvalues[c] as number) * root;
      data[j * k + c] =
        Math.abs(factor) > 1e-9 ? ((weights[c] as number) * (vectors.data[j * k + c] as number)) / factor : 0;
    }
  }
  return { data, shape: [m, k] };
}

/** Nearest centre as a linear map: -|u - c|^2 = 2 <u, c> - |c|^2 - |u|^2, whose last term is the same for every centre. */
export function centreReadout({ data, shape }: NumberArray<Float64Array>): Arrays {
  const [clusters, k] = shape as [number, number];
  const weights = new Float32Array(k * clusters);
  const bias = new Float32Array(clusters);
  for (let c = 0; c < clusters; c++) {
    for (let j = 0; j < k; j++) {
      const value = data[c * k + j] as number;
      weights[j * clusters + c] = 2 * value;
      bias[c] = (bias[c] as number) - value * value;
    }
  }
  return { weights: { data: weights, shape: [k, clusters] }, bias: { data: bias, shape: [clusters] } };
}

/** What places new samples by Nystrom extension: the landmarks' scales and rows, and the centres. */
export function nystromStructure(clustering: SpectralClustering): Arrays {
  const { localScales } = clustering;
  return {
    scales: { data: Float32Array.from(localScales), shape: [localScales.length] },
    rows: extensionRows(clustering),
    ...centreReadout(clustering.centres),
  };
}

/** Centres of the orthonormal outputs, by k-means, and the matrix that makes outputs orthonormal; the labels of k-means. */
export function centresStructure(
  outputs: NumberArray,
  clusters: number,
  random: Random,
): { readonly structure: Arrays; readonly labels: Int32Array } {
  const { orthonormalizer } = orthonormalBasis(outputs);
  const { centres, labels } = kMeans(multiply(outputs, orthonormalizer), { clusters, random });
  return { structure: { orthonormalizer: rounded(orthonormalizer), ...centreReadout(centres) }, labels };
}

/** The network's own clusters, read from its orthonormal outputs by undoing what made them so. */
export function headStructure(outputs: NumberArray): Arrays {
  const { orthonormalizer, inverse } = orthonormalBasis(outputs);
  const k = outputs.shape[1] as number;
  return {
    orthonormalizer: rounded(orthonormalizer),
    weights: rounded(inverse),
    bias: { data: new Float32Array(k), shape: [k] },
  };
}

/**
 * The matrix R that makes outputs orthonormal, and its inverse, both [k, k]: with Y~^T Y~ = L L^T, Y = sqrt(m) Y~ (L^-1)^T has
 * (1/m) Y^T Y = I. Once, over all landmarks and in float64, where `models/orthonormal.ts` does it for each batch of training.
 *
 * @param outputs - Y~, [m, k].
 * @see Shaham et al. 2018, SpectralNet, section 3.2, arXiv:1801.01587; Golub & Van Loan 2013, Algorithm 4.2.1, for L.
 */
export function orthonormalBasis(outputs: NumberArray): {
  readonly orthonormalizer: NumberArray<Float64Array>;
  readonly inverse: NumberArray<Float64Array>;
} {
  const [m, k] = outputs.shape as [number, number];
  const lower = cholesky(ridged(gram(outputs), k), k);
  const orthonormalizer = new Float64Array(k * k);
  const inverse = new Float64Array(k * k);
  const root = Math.sqrt(m);
  // Column by column L x = e_c, so x is column c of L^-1 and, times sqrt(m), row c of R.
  for (let c = 0; c < k; c++) {
    const x = new Float64Array(k);
    for (let i = c; i < k; i++) {
      let sum = i === c ? 1 : 0;
      for (let j = c; j < i; j++) sum -= (lower[i * k + j] as number) * (x[j] as number);
      x[i] = sum / (lower[i * k + i] as number);
      orthonormalizer[c * k + i] = root * (x[i] as number);
      inverse[c * k + i] = (lower[i * k + c] as number) / root;
    }
  }
  return { orthonormalizer: { data: orthonormalizer, shape: [k, k] }, inverse: { data: inverse, shape: [k, k] } };
}

/** Y^T Y in float64, [k * k]. */
function gram({ data, shape }: NumberArray): Float64Array {
  const [m, k] = shape as [number, number];
  const out = new Float64Array(k * k);
  for (let i = 0; i < m; i++) {
    for (let a = 0; a < k; a++) {
      const value = data[i * k + a] as number;
      for (let b = 0; b < k; b++) out[a * k + b] = (out[a * k + b] as number) + value * (data[i * k + b] as number);
    }
  }
  return out;
}

/** A symmetric matrix plus `RIDGE` of its mean eigenvalue on the diagonal; plus the identity where all is 0. */
function ridged(a: Float64Array, k: number): Float64Array {
  let trace = 0;
  for (let i = 0; i < k; i++) trace += a[i * k + i] as number;
  const ridge = trace > 0 ? (RIDGE * trace) / k : 1;
  return a.map((value, at) => (at % (k + 1) === 0 ? value + ridge : value));
}

/** Lower Cholesky factor of a symmetric positive definite matrix, [k * k]. */
function cholesky(a: Float64Array, k: number): Float64Array {
  const lower = new Float64Array(k * k);
  for (let j = 0; j < k; j++) {
    for (let i = j; i < k; i++) {
      let sum = a[i * k + j] as number;
      for (let p = 0; p < j; p++) sum -= (lower[i * k + p] as number) * (lower[j * k + p] as number);
      lower[i * k + j] = i === j ? Math.sqrt(sum) : sum / (lower[j * k + j] as number);
    }
  }
  return lower;
}

/** a b: [m, k] times [k, k]. */
function multiply(a: NumberArray, b: NumberArray<Float64Array>): NumberArray<Float64Array> {
  const [m, k] = a.shape as [number, number];
  const data = new Float64Array(m * k);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < k; j++) {
      const value = a.data[i * k + j] as number;
      for (let c = 0; c < k; c++) data[i * k + c] = (data[i * k + c] as number) + value * (b.data[j * k + c] as number);
    }
  }
  return { data, shape: [m, k] };
}

const rounded = ({ data, shape }: NumberArray<Float64Array>): NumberArray => ({ data: Float32Array.from(data), shape });

/** ln ||z|| of latents, [n]; that of a latent of length 0 as in `distanceToData`. */
export function logLengths({ data, shape }: NumberArray): NumberArray {
  const [n, d] = shape as [number, number];
  const lengths = Float32Array.from({ length: n }, (_, i) => Math.hypot(...data.subarray(i * d, (i + 1) * d)));
  return { data: lengths.map((length) => Math.log(Math.max(length, 1e-8))), shape: [n] };
}

/** Evenly spaced quantiles of distances, from the least to the largest, for `noveltyOf`. */
export function distanceQuantiles(distances: Float32Array): NumberArray {
  const sorted = distances.slice().sort();
  const at = (i: number): number => {
    const place = (i / (QUANTILES - 1)) * (sorted.length - 1);
    const [low, share] = [Math.floor(place), place % 1];
    const [from, to] = [sorted[low] as number, sorted[Math.min(low + 1, sorted.length - 1)] as number];
    return from + share * (to - from);
  };
  return { data: Float32Array.from({ length: QUANTILES }, (_, i) => at(i)), shape: [QUANTILES] };
}

/**
 * The inverse temperature at which mean confidence equals a given agreement. Confidence grows with it, so it is bisected.
 *
 * @param meanConfidence - at a sharpness. @param agreement - above 1/K, below 1.
 */
export async function calibratedSharpness(
  meanConfidence: (sharpness: number) => Promise<number>,
  agreement: number,
): Promise<number> {
  let [low, high] = [1e-4, 1e6];
  for (let i = 0; i < 40; i++) {
    const middle = Math.sqrt(low * high);
    if ((await meanConfidence(middle)) < agreement) low = middle;
    else high = middle;
  }
  return Math.fround(Math.sqrt(low * high));
}
