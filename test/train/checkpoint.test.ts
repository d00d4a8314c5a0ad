import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SubspanError } from "../../runtime/errors.ts";
import { type Checkpoint, readCheckpoint, writeCheckpoint } from "../../train/checkpoint.ts";
import { Random } from "../../train/random.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "subspan-checkpoint-"));
  path = join(folder, "last.safetensors");
});
afterEach(() => rm(folder, { recursive: true }));

const checkpoint = (step = 0): Checkpoint => ({
  tensors: {
    weights: { data: new Float32Array([1.5, -0, Number.NaN, 2 ** -149, 3, 4]), shape: [2, 3] },
    steps: { data: new Int32Array([2 ** 31 - 1]), shape: [] },
    empty: { data: new Float32Array(0), shape: [0, 7] },
  },
  metadata: { step: String(step), note: 'quotes "sha256":"" and ü' },
});

/** A safetensors file from its parts, for what the writer never writes. */
function file(header: unknown, data = new Uint8Array(0)): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

test("what is written is read back bit-equal", async () => {
  await writeCheckpoint(path, checkpoint(3));
  expect(await readCheckpoint(path)).toEqual({ ...checkpoint(3), recovered: false });
});

test("the file is safetensors: length, JSON padded to 8 bytes, then the data in order without holes", async () => {
  await writeCheckpoint(path, checkpoint());
  const bytes = await readFile(path);
  const length = Number(bytes.readBigUInt64LE());
  const { __metadata__, ...tensors } = JSON.parse(bytes.subarray(8, 8 + length).toString());
  expect(length % 8).toBe(0);
  expect(Object.keys(__metadata__)).toEqual(["step", "note", "sha256"]);
  expect(tensors).toEqual({
    empty: { dtype: "F32", shape: [0, 7], data_offsets: [0, 0] },
    steps: { dtype: "I32", shape: [], data_offsets: [0, 4] },
    weights: { dtype: "F32", shape: [2, 3], data_offsets: [4, 28] },
  });
  expect(bytes.length).toBe(8 + length + 28);
});

test("a damaged or missing last file gives the one before it, and says why", async () => {
  await writeCheckpoint(path, checkpoint(1));
  await writeCheckpoint(path, checkpoint(2));
  expect((await readdir(folder)).sort()).toEqual(["last.previous.safetensors", "last.safetensors"]);
  const bytes = await readFile(path);
  await writeFile(path, bytes.subarray(0, bytes.length - 3));
  const found = await readCheckpoint(path);
  expect(found).toMatchObject({ metadata: { step: "1" }, recovered: true });
  expect(found.problem).toMatch(/last\.safetensors: damaged/);
  await rm(path);
  expect(await readCheckpoint(path)).toMatchObject({ metadata: { step: "1" }, recovered: true });
});

test("no file at all is RUN_INVALID naming both", async () => {
  const error = await readCheckpoint(path).catch((e) => e);
  expect(error).toMatchObject({ code: "RUN_INVALID" });
  expect(error.message).toMatch(/last\.safetensors: cannot be read(.|\n)*last\.previous\.safetensors/);
});

test("every byte flip and every truncation is noticed", async () => {
  await writeCheckpoint(path, checkpoint());
  const whole = await readFile(path);
  const random = new Random(1, "damage");
  for (let i = 0; i < 300; i++) {
    const flipped = Buffer.from(whole);
    const at = random.integer(whole.length);
    flipped[at] = (flipped[at] as number) ^ (1 << random.integer(8));
    await writeFile(path, i % 3 === 0 ? whole.subarray(0, at) : flipped);
    await expect(readCheckpoint(path)).rejects.toThrow(SubspanError);
  }
});

test.each([
  ["a header over 100 MB", new Uint8Array([255, 255, 255, 255, 1, 0, 0, 0, 123]), /a header of \d+ bytes/],
  ["a header longer than the file", file("{}").subarray(0, 9), /truncated/],
  ["a header that is no object", file(" {}"), /does not start with \{/],
  ["no JSON", file("{"), /header: /],
  ["metadata that is no text", file({ __metadata__: { step: 1 } }), /header: .*string/],
  ["another dtype", file({ __metadata__: {}, w: { dtype: "F64", shape: [], data_offsets: [0, 8] } }), /header: /],
])("%s is refused", async (_, bytes, message) => {
  await writeFile(path, bytes);
  await expect(readCheckpoint(path)).rejects.toThrow(message);
});

test("a shape that its numbers do not fill, and taken names, are refused before anything is written", async () => {
  const tensors = { w: { data: new Float32Array(3), shape: [2, 2] } };
  await expect(writeCheckpoint(path, { tensors, metadata: {} })).rejects.toThrow("w: 3 numbers do not make [2,2]");
  await expect(writeCheckpoint(path, { tensors: {}, metadata: { sha256: "" } })).rejects.toThrow(SubspanError);
  expect(await readdir(folder)).toEqual([]);
});
