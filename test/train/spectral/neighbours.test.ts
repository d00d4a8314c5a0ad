import { expect, test } from "vitest";
import { Random } from "../../../train/random.ts";
import { nearestNeighbours } from "../../../train/spectral/index.ts";
import { referenceNeighbours } from "./reference.ts";

function cloud(n: number, d: number, { seed = 1, offset = 0, scale = 1 } = {}) {
  const random = new Random(seed, "test");
  return { data: Float32Array.from({ length: n * d }, () => offset + scale * random.normal()), shape: [n, d] };
}

test.each([
  { n: 500, d: 32, k: 10 },
  { n: 333, d: 3, k: 1 },
  { n: 11, d: 2, k: 10 },
  { n: 2, d: 1, k: 1 },
])("$k neighbours of $n samples of width $d are those of the definition, in any block size", async ({ n, d, k }) => {
  const points = cloud(n, d);
  const expected = referenceNeighbours(points, k);
  expect(await nearestNeighbours(points, k)).toEqual(expected);
  expect(await nearestNeighbours(points, k, { blockSize: 97 })).toEqual(expected);
});

test("duplicates are neighbours at distance 0, in the order of their indices, and nobody is its own neighbour", async () => {
  const { data } = cloud(100, 4);
  for (let i = 0; i < 30; i++) data.copyWithin(i * 4, 0, 4); // more duplicates than candidates
  const points = { data, shape: [100, 4] };
  const found = await nearestNeighbours(points, 5);
  expect(found).toEqual(referenceNeighbours(points, 5));
  expect([...found.indices.subarray(0, 5)]).toEqual([1, 2, 3, 4, 5]);
  expect([...found.indices.subarray(15, 20)]).toEqual([0, 1, 2, 4, 5]);
  expect([...found.squaredDistances.subarray(0, 5)]).toEqual([0, 0, 0, 0, 0]);
});

test("neighbours are exact where float32 scores are not: far from the origin, in distant groups, beside an outlier", async () => {
  const offset = cloud(200, 3, { offset: 1000, scale: 1e-2 });
  expect(await nearestNeighbours(offset, 4)).toEqual(referenceNeighbours(offset, 4));
  const groups = cloud(200, 3, { scale: 1e-2 });
  for (let entry = 300; entry < 600; entry++) groups.data[entry]! += 1000;
  expect(await nearestNeighbours(groups, 4)).toEqual(referenceNeighbours(groups, 4));
  const outlier = cloud(200, 3);
  outlier.data[0] = 1e7;
  expect(await nearestNeighbours(outlier, 4)).toEqual(referenceNeighbours(outlier, 4));
});

test("queries find points, an equal one included", async () => {
  const points = cloud(150, 5);
  const queries = cloud(40, 5, { seed: 2 });
  queries.data.set(points.data.subarray(35, 40));
  const found = await nearestNeighbours(points, 6, { queries });
  expect(found).toEqual(referenceNeighbours(points, 6, queries));
  expect([found.n, found.indices[0], found.squaredDistances[0]]).toEqual([40, 7, 0]);
});

test("too few points, numbers that are not and wrong shapes are refused", async () => {
  const code = (name: string) => expect.objectContaining({ code: name });
  const points = cloud(5, 2);
  await expect(nearestNeighbours(points, 5)).rejects.toThrow(code("TOO_FEW_SAMPLES"));
  await expect(nearestNeighbours(points, 0)).rejects.toThrow(code("OUT_OF_RANGE"));
  await expect(nearestNeighbours(points, 2, { queries: cloud(5, 3) })).rejects.toThrow(code("SHAPE_MISMATCH"));
  await expect(nearestNeighbours({ ...points, shape: [5, 3] }, 2)).rejects.toThrow(code("SHAPE_MISMATCH"));
  await expect(nearestNeighbours(cloud(5, 2, { offset: Number.NaN }), 2)).rejects.toThrow(code("NOT_FINITE"));
});
