import { expect, test } from "vitest";
import { AUGMENTATIONS, augmentImages, renderView } from "../../../train/data/augment.ts";
import { Random } from "../../../train/random.ts";

const NO_VIEW = { rotation: 0, shiftX: 0, shiftY: 0, scaleX: 1, scaleY: 1, shear: 0, brightness: 1 };
type Shape = [number, number, number];

function noise([h, w, c]: Shape, n = 1): Uint8Array {
  const random = new Random(5, "noise");
  return Uint8Array.from({ length: n * h * w * c }, () => random.integer(256));
}

function view(image: Uint8Array, shape: Shape, change: Partial<typeof NO_VIEW>): Uint8Array {
  const out = new Uint8Array(image.length).fill(99);
  renderView(out, image, shape, { ...NO_VIEW, ...change });
  return out;
}

/** Total mass and its centre, [mass, x, y]. */
function moments(image: Uint8Array, w: number): [number, number, number] {
  let [mass, x, y] = [0, 0, 0];
  for (const [i, value] of image.entries()) {
    mass += value;
    x += value * (i % w);
    y += value * Math.floor(i / w);
  }
  return [mass, x / mass, y / mass];
}

function blob(w: number, centreX: number, centreY: number, sigma = 3): Uint8Array {
  const at = (i: number) => ((i % w) - centreX) ** 2 + (Math.floor(i / w) - centreY) ** 2;
  return Uint8Array.from({ length: w * w }, (_, i) => Math.round(255 * Math.exp(-at(i) / (2 * sigma ** 2))));
}

test.each<Shape>([
  [28, 28, 1],
  [5, 8, 3],
  [1, 1, 1],
])("no augmentation returns the listed images bit-equal, %i x %i x %i", (h, w, c) => {
  const size = h * w * c;
  const images = noise([h, w, c], 3);
  const out = new Uint8Array(2 * size);
  augmentImages(out, images, Int32Array.of(2, 0), [h, w, c], AUGMENTATIONS.none, new Random(1, "augment"));
  expect(out).toEqual(Uint8Array.of(...images.subarray(2 * size), ...images.subarray(0, size)));
});

test("a shift by whole pixels moves pixels exactly, and black comes in", () => {
  const [h, w, c]: Shape = [6, 7, 3];
  const image = noise([h, w, c]);
  const moved = view(image, [h, w, c], { shiftX: 2, shiftY: -1 });
  const expected = Uint8Array.from(image, (_, i) => {
    const [k, x, y] = [i % c, Math.floor(i / c) % w, Math.floor(i / c / w)];
    return x < 2 || y + 1 >= h ? 0 : (image[((y + 1) * w + x - 2) * c + k] as number);
  });
  expect(moved).toEqual(expected);
});

test("a flip mirrors exactly, half a turn is a flip of both axes", () => {
  const image = noise([5, 6, 1]);
  const mirrored = Uint8Array.from(image, (_, i) => image[i - (i % 6) + 5 - (i % 6)] as number);
  expect(view(image, [5, 6, 1], { scaleX: -1 })).toEqual(mirrored);
  expect(view(image, [5, 6, 1], { rotation: Math.PI })).toEqual(Uint8Array.from(image).reverse());
});

test("half a pixel of shift is the mean of neighbours, with black beyond the border", () => {
  expect(view(Uint8Array.of(100, 200, 50), [1, 3, 1], { shiftX: 0.5 })).toEqual(Uint8Array.of(50, 150, 125));
});

test("a rotation keeps the mass and its centre where the centre is the image's", () => {
  const image = blob(29, 14, 14);
  const [mass, x, y] = moments(view(image, [29, 29, 1], { rotation: 0.6 }), 29);
  expect([x, y]).toEqual([expect.closeTo(14, 1), expect.closeTo(14, 1)]);
  expect(mass / moments(image, 29)[0]).toBeCloseTo(1, 2);
});

test("a point goes where the formula says: turned, stretched, sheared, shifted", () => {
  const v = { ...NO_VIEW, rotation: 0.5, shiftX: 2, shiftY: -3, scaleX: 1.2, scaleY: 0.9, shear: 0.3 };
  const [, x, y] = moments(view(blob(41, 24, 17, 1.5), [41, 41, 1], v), 41);
  const sheared = [1.2 * 4 + 0.3 * 0.9 * -3, 0.9 * -3] as const;
  expect(x).toBeCloseTo(Math.cos(0.5) * sheared[0] - Math.sin(0.5) * sheared[1] + 20 + 2, 1);
  expect(y).toBeCloseTo(Math.sin(0.5) * sheared[0] + Math.cos(0.5) * sheared[1] + 20 - 3, 1);
});

test("brightness multiplies and stops at 255", () => {
  expect(view(Uint8Array.of(0, 100, 200), [1, 3, 1], { brightness: 1.5 })).toEqual(Uint8Array.of(0, 150, 255));
});

test("equal seeds give equal views, others do not", () => {
  const images = noise([9, 9, 3], 4);
  const run = (seed: number) => {
    const out = new Uint8Array(images.length);
    augmentImages(
      out,
      images,
      Int32Array.of(0, 1, 2, 3),
      [9, 9, 3],
      AUGMENTATIONS.objects,
      new Random(seed, "augment"),
    );
    return out;
  };
  expect(run(3)).toEqual(run(3));
  expect(run(3)).not.toEqual(run(4));
});

test("every image takes 11 draws, whatever the settings", () => {
  const images = noise([4, 4, 1], 5);
  for (const settings of Object.values(AUGMENTATIONS)) {
    const random = new Random(1, "augment");
    augmentImages(new Uint8Array(80), images, Int32Array.of(0, 1, 2, 3, 4), [4, 4, 1], settings, random);
    expect(random.state.position).toBe(55);
  }
});

test("erasing blackens one square of at most its share of the side and leaves the rest", () => {
  const image = new Uint8Array(20 * 20).fill(255);
  const out = new Uint8Array(100 * 400);
  const settings = { ...AUGMENTATIONS.none, erase: 0.5 };
  augmentImages(out, image, new Int32Array(100), [20, 20, 1], settings, new Random(4, "augment"));
  const sides = Array.from({ length: 100 }, (_, i) => {
    const view = out.subarray(i * 400, (i + 1) * 400);
    const black = [...view.keys()].filter((at) => view[at] === 0);
    const extent = (of: (at: number) => number) =>
      black.length === 0 ? 0 : Math.max(...black.map(of)) - Math.min(...black.map(of)) + 1;
    const [height, width] = [extent((at) => Math.floor(at / 20)), extent((at) => at % 20)];
    expect(height * width).toBe(black.length);
    return Math.max(height, width);
  });
  expect(Math.max(...sides)).toBe(10);
  expect(Math.min(...sides)).toBe(0);
});

test("wild settings stay within the image's own values and write every pixel", () => {
  const images = new Uint8Array(200 * 16 * 16).fill(200);
  const out = new Uint8Array(images.length).fill(255);
  const wild = { rotation: 180, shift: 2, scale: 0.9, anisotropy: 0.9, shear: 3, flip: 0.5, brightness: 0, erase: 0 };
  const all = Int32Array.from({ length: 200 }, (_, i) => i);
  augmentImages(out, images, all, [16, 16, 1], wild, new Random(2, "augment"));
  expect(out.every((value) => value <= 200)).toBe(true);
  expect(new Set(out).size).toBeGreaterThan(100);
});
