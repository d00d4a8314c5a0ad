import { expect, test } from "vitest";
import type { NumberArray } from "../../../runtime/samples.ts";
import { adjustedRandIndex } from "../../../train/metrics.ts";
import { Random } from "../../../train/random.ts";
import { affinityClustering, denseAffinityClustering, sparseFromDense } from "../../../train/spectral/index.ts";

const random = () => new Random(0, "spectral");

/** Affinities of 5 clusters in turn: `between` on average between them, and high for a share of the pairs within. */
function blocks(n: number, between: number, share = 1): NumberArray {
  const draws = new Random(1, "blocks");
  const data = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const isHigh = i % 5 === j % 5 && draws.uniform() < share;
      data[i * n + j] = data[j * n + i] = draws.uniform() * (isHigh ? 1 : 2 * between);
    }
  }
  return { data, shape: [n, n] };
}

// Of entries below rounding the affinity is multiplied as a sparse matrix, else on ONNX Runtime.
test.each([
  ["full", 0.2, 1],
  ["all but empty", 1e-12, 0.3],
])("a clustering by an affinity that is %s is that by its sparse form", async (_, between, share) => {
  const affinity = blocks(520, between, share);
  const options = { clusters: 5, eigenvectors: 5 };
  const dense = await denseAffinityClustering(affinity, { ...options, random: random() });
  const sparse = affinityClustering(sparseFromDense(affinity), { ...options, random: random() });
  expect(adjustedRandIndex(dense.labels, sparse.labels)).toBe(1);
  expect(dense.affinity).toBe(affinity);
  for (const [i, value] of dense.eigenvalues.entries()) expect(value).toBeCloseTo(sparse.eigenvalues[i]!, 8);
  for (const [i, degree] of dense.degrees.entries()) expect(degree / sparse.degrees[i]!).toBeCloseTo(1, 8);
  expect(dense.eigengaps).toHaveLength(5);
});

test.each(["k-means", "discretise"] as const)("by %s, a sample's label is its nearest centre", async (rule) => {
  const { labels, embedding, centres } = await denseAffinityClustering(blocks(60, 0.35), {
    clusters: 5,
    rule,
    random: random(),
  });
  const m = embedding.shape[1]!;
  const squared = (i: number, c: number) =>
    centres.data
      .slice(c * m, (c + 1) * m)
      .reduce((sum, value, j) => sum + (value - embedding.data[i * m + j]!) ** 2, 0);
  for (let i = 0; i < 60; i++) {
    for (let c = 0; c < 5; c++) expect(squared(i, labels[i]!)).toBeLessThanOrEqual(squared(i, c) + 1e-12);
  }
});

test("discretise finds blocks exactly, with as many eigenvectors as clusters", async () => {
  const truth = Array.from({ length: 200 }, (_, i) => i % 5);
  const { labels, eigenvectors } = await denseAffinityClustering(blocks(200, 0), {
    clusters: 5,
    rule: "discretise",
    random: random(),
  });
  expect(eigenvectors).toBe(5);
  expect(adjustedRandIndex(labels, truth)).toBe(1);
});

test("a sample of degree 0 stays on the origin of the embedding", async () => {
  const affinity = blocks(100, 0.1);
  for (let i = 0; i < 100; i++) affinity.data[i] = affinity.data[i * 100] = 0;
  for (const rule of ["k-means", "discretise"] as const) {
    const { degrees, embedding } = await denseAffinityClustering(affinity, { clusters: 5, rule, random: random() });
    expect(degrees[0]).toBe(0);
    expect(embedding.data.subarray(0, 5).every((value) => value === 0)).toBe(true);
    expect(embedding.data.every(Number.isFinite)).toBe(true);
  }
});

test("what is no affinity is an error with a reason", async () => {
  const code = (name: string) => expect.objectContaining({ code: name });
  const run = (data: number[], options = {}) =>
    denseAffinityClustering(
      { data: Float32Array.from(data), shape: [2, 2] },
      { clusters: 2, random: random(), ...options },
    );
  await expect(run([0, 1, 1])).rejects.toThrow(code("SHAPE_MISMATCH"));
  await expect(run([0, -1, -1, 0])).rejects.toThrow(code("OUT_OF_RANGE"));
  await expect(run([0, Number.NaN, 1, 0])).rejects.toThrow(code("NOT_FINITE"));
  await expect(run([0, 1, 1, 0], { rule: "discretise", eigenvectors: 1 })).rejects.toThrow(
    /discretise: expected 2 eigenvectors \(clusters\), got 1/,
  );
});
