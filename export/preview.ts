import type { NumberArray, Samples } from "../runtime/samples.ts";
import { encodePng } from "./png.ts";

/** What `preview.json` holds: a picture of the clusters, without the data. */
export interface Preview {
  /** Training samples, by the two directions in which their embedding varies most. */
  readonly points: {
    readonly x: readonly number[];
    readonly y: readonly number[];
    readonly label: readonly number[];
    /** Share of the embedding's variance along x and y. */
    readonly variance: readonly [number, number];
  };
  /** The most typical sample of each cluster; null for an empty one, and for samples that are no images. */
  readonly thumbnails: readonly (Thumbnail | null)[];
}

export interface Thumbnail {
  readonly width: number;
  readonly height: number;
  /** Base64. */
  readonly png: string;
}

/** Samples, what the clusterer says of them, and how many clusters there are. */
export interface PreviewContent {
  readonly samples: Samples;
  readonly labels: ArrayLike<number>;
  /** [n, k]. */
  readonly embedding: NumberArray;
  /** [n, d]; in each cluster the sample nearest to its mean direction is the typical one. */
  readonly latents: NumberArray;
  readonly clusters: number;
}

/** Thumbnails are no larger than this, in pixels a side. */
const SIDE = 64;

export function preview({ samples, labels, embedding, latents, clusters }: PreviewContent): Preview {
  const { coordinates, variance } = principalPlane(embedding);
  const axis = (which: number) => Array.from(labels, (_, i) => rounded(coordinates[2 * i + which] as number));
  const typical = typicalSamples(latents, labels, clusters);
  return {
    points: { x: axis(0), y: axis(1), label: Array.from(labels), variance },
    thumbnails: typical.map((sample) => (sample === undefined ? null : thumbnail(samples, sample))),
  };
}

const rounded = (value: number) => Math.round(value * 1e4) / 1e4;

/**
 * Rows projected on the two leading eigenvectors of their covariance, [n, 2], and the share of variance of each. Power
 * iteration from a fixed start; the largest entry of each direction is positive.
 */
export function principalPlane({ data, shape }: NumberArray): {
  readonly coordinates: Float64Array;
  readonly variance: readonly [number, number];
} {
  const [n, k] = shape as [number, number];
  const mean = new Float64Array(k);
  data.forEach((value, at) => {
    mean[at % k] = (mean[at % k] as number) + value / n;
  });
  const centred = Float64Array.from(data, (value, at) => value - (mean[at % k] as number));
  const covariance = new Float64Array(k * k);
  for (let i = 0; i < n; i++) {
    const row = centred.subarray(i * k, (i + 1) * k);
    for (let a = 0; a < k; a++) {
      for (let b = 0; b < k; b++)
        covariance[a * k + b] = (covariance[a * k + b] as number) + ((row[a] as number) * (row[b] as number)) / n;
    }
  }
  let total = 0;
  for (let a = 0; a < k; a++) total += covariance[a * k + a] as number;
  const coordinates = new Float64Array(2 * n);
  const variance = [0, 1].map((axis) => {
    const { vector, value } = leadingEigenvector(covariance, k);
    for (let i = 0; i < n; i++) {
      for (let a = 0; a < k; a++)
        coordinates[2 * i + axis] =
          (coordinates[2 * i + axis] as number) + (centred[i * k + a] as number) * (vector[a] as number);
    }
    for (let a = 0; a < k; a++) {
      for (let b = 0; b < k; b++)
        covariance[a * k + b] =
          (covariance[a * k + b] as number) - value * (vector[a] as number) * (vector[b] as number);
    }
    return total > 0 ? rounded(Math.max(0, value / total)) : 0;
  });
  return { coordinates, variance: variance as [number, number] };
}

/** Of a symmetric positive semidefinite matrix, [k * k]; zeros for a matrix of zeros. */
function leadingEigenvector(
  matrix: Float64Array,
  k: number,
): { readonly vector: Float64Array; readonly value: number } {
  let vector = Float64Array.from({ length: k }, (_, i) => 1 / (i + 1));
  let value = 0;
  for (let round = 0; round < 500; round++) {
    const next = new Float64Array(k);
    for (let a = 0; a < k; a++) {
      for (let b = 0; b < k; b++) next[a] = (next[a] as number) + (matrix[a * k + b] as number) * (vector[b] as number);
    }
    value = Math.hypot(...next);
    if (value < 1e-12) return { vector: new Float64Array(k), value: 0 };
    vector = next.map((entry) => entry / value);
  }
  const largest = vector.reduce((a, b) => (Math.abs(b) > Math.abs(a) + 1e-9 ? b : a), 0);
  return { vector: largest < 0 ? vector.map((entry) => -entry) : vector, value };
}

/** In each cluster the sample whose latent points most nearly as the cluster's mean; undefined where there is none. */
export function typicalSamples(
  { data, shape }: NumberArray,
  labels: ArrayLike<number>,
  clusters: number,
): (number | undefined)[] {
  const [n, d] = shape as [number, number];
  const direction = (i: number) => {
    const row = data.subarray(i * d, (i + 1) * d);
    const length = Math.hypot(...row) || 1;
    return Float64Array.from(row, (value) => value / length);
  };
  const means = Array.from({ length: clusters }, () => new Float64Array(d));
  for (let i = 0; i < n; i++) {
    const mean = means[labels[i] as number] as Float64Array;
    direction(i).forEach((value, j) => {
      mean[j] = (mean[j] as number) + value;
    });
  }
  const best: (number | undefined)[] = Array(clusters).fill(undefined);
  const most = new Float64Array(clusters).fill(Number.NEGATIVE_INFINITY);
  for (let i = 0; i < n; i++) {
    const label = labels[i] as number;
    const product = direction(i).reduce(
      (sum, value, j) => sum + value * ((means[label] as Float64Array)[j] as number),
      0,
    );
    if (product > (most[label] as number)) [best[label], most[label]] = [i, product];
  }
  return best;
}

/** A sample as a PNG, made smaller by a whole factor where it is large. */
function thumbnail(samples: Samples, sample: number): Thumbnail | null {
  if (samples.kind !== "images") return null;
  const [, h, w, c] = samples.shape;
  const pixels = samples.data.subarray(sample * h * w * c, (sample + 1) * h * w * c);
  const factor = Math.ceil(Math.max(h, w) / SIDE);
  const [height, width] = [Math.max(1, Math.floor(h / factor)), Math.max(1, Math.floor(w / factor))];
  const small = new Uint8Array(height * width * c);
  for (let at = 0; at < small.length; at++) {
    const [y, x, channel] = [Math.floor(at / (width * c)), Math.floor(at / c) % width, at % c];
    small[at] = blockMean(pixels, [h, w, c], [y * factor, x * factor, channel], factor);
  }
  return { width, height, png: Buffer.from(encodePng(small, [height, width, c])).toString("base64") };
}

/** Mean of a channel over a block of `size` x `size` pixels, as far as the image reaches. */
function blockMean(
  pixels: Uint8Array,
  [h, w, c]: readonly [number, number, number],
  [top, left, channel]: readonly [number, number, number],
  size: number,
): number {
  let [sum, count] = [0, 0];
  for (let y = top; y < Math.min(top + size, h); y++) {
    for (let x = left; x < Math.min(left + size, w); x++, count++) sum += pixels[(y * w + x) * c + channel] as number;
  }
  return Math.round(sum / count);
}
