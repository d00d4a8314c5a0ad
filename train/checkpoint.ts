import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { writeFileAtomic } from "../export/files.ts";
import { SubspanError } from "../runtime/errors.ts";
import type { NumberArray } from "../runtime/samples.ts";

/** What a run resumes from: parameters, moments and generator states as arrays, its position as text. */
export interface Checkpoint {
  readonly tensors: Readonly<Record<string, NumberArray<Float32Array | Int32Array>>>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** `problem` is set when the last file was damaged or missing and this is the one before it; it says what was wrong. */
export interface ReadCheckpoint extends Checkpoint {
  readonly recovered: boolean;
  readonly problem?: string;
}

const HEADER_LIMIT = 100_000_000;
const METADATA = "__metadata__";
const DIGEST = "sha256";
const ARRAYS = { F32: Float32Array, I32: Int32Array };

const headerSchema = z.record(
  z.string(),
  z.object({
    dtype: z.enum(["F32", "I32"]),
    shape: z.array(z.int().nonnegative()),
    data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
  }),
);
const metadataSchema = z.record(z.string(), z.string());

/**
 * Writes a safetensors file, atomically. Equal checkpoints give equal bytes: tensors lie in the order of their names. The file
 * that is replaced stays beside it as NAME.previous.safetensors.
 *
 * Metadata gets one more entry, `sha256`, over the header (with that entry empty) and the data: nothing changes unseen.
 *
 * @throws {SubspanError} RUN_INVALID if a name is taken by the format or an array's length is not its shape's product.
 * @see https://github.com/huggingface/safetensors, "Format".
 */
export async function writeCheckpoint(path: string, { tensors, metadata }: Checkpoint): Promise<void> {
  if (METADATA in tensors) throw invalid(path, `a tensor cannot be called ${METADATA}`);
  if (DIGEST in metadata) throw invalid(path, `metadata "${DIGEST}" is the checkpoint's own`);
  const names = Object.keys(tensors).sort();
  const data = names.map((name) => asBytes((tensors[name] as NumberArray).data));
  const table: [string, unknown][] = [[METADATA, { ...metadata, [DIGEST]: "" }]];
  let end = 0;
  for (const [i, name] of names.entries()) {
    const { data: values, shape } = tensors[name] as NumberArray<Float32Array | Int32Array>;
    if (values.length !== elements(shape)) {
      throw invalid(path, `${name}: ${values.length} numbers do not make [${shape}]`);
    }
    const begin = end;
    end += (data[i] as Uint8Array).length;
    table.push([name, { dtype: values instanceof Int32Array ? "I32" : "F32", shape, data_offsets: [begin, end] }]);
  }
  const unsigned = JSON.stringify(Object.fromEntries(table));
  const header = new TextEncoder().encode(unsigned.replace(emptyDigest, `"${DIGEST}":"${digest(unsigned, data)}"`));
  const padded = new Uint8Array(Math.ceil(header.length / 8) * 8).fill(0x20);
  padded.set(header);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(padded.length), true);
  await writeFileAtomic(path, [length, padded, ...data], { keep: previous(path) });
}

/**
 * Reads the checkpoint at `path`, or the one before it if that one is missing or damaged (`recovered` says so).
 *
 * @throws {SubspanError} RUN_INVALID naming what is wrong with both.
 */
export async function readCheckpoint(path: string): Promise<ReadCheckpoint> {
  try {
    return { ...(await readFileOnce(path)), recovered: false };
  } catch (error) {
    const problem = (error as SubspanError).message;
    try {
      return { ...(await readFileOnce(previous(path))), recovered: true, problem };
    } catch (second) {
      const message = `${problem}\nand the checkpoint before it: ${(second as SubspanError).message}`;
      throw new SubspanError("RUN_INVALID", message, { cause: error });
    }
  }
}

async function readFileOnce(path: string): Promise<Checkpoint> {
  const bytes = await readFile(path).catch((error: Error) => {
    throw invalid(path, `cannot be read (${error.message})`, error);
  });
  return decode(path, bytes);
}

function decode(path: string, bytes: Uint8Array): Checkpoint {
  const { text, start } = headerOf(path, bytes);
  const { [METADATA]: notes, ...entries } = parsed(path, () => JSON.parse(text) as Record<string, unknown>);
  const { [DIGEST]: expected, ...metadata } = parsed(path, () => metadataSchema.parse(notes));
  const table = Object.entries(parsed(path, () => headerSchema.parse(entries)));
  const data = bytes.subarray(start);
  const unsigned = text.trimEnd().replace(`"${DIGEST}":"${expected}"`, `"${DIGEST}":""`);
  if (digest(unsigned, [data]) !== expected)
    throw invalid(path, `damaged: its content does not have sha256 ${expected}`);

  table.sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0] || a.data_offsets[1] - b.data_offsets[1]);
  let position = 0;
  const tensors = table.map(([name, { dtype, shape, data_offsets }]) => {
    const [begin, end] = data_offsets;
    if (begin !== position) throw invalid(path, `tensor ${name} begins at byte ${begin}, expected ${position}`);
    if (end - begin !== 4 * elements(shape)) throw invalid(path, `tensor ${name}: ${end - begin} bytes for [${shape}]`);
    if (end > data.length) throw invalid(path, `tensor ${name} ends at byte ${end} of ${data.length}`);
    position = end;
    return [name, { data: new ARRAYS[dtype](Uint8Array.from(data.subarray(begin, end)).buffer), shape }] as const;
  });
  if (position !== data.length) throw invalid(path, `${data.length - position} bytes belong to no tensor`);
  return { tensors: Object.fromEntries(tensors), metadata };
}

/** The header's text and where the data starts. */
function headerOf(path: string, bytes: Uint8Array): { text: string; start: number } {
  if (bytes.length < 8) throw invalid(path, `${bytes.length} bytes are too few for a safetensors file`);
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (length > HEADER_LIMIT) throw invalid(path, `a header of ${length} bytes, the most is ${HEADER_LIMIT}`);
  if (8 + length > bytes.length)
    throw invalid(path, `truncated: ${bytes.length} bytes, the header alone has ${length}`);
  if (bytes[8] !== 0x7b) throw invalid(path, "not a safetensors file: its header does not start with {");
  const header = bytes.subarray(8, 8 + length);
  return { text: parsed(path, () => new TextDecoder("utf-8", { fatal: true }).decode(header)), start: 8 + length };
}

function parsed<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const wrong = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw invalid(path, `header: ${wrong}`, error);
  }
}

const emptyDigest = `"${DIGEST}":""`;

function digest(unsigned: string, data: readonly Uint8Array[]): string {
  const hash = createHash("sha256").update(unsigned);
  for (const part of data) hash.update(part);
  return hash.digest("hex");
}

const elements = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);
const asBytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => new Uint8Array(buffer, byteOffset, byteLength);
const previous = (path: string) => path.replace(/(\.safetensors)?$/, ".previous.safetensors");
const invalid = (path: string, wrong: string, cause?: unknown) =>
  new SubspanError("RUN_INVALID", `${path}: ${wrong}`, { cause });
