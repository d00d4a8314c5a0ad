import { expect, test } from "vitest";
import { AUGMENTATIONS, type Augmentation, augmentImages, renderView, type View } from "../../../train/data/augment.ts";
import { Random } from "../../../train/random.ts";

const NO_VIEW = { rotation: 0, shiftX: 0, shiftY: 0, scaleX: 1, scaleY: 1, shear: 0, brightness: 1 };
type Shape = [number, number, number];

function noise([h, w, c]: Shape, n = 1): Uint8Array {
  const random = new Random(5, "noise");
  return Uint8Array.from({ length: n * h * w * c }, () => random.integer(256));
}

function view(image: Uint8Array, shape: Shape, change: Partial<View>): Uint8Array {
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

test.each(["objects", "colour"] as const)("equal seeds give equal views, others do not: %s", (name) => {
  const images = noise([9, 9, 3], 4);
  const run = (seed: number) => {
    const out = new Uint8Array(images.length);
    augmentImages(out, images, Int32Array.of(0, 1, 2, 3), [9, 9, 3], AUGMENTATIONS[name], new Random(seed, "augment"));
    return out;
  };
  expect(run(3)).toEqual(run(3));
  expect(run(3)).not.toEqual(run(4));
});

test("every image takes 11 draws, and 9 more where anything is said of crops or colours", () => {
  const images = noise([4, 4, 3], 5);
  const taken = (settings: Augmentation) => {
    const random = new Random(1, "augment");
    augmentImages(new Uint8Array(240), images, Int32Array.of(0, 1, 2, 3, 4), [4, 4, 3], settings, random);
    return random.state.position;
  };
  for (const name of ["none", "digits", "objects"] as const) expect(taken(AUGMENTATIONS[name])).toBe(55);
  expect(taken(AUGMENTATIONS.colour)).toBe(100);
  for (const range of ["crop", "contrast", "saturation", "hue", "jitter", "grey"] as const) {
    for (const value of [0, 0.5]) expect(taken({ ...AUGMENTATIONS.none, [range]: value })).toBe(100);
  }
});

/** Views of one image, [count][h w c]. */
function viewsOf(image: Uint8Array, shape: Shape, settings: Augmentation, count: number): Uint8Array[] {
  const out = new Uint8Array(count * image.length);
  augmentImages(out, image, new Int32Array(count), shape, settings, new Random(4, "augment"));
  return Array.from({ length: count }, (_, i) => out.subarray(i * image.length, (i + 1) * image.length));
}

test("crops and colours that are named but 0 change nothing", () => {
  const nothing = { ...AUGMENTATIONS.none, crop: 0, contrast: 0, saturation: 0, hue: 0, jitter: 1, grey: 0 };
  const image = noise([5, 8, 3]);
  for (const view of viewsOf(image, [5, 8, 3], nothing, 5)) expect(view).toEqual(image);
});

test("a crop shows its part of the image enlarged, up to its edges", () => {
  // Values 10 a pixel along the rows: a crop of half the width around pixel 5.5 shows 3.5 to 7.5, in steps of 5.
  const ramp = Uint8Array.from({ length: 4 * 12 }, (_, i) => 10 * (i % 12) + 50);
  const shown = view(ramp, [4, 12, 1], { scaleX: 2, crop: { x: 0, y: 0 } });
  for (let i = 0; i < 12; i++) expect(Math.abs(shown[i]! - (50 + 10 * (5.5 + (i - 5.5) / 2)))).toBeLessThanOrEqual(0.5);
  // Beside the border half a pixel is seen of the border's pixels, which has no neighbour.
  const left = view(ramp, [4, 12, 1], { scaleX: 2, crop: { x: -3, y: 0 } });
  expect(Array.from(left.subarray(0, 4))).toEqual([50, 53, 58, 63]);
});

test("random crops lose at most their share, of sides up to 4 : 3, all over the image and without black", () => {
  const [h, w]: Shape = [40, 40, 1];
  // Columns tell x, rows y: the least and the largest value of a view tell what it shows.
  const across = Uint8Array.from({ length: h * w }, (_, i) => 5 * (i % w) + 20);
  const down = Uint8Array.from({ length: h * w }, (_, i) => 5 * Math.floor(i / w) + 20);
  const settings = { ...AUGMENTATIONS.none, crop: 0.75 };
  const extents = (image: Uint8Array) =>
    viewsOf(image, [h, w, 1], settings, 300).map((view) => [Math.min(...view), Math.max(...view)] as const);
  const [xs, ys] = [extents(across), extents(down)];
  const shares = xs.map(([low, high], i) => {
    const [top, bottom] = ys[i]!;
    // A view's outer pixels are half a step inside of its edges.
    const [width, height] = [(high - low) / 195, (bottom - top) / 195];
    expect(width / height).toBeLessThan((4 / 3) * 1.1);
    expect(height / width).toBeLessThan((4 / 3) * 1.1);
    return width * height;
  });
  expect(Math.min(...shares)).toBeGreaterThan(0.23);
  expect(Math.min(...shares)).toBeLessThan(0.35);
  expect(Math.max(...shares)).toBeGreaterThan(0.9);
  expect(Math.min(...xs.map(([low]) => low))).toBe(20);
  expect(Math.max(...xs.map(([, high]) => high))).toBe(215);
});

test("grey and jitter are as probable as they say", () => {
  const image = Uint8Array.of(200, 30, 90);
  const count = (settings: object, is: (view: Uint8Array) => boolean) =>
    viewsOf(image, [1, 1, 3], { ...AUGMENTATIONS.none, ...settings }, 2000).filter(is).length / 2000;
  expect(count({ grey: 0.2 }, ([r, g, b]) => r === g && g === b)).toBeCloseTo(0.2, 1);
  expect(count({ hue: 0.3, jitter: 0.7 }, (view) => `${view}` === `${image}`)).toBeCloseTo(0.3, 1);
  expect(count({ brightness: 0.3, jitter: 0.5 }, (view) => `${view}` === `${image}`)).toBeCloseTo(0.5, 1);
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

test("a stroke is bright, straight, no longer than half a side, as probable as it says, and changes nothing else", () => {
  const [n, side] = [400, 30];
  const image = new Uint8Array(side * side).fill(10);
  const views = viewsOf(image, [side, side, 1], { ...AUGMENTATIONS.none, stroke: 0.7 }, n);
  const struck = views.filter((view) => view.some((value) => value !== 10));
  expect(struck.length / n).toBeCloseTo(0.7, 1);
  const lengths = struck.map((view) => {
    const lit = [...view.keys()].filter((at) => view[at] !== 10);
    expect(lit.every((at) => (view[at] as number) > 10)).toBe(true);
    const [x, y] = [lit.map((at) => at % side), lit.map((at) => Math.floor(at / side))];
    const mean = (of: number[]) => of.reduce((a, b) => a + b, 0) / of.length;
    const together = (a: number[], b: number[]) => mean(a.map((v, i) => (v - mean(a)) * ((b[i] as number) - mean(b))));
    const [xx, yy, xy] = [together(x, x), together(y, y), together(x, y)];
    // The variance across its own direction: that of at most 2 x 1.4 pixels and a soft edge.
    expect((xx + yy - Math.hypot(xx - yy, 2 * xy)) / 2).toBeLessThan(2.2);
    const spread = (of: number[]) => Math.max(...of) - Math.min(...of) + 1;
    return Math.hypot(spread(x), spread(y));
  });
  // Half a side, its round ends and the pixels they touch.
  expect(Math.max(...lengths)).toBeLessThanOrEqual(Math.hypot(15 + 5, 5));
  expect(Math.max(...lengths)).toBeGreaterThan(12);
  expect(Math.max(...struck.map((view) => Math.max(...view)))).toBe(255);
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
