import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { NumberArray } from "../../../runtime/samples.ts";
import { adjustedRandIndex } from "../../../train/metrics.ts";
import { Random } from "../../../train/random.ts";
import { affinityClustering, kMeans, spectralClustering, unitRows } from "../../../train/spectral/index.ts";

// Data, labels and eigenvalues of scikit-learn and numpy, by test/fixtures/make-spectral.py.
const fixtures = (
  JSON.parse(readFileSync(new URL("../../fixtures/spectral.json", import.meta.url), "utf8")) as {
    name: string;
    shape: [number, number];
    points: number[];
    clusters: number;
    kmeans: number[];
    inertia: number;
    spectral: number[];
    eigenvalues: number[];
  }[]
).map((fixture) => ({ ...fixture, points: { data: Float32Array.from(fixture.points), shape: fixture.shape } }));

const random = () => new Random(0, "spectral");
const [blobs, moons, , digits] = fixtures as [
  (typeof fixtures)[number],
  (typeof fixtures)[number],
  (typeof fixtures)[number],
  (typeof fixtures)[number],
];

// Circles can be halved along any diameter at about the same inertia: no labels to agree on.
test.each(fixtures.filter(({ name }) => name !== "circles"))(
  "k-means of $name is scikit-learn's",
  ({ points, clusters, kmeans, inertia }) => {
    const ours = kMeans(points, { clusters, random: random() });
    expect(ours.inertia).toBeLessThanOrEqual(inertia * (1 + 1e-6));
    expect(adjustedRandIndex(ours.labels, kmeans)).toBeGreaterThanOrEqual(0.99);
  },
);

test.each(fixtures)("spectral clustering of $name is scikit-learn's on the same affinity", async (fixture) => {
  const { points, clusters, spectral, eigenvalues } = fixture;
  const ours = await spectralClustering(points, { clusters, eigenvectors: clusters, random: random() });
  expect(adjustedRandIndex(ours.labels, spectral)).toBeGreaterThanOrEqual(0.99);
  for (const [i, value] of ours.eigenvalues.entries()) expect(value).toBeCloseTo(eigenvalues[i]!, 7);
  expect(ours.eigengaps.at(-1)).toBeCloseTo(eigenvalues[clusters - 1]! - eigenvalues[clusters]!, 7);
});

test("what places new samples fits together: shapes, unit rows, nearest centres", async () => {
  const { points, clusters } = digits;
  const n = points.shape[0];
  const ours = await spectralClustering(unitRows(points), { clusters, eigenvectors: 7, random: random() });
  expect([ours.embedding.shape, ours.vectors.shape, ours.centres.shape]).toEqual([
    [n, 7],
    [n, 7],
    [clusters, 7],
  ]);
  expect([ours.degrees.length, ours.localScales.length, ours.eigenvalues.length]).toEqual([n, n, 7]);
  expect(ours.embedding).toEqual(unitRows(ours.vectors));
  const squared = (i: number, c: number) => {
    let sum = 0;
    for (let j = 0; j < 7; j++) sum += (ours.embedding.data[i * 7 + j]! - ours.centres.data[c * 7 + j]!) ** 2;
    return sum;
  };
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < clusters; c++) expect(squared(i, ours.labels[i]!)).toBeLessThanOrEqual(squared(i, c) + 1e-12);
  }
});

test("the balance rule keeps the partition of most even sizes among clusters..clusters + 4 eigenvectors", async () => {
  const { points, clusters } = digits;
  const { affinity, ...chosen } = await spectralClustering(points, { clusters, random: random() });
  expect(chosen.eigengaps).toHaveLength(clusters + 4);
  expect(chosen.eigenvectors).toBeGreaterThanOrEqual(clusters);
  const sizes = (labels: Int32Array) =>
    Array.from({ length: clusters }, (_, c) => labels.filter((l) => l === c).length);
  const entropy = (labels: Int32Array) => -sizes(labels).reduce((sum, s) => sum + s * Math.log(s / labels.length), 0);
  for (let m = clusters; m <= clusters + 4; m++) {
    const { labels } = affinityClustering(affinity, { clusters, eigenvectors: m, random: random() });
    expect(entropy(chosen.labels)).toBeGreaterThanOrEqual(entropy(labels) - 1e-3 * labels.length);
  }
});

test("diffusion weighs eigenvectors by a power of their eigenvalues, the first beyond the clusters by a half", async () => {
  const { points, clusters } = digits;
  const options = { clusters, eigenvectors: "diffusion" } as const;
  const { weights, eigenvalues, eigenvectors } = await spectralClustering(points, { ...options, random: random() });
  expect(eigenvectors).toBe(2 * clusters);
  expect(weights[0]).toBeCloseTo(1, 9);
  expect(weights[clusters]).toBeCloseTo(0.5, 9);
  const time = Math.log(weights[1]!) / Math.log(eigenvalues[1]!);
  for (const [i, weight] of weights.entries()) expect(weight).toBeCloseTo(eigenvalues[i]! ** time, 6);
});

test("diffusion tells parts of a graph apart that nothing joins, and takes no more eigenvectors than there are", async () => {
  const far = Float32Array.from({ length: 12 }, (_, i) => 100 * Math.floor(i / 4) + i);
  const options = { clusters: 3, eigenvectors: "diffusion", neighbours: 3, scaleNeighbour: 3 } as const;
  const apart = await spectralClustering({ data: far, shape: [12, 1] }, { ...options, random: random() });
  expect(
    adjustedRandIndex(
      apart.labels,
      Array.from(far, (_, i) => Math.floor(i / 4)),
    ),
  ).toBe(1);
  const few = await spectralClustering({ data: far.slice(0, 5), shape: [5, 1] }, { ...options, random: random() });
  expect(few.eigenvectors).toBe(5);
  expect(few.embedding.data.every(Number.isFinite)).toBe(true);
});

test("the order of the samples changes nothing but the order", async () => {
  const { points, clusters } = blobs;
  const [n, d] = points.shape;
  const order = new Random(1, "test").permutation(n);
  const data = new Float32Array(n * d);
  for (const [to, from] of order.entries()) data.set(points.data.subarray(from * d, (from + 1) * d), to * d);
  const options = { clusters, eigenvectors: clusters };
  const original = await spectralClustering(points, { ...options, random: random() });
  const shuffled = await spectralClustering({ data, shape: points.shape }, { ...options, random: random() });
  const reordered = <T>(values: ArrayLike<T>) => Array.from(order, (from) => values[from]!);
  expect(adjustedRandIndex(shuffled.labels, reordered(original.labels))).toBe(1);
  expect([...shuffled.localScales]).toEqual(reordered(original.localScales));
  for (const [i, degree] of reordered(original.degrees).entries()) expect(shuffled.degrees[i]).toBeCloseTo(degree, 12);
  for (const [i, value] of shuffled.eigenvalues.entries()) expect(value).toBeCloseTo(original.eigenvalues[i]!, 12);
});

test("twice the same is bit-equal", async () => {
  const run = () => spectralClustering(moons.points, { clusters: 2, random: random() });
  expect(await run()).toEqual(await run());
});

test("a sample of degree 0 stays on the origin of the embedding and still has a label", async () => {
  const [n, d] = blobs.points.shape;
  const data = new Float32Array((n + 1) * d).fill(1e6);
  data.set(blobs.points.data);
  const ours = await spectralClustering(
    { data, shape: [n + 1, d] },
    { clusters: 6, eigenvectors: 6, random: random() },
  );
  expect(ours.degrees[n]).toBe(0);
  expect([...ours.embedding.data.subarray(n * 6)].map((value) => value + 0)).toEqual([0, 0, 0, 0, 0, 0]);
  expect(ours.labels[n]).toBeGreaterThanOrEqual(0);
  expect(adjustedRandIndex(ours.labels.subarray(0, n), blobs.spectral)).toBeGreaterThan(0.99);
});

test("no more clusters than samples", async () => {
  const few: NumberArray = { data: Float32Array.from({ length: 12 }, (_, i) => i), shape: [12, 1] };
  await expect(spectralClustering(few, { clusters: 13, neighbours: 8, random: random() })).rejects.toThrow(
    expect.objectContaining({ code: "TOO_FEW_SAMPLES" }),
  );
});
