import { expect, test } from "vitest";
import type { NumberArray } from "../../../runtime/samples.ts";
import { Random } from "../../../train/random.ts";
import { anchorCentres, anchorPicks, unitRows } from "../../../train/spectral/index.ts";

/** Unit vectors around `clusters` directions of d dimensions. */
function bundles(n: number, d: number, clusters: number, spread: number): NumberArray {
  const random = new Random(2, "bundles");
  const data = Float32Array.from({ length: n * d }, (_, at) => {
    const [i, j] = [Math.floor(at / d), at % d];
    return (j === i % clusters ? 1 : 0) + spread * random.normal();
  });
  return unitRows({ data, shape: [n, d] });
}

const random = (seed = 1) => new Random(seed, "anchors");

/** k-means++ by its definition: all distances to all picks. */
function plain({ data, shape }: NumberArray, count: number, random: Random): number[] {
  const [n = 0, d = 0] = shape;
  const squared = (i: number, j: number) => {
    let sum = 0;
    for (let k = 0; k < d; k++) sum += (data[i * d + k]! - data[j * d + k]!) ** 2;
    return sum;
  };
  const picks = [random.integer(n)];
  while (picks.length < count) {
    const nearest = Array.from({ length: n }, (_, i) => Math.min(...picks.map((pick) => squared(i, pick))));
    const target = random.uniform(
      0,
      nearest.reduce((a, b) => a + b),
    );
    let sum = 0;
    picks.push(
      nearest.findIndex((value) => {
        sum += value;
        return sum > target;
      }),
    );
  }
  return picks;
}

test.each([0.02, 0.2, 2])("picks are those of k-means++ with every distance computed, spread %f", (spread) => {
  const points = bundles(200, 8, 5, spread);
  expect(Array.from(anchorPicks(points, 30, random()))).toEqual(plain(points, 30, random()));
});

test("the first picks of tight bundles are of different ones", () => {
  const points = bundles(300, 8, 6, 0.01);
  for (let seed = 0; seed < 10; seed++)
    expect(new Set(Array.from(anchorPicks(points, 6, random(seed)), (pick) => pick % 6)).size).toBe(6);
});

test("of duplicates one is picked: there are as many picks as distinct points, each once", () => {
  const data = Float32Array.from({ length: 40 }, (_, at) => Math.floor(at / 2) % 4);
  const picks = anchorPicks({ data, shape: [20, 2] }, 10, random());
  expect(Array.from(picks, (pick) => pick % 4).sort()).toEqual([0, 1, 2, 3]);
});

test("equal seeds pick the same, others do not", () => {
  const points = bundles(100, 4, 3, 0.3);
  expect(anchorPicks(points, 20, random(3))).toEqual(anchorPicks(points, 20, random(3)));
  expect(anchorPicks(points, 20, random(3))).not.toEqual(anchorPicks(points, 20, random(4)));
});

test("without iterations centres are the picks, with them the directions of their points' means", async () => {
  const points = bundles(300, 8, 6, 0.05);
  const picks = anchorPicks(points, 6, random());
  const first = await anchorCentres(points, 6, { iterations: 0, random: random() });
  expect(first.shape).toEqual([6, 8]);
  for (const [at, pick] of picks.entries())
    expect(first.data.subarray(8 * at, 8 * at + 8)).toEqual(points.data.subarray(8 * pick, 8 * pick + 8));
  const centres = await anchorCentres(points, 6, { iterations: 3, random: random() });
  for (const [at, pick] of picks.entries()) {
    const mean = new Float32Array(8);
    for (let i = pick % 6; i < 300; i += 6) for (let j = 0; j < 8; j++) mean[j]! += points.data[8 * i + j]!;
    const direction = unitRows({ data: mean, shape: [1, 8] }).data;
    for (let j = 0; j < 8; j++) expect(centres.data[8 * at + j]).toBeCloseTo(direction[j]!, 5);
  }
});

test("of fewer distinct points there are fewer centres", async () => {
  const points = { data: Float32Array.of(1, 0, 1, 0, 0, 1), shape: [3, 2] };
  const centres = await anchorCentres(points, 5, { iterations: 2, random: random() });
  expect(centres.shape).toEqual([2, 2]);
  expect(centres.data.every(Number.isFinite)).toBe(true);
  expect(new Set([`${centres.data.slice(0, 2)}`, `${centres.data.slice(2)}`])).toEqual(new Set(["1,0", "0,1"]));
});

test.each([
  [{ data: new Float32Array(5), shape: [2, 3] }, 1, "SHAPE_MISMATCH"],
  [{ data: Float32Array.of(1, Number.NaN), shape: [2, 1] }, 1, "NOT_FINITE"],
  [{ data: new Float32Array(2), shape: [2, 1] }, 0, "OUT_OF_RANGE"],
  [{ data: new Float32Array(0), shape: [0, 3] }, 1, "OUT_OF_RANGE"],
])("refuses %o, %i anchors", (points, count, code) => {
  expect(() => anchorPicks(points, count, random())).toThrow(expect.objectContaining({ code }));
});
