import { expect, test } from "vitest";
import { lopsided } from "../../train/lopsided.ts";

test.each([
  [[10, 10, 10], undefined],
  [[1, 90, 9], undefined],
  [[1, 91, 8], "cluster 1 holds 91 of 100 samples: they may not have been told apart"],
  [[0, 0, 100], "cluster 2 holds 100 of 100 samples: they may not have been told apart"],
  [[50, 0, 50], "1 of 3 clusters hold no sample"],
])("clusters of %j samples: %s", (sizes, wrong) => {
  expect(lopsided(sizes)).toBe(wrong);
});
