import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeImage, fromRgba, loadClusterer } from "../../runtime/node.ts";
import { badPictures, goodPictures } from "./pictures.ts";
import { toyModel } from "./toy.ts";

const bad = await badPictures();
const good = await goodPictures();

/** RGBA pixels of one grey a pixel. */
const greys = (width: number, values: readonly number[]) => ({
  data: Uint8ClampedArray.from(values.flatMap((v) => [v, v, v, 255])),
  width,
  height: values.length / width,
});

describe("an image file", () => {
  let clusterer: Awaited<ReturnType<typeof loadClusterer>>;
  beforeAll(async () => {
    clusterer = await loadClusterer(toyModel(), { device: "cpu" });
  });
  afterAll(() => clusterer.dispose());

  test.each(bad)("that is $name is $code", async ({ code, file }) => {
    await expect(clusterer.assign(file)).rejects.toMatchObject({ code });
  });

  test.each(Object.entries(good))("%s of any size is assigned", async (_, file) => {
    expect((await clusterer.assign(file)).count).toBe(1);
    expect((await decodeImage(file, [7, 9, 3])).data.length).toBe(7 * 9 * 3);
  });

  test("that is refused says which of several it was", async () => {
    const [empty] = bad;
    const both = [good["rgb.png"]!, empty!.file];
    await expect(clusterer.assign(both)).rejects.toMatchObject({
      message: expect.stringMatching(/^\[1\]: .*no bytes/),
    });
  });
});

describe("resizing", () => {
  test("leaves an image of the right size alone", () => {
    const values = [3, 1, 4, 1, 5, 9];
    expect(fromRgba(greys(3, values), [2, 3, 1]).data).toEqual(Uint8Array.from(values));
  });

  test("keeps what is even, smaller and larger", () => {
    const even = greys(6, new Array(36).fill(77));
    for (const [h, w] of [
      [2, 2],
      [5, 5],
      [9, 9],
      [1, 1],
    ] as const)
      expect(fromRgba(even, [h, w, 1]).data).toEqual(new Uint8Array(h * w).fill(77));
  });

  test("enlarges by interpolating between the middles of pixels", () => {
    expect([...fromRgba(greys(2, [0, 100, 0, 100]), [4, 4, 1]).data.slice(0, 4)]).toEqual([0, 25, 75, 100]);
  });

  test("reduces by a triangle twice as wide as a new pixel", () => {
    const halved = fromRgba(greys(4, [0, 40, 80, 120, ...new Array(12).fill(0)]), [2, 2, 1]).data;
    const across = [0.375 * 0 + 0.375 * 40 + 0.125 * 80, 0.125 * 40 + 0.375 * 80 + 0.375 * 120].map((v) => v / 0.875);
    expect([...halved.slice(0, 2)]).toEqual(across.map((v) => Math.floor((v * 0.375) / 0.875 + 0.5)));
  });

  test("crops to the middle of the new proportions first", () => {
    const wide = greys(6, [9, 9, 50, 60, 9, 9, 9, 9, 70, 80, 9, 9]);
    expect(fromRgba(wide, [2, 2, 1]).data).toEqual(Uint8Array.of(50, 60, 70, 80));
    const tall = greys(2, [9, 9, 50, 60, 70, 80, 9, 9]);
    expect(fromRgba(tall, [2, 2, 1]).data).toEqual(Uint8Array.of(50, 60, 70, 80));
  });
});
