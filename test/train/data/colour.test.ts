import { expect, test } from "vitest";
import { type Recolouring, recolour } from "../../../train/data/colour.ts";
import { Random } from "../../../train/random.ts";

const SAME: Recolouring = { brightness: 1, contrast: 1, saturation: 1, hue: 0 };
const luma = ([r = 0, g = 0, b = 0]: ArrayLike<number> & Iterable<number>) => 0.299 * r + 0.587 * g + 0.114 * b;

function recoloured(pixels: number[][], change: Partial<Recolouring>): number[][] {
  const image = Uint8Array.from(pixels.flat());
  recolour(image, pixels[0]!.length, { ...SAME, ...change });
  return pixels.map((pixel, i) => Array.from(image.subarray(i * pixel.length, (i + 1) * pixel.length)));
}

test("no change is no change, bit for bit", () => {
  const random = new Random(1, "pixels");
  const pixels = Array.from({ length: 50 }, () => [random.integer(256), random.integer(256), random.integer(256)]);
  expect(recoloured(pixels, {})).toEqual(pixels);
});

test("brightness multiplies, and stops at 255", () => {
  expect(recoloured([[10, 100, 200]], { brightness: 1.4 })).toEqual([[14, 140, 255]]);
});

test("contrast spreads around the mean luma of the bright image", () => {
  const pixels = [
    [100, 100, 100],
    [140, 140, 140],
  ];
  expect(recoloured(pixels, { contrast: 1.5 })).toEqual([
    [90, 90, 90],
    [150, 150, 150],
  ]);
  expect(recoloured(pixels, { contrast: 0.5, brightness: 0.5 })).toEqual([
    [55, 55, 55],
    [65, 65, 65],
  ]);
});

test("saturation moves colours from their luma or to it, which stays", () => {
  const pixel = [180, 60, 120];
  const grey = Math.round(luma(pixel));
  expect(recoloured([pixel], { saturation: 0 })).toEqual([[grey, grey, grey]]);
  const [more] = recoloured([pixel], { saturation: 1.4 }) as [number[]];
  for (const [k, value] of more.entries())
    expect(Math.abs(value - (luma(pixel) + 1.4 * (pixel[k]! - luma(pixel))))).toBeLessThanOrEqual(0.51);
  expect(Math.abs(luma(more) - luma(pixel))).toBeLessThan(1);
});

test("a third of a turn of the hue takes red to green to blue, a whole one nothing", () => {
  const third = (2 * Math.PI) / 3;
  const [pixels, next, last] = [[[200, 30, 90]], [[90, 200, 30]], [[30, 90, 200]]];
  expect(recoloured(pixels, { hue: third })).toEqual(next);
  expect(recoloured(pixels, { hue: -third })).toEqual(last);
  expect(recoloured(pixels, { hue: 3 * third })).toEqual(pixels);
});

test("hue and saturation leave greys as they are", () => {
  const greys = [0, 1, 77, 128, 254, 255].map((value) => [value, value, value]);
  for (const hue of [0.3, -0.6, 2]) expect(recoloured(greys, { hue, saturation: 1.4 })).toEqual(greys);
});

test("the changes follow one another: brightness, contrast, saturation, hue", () => {
  const pixels = [
    [120, 80, 100],
    [90, 110, 130],
  ];
  const change = { brightness: 1.1, contrast: 0.8, saturation: 1.2, hue: 0.4 };
  const bright = pixels.map((pixel) => pixel.map((value) => 1.1 * value));
  const mean = (luma(bright[0]!) + luma(bright[1]!)) / 2;
  const [cos, sin] = [Math.cos(0.4), Math.sin(0.4)];
  const expected = bright.map((pixel) => {
    const flat = pixel.map((value) => mean + 0.8 * (value - mean));
    const vivid = flat.map((value) => luma(flat) + 1.2 * (value - luma(flat)));
    // Rodrigues' rotation about the unit axis of greys.
    const axis = 1 / Math.sqrt(3);
    const along = axis * vivid.reduce((a, b) => a + b);
    const [r, g, b] = vivid as [number, number, number];
    const cross = [axis * (b - g), axis * (r - b), axis * (g - r)];
    return vivid.map((value, k) => value * cos + cross[k]! * sin + axis * along * (1 - cos));
  });
  for (const [i, pixel] of recoloured(pixels, change).entries())
    for (const [k, value] of pixel.entries()) expect(Math.abs(value - expected[i]![k]!)).toBeLessThanOrEqual(0.51);
});

test("an image of one channel has brightness and contrast alone", () => {
  expect(recoloured([[100], [140]], { contrast: 1.5, brightness: 0.5, saturation: 0, hue: 1 })).toEqual([[45], [75]]);
});
