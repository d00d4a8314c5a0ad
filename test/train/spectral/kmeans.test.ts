import { expect, test } from "vitest";
import { Random } from "../../../train/random.ts";
import { kMeans } from "../../../train/spectral/index.ts";

/** `size` samples in a square of side 0.2 around each of 9 grid points. */
function grid(size: number): { data: Float64Array; shape: [number, number] } {
  const random = new Random(1, "test");
  const data = Float64Array.from({ length: 18 * size }, (_, entry) => {
    const cell = (entry >> 1) % 9;
    return (entry % 2 === 0 ? cell % 3 : Math.floor(cell / 3)) + random.uniform(-0.1, 0.1);
  });
  return { data, shape: [9 * size, 2] };
}

test("well separated blobs are found exactly, with their means as centres", () => {
  const points = grid(20);
  const { labels, centres, inertia } = kMeans(points, { clusters: 9, random: new Random(0, "k-means") });
  expect(new Set(labels).size).toBe(9);
  for (let i = 9; i < labels.length; i++) expect(labels[i]).toBe(labels[i - 9]);
  let squared = 0;
  for (let entry = 0; entry < points.data.length; entry++) {
    squared += (points.data[entry]! - centres.data[labels[entry >> 1]! * 2 + (entry % 2)]!) ** 2;
  }
  expect(inertia).toBeCloseTo(squared, 10);
  const mean = (axis: number) => {
    const own = [...points.data].filter((_, entry) => entry % 2 === axis && labels[entry >> 1] === 4);
    return own.reduce((a, b) => a + b) / own.length;
  };
  expect(centres.data[8]).toBeCloseTo(mean(0), 12);
  expect(centres.data[9]).toBeCloseTo(mean(1), 12);
});

test("the same draws give the same bits", () => {
  const run = () => kMeans(grid(5), { clusters: 5, restarts: 3, random: new Random(2, "k-means") });
  expect(run()).toEqual(run());
});

test("more restarts are never worse", () => {
  const inertia = (restarts: number) =>
    kMeans(grid(5), { clusters: 6, restarts, random: new Random(3, "k-means") }).inertia;
  expect(inertia(30)).toBeLessThanOrEqual(inertia(1));
});

test("as many clusters as samples have inertia 0, and one cluster has the mean", () => {
  const points = { data: Float32Array.from([0, 0, 1, 5, 5, 1]), shape: [3, 2] };
  const all = kMeans(points, { clusters: 3, random: new Random(0, "k-means") });
  expect([...all.labels].sort()).toEqual([0, 1, 2]);
  expect(all.inertia).toBeCloseTo(0, 12);
  expect([...kMeans(points, { clusters: 1, random: new Random(0, "k-means") }).centres.data]).toEqual([2, 2]);
});

test("with fewer distinct samples than clusters, duplicates share a cluster and some stay empty", () => {
  const points = { data: Float64Array.from([0.1, 0.1, 0.1, 0.7, 0.7, 0.7]), shape: [6, 1] };
  const { labels, inertia } = kMeans(points, { clusters: 4, random: new Random(0, "k-means") });
  expect(new Set(labels).size).toBe(2);
  expect(inertia).toBeCloseTo(0, 12);
});

test("an empty cluster takes the sample farthest from its centre", () => {
  const points = { data: Float64Array.from([0, 0.1, 1, 1.1, 9]), shape: [5, 1] };
  const start = { data: Float64Array.from([0, 1, 100]), shape: [3, 1] }; // no sample is near 100; 9 is farthest from 1
  const { labels, centres } = kMeans(points, { clusters: 3, start, random: new Random(0, "k-means") });
  expect([...labels]).toEqual([0, 0, 1, 1, 2]);
  expect(centres.data[2]).toBe(9);
});

test("too few samples, wrong shapes and numbers that are not are refused", () => {
  const random = new Random(0, "k-means");
  const of = (values: number[], shape: number[]) => ({ data: Float64Array.from(values), shape });
  const code = (name: string) => expect.objectContaining({ code: name });
  expect(() => kMeans(of([1, 2], [2, 1]), { clusters: 3, random })).toThrow(code("TOO_FEW_SAMPLES"));
  expect(() => kMeans(of([1, 2, 3], [2, 1]), { clusters: 1, random })).toThrow(code("SHAPE_MISMATCH"));
  const start = of([1, 2], [1, 2]);
  expect(() => kMeans(of([1, 2], [2, 1]), { clusters: 1, start, random })).toThrow(code("SHAPE_MISMATCH"));
  expect(() => kMeans(of([1, Number.NaN], [2, 1]), { clusters: 1, random })).toThrow(code("NOT_FINITE"));
  expect(() => kMeans(of([1, 2], [2, 1]), { clusters: 1, restarts: 0, random })).toThrow(code("OUT_OF_RANGE"));
});
