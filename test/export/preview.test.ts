import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { encodePng } from "../../export/png.ts";
import { preview, principalPlane, typicalSamples } from "../../export/preview.ts";
import { draws } from "./run-model.ts";

describe("a PNG", () => {
  test.each([1, 2, 3, 4])("of %i channels decodes to its pixels", async (channels) => {
    const pixels = Uint8Array.from(draws(5 * 7 * channels, 0, 256));
    const png = encodePng(pixels, [5, 7, channels]);
    expect(await sharp(png).metadata()).toMatchObject({ width: 7, height: 5, channels });
    const grey = channels < 3;
    const asColours = Array.from({ length: 35 }, (_, i) => {
      const [first = 0, ...rest] = pixels.subarray(i * channels, (i + 1) * channels);
      return grey ? [first, first, first, ...rest] : [first, ...rest];
    });
    expect(Array.from(await sharp(png).raw().toBuffer())).toEqual(asColours.flat());
  });

  test("of more channels shows the first three", async () => {
    const png = encodePng(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), [1, 2, 5]);
    expect(Array.from(await sharp(png).raw().toBuffer())).toEqual([1, 2, 3, 6, 7, 8]);
  });
});

describe("the principal plane", () => {
  test("finds the two directions of most variance", () => {
    const noise = draws(200 * 3);
    const data = noise.map((value, at) => value * ([0.1, 5, 1][at % 3] as number) + 7);
    const { coordinates, variance } = principalPlane({ data, shape: [200, 3] });
    expect(variance[0]).toBeGreaterThan(0.9);
    expect(variance[0] + variance[1]).toBeGreaterThan(0.99);
    const mean = data.reduce((sum, value, at) => sum + (at % 3 === 1 ? value : 0), 0) / 200;
    for (let i = 0; i < 200; i++)
      expect(Math.abs((coordinates[2 * i] as number) - ((data[3 * i + 1] as number) - mean))).toBeLessThan(0.3);
  });

  test("of one point, or of one column, is finite", () => {
    expect([...principalPlane({ data: Float32Array.of(1, 2), shape: [1, 2] }).coordinates]).toEqual([0, 0]);
    const { coordinates } = principalPlane({ data: Float32Array.of(1, 3), shape: [2, 1] });
    expect([...coordinates].map(Math.abs)).toEqual([1, 0, 1, 0]);
  });
});

test("the typical sample points most nearly as its cluster's mean", () => {
  const data = Float32Array.of(1, 0, 4, 4, 0, 1, -1, 0);
  expect(typicalSamples({ data, shape: [4, 2] }, [0, 0, 0, 2], 3)).toEqual([1, undefined, 3]);
});

test("a preview has a point for each sample and a thumbnail for each cluster that has one", async () => {
  const latents = { data: Float32Array.of(1, 0, 0, 1, 0.1, 1), shape: [3, 2] };
  const data = new Uint8Array(3 * 130 * 65).map((_, at) => 50 * Math.floor(at / (130 * 65)));
  const content = { labels: [0, 1, 1], embedding: latents, latents, clusters: 3 };
  const { points, thumbnails } = preview({ ...content, samples: { kind: "images", data, shape: [3, 130, 65, 1] } });
  expect([points.x.length, points.y.length, points.label]).toEqual([3, 3, [0, 1, 1]]);
  expect(thumbnails[2]).toBeNull();
  const { width, height, png } = thumbnails[1] as NonNullable<(typeof thumbnails)[1]>;
  expect([width, height]).toEqual([21, 43]);
  expect((await sharp(Buffer.from(png, "base64")).raw().toBuffer())[0]).toBe(50);
  const features = { kind: "features", data: latents.data, shape: [3, 2] } as const;
  expect(preview({ ...content, samples: features }).thumbnails).toEqual([null, null, null]);
});
