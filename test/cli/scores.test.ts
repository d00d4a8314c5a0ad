import { expect, test } from "vitest";
import { classNames, fitMap, scoresOf } from "../../cli/scores.ts";
import { clock, duration, size, table } from "../../cli/text.ts";
import type { Dataset } from "../../train/index.ts";

const named = (labels: number[], labelNames: string[]): Dataset => ({
  name: "n",
  samples: { kind: "features", data: new Float32Array(labels.length), shape: [labels.length, 1] },
  labels: Int32Array.from(labels),
  labelNames,
  fingerprint: "",
});

test("a frozen map goes by the names of classes: a source that lacks one numbers the others differently", () => {
  const seen = classNames(named([0, 0, 1, 1, 2, 2], ["cat", "dog", "owl"]));
  const unseen = classNames(named([0, 1, 1], ["cat", "owl"]));
  const map = fitMap(Int32Array.of(5, 5, 3, 3, 4, 4), seen);
  expect(map).toEqual({ 5: "cat", 3: "dog", 4: "owl" });
  expect(scoresOf(Int32Array.of(5, 4, 4), unseen, map).acc).toBe(1);
  expect(scoresOf(Int32Array.of(5, 3, 3), unseen, map).acc).toBeCloseTo(1 / 3);
});

test("a class that the map has not is never right", () => {
  expect(scoresOf(Int32Array.of(0, 0), ["new", "cat"], { 0: "cat" }).acc).toBe(0.5);
});

test("samples without labels cannot be scored", () => {
  const { labels: _, ...bare } = named([0], ["a"]);
  expect(() => classNames(bare)).toThrow(expect.objectContaining({ code: "USAGE" }));
});

test("tables align numbers right and words left", () => {
  expect(
    table([
      ["what", "n"],
      ["a", "1,000"],
      ["bcdef", "2"],
    ]),
  ).toBe("what       n\na      1,000\nbcdef      2\n");
});

test("times and sizes read well", () => {
  expect([4.21, 59.99, 3723].map(duration)).toEqual(["4.2 s", "1:00", "1:02:03"]);
  expect(clock(7)).toBe("0:07");
  expect([512_000, 5_795_405].map(size)).toEqual(["512 kB", "5.8 MB"]);
});
