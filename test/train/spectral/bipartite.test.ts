import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { describe, expect, test } from "vitest";
import type { NumberArray } from "../../../runtime/samples.ts";
import { adjustedRandIndex } from "../../../train/metrics.ts";
import { Random } from "../../../train/random.ts";
import {
  type AnchorWeights,
  anchorWeights,
  bipartiteClustering,
  walkedAffinity,
} from "../../../train/spectral/index.ts";
import { blocksOf, signedCoefficients } from "./coefficients.ts";

const random = () => new Random(0, "spectral");
const CLUSTERS = 3;
const { coefficients, truth } = signedCoefficients(150, 40, CLUSTERS);
const weightsOf = (c: NumberArray, nonzeros: number, size = 50, ties: "positive" | "both" = "both") =>
  anchorWeights(blocksOf(c, size), { samples: c.shape[0]!, anchors: c.shape[1]!, nonzeros, ties });

/** S as it is defined, [n][M]: rows sorted by c^2, cut off behind t, divided by their sums. */
function dense({ data, shape: [n = 0, anchors = 0] }: NumberArray, t: number): number[][] {
  return Array.from({ length: n }, (_, i) => {
    const row = Array.from(data.subarray(i * anchors, (i + 1) * anchors), (c) => c ** 2);
    const kept = row.map((_, j) => j).sort((a, b) => row[b]! - row[a]! || a - b);
    const sum = kept.slice(0, t).reduce((total, j) => total + row[j]!, 0);
    return row.map((value, j) => (kept.indexOf(j) < t && sum > 0 ? value / sum : 0));
  });
}

function expanded({ samples, anchors, nonzeros, columns, values }: AnchorWeights): number[][] {
  const rows = Array.from({ length: samples }, () => Array<number>(anchors).fill(0));
  for (const [entry, value] of values.entries())
    if (value > 0) rows[Math.floor(entry / nonzeros)]![columns[entry]!]! += value;
  return rows;
}

const worst = (a: number[][], b: number[][]) =>
  Math.max(...a.flatMap((row, i) => row.map((value, j) => Math.abs(value - b[i]![j]!))));

describe("anchorWeights", () => {
  test.each([1, 3, 40, 41])("are the %i largest of each row, brought to a sum of 1", async (t) => {
    expect(worst(expanded(await weightsOf(coefficients, t)), dense(coefficients, t))).toBeLessThan(1e-12);
  });

  test("take the first of equals", async () => {
    const c = { data: Float32Array.of(1, -2, 2, 1, 2, 1), shape: [1, 6] };
    expect(Array.from((await weightsOf(c, 4)).columns)).toEqual([1, 2, 4, 0]);
  });

  test("do not depend on the blocks, whose arrays may be used again", async () => {
    const whole = await weightsOf(coefficients, 5, 150);
    async function* reused(size: number) {
      const data = new Float32Array(size * 40);
      for (const block of blocksOf(coefficients, size)) {
        data.set(block.data);
        yield { data: data.subarray(0, block.data.length), shape: block.shape };
      }
    }
    const options = { samples: 150, anchors: 40, nonzeros: 5, ties: "both" } as const;
    for (const size of [1, 7, 64]) expect(await anchorWeights(reused(size), options)).toEqual(whole);
  });

  test("are of coefficients above 0 alone where only those tie", async () => {
    const cut = { ...coefficients, data: coefficients.data.map((c) => Math.max(c, 0)) };
    expect(await weightsOf(coefficients, 5, 50, "positive")).toEqual(await weightsOf(cut, 5));
    expect(
      Array.from((await weightsOf({ data: Float32Array.of(-1, -2), shape: [1, 2] }, 2, 1, "positive")).values),
    ).toEqual([0, 0]);
  });

  test("of a row of zeros are zeros", async () => {
    const { values } = await weightsOf({ data: new Float32Array(8), shape: [2, 4] }, 3);
    expect(Array.from(values)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test.each([
    [
      { samples: 150, anchors: 39, nonzeros: 5 },
      "SHAPE_MISMATCH",
      "expected a block of [at most 150, 39], got [50,40]",
    ],
    [{ samples: 120, anchors: 40, nonzeros: 5 }, "SHAPE_MISMATCH", "expected a block of [at most 20, 40], got [50,40]"],
    [{ samples: 151, anchors: 40, nonzeros: 5 }, "SHAPE_MISMATCH", "expected 151 rows in all, got 150"],
    [{ samples: 150, anchors: 40, nonzeros: 0 }, "OUT_OF_RANGE", "nonzeros: expected 1 or more, got 0"],
  ])("refuse blocks that are not as announced, %o", async (options, code, message) => {
    await expect(anchorWeights(blocksOf(coefficients, 50), { ...options, ties: "both" })).rejects.toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });

  test.each([Number.NaN, Number.NEGATIVE_INFINITY])("refuse %f, naming where it is", async (value) => {
    const c = { data: Float32Array.of(1, 2, 3, 4, 5, value), shape: [2, 3] };
    await expect(weightsOf(c, 2)).rejects.toThrow(
      expect.objectContaining({ code: "NOT_FINITE", message: `coefficients: sample 1 has ${value} for anchor 2` }),
    );
  });
});

describe("walked affinity", () => {
  test("joins samples by the anchors they share, in proportion to their weights", async () => {
    const c = { data: Float32Array.of(1, 0, 0, 1, 0, 0, Math.sqrt(3), 1, 0, 0, 0, 2, 0, 0, 0), shape: [5, 3] };
    const { offsets, columns } = walkedAffinity(await weightsOf(c, 3), 4000, random());
    const shares = (i: number) => {
      const ends = columns.subarray(offsets[i], offsets[i + 1]);
      return [0, 1, 2, 3, 4].map((j) => ends.filter((end) => end === j).length / 4000);
    };
    // Sample 2 goes to anchor 0 three times of four, where its own weight is 3/4 of 1 + 1 + 3/4.
    const [first, second, third, ...alone] = [0, 1, 2, 3, 4].map(shares) as number[][];
    expect(worst([first!], [[0, 4 / 11, 3 / 11, 0, 0]])).toBeLessThan(0.03);
    expect(worst([second!], [[4 / 11, 0, 3 / 11, 0, 0]])).toBeLessThan(0.03);
    expect(worst([third!], [[3 / 11, 3 / 11, 0, 0, 0]])).toBeLessThan(0.03);
    expect(alone.flat().every((share) => share === 0)).toBe(true);
  });
});

describe("bipartite clustering", () => {
  test("finds the clusters of signed coefficients that keep to them", async () => {
    const { labels, eigenvectors } = await bipartiteClustering(await weightsOf(coefficients, 5), {
      clusters: CLUSTERS,
      random: random(),
    });
    expect(adjustedRandIndex(labels, truth)).toBe(1);
    expect(eigenvectors).toBeGreaterThanOrEqual(CLUSTERS);
  });

  test.each([40, 120])("embeds by the left singular vectors of S Lambda^-1/2, %i anchors", async (anchors) => {
    const { coefficients: c } = signedCoefficients(150, anchors, CLUSTERS, 0.3);
    const m = 4;
    const ours = await bipartiteClustering(await weightsOf(c, 6), {
      clusters: CLUSTERS,
      eigenvectors: m,
      random: random(),
    });
    const s = new Matrix(dense(c, 6));
    const sums = s.sum("column");
    expect(worst([Array.from(ours.degrees)], [sums])).toBeLessThan(1e-9);
    const b = s.clone();
    sums.forEach((sum, j) => {
      for (let i = 0; i < 150; i++) b.set(i, j, sum > 0 ? b.get(i, j) / Math.sqrt(sum) : 0);
    });
    const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(b.mmul(b.transpose()));
    const order = realEigenvalues.map((_, i) => i).sort((i, j) => realEigenvalues[j]! - realEigenvalues[i]!);
    const u = Array.from({ length: 150 }, (_, i) => order.slice(0, m).map((j) => eigenvectorMatrix.get(i, j)));
    const cosines = (rows: (i: number, j: number) => number) =>
      Array.from({ length: 150 }, (_, i) => Array.from({ length: 150 }, (_, j) => rows(i, j)));
    const unit = u.map((row) => row.map((value) => value / Math.hypot(...row)));
    // Singular vectors have no sign of their own: scalar products of rows have.
    const expected = cosines((i, j) => unit[i]!.reduce((sum, value, k) => sum + value * unit[j]![k]!, 0));
    const rows = (i: number) => ours.embedding.data.subarray(i * m, (i + 1) * m);
    const got = cosines((i, j) => rows(i).reduce((sum, value, k) => sum + value * rows(j)[k]!, 0));
    expect(worst(got, expected)).toBeLessThan(1e-6);
    const sigma = order.slice(0, m).map((i) => Math.sqrt(realEigenvalues[i]!));
    expect(worst([Array.from(ours.singularValues)], [sigma])).toBeLessThan(1e-9);
    const gap = realEigenvalues[order[m - 1]!]! - realEigenvalues[order[m]!]!;
    expect(ours.eigengaps[m - 1]).toBeCloseTo(gap, 9);
    expect(ours.singularValues[0]).toBeCloseTo(1, 9);
  });

  test("twice the same is bit-equal", async () => {
    const run = async () =>
      bipartiteClustering(await weightsOf(coefficients, 5), { clusters: CLUSTERS, random: random() });
    expect(await run()).toEqual(await run());
  });

  test("the order of the samples changes nothing but the order", async () => {
    const order = new Random(1, "test").permutation(150);
    const data = new Float32Array(150 * 40);
    for (const [to, from] of order.entries()) data.set(coefficients.data.subarray(from * 40, (from + 1) * 40), to * 40);
    const run = async (c: NumberArray) =>
      bipartiteClustering(await weightsOf(c, 5), { clusters: CLUSTERS, eigenvectors: 3, random: random() });
    const [original, shuffled] = [await run(coefficients), await run({ data, shape: [150, 40] })];
    expect(
      adjustedRandIndex(
        shuffled.labels,
        Int32Array.from(order, (from) => original.labels[from]!),
      ),
    ).toBe(1);
    expect(worst([Array.from(shuffled.singularValues)], [Array.from(original.singularValues)])).toBeLessThan(1e-9);
  });

  test("samples without coefficients and anchors without samples leave the others where they were", async () => {
    const [n, anchors] = [150, 40];
    const data = new Float32Array((n + 2) * (anchors + 3));
    for (let i = 0; i < n; i++) data.set(coefficients.data.subarray(i * anchors, (i + 1) * anchors), i * (anchors + 3));
    const options = { clusters: CLUSTERS, eigenvectors: 3, random: random() };
    const ours = await bipartiteClustering(await weightsOf({ data, shape: [n + 2, anchors + 3] }, 5), options);
    for (const array of [ours.embedding.data, ours.rows.data, ours.centres.data, ours.singularValues])
      expect(array.every(Number.isFinite)).toBe(true);
    expect(Array.from(ours.embedding.data.subarray(3 * n))).toEqual([0, 0, 0, 0, 0, 0]);
    expect(Array.from(ours.degrees.subarray(anchors))).toEqual([0, 0, 0]);
    expect(Array.from(ours.rows.data.subarray(3 * anchors), Math.abs)).toEqual(Array(9).fill(0));
    expect(adjustedRandIndex(ours.labels.subarray(0, n), truth)).toBe(1);
  });

  test("more eigenvectors than the graph has rank for are zeros, not rounding blown up", async () => {
    // All samples share one pair of anchors: rank 1.
    const c = { data: Float32Array.from({ length: 20 * 6 }, (_, i) => (i % 6 < 2 ? 1 : 0)), shape: [20, 6] };
    const ours = await bipartiteClustering(await weightsOf(c, 3), { clusters: 2, eigenvectors: 3, random: random() });
    expect(ours.singularValues[0]).toBeCloseTo(1, 9);
    for (let i = 0; i < 20; i++) {
      expect(Math.abs(ours.embedding.data[3 * i]!)).toBeCloseTo(1, 9);
      expect(Array.from(ours.embedding.data.subarray(3 * i + 1, 3 * i + 3), Math.abs)).toEqual([0, 0]);
    }
  });

  test("no more clusters than anchors, nor than samples", async () => {
    const few = { data: Float32Array.of(1, 0, 0, 1, 1, 1), shape: [3, 2] };
    const options = { clusters: 3, random: random() };
    await expect(bipartiteClustering(await weightsOf(few, 1), options)).rejects.toThrow(
      expect.objectContaining({
        code: "OUT_OF_RANGE",
        message: "anchors: expected at least 3 different ones (clusters), got 2",
      }),
    );
    const wide = { data: new Float32Array(10).fill(1), shape: [2, 5] };
    await expect(bipartiteClustering(await weightsOf(wide, 1), options)).rejects.toThrow(
      expect.objectContaining({ code: "TOO_FEW_SAMPLES" }),
    );
  });
});
