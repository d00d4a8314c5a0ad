import { describe, expect, test } from "vitest";
import type { Arrays } from "../../models/index.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { Random } from "../../train/random.ts";
import { type SpectralClustering, unitRows } from "../../train/spectral/index.ts";
import {
  calibratedSharpness,
  centreReadout,
  centresStructure,
  chooseLandmarks,
  clusterLatents,
  distanceQuantiles,
  extensionRows,
  headStructure,
  nystromStructure,
  orthonormalBasis,
} from "../../train/structure.ts";

const SETTINGS = { clusters: 2, neighbours: 10, eigenvectors: "balance", landmarks: 1000, readout: "nystrom" } as const;

function normals(n: number, d: number, stream = "normals"): NumberArray {
  const random = new Random(5, stream);
  return { data: Float32Array.from({ length: n * d }, () => random.normal()), shape: [n, d] };
}

/** a b, float64. */
function product(a: NumberArray<ArrayLike<number>>, b: NumberArray<ArrayLike<number>>): Float64Array {
  const [n, k] = a.shape as [number, number];
  const [, m] = b.shape as [number, number];
  return Float64Array.from({ length: n * m }, (_, at) => {
    let sum = 0;
    for (let j = 0; j < k; j++)
      sum += (a.data[Math.floor(at / m) * k + j] as number) * (b.data[j * m + (at % m)] as number);
    return sum;
  });
}

function worst(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0);
}

const identity = (k: number) => Float64Array.from({ length: k * k }, (_, i) => (i % (k + 1) === 0 ? 1 : 0));
const allFinite = (arrays: Arrays) => Object.values(arrays).every(({ data }) => data.every(Number.isFinite));

/** Argmax of u W + b. */
function labelsOf(embedding: NumberArray<ArrayLike<number>>, { weights, bias }: Arrays): number[] {
  const [n] = embedding.shape as [number];
  const clusters = bias?.data.length as number;
  const scores = product(embedding, weights as NumberArray);
  return Array.from({ length: n }, (_, i) => {
    const row = Array.from(
      { length: clusters },
      (_, c) => (scores[i * clusters + c] as number) + (bias?.data[c] as number),
    );
    return row.indexOf(Math.max(...row));
  });
}

describe("spectral clustering of latents", () => {
  test.each([2, 3, 6, 9])("takes %i samples, fewer than it wants neighbours", async (n) => {
    const clustering = await clusterLatents(normals(n, 4), SETTINGS, new Random(1, "few"));
    expect(clustering.labels).toHaveLength(n);
    expect(allFinite(nystromStructure(clustering))).toBe(true);
  });

  test("takes fewer neighbours than the one that scales distance", async () => {
    const clustering = await clusterLatents(normals(40, 4), { ...SETTINGS, neighbours: 3 }, new Random(1, "few"));
    expect(clustering.localScales.every((scale) => scale > 0)).toBe(true);
  });

  test("takes samples that are all equal, and samples that are zero", async () => {
    for (const value of [1, 0]) {
      const equal = { data: new Float32Array(40 * 4).fill(value), shape: [40, 4] };
      expect(allFinite(nystromStructure(await clusterLatents(equal, SETTINGS, new Random(1, "equal"))))).toBe(true);
    }
  });
});

test("landmarks are all samples where that is enough, else some, in order, each once", () => {
  expect(Array.from(chooseLandmarks(4, 9, new Random(1, "landmarks")))).toEqual([0, 1, 2, 3]);
  const some = Array.from(chooseLandmarks(100, 20, new Random(1, "landmarks")));
  expect(new Set(some).size).toBe(20);
  expect(some).toEqual([...some].sort((a, b) => a - b));
});

test("a landmark without affinity and an eigenvalue of 0 have rows of zeros", () => {
  const rows = extensionRows({
    vectors: { data: Float64Array.of(0.5, 0.5, 0.5, 0.5), shape: [2, 2] },
    eigenvalues: Float64Array.of(1, 0),
    degrees: Float64Array.of(4, 0),
    weights: Float64Array.of(1, 1),
    eigenvectors: 2,
  } as unknown as SpectralClustering);
  expect(Array.from(rows.data)).toEqual([0.25, 0, 0, 0]);
});

test("the nearest centre is the largest of its linear map", () => {
  const [samples, centres] = [normals(200, 3), normals(5, 3, "centres")];
  const nearest = Array.from({ length: 200 }, (_, i) => {
    const squares = Array.from({ length: 5 }, (_, c) =>
      [0, 1, 2].reduce((sum, j) => sum + ((samples.data[3 * i + j] ?? 0) - (centres.data[3 * c + j] ?? 0)) ** 2, 0),
    );
    return squares.indexOf(Math.min(...squares));
  });
  const readout = centreReadout({ data: Float64Array.from(centres.data), shape: [5, 3] });
  expect(labelsOf(samples, readout)).toEqual(nearest);
});

describe("the orthonormal basis of outputs", () => {
  test("makes them orthonormal, and its inverse undoes it", () => {
    const outputs = normals(300, 4);
    const { orthonormalizer, inverse } = orthonormalBasis(outputs);
    const embedding = { data: product(outputs, orthonormalizer), shape: [300, 4] };
    const transposed = {
      data: Float64Array.from(
        { length: 1200 },
        (_, at) => embedding.data[(at % 300) * 4 + Math.floor(at / 300)] as number,
      ),
      shape: [4, 300],
    };
    const gram = product(transposed, embedding).map((value) => value / 300);
    expect(worst(gram, identity(4))).toBeLessThan(1e-5); // the guard is 1e-6
    expect(worst(product(orthonormalizer, inverse), identity(4))).toBeLessThan(1e-12);
  });

  test.each([
    ["equal columns", (_: number, i: number) => Math.sin(Math.floor(i / 4))],
    ["zeros", () => 0],
    ["one column of zeros", (value: number, i: number) => (i % 4 === 2 ? 0 : value)],
  ])("is finite for %s", (_, change) => {
    const { data, shape } = normals(300, 4);
    const { orthonormalizer, inverse } = orthonormalBasis({ data: data.map(change), shape });
    expect([...orthonormalizer.data, ...inverse.data].every(Number.isFinite)).toBe(true);
  });

  test("of a head gives back the net's own outputs", () => {
    const outputs = normals(300, 4);
    const { orthonormalizer, weights } = headStructure(outputs) as Record<string, NumberArray>;
    const embedding = { data: product(outputs, orthonormalizer as NumberArray), shape: [300, 4] };
    expect(worst(product(embedding, weights as NumberArray), outputs.data)).toBeLessThan(1e-5);
  });

  test("of centres: k-means and its linear map agree", () => {
    const outputs = normals(300, 4);
    const { structure, labels } = centresStructure(outputs, 3, new Random(1, "k-means"));
    const embedding = { data: product(outputs, structure.orthonormalizer as NumberArray), shape: [300, 4] };
    expect(labelsOf(embedding, structure)).toEqual(Array.from(labels));
  });
});

describe("quantiles of distances", () => {
  test("go from the least to the largest, and halve the samples", () => {
    const random = new Random(1, "distances");
    const distances = Float32Array.from({ length: 1000 }, () => random.uniform());
    const { data } = distanceQuantiles(distances);
    const sorted = distances.slice().sort();
    expect([data[0], data.at(-1)]).toEqual([sorted[0], sorted.at(-1)]);
    expect(data).toEqual(data.slice().sort());
    expect(data[(data.length - 1) / 2]).toBeCloseTo(((sorted[499] as number) + (sorted[500] as number)) / 2, 5);
  });

  test("of one sample are that sample", () => {
    expect(new Set(distanceQuantiles(Float32Array.of(3)).data)).toEqual(new Set([3]));
  });
});

describe("calibrated sharpness", () => {
  const scores = unitRows(normals(500, 4));
  const meanConfidence = async (sharpness: number) => {
    let sum = 0;
    for (let i = 0; i < 500; i++) {
      const row = Array.from(scores.data.subarray(4 * i, 4 * i + 4), (score) => Math.exp(sharpness * score));
      sum += Math.max(...row) / row.reduce((a, b) => a + b);
    }
    return sum / 500;
  };

  test.each([0.3, 0.5, 0.97])("makes mean confidence the agreement, %d", async (agreement) => {
    const sharpness = await calibratedSharpness(meanConfidence, agreement);
    expect(await meanConfidence(sharpness)).toBeCloseTo(agreement, 5);
  });

  test("is finite where no sharpness is enough", async () => {
    expect(await calibratedSharpness(async () => 0.5, 0.9)).toBeGreaterThan(1e5);
    expect(await calibratedSharpness(async () => 0.5, 0.3)).toBeGreaterThan(0);
  });
});
