import type { NumberArray, Samples } from "../runtime/samples.ts";
import { encodePng } from "./png.ts";

/** What `preview.json` holds: a picture of the clusters, without the data. */
export interface Preview {
  /** Training samples, by the projection of their embedding. */
  readonly points: {
    readonly x: readonly number[];
    readonly y: readonly number[];
    readonly label: readonly number[];
  };
  /** Puts a new sample in the picture. */
  readonly projection: Projection;
  /** The most typical sample of each cluster; null for an empty one, and for samples that are no images. */
  readonly thumbnails: readonly (Thumbnail | null)[];
  /** More of each cluster, of its more typical half, the most typical first. */
  readonly more: readonly (readonly Thumbnail[])[];
}

/** Of embeddings on a plane: coordinate a of a row is the sum over j of (row[j] - mean[j]) axes[a][j]. */
export interface Projection {
  /** [k] */
  readonly mean: readonly number[];
  /** [2, k] */
  readonly axes: readonly [readonly number[], readonly number[]];
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

type Images = Extract<Samples, { kind: "images" }>;

/** Thumbnails are no larger than this, in pixels a side: the most typical sample, and the others. */
const SIDE = 64;
const SMALL_SIDE = 32;
/** Thumbnails beside the most typical one: of a cluster, and of all clusters. */
const MORE = 7;
const MORE_IN_ALL = 350;

export function preview({ samples, labels, embedding, latents, clusters }: PreviewContent): Preview {
  const { mean, axes } = clusters < 3 ? principalPlane(embedding) : clusterPlane(embedding, labels, clusters);
  const exact = (values: readonly number[]) => values.map((value) => Number(value.toPrecision(7)));
  const projection: Projection = { mean: exact(mean), axes: [exact(axes[0]), exact(axes[1])] };
  const axis = (which: 0 | 1) => projected(embedding, projection, which).map((value) => Number(value.toFixed(4)));
  const more = Math.min(MORE, Math.floor(MORE_IN_ALL / clusters));
  const typical = typicalSamples(latents, labels, clusters, 1 + more);
  const images = samples.kind === "images" ? samples : undefined;
  return {
    points: { x: axis(0), y: axis(1), label: Array.from(labels) },
    projection,
    thumbnails: typical.map(([best]) => (images && best !== undefined ? thumbnail(images, best, SIDE) : null)),
    more: typical.map(([, ...others]) => (images ? others.map((i) => thumbnail(images, i, SMALL_SIDE)) : [])),
  };
}

/** One coordinate of every row of an embedding. */
export function projected({ data, shape }: NumberArray, { mean, axes }: Projection, axis: 0 | 1): number[] {
  const [n, k] = shape as [number, number];
  const along = (i: number) =>
    mean.reduce((sum, m, j) => sum + ((data[i * k + j] as number) - m) * (axes[axis][j] as number), 0);
  return Array.from({ length: n }, (_, i) => along(i));
}

/**
 * The plane on which K clusters lie at the corners of a regular polygon: with m_c the mean of cluster c less that of all,
 * a row x lands on the sum over c of <x, m_c> / |m_c|^2 corner_c. Clusters of a spectral embedding are nearly orthogonal,
 * so each mean lands near its corner, and a sample between two clusters between their corners; a principal plane would
 * show some two of them and pile up the rest.
 */
export function clusterPlane({ data, shape }: NumberArray, labels: ArrayLike<number>, clusters: number): Projection {
  const [n, k] = shape as [number, number];
  const sums = Array.from({ length: clusters + 1 }, () => new Float64Array(k + 1));
  for (let i = 0; i < n; i++) {
    for (const sum of [sums[clusters] as Float64Array, sums[labels[i] as number] as Float64Array]) {
      for (let j = 0; j < k; j++) sum[j] = (sum[j] as number) + (data[i * k + j] as number);
      sum[k] = (sum[k] as number) + 1;
    }
  }
  const means = sums.map((sum) => Array.from(sum.subarray(0, k), (value) => value / Math.max(1, sum[k] as number)));
  const mean = means.pop() as number[];
  const axes: [number[], number[]] = [Array(k).fill(0), Array(k).fill(0)];
  for (const [c, own] of means.entries()) {
    const offset = own.map((value, j) => value - (mean[j] as number));
    const square = offset.reduce((sum, value) => sum + value * value, 0);
    if (square === 0 || sums[c]?.[k] === 0) continue;
    const angle = (2 * Math.PI * c) / clusters;
    offset.forEach((value, j) => {
      axes[0][j] = (axes[0][j] as number) + (Math.cos(angle) * value) / square;
      axes[1][j] = (axes[1][j] as number) + (Math.sin(angle) * value) / square;
    });
  }
  return { mean, axes };
}

/**
 * The plane of the two leading eigenvectors of the rows' covariance. Power iteration from a fixed start; the largest
 * entry of each direction is positive.
 */
export function principalPlane({ data, shape }: NumberArray): Projection {
  const [n, k] = shape as [number, number];
  const mean: number[] = Array(k).fill(0);
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
  const direction = () => {
    const { vector, value } = leadingEigenvector(covariance, k);
    for (let a = 0; a < k; a++) {
      for (let b = 0; b < k; b++)
        covariance[a * k + b] =
          (covariance[a * k + b] as number) - value * (vector[a] as number) * (vector[b] as number);
    }
    return Array.from(vector);
  };
  return { mean, axes: [direction(), direction()] };
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

/**
 * In each cluster up to `count` samples, first the one whose latent points most nearly as the cluster's mean, then others
 * evenly spread over the more typical half. None of an empty cluster.
 */
export function typicalSamples(
  { data, shape }: NumberArray,
  labels: ArrayLike<number>,
  clusters: number,
  count: number,
): number[][] {
  const [n, d] = shape as [number, number];
  const direction = (i: number) => {
    const row = data.subarray(i * d, (i + 1) * d);
    const length = Math.hypot(...row) || 1;
    return Float64Array.from(row, (value) => value / length);
  };
  const means = Array.from({ length: clusters }, () => new Float64Array(d));
  const members = Array.from({ length: clusters }, () => [] as number[]);
  for (let i = 0; i < n; i++) {
    const label = labels[i] as number;
    (members[label] as number[]).push(i);
    direction(i).forEach((value, j) => {
      (means[label] as Float64Array)[j] = ((means[label] as Float64Array)[j] as number) + value;
    });
  }
  return members.map((own, label) => {
    const mean = means[label] as Float64Array;
    const product = new Map(own.map((i) => [i, direction(i).reduce((sum, v, j) => sum + v * (mean[j] as number), 0)]));
    own.sort((a, b) => (product.get(b) as number) - (product.get(a) as number));
    const half = own.slice(0, Math.max(Math.ceil(own.length / 2), Math.min(count, own.length)));
    const step = Math.max(1, half.length / count);
    return Array.from({ length: Math.min(count, half.length) }, (_, i) => half[Math.floor(i * step)] as number);
  });
}

/** A sample as a PNG, made smaller by a whole factor where it is large. */
function thumbnail({ data, shape }: Images, sample: number, side: number): Thumbnail {
  const [, h, w, c] = shape;
  const pixels = data.subarray(sample * h * w * c, (sample + 1) * h * w * c);
  const factor = Math.ceil(Math.max(h, w) / side);
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
