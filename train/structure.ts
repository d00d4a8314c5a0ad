import type { Arrays, SpectralSettings } from "../models/index.ts";
import type { NumberArray } from "../runtime/samples.ts";
import type { Random } from "./random.ts";
import { kMeans, nearestNeighbours, type SpectralClustering, spectralClustering, unitRows } from "./spectral/index.ts";

/** Evenly spaced quantiles of the training samples' distances to their nearest others that an exported graph keeps. */
const QUANTILES = 1000;

/** Spectral clustering of latents brought to length 1. */
export function clusterLatents(
  latents: NumberArray,
  settings: SpectralSettings,
  random: Random,
): Promise<SpectralClustering> {
  const { clusters, neighbours, eigenvectors } = settings;
  return spectralClustering(unitRows(latents), { clusters, neighbours, eigenvectors, random });
}

/** Row i of an array of rows. */
const row = <T extends Float32Array | Float64Array>({ data, shape }: NumberArray<T>, i: number): T => {
  const width = shape[1] as number;
  return data.subarray(i * width, (i + 1) * width) as T;
};

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

/** The landmarks' rows of the Nystrom extension: v_k(j) / (mu_k sqrt(deg(j))), [m, k]. */
export function extensionRows({ vectors, eigenvalues, degrees, eigenvectors: k }: SpectralClustering): NumberArray {
  const m = degrees.length;
  const data = new Float32Array(m * k);
  for (let j = 0; j < m; j++) {
    const root = Math.sqrt(degrees[j] as number);
    for (let c = 0; c < k; c++) {
      data[j * k + c] = root > 0 ? (row(vectors, j)[c] as number) / ((eigenvalues[c] as number) * root) : 0;
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

/** What places new samples by Nystrom extension: the landmarks, their scales and rows, and the centres. */
export async function nystromStructure(
  latents: NumberArray,
  settings: SpectralSettings,
  random: Random,
): Promise<Arrays> {
  const clustering = await clusterLatents(latents, settings, random);
  return {
    landmarks: unitRows(latents),
    scales: { data: Float32Array.from(clustering.localScales), shape: [clustering.localScales.length] },
    rows: extensionRows(clustering),
    ...centreReadout(clustering.centres),
  };
}

/** Centres of the orthonormal outputs, by k-means. */
export function centresStructure(embedding: NumberArray, clusters: number, random: Random): Arrays {
  return centreReadout(kMeans(embedding, { clusters, random }).centres);
}

/**
 * Quantiles of how far the training samples are from each other, [QUANTILES]: the mean distance of each to its nearest others,
 * itself left out.
 */
export async function noveltyQuantiles(landmarks: NumberArray, neighbours: number): Promise<NumberArray> {
  const { squaredDistances, n, k } = await nearestNeighbours(landmarks, neighbours);
  const distances = Float32Array.from({ length: n }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < k; j++) sum += Math.sqrt(squaredDistances[i * k + j] as number);
    return sum / k;
  }).sort();
  const at = (i: number) => distances[Math.min(n - 1, Math.floor(((i + 0.5) / QUANTILES) * n))] as number;
  return { data: Float32Array.from({ length: QUANTILES }, (_, i) => at(i)), shape: [QUANTILES] };
}

/**
 * The inverse temperature at which mean confidence equals a given agreement. Confidence grows with it, so it is bisected.
 *
 * @param scores - a cluster's score of each sample, [n, K]. @param agreement - in 1/K..1.
 */
export function calibratedSharpness({ data, shape }: NumberArray, agreement: number): number {
  const [n, clusters] = shape as [number, number];
  const meanConfidence = (sharpness: number): number => {
    let sum = 0;
    for (let i = 0; i < n; i++) {
      const scores = data.subarray(i * clusters, (i + 1) * clusters);
      const top = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      sum += 1 / scores.reduce((total, score) => total + Math.exp(sharpness * (score - top)), 0);
    }
    return sum / n;
  };
  let [low, high] = [1e-3, 1e4];
  for (let i = 0; i < 50; i++) {
    const middle = Math.sqrt(low * high);
    if (meanConfidence(middle) < agreement) low = middle;
    else high = middle;
  }
  return Math.sqrt(low * high);
}
