import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Random } from "../../../train/random.ts";
import { discretise } from "../../../train/spectral/discretise.ts";

// Embeddings and labels of scikit-learn's `discretize`, by test/fixtures/make-discretise.py.
const fixtures = (
  JSON.parse(readFileSync(new URL("../../fixtures/discretise.json", import.meta.url), "utf8")) as {
    name: string;
    shape: [number, number];
    vectors: number[];
    start: number;
    labels: number[];
  }[]
).map((fixture) => ({ ...fixture, vectors: { data: Float64Array.from(fixture.vectors), shape: fixture.shape } }));

const random = () => new Random(0, "discretise");

/** Rows on the axes of [n, k], by label, turned by a fixed rotation in every plane. */
function turnedAxes(labels: readonly number[], k: number) {
  const data = new Float64Array(labels.length * k);
  for (const [i, label] of labels.entries()) data[i * k + label] = 0.5 + (i % 3); // lengths do not matter
  for (let a = 0; a < k; a++) {
    for (let b = a + 1; b < k; b++) {
      const [cosine, sine] = [Math.cos(1 + a + 2 * b), Math.sin(1 + a + 2 * b)];
      for (let row = 0; row < data.length; row += k) {
        const [x, y] = [data[row + a]!, data[row + b]!];
        data[row + a] = cosine * x - sine * y;
        data[row + b] = sine * x + cosine * y;
      }
    }
  }
  return { data, shape: [labels.length, k] };
}

/** Whether two labelings are the same but for the names. */
function sameParts(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  const pairs = new Set(Array.from(a, (label, i) => `${label} ${b[i]}`));
  return pairs.size === new Set(Array.from(a)).size && pairs.size === new Set(Array.from(b)).size;
}

test.each(fixtures)("from the same row, the labels of $name are scikit-learn's", ({ vectors, start, labels }) => {
  expect([...discretise(vectors, { start, random: random() }).labels]).toEqual(labels);
});

test.each(fixtures)("of several starts, that of $name whose rows are nearest to the axes is kept", ({ vectors }) => {
  const best = discretise(vectors, { restarts: 10, random: random() });
  const starts = random();
  for (let restart = 0; restart < 10; restart++) {
    const start = starts.integer(vectors.shape[0]);
    expect(discretise(vectors, { start, random: random() }).fit).toBeLessThanOrEqual(best.fit);
  }
});

test.each([1, 2, 5, 9])("rows on %i turned axes are told apart exactly, at a fit of one a row", (k) => {
  const truth = Array.from({ length: 8 * k }, (_, i) => (i * 5) % k);
  const { labels, rotation, fit } = discretise(turnedAxes(truth, k), { random: random() });
  expect(sameParts(labels, truth)).toBe(true);
  expect(fit).toBeCloseTo(8 * k, 10);
  for (let a = 0; a < k; a++) {
    for (let b = 0; b < k; b++) {
      let product = 0;
      for (let j = 0; j < k; j++) product += rotation.data[j * k + a]! * rotation.data[j * k + b]!;
      expect(product).toBeCloseTo(a === b ? 1 : 0, 12);
    }
  }
});

test("a row's label is the largest entry of the row times the rotation", () => {
  const { vectors } = fixtures[1]!;
  const [n, k] = vectors.shape;
  const { labels, rotation } = discretise(vectors, { random: random() });
  const score = (i: number, c: number) =>
    Array.from({ length: k }, (_, j) => vectors.data[i * k + j]! * rotation.data[j * k + c]!).reduce((a, b) => a + b);
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < k; c++) expect(score(i, labels[i]!)).toBeGreaterThanOrEqual(score(i, c));
  }
});

test("rows of zeros are in cluster 0 and change nothing", () => {
  const { vectors, start } = fixtures[0]!;
  const [n, k] = vectors.shape;
  const more = { data: new Float64Array((n + 2) * k), shape: [n + 2, k] };
  more.data.set(vectors.data);
  const [without, with2] = [vectors, more].map((given) => discretise(given, { start, random: random() }));
  expect([...with2!.labels]).toEqual([...without!.labels, 0, 0]);
  expect(with2!.fit).toBe(without!.fit);
});

test("fewer directions than clusters leave clusters empty, without NaN", () => {
  const vectors = { data: Float64Array.from({ length: 30 }, (_, entry) => (entry % 3 === 0 ? 1 : 0)), shape: [10, 3] };
  const { labels, rotation, fit } = discretise(vectors, { random: random() });
  expect(new Set(labels).size).toBe(1);
  expect(rotation.data.every(Number.isFinite)).toBe(true);
  expect(fit).toBeCloseTo(10, 12);
});

test("the same draws give the same bits", () => {
  const run = () => discretise(fixtures[3]!.vectors, { random: random() });
  expect(run()).toEqual(run());
});

test("what cannot be parted is an error with a reason", () => {
  const code = (name: string) => expect.objectContaining({ code: name });
  const vectors = { data: new Float64Array(6), shape: [2, 3] };
  expect(() => discretise(vectors, { random: random() })).toThrow(code("TOO_FEW_SAMPLES"));
  expect(() => discretise({ ...vectors, shape: [3, 3] }, { random: random() })).toThrow(code("SHAPE_MISMATCH"));
  const good = { data: new Float64Array(6), shape: [3, 2] };
  expect(() => discretise(good, { start: 3, random: random() })).toThrow(/expected 0..2, got 3/);
  expect(() => discretise(good, { restarts: 0, random: random() })).toThrow(code("OUT_OF_RANGE"));
  good.data[1] = Number.NaN;
  expect(() => discretise(good, { random: random() })).toThrow(code("NOT_FINITE"));
});
