import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import * as tf from "@tensorflow/tfjs-core";
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Columns, labelFormat } from "../../cli/label-files.ts";
import { writeBundle } from "../../export/bundle.ts";
import { type Tensors, trace } from "../../export/index.ts";
import { SubspanError } from "../../runtime/errors.ts";
import { writeNpz } from "../../train/data/index.ts";
import { Random } from "../../train/random.ts";
import { INPUTS, toyContent, toyFunction, toyManifest } from "../export/toy-clusterer.ts";
import { subspan, temporaryFolder } from "./tiny-cli.ts";

const FORMATS = [".csv", ".jsonl", ".npz", ".parquet"];
const N = 1000;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const at = (name: string) => folder.path(name);

async function writeFeatures(path: string, n: number, seed: number) {
  const random = new Random(seed, "labels");
  const data = Float32Array.from({ length: 4 * n }, () => 8 * random.uniform());
  await writeNpz(path, { x: { data, shape: [n, 4] } });
}

const assign = (out: string, ...more: string[]) =>
  subspan("assign", at("toy"), at("x.npz"), "--device", "cpu", "--batch-size", "64", "--out", at(out), ...more);

beforeAll(async () => {
  folder = await temporaryFolder();
  await writeBundle(at("toy"), await toyContent());
  await writeFeatures(at("x.npz"), N, 1);
  await writeFeatures(at("other.npz"), N, 2);
});
afterAll(() => folder.remove());

/** n samples, in parts of the given sizes, the last again and again. */
function* parts(n: number, ...sizes: number[]): Iterable<Columns> {
  for (let from = 0, i = 0; from < n; i++) {
    const size = Math.min(sizes[Math.min(i, sizes.length - 1)] as number, n - from);
    const index = Int32Array.from({ length: size }, (_, j) => from + j);
    from += size;
    yield {
      index,
      label: index.map((at) => at % 7),
      confidence: Float32Array.from(index, (at) => 1 / (1 + at)),
      novelty: Float32Array.from(index, (at) => Math.sqrt(at) % 1),
    };
  }
}

describe.each(FORMATS)("labels as %s", (ending) => {
  test("have the same bytes, in whatever parts they come and are merged", async () => {
    const format = labelFormat(`a${ending}`);
    const n = 3000;
    await format.write(at(`whole${ending}`), parts(n, n));
    await format.write(at(`cut${ending}`), parts(n, 1, 999, 77));
    const [first, ...rest] = [...parts(n, 1300, 1700)] as [Columns, Columns];
    await format.write(at(`first${ending}`), [first]);
    await format.write(at(`rest${ending}`), rest);
    await format.write(at(`none${ending}`), []);
    await format.merge(
      ["first", "none", "rest"].map((name) => at(name + ending)),
      at(`merged${ending}`),
    );
    const whole = await readFile(at(`whole${ending}`));
    expect(whole.equals(await readFile(at(`cut${ending}`)))).toBe(true);
    expect(whole.equals(await readFile(at(`merged${ending}`)))).toBe(true);
  });

  test("of shards are merged to what one process writes, and shards that are there are left alone", async () => {
    const shards = [2, 0, 1].map((i) => `shard-${i}${ending}`);
    for (const name of shards) expect((await assign(name, "--shard", `${name[6]}/3`)).code).toBe(0);
    await assign(`all${ending}`);
    const { code, stdout } = await subspan("merge", ...shards.map(at), "--out", at(`joined${ending}`));
    expect({ code, stdout }).toEqual({ code: 0, stdout: `1,000 samples of 3 shards, in ${at(`joined${ending}`)}\n` });
    expect((await readFile(at(`joined${ending}`))).equals(await readFile(at(`all${ending}`)))).toBe(true);
    const before = (await stat(at(`shard-1${ending}`))).mtimeMs;
    expect((await assign(`shard-1${ending}`, "--shard", "1/3")).stderr).toContain("holds shard 1/3 already");
    expect((await stat(at(`shard-1${ending}`))).mtimeMs).toBe(before);
  });
});

test("a Parquet file's columns are required numbers in groups of 131,072 rows", async () => {
  await labelFormat("a.parquet").write(at("groups.parquet"), parts(200_000, 10_000));
  const file = await asyncBufferFromFile(at("groups.parquet"));
  const { schema, row_groups } = await parquetMetadataAsync(file);
  expect(row_groups.map(({ num_rows }) => num_rows)).toEqual([131_072n, 68_928n]);
  expect(schema.slice(1).map(({ name, type, repetition_type }) => [name, type, repetition_type])).toEqual([
    ["index", "INT32", "REQUIRED"],
    ["label", "INT32", "REQUIRED"],
    ["confidence", "FLOAT", "REQUIRED"],
    ["novelty", "FLOAT", "REQUIRED"],
  ]);
  const rows = await parquetReadObjects({ file, rowStart: 131_071, rowEnd: 131_073 });
  expect(rows.map(({ index, label }) => [index, label])).toEqual([
    [131_071, 131_071 % 7],
    [131_072, 131_072 % 7],
  ]);
});

test("all formats hold the same numbers", async () => {
  for (const ending of FORMATS) await assign(`same${ending}`);
  const csv = (await readFile(at("same.csv"), "utf8"))
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((line) => line.split(",").map(Number));
  const json = (await readFile(at("same.jsonl"), "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => Object.values(JSON.parse(line)));
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(at("same.parquet")) });
  expect(json).toEqual(csv);
  const parquet = rows.map(({ index, label, confidence, novelty }) => [index, label, confidence, novelty]);
  expect(parquet).toEqual(csv.map(([index, label, ...floats]) => [index, label, ...floats.map(Math.fround)]));
});

describe("merge refuses", () => {
  beforeAll(async () => {
    for (const i of [0, 1]) await assign(`part-${i}.csv`, "--shard", `${i}/2`);
    const other = { ...toyManifest(), seed: 2 };
    const model = trace(toyFunction(0.5), { inputs: INPUTS, outputs: { label: "int64" } });
    await writeBundle(at("other"), { ...(await toyContent(other)), model });
  });
  const merge = async (...names: string[]) => {
    const { code, stderr } = await subspan("merge", ...names.map(at), "--out", at("never.csv"));
    expect(code).toBeGreaterThan(0);
    expect(await readdir(at("."))).not.toContain("never.csv");
    return stderr;
  };

  test("a shard that is missing", async () =>
    expect(await merge("part-0.csv")).toContain("1/2 is missing; got 1 of 2 shards"));

  test("a shard that is there twice", async () =>
    expect(await merge("part-0.csv", "part-1.csv", "part-0.csv")).toContain("shard 0/2 is there twice"));

  test("a file that is no shard", async () =>
    expect(await merge("part-0.csv", "toy/card.csv")).toContain("card.csv.shard.json: is missing"));

  test("another source, bundle or batch size", async () => {
    const shard = (bundle: string, source: string, size: string) =>
      subspan(
        "assign",
        at(bundle),
        at(source),
        "--device",
        "cpu",
        "--batch-size",
        size,
        "--shard",
        "1/2",
        "--out",
        at("odd.csv"),
      );
    await shard("toy", "other.npz", "64");
    expect(await merge("part-0.csv", "odd.csv")).toContain("odd.csv: source is ");
    await shard("other", "x.npz", "64");
    expect(await merge("part-0.csv", "odd.csv")).toContain("odd.csv: model is ");
    await shard("toy", "x.npz", "32");
    expect(await merge("part-0.csv", "odd.csv")).toContain("odd.csv: batchSize is 32, of ");
  });

  test("a file that is not what its record says; assigning it again makes it whole", async () => {
    const whole = await readFile(at("part-1.csv"));
    await writeFile(at("part-1.csv"), whole.subarray(0, 100));
    expect(await merge("part-0.csv", "part-1.csv")).toContain("part-1.csv: is not the file that");
    await assign("part-1.csv", "--shard", "1/2");
    expect((await readFile(at("part-1.csv"))).equals(whole)).toBe(true);
  });

  test("another ending", async () => {
    const { code, stderr } = await subspan("merge", at("part-0.csv"), "--out", at("never.npz"));
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringContaining("expected a name that ends as the shards do"),
    });
  });
});

describe("a folder with files that are no images", () => {
  beforeAll(async () => {
    const manifest = toyManifest({
      input: { name: "images", kind: "images", shape: ["N", 2, 2, 1], dtype: "uint8", preprocessing: "none" },
    });
    const inputs = { images: { type: "uint8", shape: ["N", 2, 2, 1] } } as const;
    const flat = ({ images }: Tensors) =>
      toyFunction()({ features: tf.reshape(tf.cast(images as tf.Tensor, "float32"), [-1, 4]) });
    const model = trace(flat, { inputs, outputs: { label: "int64" } });
    await writeBundle(at("images"), { ...(await toyContent()), manifest, model });
    const image = (...pixels: number[]) =>
      sharp(Uint8Array.from(pixels), { raw: { width: 2, height: pixels.length / 2, channels: 1 } }).png();
    await mkdir(at("photos"));
    await writeFile(at("photos/a.png"), "");
    await image(9, 0, 0, 0).toFile(at("photos/b.png"));
    await image(1, 2, 3, 4, 5, 6).toFile(at("photos/c.png"));
    await image(0, 0, 9, 0).toFile(at("photos/d.png"));
    await writeFile(at("photos/e.jpg"), "not an image");
  });
  const run = (...more: string[]) =>
    subspan("assign", at("images"), at("photos"), "--device", "cpu", "--out", at("photos.csv"), ...more);

  test("assigns the others, rows by their place among all, lists them and exits with 1", async () => {
    const { code, stderr } = await run();
    expect(code).toBe(1);
    for (const bad of [/left out: .*a\.png: /, /left out: .*c\.png: 2x3 pixels, expected 2x2/, /left out: .*e\.jpg: /])
      expect(stderr).toMatch(bad);
    expect(stderr.trimEnd().split("\n").at(-1)).toMatch(/^subspan: .*photos: 3 of 5 files were left out/);
    const rows = (await readFile(at("photos.csv"), "utf8")).trimEnd().split("\n").slice(1);
    expect(rows.map((row) => row.split(",").slice(0, 2))).toEqual([
      ["1", "0"],
      ["3", "2"],
    ]);
  });

  test("in shards has the rows that it has as a whole", async () => {
    await run();
    const whole = await readFile(at("photos.csv"));
    for (const i of [0, 1]) {
      const shard = ["--shard", `${i}/2`, "--batch-size", "1", "--out", at(`photos-${i}.csv`)];
      const { code, stderr } = await subspan("assign", at("images"), at("photos"), "--device", "cpu", ...shard);
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: expect.stringContaining("photos: 3 of 5 files were left out"),
      });
    }
    await subspan("merge", at("photos-0.csv"), at("photos-1.csv"), "--out", at("photos.csv"));
    expect((await readFile(at("photos.csv"))).equals(whole)).toBe(true);
  });

  test("in shards are named again when nothing is left to do, and a shard of other places is done anew", async () => {
    const shard = () =>
      subspan(
        ...["assign", at("images"), at("repaired"), "--device", "cpu", "--shard", "0/2", "--batch-size", "1"],
        ...["--out", at("repaired.csv")],
      );
    await cp(at("photos"), at("repaired"), { recursive: true });
    await shard();
    const again = await shard();
    expect(again).toMatchObject({ code: 1, stderr: expect.stringMatching(/already, whole[\s\S]*left out: .*a\.png/) });
    for (const name of ["a.png", "c.png", "e.jpg"]) await rm(at(`repaired/${name}`));
    const { code, stderr } = await shard();
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining("already") });
    expect(await readFile(at("repaired.csv"), "utf8")).toMatch(/\n0,0,/);
  });

  test("are left out for the bundle's size, not for the first one's", async () => {
    await mkdir(at("sizes"));
    const image = (width: number, height: number) =>
      sharp(new Uint8Array(width * height), { raw: { width, height, channels: 1 } }).png();
    await image(3, 3).toFile(at("sizes/1.png"));
    await image(2, 2).toFile(at("sizes/2.png"));
    const { code, stderr } = await subspan("assign", at("images"), at("sizes"), "--out", at("sizes.csv"));
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/left out: .*1\.png: 3x3 pixels, expected 2x2\n[\s\S]*1 of 2 files were left out/),
    });
  });

  test("and a folder is not a file to write to, nor is what is read", async () => {
    const assign = (out: string) => subspan("assign", at("images"), at("photos"), "--out", out);
    await mkdir(at("folder.csv"), { recursive: true });
    expect(await assign(at("folder.csv"))).toMatchObject({ code: 2, stderr: expect.stringContaining("is a folder") });
    await writeFile(at("rows.csv"), "a,b,c,d\n1,0,0,0\n");
    const over = await subspan("assign", at("images"), at("rows.csv"), "--out", at("rows.csv"));
    expect(over).toMatchObject({ code: 2, stderr: expect.stringContaining("is what is read") });
    const merged = await subspan("merge", at("photos-0.csv"), at("photos-1.csv"), "--out", at("photos-1.csv"));
    expect(merged).toMatchObject({ code: 2, stderr: expect.stringContaining("is what is read") });
    expect(await readFile(at("rows.csv"), "utf8")).toBe("a,b,c,d\n1,0,0,0\n");
  });

  test("--strict stops at the first, and writes nothing", async () => {
    await rm(at("photos.csv"), { force: true });
    const { code, stderr } = await run("--strict");
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/subspan: .*a\.png: /) });
    await expect(stat(at("photos.csv"))).rejects.toMatchObject({ code: "ENOENT" });
  });
});

test("an ending that is not written is wrong use", () => {
  expect(() => labelFormat("labels.txt")).toThrow(SubspanError);
});
