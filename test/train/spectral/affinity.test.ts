import { expect, test } from "vitest";
import { Random } from "../../../train/random.ts";
import {
  adaptiveNeighbourAffinity,
  rowSums,
  type SparseSymmetric,
  selfTunedAffinity,
  sparseFromDense,
} from "../../../train/spectral/index.ts";
import { multiplyBlock } from "../../../train/spectral/sparse.ts";
import { referenceNeighbours } from "./reference.ts";

const line = (...data: number[]) => ({ data: Float32Array.from(data), shape: [data.length, 1] });

function dense({ n, offsets, columns, values }: SparseSymmetric): number[][] {
  const rows = Array.from({ length: n }, () => new Array<number>(n).fill(0));
  for (let i = 0; i < n; i++) {
    for (let entry = offsets[i]!; entry < offsets[i + 1]!; entry++) rows[i]![columns[entry]!] = values[entry]!;
  }
  return rows;
}

function cloud(n: number, d: number) {
  const random = new Random(1, "test");
  return { data: Float32Array.from({ length: n * d }, () => random.normal()), shape: [n, d] };
}

test("a self-tuned affinity is exp(-d^2 / (s_i s_j)), there if either is a neighbour of the other", () => {
  // Neighbours: 0 -> 1, 3; 1 -> 0, 3; 3 -> 1, 0; 10 -> 3, 1. Scales: 3, 2, 3, 9.
  const { affinity, localScales } = selfTunedAffinity(referenceNeighbours(line(0, 1, 3, 10), 2), { scaleNeighbour: 2 });
  expect([...localScales]).toEqual([3, 2, 3, 9]);
  const [a, b, c] = [Math.exp(-1 / 6), Math.exp(-9 / 9), Math.exp(-4 / 6)];
  const [e, f] = [Math.exp(-81 / 18), Math.exp(-49 / 27)];
  expect(dense(affinity)).toEqual([
    [0, a, b, 0],
    [a, 0, c, e],
    [b, c, 0, f],
    [0, e, f, 0],
  ]);
  expect([...rowSums(affinity)]).toEqual(dense(affinity).map((row) => row.reduce((x, y) => x + y)));
});

test("duplicates have affinity 1 to each other and still reach others", () => {
  const { affinity, localScales } = selfTunedAffinity(referenceNeighbours(line(0, 0, 0, 1, 2), 3), {
    scaleNeighbour: 2,
  });
  expect([...localScales]).toEqual([1, 1, 1, 1, 2]); // the first three are 0: raised to the smallest positive scale
  expect(dense(affinity)[0]).toEqual([0, 1, 1, Math.exp(-1), Math.exp(-2)]);
});

test("what is nearer than rounding is a duplicate", () => {
  const neighbours = referenceNeighbours(line(0, 1e-8, 2e-8, 1, 2), 3);
  const { affinity, localScales } = selfTunedAffinity(neighbours, { scaleNeighbour: 2, rounding: 1e-6 });
  expect(localScales[0]).toBeCloseTo(1, 6);
  expect(dense(affinity)[0]!.map((value) => value.toFixed(6))).toEqual(
    ["0", "1", "1", Math.exp(-1), Math.exp(-2)].map((value) => Number(value).toFixed(6)),
  );
});

test("points that are all equal have affinity 1", () => {
  const { affinity } = selfTunedAffinity(referenceNeighbours(line(2, 2, 2), 2), { scaleNeighbour: 1 });
  expect([...affinity.values]).toEqual([1, 1, 1, 1, 1, 1]);
});

test("a sample too far to have an affinity above 0 has degree 0", () => {
  const { affinity } = selfTunedAffinity(referenceNeighbours(line(0, 1, 2, 1e6), 2), { scaleNeighbour: 1 });
  expect(rowSums(affinity)[3]).toBe(0);
});

test("adaptive neighbours follow the closed form; before they are made symmetric, rows sum to 1", () => {
  const neighbours = referenceNeighbours(line(0, 1, 3, 7), 3); // k = 2
  // Squared distances of sample 0: 1, 9, 49: w = (48, 40) / 88. Of 1: 1, 4, 36: (35, 32) / 67.
  // Of 2: 4, 9, 16: (12, 7) / 19. Of 3: 16, 36, 49: (33, 13) / 46.
  const directed = [
    [0, 48 / 88, 40 / 88, 0],
    [35 / 67, 0, 32 / 67, 0],
    [7 / 19, 12 / 19, 0, 0],
    [0, 13 / 46, 33 / 46, 0],
  ];
  const rows = dense(adaptiveNeighbourAffinity(neighbours));
  for (let i = 0; i < 4; i++) {
    for (let j = 0; j < 4; j++) expect(rows[i]![j]).toBeCloseTo((directed[i]![j]! + directed[j]![i]!) / 2, 14);
  }
});

test("adaptive neighbours that are all equally far share evenly, every degree is at least 1/2", () => {
  const rows = dense(adaptiveNeighbourAffinity(referenceNeighbours(line(4, 4, 4), 2)));
  expect(rows).toEqual([
    [0, 1, 0.5],
    [1, 0, 0],
    [0.5, 0, 0],
  ]);
  expect(Math.min(...rowSums(adaptiveNeighbourAffinity(referenceNeighbours(cloud(60, 2), 5))))).toBeGreaterThanOrEqual(
    0.5,
  );
});

test("affinities are symmetric to the bit, sorted in rows, without a diagonal", () => {
  const neighbours = referenceNeighbours(cloud(80, 3), 10);
  for (const affinity of [selfTunedAffinity(neighbours).affinity, adaptiveNeighbourAffinity(neighbours)]) {
    const rows = dense(affinity);
    expect(rows).toEqual(rows.map((_, i) => rows.map((row) => row[i])));
    for (let i = 0; i < 80; i++) {
      const columns = [...affinity.columns.subarray(affinity.offsets[i], affinity.offsets[i + 1])];
      expect(columns).toEqual([...new Set(columns)].sort((a, b) => a - b));
      expect(columns).not.toContain(i);
    }
  }
});

test.each([1, 7, 8, 19])("a block of %i vectors is multiplied as by the dense matrix", (width) => {
  const { affinity } = selfTunedAffinity(referenceNeighbours(cloud(40, 3), 10));
  const x = Float64Array.from(cloud(40, width).data);
  const y = new Float64Array(x.length);
  multiplyBlock(affinity, x, width, y);
  const rows = dense(affinity);
  for (let i = 0; i < 40; i++) {
    for (let c = 0; c < width; c++) {
      expect(y[i * width + c]).toBeCloseTo(
        rows[i]!.reduce((sum, w, j) => sum + w * x[j * width + c]!, 0),
        12,
      );
    }
  }
});

test("a dense matrix becomes the mean of its triangles", () => {
  const sparse = sparseFromDense({ data: Float32Array.from([0, 1, 0, 3, 0, 0, 0, 2, 0]), shape: [3, 3] });
  expect(dense(sparse)).toEqual([
    [0, 2, 0],
    [2, 0, 1],
    [0, 1, 0],
  ]);
  expect(sparse.values).toHaveLength(4);
});

test("a scale neighbour beyond k, a single adaptive neighbour and a matrix that is not square are refused", () => {
  const neighbours = referenceNeighbours(line(0, 1, 3), 1);
  const code = (name: string) => expect.objectContaining({ code: name });
  expect(() => selfTunedAffinity(neighbours)).toThrow(code("OUT_OF_RANGE"));
  expect(() => adaptiveNeighbourAffinity(neighbours)).toThrow(code("OUT_OF_RANGE"));
  expect(() => sparseFromDense(line(1, 2))).toThrow(code("SHAPE_MISMATCH"));
});
