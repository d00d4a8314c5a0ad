import { expect, test } from "vitest";
import { Batches } from "../../train/batches.ts";
import { AUGMENTATIONS } from "../../train/data/index.ts";
import { Random } from "../../train/random.ts";
import { MILD, viewsOf } from "../../train/views.ts";
import { tinyImages } from "./tiny.ts";

const { samples } = tinyImages(9);
const rows = Int32Array.from({ length: 9 }, (_, i) => i);
const random = () => new Random(3, "calibrate");
const views = (augmentation: typeof MILD) => new Batches(samples, augmentation).views(rows, random());

test("confidence is calibrated on views as in training, of which nothing is blotted out", () => {
  const { batch, note } = viewsOf(samples, AUGMENTATIONS.digits, random());
  expect(note).toBe("calibrated on views as in training, none blotted out");
  expect(batch(rows)).toEqual(views({ ...AUGMENTATIONS.digits, erase: 0 }));
});

test("views that only blot out are no views to calibrate on: mild ones are", () => {
  const { batch, note } = viewsOf(samples, { ...AUGMENTATIONS.none, erase: 0.4 }, random());
  expect(note).toMatch(/^trained without views/);
  expect(batch(rows)).toEqual(views(MILD));
});
