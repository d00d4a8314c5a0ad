import { expect, test } from "vitest";
import { Random } from "../../../train/random.ts";
import { clearestFirst, relativeEigengaps, sparseFromDense } from "../../../train/spectral/index.ts";

/** Blocks of five samples, all joined within, and each with its next block by so much. */
function blocks(count: number, between: number) {
  const n = 5 * count;
  const data = Float64Array.from({ length: n * n }, (_, entry) => {
    const [i, j] = [Math.floor(entry / n), entry % n];
    if (i === j) return 0;
    const apart = Math.abs(Math.floor(i / 5) - Math.floor(j / 5));
    return apart === 0 ? 1 : apart === 1 ? between : 0;
  });
  return sparseFromDense({ data, shape: [n, n] });
}

const gaps = (count: number, between: number, most = 10) =>
  relativeEigengaps(blocks(count, between), most, new Random(0, "eigengap"));

test.each([2, 3, 7])("of %i parts that nothing joins the gap is there, nearly 1", (count) => {
  const candidates = gaps(count, 0);
  expect(candidates.map(({ clusters }) => clusters)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10].slice(0, 5 * count - 2));
  const [first, second] = clearestFirst(candidates);
  expect(first?.clusters).toBe(count);
  // A block of five has eigenvalue 5/4 behind it, and 0.01 stands for 0.
  expect(first?.gap).toBeCloseTo(1 - 0.01 / 1.25, 6);
  expect(second?.gap).toBeCloseTo(0, 6);
});

test("parts that are a little joined are still told", () => {
  expect(clearestFirst(gaps(6, 0.02))[0]?.clusters).toBe(6);
});

test("gaps are relative to the eigenvalue behind them", () => {
  // Two blocks joined by b: each sample's degree is 4 + 5 b, the second eigenvalue 10 b / (4 + 5 b), all others (5 + 5 b) / (4 + 5 b).
  const [two, ...others] = gaps(2, 0.1);
  expect(two?.gap).toBeCloseTo(1 - 1 / 5.5, 6);
  for (const { gap } of others) expect(gap).toBeCloseTo(0, 6);
});
