import { createReadStream } from "node:fs";
import { CsvError, parse } from "csv-parse";
import { SubspanError } from "../../runtime/errors.ts";
import type { Samples } from "../../runtime/samples.ts";
import { samplesInPart, unreadable } from "./bytes.ts";
import type { Content } from "./dataset.ts";

/** What csv-parse gives: the fields, and the line they end on. */
interface Row {
  readonly record: readonly string[];
  readonly info: { readonly lines: number };
}

interface Columns {
  readonly count: number;
  readonly names?: readonly string[];
  /** Which one is labels, -1 for none. */
  readonly label: number;
}

/**
 * A table of numbers, one sample a row: columns are features, float32. The first row is a header if none of its fields is a
 * number or one is called `label` or `y`; that column is labels and never a feature. Labels that are not all integers are
 * names, numbered in their order.
 *
 * @throws {SubspanError} SOURCE_INVALID or NOT_FINITE naming file:line and column.
 */
export async function loadCsv(path: string): Promise<Content> {
  const rows: Float32Array[] = [];
  const labels: string[] = [];
  for await (const { row, label } of csvRows(path)) {
    rows.push(row);
    if (label !== undefined) labels.push(label);
  }
  const samples = samplesOf(rows);
  return labels.length === 0 ? { samples } : { samples, ...numbered(labels) };
}

/** The samples of `loadCsv` in parts. @throws {SubspanError} as it, at the row. */
export async function* csvParts(path: string): AsyncGenerator<Samples> {
  let rows: Float32Array[] = [];
  for await (const { row } of csvRows(path)) {
    rows.push(row);
    if (rows.length < samplesInPart(row.byteLength)) continue;
    yield samplesOf(rows);
    rows = [];
  }
  if (rows.length > 0) yield samplesOf(rows);
}

function samplesOf(rows: readonly Float32Array[]): Samples {
  const width = rows[0]?.length ?? 0;
  const data = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) data.set(row, i * width);
  return { kind: "features", data, shape: [rows.length, width] };
}

async function* csvRows(path: string): AsyncGenerator<{ readonly row: Float32Array; readonly label?: string }> {
  let columns: Columns | undefined;
  const options = { bom: true, info: true, relax_column_count: true, skip_empty_lines: true, trim: true } as const;
  const file = createReadStream(path);
  const parser = file.pipe(parse(options));
  file.on("error", (error) => parser.destroy(error));
  try {
    for await (const { record, info } of parser as AsyncIterable<Row>) {
      const place = `${path}:${info.lines}`;
      if (columns === undefined) {
        columns = columnsOf(record, place);
        if (columns.names !== undefined) continue;
      }
      const row = numbersOf(record, columns, place);
      yield columns.label < 0 ? { row } : { row, label: labelOf(record[columns.label] as string, columns, place) };
    }
  } catch (error) {
    if (error instanceof SubspanError) throw error;
    if (error instanceof CsvError) throw wrong(`${path}:${error.lines}`, error.message, error);
    throw unreadable(path, error);
  } finally {
    file.destroy();
  }
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const NOT_FINITE = /^[+-]?(nan|inf|infinity)$/i;
/** "3.0" is what tables write where a label is missing elsewhere in the column. */
const INTEGER = /^[+-]?\d{1,9}(\.0*)?$/;
/** What a column of labels is called. */
export const LABEL = /^(label|y)$/i;

const wrong = (place: string, what: string, cause?: unknown) =>
  new SubspanError("SOURCE_INVALID", `${place}: ${what}`, { cause });

function columnsOf(first: readonly string[], place: string): Columns {
  const isNumber = first.map((field) => NUMBER.test(field) || NOT_FINITE.test(field));
  const labels = first.flatMap((field, i) => (LABEL.test(field) ? [i] : []));
  const [label = -1] = labels;
  if (labels.length > 1) throw wrong(place, `${labels.length} columns are labels (${labels.map((i) => first[i])})`);
  const count = first.length;
  if (label < 0 && isNumber.some(Boolean)) return { count, label };
  if (count === labels.length) throw wrong(place, "no column is a feature");
  const unnamed = first.indexOf("");
  if (unnamed >= 0) throw wrong(place, `column ${unnamed + 1} has no name; if it is an index, leave it out`);
  return { count, label, names: first };
}

function numbersOf(record: readonly string[], columns: Columns, place: string): Float32Array {
  if (record.length !== columns.count) throw wrong(place, `${record.length} columns, expected ${columns.count}`);
  const row = new Float32Array(columns.count - (columns.label < 0 ? 0 : 1));
  let at = 0;
  for (const [i, field] of record.entries()) {
    if (i === columns.label) continue;
    if (!NUMBER.test(field) && !NOT_FINITE.test(field)) {
      throw wrong(`${place}: ${called(i, columns)}`, `expected a number, got ${JSON.stringify(field)}`);
    }
    row[at] = Number(field);
    if (!Number.isFinite(row[at++])) {
      throw new SubspanError("NOT_FINITE", `${place}: ${called(i, columns)}: ${field} is not finite in float32`);
    }
  }
  return row;
}

function labelOf(field: string, columns: Columns, place: string): string {
  const isMissing = field === "" ? "empty" : /^nan$/i.test(field) ? field : undefined;
  if (isMissing !== undefined) throw wrong(`${place}: ${called(columns.label, columns)}`, `the label is ${isMissing}`);
  return field;
}

const called = (i: number, { names }: Columns) => `column ${i + 1}${names ? ` (${names[i]})` : ""}`;

/** Integers as they are; names by their number in sorted order. */
export function numbered(labels: readonly string[]): Pick<Content, "labels" | "labelNames"> {
  if (labels.every((label) => INTEGER.test(label))) return { labels: Int32Array.from(labels, Number) };
  const labelNames = [...new Set(labels)].sort();
  const number = new Map(labelNames.map((name, i) => [name, i]));
  return { labels: Int32Array.from(labels, (label) => number.get(label) as number), labelNames };
}
