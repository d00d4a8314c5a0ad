import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { beforeAll, describe, expect, test } from "vitest";
import { type Landmarks, nearestLandmarks, nystromExtension } from "../../models/assignment/nystrom.ts";
import { assignEmbedding, distanceToData, noveltyOf } from "../../models/assignment/readout.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { Random } from "../../train/random.ts";
import { type SpectralClustering, spectralClustering, unitRows } from "../../train/spectral/index.ts";
import { extensionRows } from "../../train/structure.ts";

const NEIGHBOURS = 10;
const PER_CIRCLE = 24;

/** Three circles on the unit sphere of 9 dimensions, their points evenly spaced: neighbours are mutual. */
function circles(): NumberArray {
  const data = new Float32Array(3 * PER_CIRCLE * 9);
  for (let i = 0; i < 3 * PER_CIRCLE; i++) {
    const angle = (2 * Math.PI * i) / PER_CIRCLE;
    const at = i * 9 + 3 * Math.floor(i / PER_CIRCLE);
    data.set([Math.cos(0.5), Math.sin(0.5) * Math.cos(angle), Math.sin(0.5) * Math.sin(angle)], at);
  }
  return { data, shape: [3 * PER_CIRCLE, 9] };
}

const tensor = ({ data, shape }: NumberArray): tf.Tensor2D => tf.tensor2d(data, shape as [number, number]);

function landmarksOf(points: NumberArray, clustering: SpectralClustering): Landmarks {
  return {
    latents: tensor(points),
    scales: tf.tensor1d(Float32Array.from(clustering.localScales)),
    rows: tensor(extensionRows(clustering)),
  };
}

function worst(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0);
}

beforeAll(() => {
  tf.setBackend("cpu");
});

describe.each([5, "diffusion"] as const)("the Nystrom extension of eigenvectors by rule %s", async (eigenvectors) => {
  const points = circles();
  const options = { clusters: 3, neighbours: NEIGHBOURS, eigenvectors, random: new Random(1, "k-means") };
  const clustering = await spectralClustering(points, options);
  const place = (samples: NumberArray): Float32Array => {
    const landmarks = landmarksOf(points, clustering);
    return nystromExtension(
      nearestLandmarks(tensor(samples), landmarks.latents, NEIGHBOURS),
      landmarks,
    ).dataSync<"float32">() as Float32Array;
  };

  test("puts a landmark on its own row: it is not its own neighbour", () => {
    expect(worst(place(points), clustering.embedding.data)).toBeLessThan(1e-4); // eigenvectors and rows are float32 here
  });

  test("puts a sample beside a landmark beside its row", () => {
    const random = new Random(2, "jitter");
    const data = points.data.map((value) => value + 0.002 * random.normal());
    const embedding = place(unitRows({ data, shape: points.shape }));
    expect(worst(embedding, clustering.embedding.data)).toBeLessThan(0.2);
    for (let i = 0; i < 3 * PER_CIRCLE; i++) {
      const m = clustering.eigenvectors;
      const row = clustering.embedding.data.subarray(i * m, i * m + m);
      const cosine = row.reduce((sum, value, j) => sum + value * (embedding[i * m + j] as number), 0);
      expect(cosine).toBeGreaterThan(0.99);
    }
  });

  test("gives a sample far from all landmarks a row of length 1", () => {
    const far = place({ data: Float32Array.of(-1, 0, 0, 0, 0, 0, 0, 0, 0), shape: [1, 9] });
    expect(Math.hypot(...far)).toBeCloseTo(1, 5);
  });
});

describe("the nearest landmarks", () => {
  const random = new Random(3, "landmarks");
  const points = unitRows({ data: Float32Array.from({ length: 50 * 4 }, () => random.normal()), shape: [50, 4] });

  test("are those of float64 arithmetic, to 7 digits of even small distances", () => {
    const sample = unitRows({ data: points.data.slice(0, 4).map((value) => value + 1e-3), shape: [1, 4] });
    const smallest = nearestLandmarks(tensor(sample), tensor(points), 5).smallest.dataSync();
    const exact = Array.from({ length: 50 }, (_, i) =>
      Array.from(
        { length: 4 },
        (_, j) => ((sample.data[j] as number) - (points.data[4 * i + j] as number)) ** 2,
      ).reduce((a, b) => a + b),
    ).sort((a, b) => a - b);
    for (const [i, value] of smallest.entries()) expect(Math.abs(value / (exact[i] as number) - 1)).toBeLessThan(1e-6);
  });

  test("leave out the landmark that the sample is, and one alone of its duplicates", () => {
    const twice = { data: Float32Array.of(1, 0, 1, 0, 0, 1, -1, 0), shape: [4, 2] };
    const samples = { data: Float32Array.of(1, 0, 0, 1), shape: [2, 2] };
    const { smallest } = nearestLandmarks(tensor(samples), tensor(twice), 2);
    expect(worst(smallest.dataSync(), [0, 2, 2, 2])).toBeLessThan(1e-6);
  });

  test("can be one of two", () => {
    const two = { data: Float32Array.of(1, 0, 0, 1), shape: [2, 2] };
    const { smallest } = nearestLandmarks(tensor(two), tensor(two), 1);
    expect(worst(smallest.dataSync(), [2, 2])).toBeLessThan(1e-6);
  });
});

describe("the distance to the data", () => {
  const landmarks = tf.tensor2d([
    [1, 0],
    [0.8, 0.6],
    [0, 1],
    [-1, 0],
  ]);
  const distance = (latent: [number, number], lengthWeight: number, lengths = [0, 0, 0, 0]) => {
    const [x, y] = latent;
    const unit = tf.tensor2d([[x / Math.hypot(x, y), y / Math.hypot(x, y)]]);
    const nearest = nearestLandmarks(unit, landmarks, 2);
    const scale = { lengths: tf.tensor1d(lengths), lengthWeight: tf.scalar(lengthWeight) };
    return distanceToData(tf.tensor2d([latent]), nearest, scale).dataSync()[0] as number;
  };

  test("is the mean distance to the nearest directions, the nearer counting more", () => {
    const [x, y] = [Math.cos(0.5), Math.sin(0.5)];
    const squares = [(x - 0.8) ** 2 + (y - 0.6) ** 2, (x - 1) ** 2 + y ** 2, x ** 2 + (y - 1) ** 2];
    const tapers = squares.map((square) => 1.001 - square / (squares[2] as number));
    const weighted = squares.map((square, i) => (tapers[i] as number) * Math.sqrt(square));
    const sum = (values: number[]) => values.reduce((p, q) => p + q);
    expect(distance([x, y], 0)).toBeCloseTo(sum(weighted) / sum(tapers), 5);
  });

  test("grows with the difference in length, and with nothing else of it", () => {
    const [alike, longer] = [
      distance(
        [3, 3],
        0.5,
        [1, 1, 1, 1].map(() => Math.log(Math.hypot(3, 3))),
      ),
      distance([3, 3], 0.5),
    ];
    expect(alike).toBeCloseTo(distance([3, 3], 0), 5);
    expect(longer - alike).toBeCloseTo(0.5 * Math.log(Math.hypot(3, 3)), 4);
  });

  test("does not jump where neighbours change places", () => {
    const lengths = [0, 5, -5, 0];
    const at = (angle: number) => distance([Math.cos(angle), Math.sin(angle)], 1, lengths);
    for (let angle = 0; angle < Math.PI; angle += 0.01)
      expect(Math.abs(at(angle + 1e-5) - at(angle))).toBeLessThan(0.02);
  });
});

describe("novelty", () => {
  const novelty = (distances: number[], quantiles: number[]) =>
    Array.from(noveltyOf(tf.tensor1d(distances), tf.tensor1d(quantiles)).dataSync());

  test("is the share of the quantiles below, linear between them", () => {
    expect(worst(novelty([0, 1, 1.5, 2, 3, 4, 9], [1, 2, 4]), [0, 0, 0.25, 0.5, 0.75, 1, 1])).toBeLessThan(1e-6);
  });

  test("steps where quantiles are equal", () => {
    expect(novelty([1, 2, 3], [2, 2, 2])).toEqual([0, 0, 1]);
  });
});

describe("a linear read-out", () => {
  const centres = [
    [1, 0],
    [0, 1],
    [-1, 0],
  ];
  const readout = (sharpness: number): Parameters<typeof assignEmbedding>[3] => ({
    weights: tf.transpose(tf.mul(2, tf.tensor2d(centres))),
    bias: tf.tensor1d(centres.map(([x = 0, y = 0]) => -(x * x + y * y))),
    sharpness: tf.scalar(sharpness),
    lengths: tf.tensor1d([0, 0, 0]),
    lengthWeight: tf.scalar(0),
    noveltyQuantiles: tf.tensor1d([0, 1]),
  });
  const embedding = [
    [0.9, 0.1],
    [0.1, 0.7],
    [-0.5, 0.4],
  ];
  const assign = (sharpness: number) => {
    const { label, confidence, probabilities } = assignEmbedding(
      tf.tensor2d(embedding),
      tf.tensor2d(embedding),
      nearestLandmarks(tf.tensor2d(embedding), tf.tensor2d(centres), 1),
      readout(sharpness),
    );
    return { label: label.arraySync(), confidence: confidence.arraySync(), probabilities: probabilities.arraySync() };
  };

  test("gives each sample to its nearest centre, however sharp", () => {
    expect(assign(1).label).toEqual([0, 1, 2]);
    expect(assign(1e-5).label).toEqual([0, 1, 2]);
  });

  test("gives probabilities that sum to 1, the largest of which is the confidence", () => {
    const { confidence, probabilities } = assign(3);
    for (const [i, row] of probabilities.entries()) {
      expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
      expect(Math.max(...row)).toBe(confidence[i]);
    }
  });

  test("is surer the sharper it is", () => {
    const [soft, sharp] = [assign(1).confidence, assign(10).confidence];
    for (const [i, value] of soft.entries()) expect(sharp[i] as number).toBeGreaterThan(value);
  });
});
