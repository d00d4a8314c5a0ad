import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  accuracy,
  adjustedRandIndex,
  auroc,
  clusterMap,
  expectedCalibrationError,
  mappedAccuracy,
  nearestLabels,
  normalizedMutualInformation,
  purity,
} from "../../train/metrics.ts";

// scikit-learn's, scipy's and numpy's values, by test/fixtures/make-metrics.py.
const fixture = JSON.parse(readFileSync(new URL("../fixtures/metrics.json", import.meta.url), "utf8")) as {
  partitions: {
    labels: number[];
    truth: number[];
    accuracy: number;
    purity: number;
    arithmetic: number;
    geometric: number;
    rand: number;
  }[];
  scores: { negative: number[]; positive: number[]; area: number }[];
  calibration: { confidence: number[]; correct: number[]; bins: number; error: number }[];
  neighbours: (Record<"seen" | "latents" | "labels" | "truth" | "found", number[]> & {
    width: number;
    share: number;
  })[];
};

test("partition metrics equal scikit-learn's, also for unequal numbers of clusters and classes", () => {
  for (const { labels, truth, ...expected } of fixture.partitions) {
    expect(accuracy(labels, truth).accuracy).toBeCloseTo(expected.accuracy, 12);
    expect(purity(labels, truth)).toBeCloseTo(expected.purity, 12);
    expect(normalizedMutualInformation(labels, truth)).toBeCloseTo(expected.arithmetic, 12);
    expect(normalizedMutualInformation(labels, truth, "geometric")).toBeCloseTo(expected.geometric, 12);
    expect(adjustedRandIndex(labels, truth)).toBeCloseTo(expected.rand, 12);
  }
});

test("the area under the ROC curve equals scikit-learn's, ties included", () => {
  for (const { negative, positive, area } of fixture.scores) expect(auroc(negative, positive)).toBeCloseTo(area, 12);
});

test("the calibration error equals its definition in numpy, confidences on bin edges included", () => {
  for (const { confidence, correct, bins, error } of fixture.calibration) {
    expect(expectedCalibrationError(confidence, correct, bins)).toBeCloseTo(error, 12);
  }
  expect(expectedCalibrationError([0, 1], [false, true])).toBe(0);
});

test("labels by the nearest direction, and how many are right, equal scikit-learn's", async () => {
  for (const { seen, latents, labels, truth, found, width, share } of fixture.neighbours) {
    const rows = (data: number[]) => ({ data: Float32Array.from(data), shape: [data.length / width, width] });
    const nearest = await nearestLabels(rows(latents), rows(seen), labels);
    expect([...nearest]).toEqual(found);
    const identity = new Map(labels.map((label) => [label, label]));
    expect(mappedAccuracy(nearest, truth, identity)).toBeCloseTo(share, 12);
    await expect(nearestLabels(rows(latents), rows(seen), [...labels, 0])).rejects.toMatchObject({
      code: "SHAPE_MISMATCH",
    });
  }
});

test("a map fitted on seen samples scores unseen ones, a cluster without a class is wrong", () => {
  const map = clusterMap([5, 5, 9, 9, 7], [1, 1, 0, 0, 0]);
  expect([...map].sort()).toEqual([
    [5, 1],
    [9, 0],
  ]);
  expect(mappedAccuracy([5, 9, 7, 8], [1, 0, 0, 1], map)).toBe(0.5);
});

test("empty input and unequal lengths are SHAPE_MISMATCH", () => {
  const mismatch = expect.objectContaining({ code: "SHAPE_MISMATCH" });
  for (const metric of [accuracy, purity, normalizedMutualInformation, adjustedRandIndex, expectedCalibrationError]) {
    expect(() => metric([], [])).toThrow(mismatch);
    expect(() => metric([1, 0], [1])).toThrow(mismatch);
  }
  expect(() => mappedAccuracy([], [], new Map())).toThrow(mismatch);
  expect(() => auroc([], [1])).toThrow(mismatch);
});

test("scores that are not numbers and confidences outside 0..1 are refused", () => {
  expect(() => auroc([0, Number.NaN], [1])).toThrow(expect.objectContaining({ code: "NOT_FINITE" }));
  expect(() => expectedCalibrationError([1.5], [1])).toThrow(expect.objectContaining({ code: "OUT_OF_RANGE" }));
  expect(() => expectedCalibrationError([Number.NaN], [1])).toThrow(expect.objectContaining({ code: "OUT_OF_RANGE" }));
});
