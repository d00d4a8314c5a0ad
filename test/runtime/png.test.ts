import { crc32, deflateSync } from "node:zlib";
import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { decodePlainPng } from "../../runtime/node-png.ts";
import { goodPictures } from "./pictures.ts";

const COLOURS = { 0: 1, 2: 3, 4: 2, 6: 4 } as const;
interface Picture {
  readonly width: number;
  readonly height: number;
  readonly colour: keyof typeof COLOURS;
  /** What each row is filtered by. */
  readonly filters: readonly number[];
  readonly seed: number;
}

const chunk = (type: string, data: Buffer) => {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
};

/** A PNG whose filtered bytes are noise: every row means something, whatever its filter. */
function png({ width, height, colour, filters, seed }: Picture, ...more: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width);
  header.writeUInt32BE(height, 4);
  header.set([8, colour], 8);
  const stride = 1 + width * COLOURS[colour];
  const rows = Uint8Array.from({ length: height * stride }, (_, i) => Math.imul(i + seed, 2654435761) >>> 24);
  for (let row = 0; row < height; row++) rows[row * stride] = filters[row % filters.length]!;
  const packed = deflateSync(rows);
  const halves = [packed.subarray(0, packed.length >> 1), packed.subarray(packed.length >> 1)];
  return Buffer.concat([
    Buffer.from("89504e470d0a1a0a", "hex"),
    ...[chunk("IHDR", header), ...more, ...halves.map((half) => chunk("IDAT", half)), chunk("IEND", Buffer.alloc(0))],
  ]);
}

const bySharp = (file: Buffer) =>
  sharp(file, { failOn: "error" }).autoOrient().toColourspace("srgb").ensureAlpha().raw({ depth: "uchar" }).toBuffer();

const side = fc.integer({ min: 1, max: 40 });
const picture: fc.Arbitrary<Picture> = fc.record({
  width: side,
  height: side,
  colour: fc.constantFrom(0, 2, 4, 6),
  filters: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 7 }),
  seed: fc.nat(),
});
const SMALL: Picture = { width: 5, height: 4, colour: 2, filters: [0, 1, 2, 3, 4], seed: 1 };

describe("a small, plain PNG", () => {
  test("has the pixels that sharp reads, whatever its colours and filters", async () => {
    const same = fc.asyncProperty(picture, async (picture) => {
      const file = png(picture);
      const { width, height } = picture;
      expect(decodePlainPng(file)).toEqual({ width, height, data: Uint8Array.from(await bySharp(file)) });
    });
    await fc.assert(same, { numRuns: 200, seed: 1 });
  });

  test("as sharp writes it is one, in grey, RGB and RGBA", async () => {
    const good = await goodPictures();
    for (const name of ["grey.png", "rgb.png", "alpha.png"])
      expect(decodePlainPng(good[name]!)?.data, name).toEqual(Uint8Array.from(await bySharp(good[name]!)));
  });

  test("is left to sharp once any byte of it is another", () => {
    const file = png(SMALL);
    expect(decodePlainPng(file)).toBeDefined();
    for (let at = 0; at < file.length; at++) {
      const changed = Buffer.from(file);
      changed[at]! ^= 1 << (at % 8);
      expect(decodePlainPng(changed), `byte ${at}`).toBeUndefined();
    }
    for (let length = 0; length < file.length; length++)
      expect(decodePlainPng(file.subarray(0, length))).toBeUndefined();
    expect(decodePlainPng(Buffer.concat([file, Buffer.alloc(1)]))).toBeUndefined();
  });
});

test.each([
  ["a colour profile", png(SMALL, chunk("gAMA", Buffer.of(0, 0, 177, 143)))],
  ["a filter there is not", png({ ...SMALL, filters: [5] })],
  ["more pixels than are small", png({ ...SMALL, width: 300, height: 300 })],
  ["fewer rows than it says", png(SMALL, chunk("IDAT", deflateSync(Buffer.alloc(16))))],
])("a PNG with %s is left to sharp", (_, file) => {
  expect(decodePlainPng(file)).toBeUndefined();
});

test("palettes, 16 bits, interlacing and other formats are left to sharp", async () => {
  const good = await goodPictures();
  const laced = await sharp(good["rgb.png"]).png({ progressive: true }).toBuffer();
  for (const file of [good["palette.png"]!, good["16-bit.png"]!, good["full.jpg"]!, laced])
    expect(decodePlainPng(file)).toBeUndefined();
});
