import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { zipSync } from "fflate";
import { parquetWriteBuffer } from "hyparquet-writer";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SubspanError } from "../../../runtime/errors.ts";
import type { Samples } from "../../../runtime/samples.ts";
import { loadSource, npzColumns, openSource, survey, writeNpz, writeNpzColumns } from "../../../train/data/index.ts";
import { encodeNpy } from "../../../train/data/npy.ts";
import { Random } from "../../../train/random.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "subspan-stream-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function put(name: string, content: Uint8Array | string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

/** All parts of a source as one, and how many they were. */
async function streamed(source: string, options = {}) {
  const parts: Samples[] = [];
  for await (const part of (await openSource(source, options)).parts()) parts.push(part);
  const [first] = parts as [Samples];
  const n = parts.reduce((sum, { shape }) => sum + shape[0], 0);
  const data = parts.flatMap(({ data }) => Array.from(data));
  return { parts: parts.length, samples: { kind: first.kind, shape: [n, ...first.shape.slice(1)], data } };
}

/** The error that reading a source's parts comes to, as "CODE message" with the folder left out. */
async function refusal(source: string, options = {}): Promise<string> {
  const error = await streamed(source, options).then(
    () => expect.unreachable("a value"),
    (e) => e,
  );
  expect(error).toBeInstanceOf(SubspanError);
  return `${error.code} ${error.message}`.replaceAll(`${folder}/`, "");
}

const bytes = (n: number) => Uint8Array.from({ length: n }, (_, i) => (i * 37) % 256);
const N = 10_000;
const rows = { data: Float64Array.from({ length: 3 * N }, (_, i) => i / 7), shape: [N, 3] };
const images = { data: bytes(12 * N), shape: [N, 3, 4] };

function idx(magic: number, sizes: number[], data: Uint8Array): Uint8Array {
  const head = Buffer.alloc(4 + 4 * sizes.length);
  for (const [i, value] of [magic, ...sizes].entries()) head.writeUInt32BE(value, 4 * i);
  return Buffer.concat([head, data]);
}
const IMAGES = idx(0x803, images.shape, images.data);
const LABELS = idx(0x801, [N], bytes(N));
const packed = (x: { data: Uint8Array | Float64Array; shape: number[] }, level: 0 | 6 = 6) =>
  zipSync({ "y.npy": encodeNpy({ data: bytes(N), shape: [N] }), "x.npy": encodeNpy(x as never) }, { level });

const sources: Readonly<Record<string, () => Uint8Array | string>> = {
  "a.npy": () => encodeNpy(rows),
  "b.npy": () => encodeNpy(images),
  "stored.npz": () => packed(rows, 0),
  "packed.npz": () => packed(images),
  "images-idx": () => IMAGES,
  "images-idx.gz": () => gzipSync(IMAGES),
  "a.csv": () =>
    Array.from({ length: N }, (_, i) => `${i},${i / 3},c${i % 3}`).reduce((a, b) => `${a}${b}\n`, "a,b,y\n"),
  "a.parquet": () =>
    new Uint8Array(
      parquetWriteBuffer({
        columnData: [{ name: "a", data: rows.data.subarray(0, N), type: "DOUBLE" }],
        rowGroupSize: 4000,
      }),
    ),
};

describe("a source in parts", () => {
  test.each(Object.entries(sources))("%s is what it is as a whole, again and again", async (name, make) => {
    const path = await put(name, make());
    const { samples } = await loadSource(path);
    const { parts, samples: read } = await streamed(path);
    expect(read).toEqual({ ...samples, data: Array.from(samples.data) });
    expect(parts).toBe(3);
    const stream = await openSource(path);
    const surveys = [await survey(stream), await survey(stream)];
    expect(surveys[0]).toEqual(surveys[1]);
    expect(surveys[0]?.samples).toBe(N);
  });

  test("with labels in a file of their own is the same without them, if they are as many", async () => {
    const [path, labels, few] = [
      await put("i", IMAGES),
      await put("l.gz", gzipSync(LABELS)),
      await put("few", idx(0x801, [3], bytes(3))),
    ];
    expect((await streamed(`${path},${labels}`)).samples.shape).toEqual([N, 3, 4, 1]);
    expect(await refusal(`${path},${few}`)).toBe(`SOURCE_INVALID few: 3 labels for the ${N} images of i`);
  });

  const OPEN = "/proc/self/fd";
  test.skipIf(!existsSync(OPEN))("holds no file open when no more of it is wanted", async () => {
    const sources = await Promise.all([put("early.npz", packed(rows)), put("early.npy", encodeNpy(rows))]);
    const before = (await readdir(OPEN)).length;
    for (const source of sources)
      for (let i = 0; i < 20; i++) for await (const _ of (await openSource(source)).parts()) break;
    await expect.poll(async () => (await readdir(OPEN)).length - before).toBeLessThan(5);
  });

  test("has another fingerprint if a number or the shape is another", async () => {
    const of = async (data: Uint8Array<ArrayBuffer>, ...shape: number[]) =>
      (await survey(await openSource(await put("f.npy", encodeNpy({ data, shape }))))).fingerprint;
    const all = [await of(bytes(24), 2, 12), await of(bytes(24), 2, 3, 4), await of(bytes(24), 4, 6)];
    expect(new Set([...all, await of(bytes(25).subarray(1), 2, 12)]).size).toBe(4);
  });
});

describe("a source in parts is refused by file and place", () => {
  test.each([
    [
      "short.npy",
      () => encodeNpy(rows).subarray(0, -1),
      `byte 128: expected ${24 * N} bytes of data for [${N},3] f8, found`,
    ],
    ["header.npy", () => encodeNpy(rows).subarray(0, 40), "truncated at byte 40, the header ends at 128"],
    [
      "floats.npy",
      () => encodeNpy({ data: new Float32Array(12), shape: [1, 3, 4] }),
      "x: [1,3,4] f4; images are expected as",
    ],
    ["none.npz", () => zipSync({ "data.npy": encodeNpy(rows) }), 'no array "x"; it holds data'],
    ["cut.npz", () => packed(rows).subarray(0, -30), "no zip archive, or truncated: no directory before byte"],
    ["inside.npz", () => packed({ data: rows.data.subarray(1), shape: rows.shape }), "x.npy: byte 128: expected"],
    ["cut-idx", () => IMAGES.subarray(0, -1), `byte 16: expected ${12 * N} bytes for [${N},3,4], found ${12 * N - 1}`],
    [
      "long-idx",
      () => Buffer.concat([IMAGES, bytes(1)]),
      `byte 16: expected ${12 * N} bytes for [${N},3,4], found more`,
    ],
    ["cut-idx.gz", () => gzipSync(IMAGES).subarray(0, -9), "not a whole gzip file (unexpected end of file)"],
    ["word.csv", () => `1,2\n${"3,4\n".repeat(5000)}5,x\n`, 'word.csv:5002: column 2: expected a number, got "x"'],
  ])("%s", async (name, make, message) => {
    const wrong = await refusal(await put(name, make()));
    expect(wrong).toMatch(/^SOURCE_INVALID /);
    expect(wrong).toContain(name);
    expect(wrong).toContain(message);
  });

  test("a number that is not finite, by its row", async () => {
    const data = Float32Array.from({ length: 2 * N }, (_, i) => (i === 2 * 9000 + 1 ? Number.NaN : i));
    expect(await refusal(await put("nan.npy", encodeNpy({ data, shape: [N, 2] })))).toBe(
      "NOT_FINITE nan.npy: x[9000, 1] is NaN, the first value that is not finite in float32",
    );
  });

  test("a changed byte, by the checksum of its member", async () => {
    const archive = packed(images, 0);
    archive[archive.length - 1000]! ^= 1;
    expect(await refusal(await put("changed.npz", archive))).toBe(
      "SOURCE_INVALID changed.npz: member x.npy is damaged: wrong checksum",
    );
  });

  test("a source without samples", async () => {
    expect(await refusal(await put("no.npy", encodeNpy({ data: bytes(0), shape: [0, 2] })))).toMatch(
      /^TOO_FEW_SAMPLES /,
    );
    expect(await refusal(await put("no.csv", "a,b\n"))).toMatch(/^TOO_FEW_SAMPLES /);
  });
});

test("any truncation or byte flip gives parts or a SubspanError", async () => {
  const random = new Random(12, "damage");
  const small = { data: bytes(48), shape: [3, 4, 4] };
  const files = {
    "d.npy": encodeNpy({ data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [3, 2] }),
    "d.npz": zipSync({ "x.npy": encodeNpy(small) }),
    "e.npz": zipSync({ "x.npy": encodeNpy(small) }, { level: 0 }),
    "d-idx": idx(0x803, [3, 4, 4], bytes(48)),
    "d-idx.gz": gzipSync(idx(0x803, [3, 4, 4], bytes(48))),
  };
  for (const [name, whole] of Object.entries(files)) {
    for (let i = 0; i < 150; i++) {
      const damaged = Uint8Array.from(whole);
      for (let flips = i % 4; flips > 0; flips--) damaged[random.integer(whole.length)]! ^= 1 << random.integer(8);
      const path = await put(name, i % 4 === 0 ? whole.subarray(0, random.integer(whole.length)) : damaged);
      const outcome = await streamed(path).catch((error) => error);
      if (outcome instanceof Error) expect(outcome, `${name} ${i}: ${outcome.stack}`).toBeInstanceOf(SubspanError);
    }
  }
});

describe("a folder of images in parts", () => {
  const image = (r: number, g: number, b: number, width = 2) =>
    sharp({ create: { width, height: 2, channels: 3, background: { r, g, b } } })
      .png()
      .toBuffer();
  beforeAll(async () => {
    await mkdir(join(folder, "photos"));
    await put("photos/1.png", await image(9, 9, 9));
    await put("photos/2.png", await image(1, 2, 3));
    await put("photos/3.png", await image(4, 4, 4, 5));
    await put("photos/4.png", await image(5, 5, 5));
  });

  test("has three channels if it should, grey or not", async () => {
    const { samples } = await streamed(join(folder, "photos"), { skip: true });
    expect(samples.shape).toEqual([3, 2, 2, 3]);
    expect(samples.data.filter((_, i) => i % 12 < 3)).toEqual([9, 9, 9, 1, 2, 3, 5, 5, 5]);
  });

  test("has one if it should, and leaves out what has colours or another size", async () => {
    const stream = await openSource(join(folder, "photos"), { skip: true, channels: 1 });
    const { samples, skipped } = await survey(stream);
    expect(samples).toBe(2);
    expect(skipped.map(({ index, message }) => [index, message.split("/").at(-1)])).toEqual([
      [1, "2.png: has colours, expected a grey picture"],
      [2, "3.png: 5x2 pixels, expected 2x2 as in 1.png"],
    ]);
    expect((await survey(stream)).skipped).toEqual(skipped);
    expect(await refusal(join(folder, "photos"), { channels: 1 })).toBe(
      "SOURCE_INVALID photos/2.png: has colours, expected a grey picture",
    );
  });
});

test("links to nowhere: hidden ones are passed over, images are left out by name", async () => {
  await mkdir(join(folder, "links"));
  const pixel = sharp({ create: { width: 2, height: 2, channels: 3, background: "red" } });
  await put("links/1.png", await pixel.png().toBuffer());
  await symlink("nobody@host.1:2", join(folder, "links/.#notes.txt"));
  await symlink("/gone", join(folder, "links/2.png"));
  const { samples, skipped } = await survey(await openSource(join(folder, "links"), { skip: true }));
  expect([samples, skipped.map(({ index }) => index)]).toEqual([1, [1]]);
  expect(await refusal(join(folder, "links"))).toBe("SOURCE_MISSING links/2.png: no such file or folder");
});

describe("columns of a .npz archive", () => {
  const types = { a: Int32Array, b: Float32Array };
  const part = (n: number) => ({ a: Int32Array.from({ length: n }, (_, i) => i), b: new Float32Array(n).fill(0.5) });

  test("are read by NumPy's rules, whatever parts they came in", async () => {
    const path = join(folder, "deep/er/columns.npz");
    await writeNpzColumns(path, types, [part(70_000), part(3)]);
    const read: number[] = [];
    for await (const columns of npzColumns(path, ["a", "b"])) {
      expect(columns.get("a")).toBeInstanceOf(Int32Array);
      expect(columns.get("b")?.length).toBe(columns.get("a")?.length);
      read.push(...(columns.get("a") as Int32Array));
    }
    expect(read).toEqual([...part(70_000).a, 0, 1, 2]);
  });

  test("are refused if one is longer, or missing", async () => {
    const path = join(folder, "uneven.npz");
    await writeNpz(path, { a: { data: Int32Array.of(1), shape: [1] }, b: { data: Int32Array.of(1, 2), shape: [2] } });
    const all = async (...names: string[]) => {
      for await (const _ of npzColumns(path, names));
    };
    await expect(all("a", "b")).rejects.toThrow("uneven.npz: a, b: expected arrays of one length");
    await expect(all("a", "c")).rejects.toThrow('uneven.npz: no array "c"; it holds a, b');
  });

  test("that cannot be finished leave nothing behind", async () => {
    async function* broken() {
      yield part(10);
      throw new Error("no more");
    }
    await mkdir(join(folder, "empty"));
    await expect(writeNpzColumns(join(folder, "empty/x.npz"), types, broken())).rejects.toThrow("no more");
    expect(await readdir(join(folder, "empty"))).toEqual([]);
  });
});
