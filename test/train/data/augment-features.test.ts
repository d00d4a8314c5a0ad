import { expect, test } from "vitest";
import type { Samples } from "../../../runtime/samples.ts";
import { Batches } from "../../../train/batches.ts";
import { AUGMENTATIONS, augmentFeatures, featureScale } from "../../../train/data/index.ts";
import { Random } from "../../../train/random.ts";
import { viewsOf } from "../../../train/views.ts";

const [N, D] = [500, 3];
/** Features of means 1, 1000 and -5 and standard deviations 2, 0.1 and 0. */
function features(): Extract<Samples, { kind: "features" }> {
  const random = new Random(1, "features");
  const data = new Float32Array(N * D);
  for (let i = 0; i < N; i++) data.set([1 + 2 * random.normal(), 1000 + 0.1 * random.normal(), -5], i * D);
  return { kind: "features", data, shape: [N, D] };
}

const samples = features();
const all = Int32Array.from({ length: N }, (_, i) => i);
const view = (settings: { noise: number; drop: number }, seed = 2) => {
  const out = new Float32Array(N * D).fill(9);
  augmentFeatures(out, samples.data, all, featureScale(samples), settings, new Random(seed, "augment"));
  return out;
};
const column = (data: Float32Array, j: number) => Array.from({ length: N }, (_, i) => data[i * D + j]!);
const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;

test("the scale is each feature's mean and standard deviation, also far from 0", () => {
  const { means, deviations } = featureScale(samples);
  for (let j = 0; j < D; j++) {
    const values = column(samples.data, j);
    expect(means[j]).toBeCloseTo(mean(values), 8);
    expect(deviations[j]).toBeCloseTo(Math.sqrt(mean(values.map((value) => (value - mean(values)) ** 2))), 8);
  }
  expect(deviations[1]).toBeCloseTo(0.1, 2);
  expect(deviations[2]).toBe(0);
});

test("no noise and no loss give the vectors themselves", () => {
  expect(view({ noise: 0, drop: 0 })).toEqual(samples.data);
});

test("noise is in each feature's own standard deviation", () => {
  const moved = view({ noise: 0.5, drop: 0 }).map((value, at) => value - samples.data[at]!);
  for (const [j, deviation] of [2, 0.1].entries()) {
    const spread = Math.sqrt(mean(column(moved, j).map((value) => value ** 2)));
    expect(spread / (0.5 * deviation)).toBeGreaterThan(0.85);
    expect(spread / (0.5 * deviation)).toBeLessThan(1.15);
  }
  expect(column(moved, 2).every((value) => value === 0)).toBe(true);
});

test("a lost feature is its mean", () => {
  const { means } = featureScale(samples);
  const lost = view({ noise: 0, drop: 0.3 });
  const isLost = column(lost, 0).map((value) => value === Math.fround(means[0]!));
  expect(mean(isLost.map(Number))).toBeCloseTo(0.3, 1);
  for (const [i, value] of column(lost, 0).entries()) if (!isLost[i]) expect(value).toBe(samples.data[i * D]);
});

test("equal seeds give equal views, others do not, and each feature takes 3 draws", () => {
  expect(view(AUGMENTATIONS.features)).toEqual(view(AUGMENTATIONS.features));
  expect(view(AUGMENTATIONS.features)).not.toEqual(view(AUGMENTATIONS.features, 3));
  for (const settings of [
    { noise: 0, drop: 0 },
    { noise: 1, drop: 1 },
  ]) {
    const random = new Random(1, "augment");
    augmentFeatures(new Float32Array(6), samples.data, Int32Array.of(0, 1), featureScale(samples), settings, random);
    expect(random.state.position).toBe(18);
  }
});

test("batches have views of vectors where the augmentation says so", () => {
  const rows = Int32Array.of(4, 2);
  const views = (augmentation: keyof typeof AUGMENTATIONS) =>
    new Batches(samples, AUGMENTATIONS[augmentation]).views(rows, new Random(2, "augment"));
  expect(views("digits")).toEqual(new Batches(samples, AUGMENTATIONS.none).rows(rows));
  const expected = new Float32Array(6);
  augmentFeatures(
    expected,
    samples.data,
    rows,
    featureScale(samples),
    AUGMENTATIONS.features,
    new Random(2, "augment"),
  );
  expect(views("features")).toEqual({ data: expected, shape: [2, 3] });
});

test("confidence is calibrated on views as in training, where training has some", () => {
  const random = () => new Random(3, "calibrate");
  const asInTraining = viewsOf(samples, AUGMENTATIONS.features, random());
  expect(asInTraining.note).toBe("calibrated on views as in training");
  expect(asInTraining.batch(all)).toEqual(new Batches(samples, AUGMENTATIONS.features).views(all, random()));
  const mild = viewsOf(samples, AUGMENTATIONS.digits, random());
  expect(mild.note).toBe("vectors have no views: calibrated on noise of 0.1 of each feature's standard deviation");
  expect(mild.batch(all)).toEqual(new Batches(samples, { ...AUGMENTATIONS.none, noise: 0.1 }).views(all, random()));
});
