import { Matrix, SVD } from "ml-matrix";
import { describe, expect, test } from "vitest";
import type { NumberArray } from "../../../runtime/samples.ts";
import { adjustedRandIndex } from "../../../train/metrics.ts";
import { Random } from "../../../train/random.ts";
import {
  denseAffinityClustering,
  plainAffinity,
  postProcessedAffinity,
  refinedAffinity,
  ridgeSelfExpression,
  unitRows,
} from "../../../train/spectral/index.ts";
import { subspaces } from "./subspaces.ts";

const matrix = ({ data, shape }: NumberArray) => Matrix.from1DArray(shape[0]!, shape[1]!, Array.from(data));
const furthest = (a: Matrix, b: Matrix) => Matrix.sub(a, b).abs().max();

/** Coefficients without any structure, not symmetric. */
function coefficientsOf(n: number, seed = 0): NumberArray {
  const random = new Random(seed, "coefficients");
  return { data: Float32Array.from({ length: n * n }, () => 0.1 * random.normal()), shape: [n, n] };
}

/** The published script, step by step, with ml-matrix's singular value decomposition. */
function published(coefficients: NumberArray, kept: number, rank: number, power: number, diagonal: number) {
  const c = matrix(coefficients);
  const n = c.rows;
  const symmetric = Matrix.add(c, c.transpose()).div(2);
  for (let i = 0; i < n; i++) symmetric.set(i, i, 0);
  const thresholded = Matrix.zeros(n, n);
  for (let j = 0; j < n; j++) {
    const column = symmetric.getColumn(j);
    const order = column.map((_, i) => i).sort((a, b) => Math.abs(column[b]!) - Math.abs(column[a]!));
    const total = column.reduce((sum, value) => sum + Math.abs(value), 0);
    for (let t = 0, sum = 0; t < n; t++) {
      thresholded.set(order[t]!, j, column[order[t]!]!);
      sum += Math.abs(column[order[t]!]!);
      if (sum > kept * total) break;
    }
  }
  const again = Matrix.add(thresholded, thresholded.transpose()).div(2).add(Matrix.eye(n).mul(diagonal));
  const { leftSingularVectors, diagonal: singular } = new SVD(again);
  const rows = leftSingularVectors.subMatrix(0, n - 1, 0, rank - 1);
  for (let i = 0; i < n; i++) for (let r = 0; r < rank; r++) rows.set(i, r, rows.get(i, r) * Math.sqrt(singular[r]!));
  const lengths = Array.from({ length: n }, (_, i) => rows.getRowVector(i).norm("frobenius"));
  const affinity = rows.mmul(rows.transpose());
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const cosine = affinity.get(i, j) / (lengths[i]! * lengths[j]!);
      affinity.set(i, j, i === j ? 0 : Math.max(0, cosine) ** power);
    }
  }
  return { again, maximum: affinity.max(), affinity: affinity.div(affinity.max()) };
}

test("the plain affinity is |C| symmetrised without its diagonal", () => {
  const { data } = plainAffinity({ data: Float32Array.of(5, -1, 3, 7), shape: [2, 2] });
  expect([...data]).toEqual([0, 2, 2, 0]);
});

describe.each([
  { kept: 0.3, rank: 7, power: 3, diagonal: 1 },
  { kept: 0.3, rank: 7, power: 3, diagonal: 0 },
  { kept: 1, rank: 12, power: 2, diagonal: 0.1 },
  { kept: 0.05, rank: 8, power: 0.5, diagonal: 1 },
])("post-processed with %o", (options) => {
  // Above 80 samples eigenpairs are found by iteration, below at once.
  test.each([30, 90])("an affinity of %i samples is that of the published steps", async (n) => {
    const coefficients = coefficientsOf(n);
    const { affinity, factors } = await postProcessedAffinity(coefficients, options);
    const expected = published(coefficients, options.kept, options.rank, options.power, options.diagonal);
    expect(furthest(matrix(affinity), expected.affinity)).toBeLessThan(2e-3); // the eigenpairs' own tolerance
    expect(factors.maximum).toBeCloseTo(expected.maximum, 3);
    expect(Math.max(...affinity.data)).toBe(1);
    expect(furthest(matrix(affinity), matrix(affinity).transpose())).toBe(0);
  });

  test("kept coefficients times the extension are the rows that cosines are taken of", async () => {
    const coefficients = coefficientsOf(60);
    const { factors } = await postProcessedAffinity(coefficients, options);
    const { again } = published(coefficients, options.kept, options.rank, options.power, options.diagonal);
    const own = again.sub(Matrix.eye(60).mul(options.diagonal));
    const extended = own.mmul(matrix(factors.extension)).to2DArray().flat();
    const rows = unitRows({ data: Float32Array.from(extended), shape: factors.rows.shape });
    expect(furthest(matrix(rows), matrix(factors.rows))).toBeLessThan(1e-3);
  });
});

test("what reaches a sample is what its column kept: half-way to what it dropped", async () => {
  const data = Float32Array.of(0, 6, 3, 1, 6, 0, 2, 2, 3, 2, 0, 2, 1, 2, 2, 0);
  const { factors } = await postProcessedAffinity({ data, shape: [4, 4] }, { kept: 0.5, rank: 2, power: 2 });
  // 6 of 10; 6 of 10; 3 of 7 and so 2 and 2, which are equal; 2 and 2 of 5, equal too.
  expect([...factors.reach.data]).toEqual([4.5, 4, 1, 1.5]);
});

describe("of a union of independent subspaces, without noise,", async () => {
  const { latents, truth } = subspaces({ clusters: 4, dimension: 3, perCluster: 30, width: 20 });
  const { coefficients } = await ridgeSelfExpression(latents, 1e-4);
  const options = { kept: 0.5, rank: 4 * 3 + 1, power: 4 };

  test.each(["k-means", "discretise"] as const)("both affinities give the clusters exactly, by %s", async (rule) => {
    for (const form of ["plain", "post-processed"] as const) {
      const { affinity } = await refinedAffinity(coefficients, { form, ...options });
      const random = new Random(0, "clusters");
      const { labels } = await denseAffinityClustering(affinity, { clusters: 4, eigenvectors: 4, rule, random });
      expect(adjustedRandIndex(labels, truth)).toBe(1);
    }
  });

  test("post-processing takes what little is left between subspaces", async () => {
    const between = (affinity: NumberArray) => {
      const share = { within: 0, between: 0 };
      for (const [entry, value] of affinity.data.entries())
        share[truth[Math.floor(entry / 120)] === truth[entry % 120] ? "within" : "between"] += value;
      return share.between / share.within;
    };
    const { affinity } = await postProcessedAffinity(coefficients, options);
    expect(between(affinity)).toBeLessThan(1e-2 * between(plainAffinity(coefficients)));
  });

  test("the order of the samples changes nothing but the order", async () => {
    const order = new Random(1, "order").permutation(120);
    const reordered = (data: Float32Array) => ({
      data: data.map((_, entry) => data[order[Math.floor(entry / 120)]! * 120 + order[entry % 120]!]!),
      shape: [120, 120],
    });
    for (const form of ["plain", "post-processed"] as const) {
      const { affinity } = await refinedAffinity(coefficients, { form, ...options });
      const shuffled = (await refinedAffinity(reordered(coefficients.data), { form, ...options })).affinity;
      expect(furthest(matrix(shuffled), matrix(reordered(affinity.data)))).toBeLessThan(1e-3);
    }
  });

  test("twice the same is bit-equal", async () => {
    const run = () => postProcessedAffinity(coefficients, options);
    expect(await run()).toEqual(await run());
  });
});

describe("samples that tell nothing", () => {
  const finite = ({ data }: NumberArray) => expect(data.every((value) => value >= 0 && value <= 1)).toBe(true);
  const options = { kept: 0.5, rank: 7, power: 4 };

  test.each([0, 1])("have no coefficients and no affinity, at diagonal %i", async (diagonal) => {
    const { latents } = subspaces({ clusters: 2, dimension: 3, perCluster: 50, width: 10 });
    latents.data.fill(0, 0, 20);
    const { coefficients } = await ridgeSelfExpression(latents, 1e-3);
    const { affinity, factors } = await postProcessedAffinity(coefficients, { ...options, diagonal });
    finite(affinity);
    expect(Math.max(...affinity.data.subarray(0, 200))).toBe(0);
    expect(factors.rows.data.every(Number.isFinite) && factors.extension.data.every(Number.isFinite)).toBe(true);
    const clustering = await denseAffinityClustering(affinity, { clusters: 2, random: new Random(0, "k-means") });
    expect(clustering.embedding.data.every(Number.isFinite)).toBe(true);
  });

  test("are all there is: no affinity", async () => {
    const none = { data: new Float32Array(100 * 100), shape: [100, 100] };
    for (const diagonal of [0, 1]) {
      const { affinity, factors } = await postProcessedAffinity(none, { ...options, diagonal });
      expect(affinity.data.every((value) => value === 0)).toBe(true);
      expect(factors.extension.data.every((value) => value === 0)).toBe(true);
    }
  });

  test("all alike have affinities in 0..1", async () => {
    const alike = { data: new Float32Array(100 * 100).fill(0.01), shape: [100, 100] };
    finite((await postProcessedAffinity(alike, options)).affinity);
  });

  test("that are duplicates have affinity 1", async () => {
    const { latents } = subspaces({ clusters: 3, dimension: 2, perCluster: 40, width: 12 });
    latents.data.copyWithin(12, 0, 12);
    const { coefficients } = await ridgeSelfExpression(latents, 1e-2);
    const { affinity } = await postProcessedAffinity(coefficients, { ...options, kept: 1 });
    expect(affinity.data[1]).toBeGreaterThan(0.99);
  });
});

test("what is no post-processing is an error with a reason", async () => {
  const options = { kept: 0.5, rank: 3, power: 4 };
  const code = (name: string) => expect.objectContaining({ code: name });
  const run = (change: object, c = coefficientsOf(5)) => postProcessedAffinity(c, { ...options, ...change });
  await expect(run({ kept: 0 })).rejects.toThrow(/kept: expected above 0 and at most 1, got 0/);
  await expect(run({ rank: 0.5 })).rejects.toThrow(code("OUT_OF_RANGE"));
  await expect(run({ power: 0 })).rejects.toThrow(code("OUT_OF_RANGE"));
  await expect(run({ diagonal: -1 })).rejects.toThrow(code("OUT_OF_RANGE"));
  await expect(run({}, { ...coefficientsOf(5), shape: [5, 4] })).rejects.toThrow(code("SHAPE_MISMATCH"));
  const broken = coefficientsOf(5);
  broken.data[3] = Number.NaN;
  await expect(run({}, broken)).rejects.toThrow(code("NOT_FINITE"));
});
