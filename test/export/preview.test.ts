import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { encodePng } from "../../export/png.ts";
import { clusterPlane, preview, principalPlane, projected, typicalSamples } from "../../export/preview.ts";
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
    const embedding = { data, shape: [200, 3] };
    const { mean, axes } = principalPlane(embedding);
    expect([axes[0][1], axes[1][2]].map((value) => (value as number) > 0.99)).toEqual([true, true]);
    const along = projected(embedding, { mean, axes }, 0);
    for (const [i, value] of along.entries())
      expect(Math.abs(value - ((data[3 * i + 1] as number) - (mean[1] as number)))).toBeLessThan(0.3);
  });

  test("of one point, or of one column, is finite", () => {
    const one = { data: Float32Array.of(1, 2), shape: [1, 2] };
    expect(projected(one, principalPlane(one), 0)).toEqual([0]);
    const column = { data: Float32Array.of(1, 3), shape: [2, 1] };
    const plane = principalPlane(column);
    expect([0, 1].map((axis) => projected(column, plane, axis as 0 | 1).map(Math.abs))).toEqual([
      [1, 1],
      [0, 0],
    ]);
  });
});

test("the plane of clusters puts each at a corner of a polygon, and what lies between two between their corners", () => {
  const data = Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1, 0.5, 0.5, 0);
  const plane = clusterPlane({ data: data.subarray(0, 9), shape: [3, 3] }, [0, 1, 2], 3);
  const [x, y] = [0, 1].map((axis) => projected({ data, shape: [4, 3] }, plane, axis as 0 | 1)) as [number[], number[]];
  const radii = x.map((value, i) => Math.hypot(value, y[i] as number));
  for (const radius of radii.slice(0, 3)) expect(radius).toBeCloseTo(radii[0] as number, 5);
  expect([x[3], y[3]].map((value) => (value as number).toFixed(5))).toEqual(
    [x, y].map((axis) => (((axis[0] as number) + (axis[1] as number)) / 2).toFixed(5)),
  );
});

test("the first typical sample points most nearly as its cluster's mean", () => {
  const data = Float32Array.of(1, 0, 4, 4, 0, 1, -1, 0);
  expect(typicalSamples({ data, shape: [4, 2] }, [0, 0, 0, 2], 3, 2)).toEqual([[1, 0], [], [3]]);
});

test("a preview has a point for each sample and a thumbnail for each cluster that has one", async () => {
  const latents = { data: Float32Array.of(1, 0, 0, 1, 0.1, 1), shape: [3, 2] };
  const data = new Uint8Array(3 * 130 * 65).map((_, at) => 50 * Math.floor(at / (130 * 65)));
  const content = { labels: [0, 1, 1], embedding: latents, latents, clusters: 3 };
  const { points, projection, thumbnails, more } = preview({
    ...content,
    samples: { kind: "images", data, shape: [3, 130, 65, 1] },
  });
  expect([points.x.length, points.y.length, points.label]).toEqual([3, 3, [0, 1, 1]]);
  expect(thumbnails[2]).toBeNull();
  expect(more.map((others) => others.map(({ width, height }) => [width, height]))).toEqual([[], [[13, 26]], []]);
  const again = projected(latents, projection, 0);
  for (const [i, x] of points.x.entries()) expect(x).toBeCloseTo(again[i] as number, 4);
  const { width, height, png } = thumbnails[1] as NonNullable<(typeof thumbnails)[1]>;
  expect([width, height]).toEqual([21, 43]);
  expect((await sharp(Buffer.from(png, "base64")).raw().toBuffer())[0]).toBe(50);
  const features = { kind: "features", data: latents.data, shape: [3, 2] } as const;
  expect(preview({ ...content, samples: features }).thumbnails).toEqual([null, null, null]);
});
