import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type ColumnSource, parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadSource } from "../../../train/data/index.ts";
import { parquetParts } from "../../../train/data/parquet.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "subspan-parquet-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function load(columnData: ColumnSource[], options = {}) {
  const path = join(folder, "a.parquet");
  await writeFile(path, new Uint8Array(parquetWriteBuffer({ columnData, ...options })));
  return loadSource(path);
}

const refusal = (columnData: ColumnSource[]) =>
  load(columnData).then(
    () => expect.unreachable("a value"),
    ({ code, message }) => `${code} ${message}`.replaceAll(`${folder}/`, ""),
  );

describe("a Parquet file", () => {
  test("is features in the order of its columns, whatever numbers they are", async () => {
    const { samples, labels } = await load([
      { name: "a", data: [1, 2], type: "INT32" },
      { name: "b", data: [3n, 4n], type: "INT64" },
      { name: "c", data: [0.5, 1.5], type: "DOUBLE" },
      { name: "d", data: [true, false], type: "BOOLEAN" },
    ]);
    expect(samples).toEqual({ kind: "features", shape: [2, 4], data: Float32Array.of(1, 3, 0.5, 1, 2, 4, 1.5, 0) });
    expect(labels).toBeUndefined();
  });

  test("has labels, which are no feature: integers as they are, names by their number", async () => {
    const x: ColumnSource = { name: "x", data: [1, 2, 3], type: "FLOAT" };
    const integers = await load([{ name: "label", data: [5, 0, 5], type: "INT32" }, x]);
    expect(integers).toMatchObject({ labels: Int32Array.of(5, 0, 5), samples: { shape: [3, 1] } });
    const names = await load([x, { name: "Y", data: ["dog", "cat", "dog"], type: "STRING" }]);
    expect(names).toMatchObject({ labels: Int32Array.of(1, 0, 1), labelNames: ["cat", "dog"] });
  });

  test("of lists has a feature for each of their numbers, between the other columns", async () => {
    const lists = {
      name: "x",
      data: [
        [1, 2, 3],
        [4, 5, 6],
      ],
    } as unknown as ColumnSource;
    const { samples } = await load([
      { name: "a", data: [0, 9], type: "FLOAT" },
      lists,
      { name: "z", data: [7, 8], type: "FLOAT" },
    ]);
    expect(samples).toMatchObject({ shape: [2, 5], data: Float32Array.of(0, 1, 2, 3, 7, 9, 4, 5, 6, 8) });
  });

  test("may be in row groups, and packed by gzip", async () => {
    const data = Float32Array.from({ length: 1000 }, (_, i) => i);
    const compressors = { GZIP: (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes)) };
    const { samples } = await load([{ name: "a", data, type: "FLOAT" }], {
      rowGroupSize: 300,
      codec: "GZIP",
      compressors,
    });
    expect(samples.data).toEqual(data);
  });

  test("is refused by column and row", async () => {
    const good: ColumnSource = { name: "a", data: [1, 2], type: "FLOAT" };
    expect(await refusal([good, { name: "b", data: [1, null], type: "FLOAT" }])).toBe(
      'SOURCE_INVALID a.parquet: column "b", row 1: expected a number, got null',
    );
    expect(await refusal([good, { name: "b", data: ["x", "y"], type: "STRING" }])).toBe(
      'SOURCE_INVALID a.parquet: column "b", row 0: expected a number or a list of numbers, got "x"',
    );
    expect(await refusal([{ name: "b", data: [[1, 2], [3]] } as unknown as ColumnSource])).toBe(
      'SOURCE_INVALID a.parquet: column "b", row 1: expected 2 numbers, got a list of 1',
    );
    expect(await refusal([good, { name: "b", data: [0, Number.NaN], type: "FLOAT" }])).toBe(
      'NOT_FINITE a.parquet: column "b", row 1: NaN is not finite in float32',
    );
    expect(await refusal([{ name: "label", data: [1, 2], type: "INT32" }])).toMatch(/no column is a feature/);
    expect(await refusal([good, { name: "y", data: [1, 2] }, { name: "label", data: [1, 2] }])).toMatch(
      /2 columns are labels/,
    );
    expect(await refusal([good, { name: "y", data: ["a", null] }])).toMatch(
      /label, row 1: expected an integer or a name, got null/,
    );
  });

  test.each([
    ["of nulls, below 0", 3, 0xff],
    ["of bytes of levels", 9, 0x80],
  ])("with a wrong count %s, over which its reader loops, is refused in bounded time", async (_, place, byte) => {
    const x = Float32Array.from({ length: 40 }, (_, i) => i / 7);
    const label = Array.from(x, (x) => (x > 2 ? "many" : "few"));
    const columnData: ColumnSource[] = [
      { name: "a", data: x, type: "FLOAT" },
      { name: "label", data: label, type: "STRING" },
    ];
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData }));
    // In the header of the labels' page, as Thrift writes it: 40 values, 0 nulls, 40 rows, encoding 8, levels of 2 bytes.
    const counts = Buffer.from(bytes).lastIndexOf(Buffer.from("1550150015501510", "hex"));
    bytes[counts + place] = byte;
    const path = join(folder, "damaged.parquet");
    await writeFile(path, bytes);
    const read = async () => {
      for await (const _ of parquetParts(path, [], 3000));
    };
    const began = performance.now();
    expect(await read().catch(({ code, message }) => ({ code, message }))).toEqual({
      code: "SOURCE_INVALID",
      message: `${path}: column "label", rows 0 to 40: not read within 3.0 s; a page is damaged`,
    });
    expect(performance.now() - began).toBeLessThan(12_000);
  });

  test("with a run of 2^31 values, which no memory holds, is refused and ends nothing but its reader", async () => {
    const data = Array.from({ length: 40 }, (_, i) => i % 3);
    const columnData: ColumnSource[] = [{ name: "a", data, type: "INT32", nullable: true }];
    const whole = Buffer.from(parquetWriteBuffer({ columnData, codec: "UNCOMPRESSED" }));
    const levels = whole.indexOf(Buffer.of(0x50, 0x01)); // a run of 40 times 1
    const run = Buffer.from("feffffff0f01", "hex");
    const bytes = Buffer.concat([whole.subarray(0, levels), run, whole.subarray(levels + 2)]);
    bytes[bytes.lastIndexOf(Buffer.of(0x15, 0x04), levels) + 1] = 2 * run.length; // in the header: how long they are
    await writeFile(join(folder, "run.parquet"), bytes);
    await expect(loadSource(join(folder, "run.parquet"))).rejects.toMatchObject({
      code: "SOURCE_INVALID",
      message: expect.stringMatching(/run\.parquet: column "a", rows 0 to 40: .*; a page is damaged$/),
    });
  }, 30_000);

  test("that is none, or is cut off, is refused", async () => {
    for (const bytes of ["PAR1", "hello, I am no Parquet file"]) {
      await writeFile(join(folder, "b.parquet"), bytes);
      await expect(loadSource(join(folder, "b.parquet"))).rejects.toMatchObject({
        code: "SOURCE_INVALID",
        message: expect.stringContaining("is no Parquet file"),
      });
    }
  });
});
