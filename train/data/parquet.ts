import type { FileMetaData } from "hyparquet";
import { SubspanError } from "../../runtime/errors.ts";
import type { Samples } from "../../runtime/samples.ts";
import { invalid, UNPACKED_LIMIT } from "./bytes.ts";
import { LABEL, numbered } from "./csv.ts";
import type { Content } from "./dataset.ts";
import { type Chunk, ParquetProcess } from "./parquet-process.ts";

type Column = ArrayLike<unknown>;

const MOST_ROWS = BigInt(UNPACKED_LIMIT);

/**
 * A table of numbers, one sample a row: columns are features, float32; a column of lists of d numbers is d features. A column
 * called `label` or `y` is labels and never a feature; those that are not all integers are names, numbered in their order.
 *
 * @throws {SubspanError} SOURCE_INVALID or NOT_FINITE naming column and row (from 0).
 */
export async function loadParquet(path: string): Promise<Content> {
  const labels: string[] = [];
  const parts: Samples[] = [];
  for await (const part of parquetParts(path, labels)) parts.push(part);
  const n = parts.reduce((sum, { shape }) => sum + shape[0], 0);
  const width = parts[0]?.shape[1] ?? 0;
  const data = new Float32Array(n * width);
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  const samples = { kind: "features", data, shape: [n, width] } as const;
  return labels.length === 0 ? { samples } : { samples, ...numbered(labels) };
}

/**
 * The samples of `loadParquet`, a part a row group.
 *
 * @param labels - takes the labels; without it they are looked at only.
 * @param patience - milliseconds that reading may take for which there is no reason.
 * @throws {SubspanError} as it.
 */
export async function* parquetParts(path: string, labels?: string[], patience?: number): AsyncGenerator<Samples> {
  let widths: readonly number[] | undefined;
  for await (const { start, group } of groups(path, (names) => checkedNames(path, names), patience)) {
    const of = (name: string) => group.get(name) as Column;
    const [label] = labelled(group.keys());
    const features = [...group.keys()].filter((name) => name !== label);
    widths ??= features.map((name) => widthOf(path, name, of(name)[0]));
    const n = of(features[0] as string).length;
    const table = new Table(path, features, widths, start, n);
    for (const [i, name] of features.entries()) table.put(i, of(name));
    for (let i = 0; label !== undefined && i < n; i++) {
      const value = labelOf(path, of(label)[i], start + i);
      labels?.push(value);
    }
    yield { kind: "features", data: table.data, shape: [n, table.width] };
  }
}

const labelled = (names: Iterable<string>) => [...names].filter((name) => LABEL.test(name));

function checkedNames(path: string, names: readonly string[]): readonly string[] {
  const labels = labelled(names);
  if (labels.length > 1) throw invalid(path, `${labels.length} columns are labels (${labels})`);
  if (labels.length === names.length) throw invalid(path, "no column is a feature");
  return names;
}

/** Whole columns of a file of columns of numbers, by name, a row group at a time. @throws {SubspanError} SOURCE_INVALID. */
export async function* parquetGroups(path: string, names: readonly string[]) {
  const choose = (there: readonly string[]) => {
    const missing = names.find((name) => !there.includes(name));
    if (missing !== undefined) throw invalid(path, `no column "${missing}"; it has ${there.join(", ")}`);
    return names;
  };
  for await (const { group } of groups(path, choose)) yield group;
}

/** Row groups with their first row. @param choose - which of a file's columns are read. */
async function* groups(path: string, choose: (there: readonly string[]) => readonly string[], patience?: number) {
  const reader = await ParquetProcess.open(path, patience);
  try {
    const metadata = await reader
      .metadata()
      .then(counted)
      .catch((error) => {
        throw invalid(path, `is no Parquet file (${error.message})`, error);
      });
    checkSizes(path, metadata);
    const names = choose(columnNames(metadata));
    let start = 0;
    for (const { num_rows, total_byte_size } of metadata.row_groups) {
      const end = start + Number(num_rows);
      const group = new Map<string, Column>();
      for (const name of names) {
        const range = { name, rowStart: start, rowEnd: end };
        const chunks = await reader.column(range, Number(total_byte_size)).catch((error) => {
          throw invalid(path, `column "${name}", rows ${start} to ${end}: ${error.message}`, error);
        });
        group.set(name, joined(path, name, chunks, end - start));
      }
      yield { start, group };
      start = end;
    }
  } finally {
    reader.end();
  }
}

function checkSizes(path: string, { num_rows, row_groups }: FileMetaData): void {
  const rows = row_groups.reduce((sum, { num_rows }) => sum + num_rows, 0n);
  const odd = row_groups.some(({ columns, num_rows }) =>
    columns.some(({ meta_data }) => meta_data && meta_data.num_values < num_rows),
  );
  if (rows !== num_rows || rows > MOST_ROWS || odd)
    throw invalid(path, `tells of ${num_rows} rows, of ${rows} in its groups, or of columns of fewer values`);
  const total = row_groups.reduce((sum, { total_byte_size }) => sum + Number(total_byte_size), 0);
  if (!(total <= UNPACKED_LIMIT))
    throw invalid(path, `unpacks to ${total} bytes, more than the ${UNPACKED_LIMIT} that are allowed`);
}

/** The same, its counts known to be there: those of a damaged file may be missing. */
function counted(metadata: FileMetaData): FileMetaData {
  const groups = metadata.row_groups.flatMap(({ num_rows, total_byte_size, columns }) => [
    ...[num_rows, total_byte_size],
    ...columns.flatMap(({ meta_data }) => (meta_data ? [meta_data.num_values] : [])),
  ]);
  if ([metadata.num_rows, ...groups].every((count) => typeof count === "bigint" && count >= 0n)) return metadata;
  throw new TypeError("its metadata lack the numbers of rows, bytes or values");
}

/** The names of the columns: schema elements that are no part of another. The first element is the table. */
function columnNames({ schema: [, ...elements] }: FileMetaData): string[] {
  let inside = 0;
  return elements.flatMap(({ name, num_children = 0 }) => {
    const isColumn = inside === 0;
    inside += num_children - (isColumn ? 0 : 1);
    return isColumn ? [name] : [];
  });
}

function joined(path: string, name: string, chunks: Chunk[], n: number): Column {
  const sorted = chunks.sort((a, b) => a.at - b.at);
  const whole = sorted.length === 1 ? (sorted[0]?.data as Column) : sorted.flatMap(({ data }) => Array.from(data));
  if (whole.length !== n) throw invalid(path, `column "${name}": ${whole.length} values for ${n} rows`);
  return whole;
}

const isNumber = (value: unknown) => ["number", "bigint", "boolean"].includes(typeof value);
const isList = (value: unknown): value is Column => Array.isArray(value) || ArrayBuffer.isView(value);
const shown = (value: unknown) =>
  isList(value) ? `a list of ${value.length}` : (JSON.stringify(value) ?? String(value));

function widthOf(path: string, name: string, value: unknown): number {
  if (isNumber(value)) return 1;
  if (isList(value) && value.length > 0 && Array.from(value).every(isNumber)) return value.length;
  if (value === undefined) throw new SubspanError("TOO_FEW_SAMPLES", `${path}: 0 samples, expected at least 1`);
  throw invalid(path, `column "${name}", row 0: expected a number or a list of numbers, got ${shown(value)}`);
}

/** Features of n rows from `start` on, column after column put in. */
class Table {
  readonly width: number;
  readonly data: Float32Array<ArrayBuffer>;
  readonly #path: string;
  readonly #names: readonly string[];
  readonly #widths: readonly number[];
  readonly #start: number;

  constructor(path: string, names: readonly string[], widths: readonly number[], start: number, n: number) {
    this.#path = path;
    this.#start = start;
    this.#names = names;
    this.#widths = widths;
    this.width = widths.reduce((a, b) => a + b, 0);
    this.data = new Float32Array(n * this.width);
  }

  put(column: number, values: Column): void {
    const at = this.#widths.slice(0, column).reduce((a, b) => a + b, 0);
    const width = this.#widths[column] as number;
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      const numbers = isList(value) ? value : [value];
      const place = `column "${this.#names[column]}", row ${this.#start + i}`;
      if (numbers.length !== width)
        throw invalid(this.#path, `${place}: expected ${width} numbers, got ${shown(value)}`);
      for (let j = 0; j < width; j++) this.data[i * this.width + at + j] = this.#number(numbers[j], place);
    }
  }

  #number(value: unknown, place: string): number {
    if (!isNumber(value)) throw invalid(this.#path, `${place}: expected a number, got ${shown(value)}`);
    const number = Math.fround(Number(value));
    if (Number.isFinite(number)) return number;
    throw new SubspanError("NOT_FINITE", `${this.#path}: ${place}: ${value} is not finite in float32`);
  }
}

function labelOf(path: string, value: unknown, row: number): string {
  if ((typeof value === "string" && value !== "") || isNumber(value)) return String(value);
  throw invalid(path, `label, row ${row}: expected an integer or a name, got ${shown(value)}`);
}
