import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { extname } from "node:path";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { writeFileAtomic } from "../export/files.ts";
import { SubspanError } from "../runtime/errors.ts";
import { npzColumns, parquetGroups, writeNpzColumns } from "../train/data/index.ts";

/** What is written of n assigned samples, column by column. */
export interface Columns {
  /** Of the sample in its source. */
  readonly index: Int32Array;
  readonly label: Int32Array;
  readonly confidence: Float32Array;
  readonly novelty: Float32Array;
}

export type Parts = Iterable<Columns> | AsyncIterable<Columns>;

/** A kind of file that labels are written to. Equal samples in the same order make equal bytes, however they come in parts. */
export interface LabelFormat {
  /** Writes a file, atomically. */
  write(path: string, parts: Parts): Promise<void>;
  /** Writes a file of what several files hold, one after the other: as if their samples had come in one call of `write`. */
  merge(paths: readonly string[], path: string): Promise<void>;
}

const TYPES = { index: Int32Array, label: Int32Array, confidence: Float32Array, novelty: Float32Array } as const;
const NAMES = ["index", "label", "confidence", "novelty"] as const satisfies (keyof typeof TYPES)[];
const HEAD = `${NAMES.join(",")}\n`;

const FORMATS: Readonly<Record<string, LabelFormat>> = {
  ".csv": text((row) => row.join(","), HEAD),
  ".jsonl": text((row) => `{${row.map((v, i) => `"${NAMES[i]}":${v}`).join(",")}}`),
  ".npz": columnar(
    (path, parts) => writeNpzColumns(path, TYPES, parts),
    (path) => npzColumns(path, NAMES),
  ),
  ".parquet": columnar(
    (path, parts) => writeFileAtomic(path, parquet(parts)),
    (path) => parquetGroups(path, NAMES),
  ),
};

/** @throws {SubspanError} USAGE where labels would be written over a folder, or over what they are made from. */
export async function refuseToReplace(out: string, inputs: readonly string[]): Promise<void> {
  const of = (path: string) => stat(path).catch(() => undefined);
  const there = await of(out);
  if (there === undefined) return;
  if (there.isDirectory()) throw new SubspanError("USAGE", `--out ${out}: is a folder; give a file's name`);
  for (const input of inputs) {
    const found = await of(input);
    if (found?.ino === there.ino && found.dev === there.dev)
      throw new SubspanError("USAGE", `--out ${out}: is what is read, ${input}; choose another file`);
  }
}

/** The format that a file's name ends with. @throws {SubspanError} USAGE for an ending that is not written. */
export function labelFormat(path: string): LabelFormat {
  const format = FORMATS[extname(path).toLowerCase()];
  if (format !== undefined) return format;
  throw new SubspanError("USAGE", `--out ${path}: expected a name that ends with ${Object.keys(FORMATS).join(", ")}`);
}

function columnsOf(column: (name: (typeof NAMES)[number]) => ArrayLike<number>): Columns {
  return {
    index: Int32Array.from(column("index")),
    label: Int32Array.from(column("label")),
    confidence: Float32Array.from(column("confidence")),
    novelty: Float32Array.from(column("novelty")),
  };
}

/** A line a sample. Files are merged as they are, but for the heads of all but the first. */
function text(line: (row: string[]) => string, head = ""): LabelFormat {
  const encoder = new TextEncoder();
  async function* lines(parts: Parts) {
    if (head !== "") yield encoder.encode(head);
    for await (const { index, label, confidence, novelty } of parts) {
      let block = "";
      for (const [i, at] of index.entries()) {
        const row = [String(at), String(label[i]), float32(confidence[i] as number), float32(novelty[i] as number)];
        block += `${line(row)}\n`;
      }
      yield encoder.encode(block);
    }
  }
  async function* joined(paths: readonly string[]) {
    if (head !== "") yield encoder.encode(head);
    for (const path of paths) yield* createReadStream(path, { start: head.length }) as AsyncIterable<Uint8Array>;
  }
  return {
    write: (path, parts) => writeFileAtomic(path, lines(parts)),
    merge: (paths, path) => writeFileAtomic(path, joined(paths)),
  };
}

/** The shortest decimal that is this float32 again. */
function float32(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return String(short);
  }
  return String(Number(value.toPrecision(9)));
}

/** Files of columns: merged by reading them part after part, and writing what they hold. */
function columnar(
  write: LabelFormat["write"],
  read: (path: string) => AsyncIterable<ReadonlyMap<string, ArrayLike<unknown>>>,
): LabelFormat {
  async function* all(paths: readonly string[]) {
    for (const path of paths)
      for await (const part of read(path)) yield columnsOf((name) => part.get(name) as ArrayLike<number>);
  }
  return { write, merge: (paths, path) => write(path, all(paths)) };
}

/** Several parts as one. */
export function joinedColumns(parts: readonly Columns[]): Columns {
  const n = parts.reduce((sum, { index }) => sum + index.length, 0);
  const whole = {
    index: new Int32Array(n),
    label: new Int32Array(n),
    confidence: new Float32Array(n),
    novelty: new Float32Array(n),
  };
  let at = 0;
  for (const part of parts) {
    for (const name of NAMES) whole[name].set(part[name], at);
    at += part.index.length;
  }
  return whole;
}

/** Rows in a group of a Parquet file: two megabytes. */
const GROUP = 2 ** 17;

/** A Parquet file, group after group, of which no more than one is held. */
async function* parquet(parts: Parts): AsyncIterable<Uint8Array> {
  const writer = new ByteWriter();
  const column = (name: string, type: "INT32" | "FLOAT") => ({ name, type, repetition_type: "REQUIRED" }) as const;
  const columns = [
    column("index", "INT32"),
    column("label", "INT32"),
    column("confidence", "FLOAT"),
    column("novelty", "FLOAT"),
  ];
  const schema = [{ name: "labels", num_children: columns.length }, ...columns];
  const file = new ParquetWriter({ writer, schema, createdBy: "subspan" });
  const written = () => {
    const bytes = new Uint8Array(writer.buffer, 0, writer.index).slice();
    writer.index = 0;
    return bytes;
  };
  for await (const group of regrouped(parts, GROUP)) {
    await file.write({ columnData: NAMES.map((name) => ({ name, data: group[name] })), rowGroupSize: GROUP });
    yield written();
  }
  await file.finish();
  yield written();
}

/** The same samples in parts of `size`, and a last one of what is left. */
async function* regrouped(parts: Parts, size: number): AsyncIterable<Columns> {
  let held: Columns[] = [];
  let count = 0;
  for await (const part of parts) {
    for (let from = 0; from < part.index.length; ) {
      const to = Math.min(part.index.length, from + size - count);
      held.push(columnsOf((name) => part[name].subarray(from, to)));
      count += to - from;
      from = to;
      if (count < size) continue;
      yield joinedColumns(held);
      [held, count] = [[], 0];
    }
  }
  if (count > 0) yield joinedColumns(held);
}
