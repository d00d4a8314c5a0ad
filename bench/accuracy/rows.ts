import { existsSync } from "node:fs";
import { appendFile, readFile } from "node:fs/promises";
import { writeFileAtomic } from "../../export/files.ts";
import { SubspanError } from "../../runtime/errors.ts";

/** What is measured of a run, each a share; an empty cell was not measured. */
export const FIGURES = [
  ...["seen_acc", "seen_nmi", "seen_ari", "unseen_acc", "unseen_nmi", "unseen_ari", "unseen_nearest_acc"],
  ...["calibration_error", "mean_confidence", "novelty_auroc"],
] as const;
export const COLUMNS = [
  ...["method", "data", "preset", "settings", "split", "seed", "train_seconds", "finish_seconds"],
  ...[...FIGURES, "commit", "note"],
] as const;

/** The cells of docs/accuracy.csv: one finished seed a line. */
export type Row = Readonly<Record<string, string>>;

/** Numbers of a row by column; what is missing stays empty. */
export type Measured = Readonly<Record<string, number | undefined>>;

/** What makes rows seeds of one and the same run. */
const GROUP = ["method", "data", "preset", "settings", "split", "note"] as const;
export const groupOf = (row: Row): string => GROUP.map((column) => row[column]).join(";");

/** @throws {SubspanError} USAGE for words that a cell cannot hold. */
export function rowOf(words: Readonly<Record<string, string>>, measured: Measured): Row {
  const numbers = Object.entries(measured).map(([name, value]) => {
    const places = name.endsWith("_seconds") ? 1 : 4;
    return [name, value === undefined ? "" : value.toFixed(places)] as const;
  });
  const cells: Record<string, string> = { ...words, ...Object.fromEntries(numbers) };
  const wrong = Object.entries(cells).find(([, cell]) => /[;\n|]/.test(cell));
  if (wrong !== undefined)
    throw new SubspanError("USAGE", `${wrong[0]}: expected no ";", "|" or line break, got ${wrong[1]}`);
  return Object.fromEntries(COLUMNS.map((column) => [column, cells[column] ?? ""]));
}

/** All rows of a file, none where there is no file. @throws {SubspanError} SOURCE_INVALID if its columns are others. */
export async function readRows(csv: string): Promise<Row[]> {
  if (!existsSync(csv)) return [];
  const [head, ...lines] = (await readFile(csv, "utf8")).trimEnd().split("\n");
  if (head !== COLUMNS.join(";"))
    throw new SubspanError("SOURCE_INVALID", `${csv}: expected the columns ${COLUMNS.join(";")}, got ${head}`);
  return lines.map((line) => {
    const cells = line.split(";");
    return Object.fromEntries(COLUMNS.map((column, i) => [column, cells[i] ?? ""]));
  });
}

/** Adds a row in one write, so that an interrupted bench keeps what it finished, and two benches do not cut each other's lines. */
export async function appendRow(csv: string, row: Row): Promise<void> {
  if (!existsSync(csv)) await writeFileAtomic(csv, `${COLUMNS.join(";")}\n`);
  await appendFile(csv, `${COLUMNS.map((column) => row[column]).join(";")}\n`);
}

/** Rows by group, in order of first appearance, and in a group by seed: the rows of a seed from the oldest to the newest. */
export function grouped(rows: readonly Row[]): ReadonlyMap<string, ReadonlyMap<string, readonly Row[]>> {
  const groups = new Map<string, Map<string, Row[]>>();
  for (const row of rows) {
    const seeds = groups.get(groupOf(row)) ?? new Map<string, Row[]>();
    groups.set(groupOf(row), seeds.set(row.seed as string, [...(seeds.get(row.seed as string) ?? []), row]));
  }
  return groups;
}

/** The newest row of each seed, by group. */
export function newest(rows: readonly Row[]): Row[][] {
  return [...grouped(rows).values()].map((seeds) => [...seeds.values()].map((of) => of.at(-1) as Row));
}

/** Mean, and standard deviation of one run (n - 1; 0 of a single one), of the rows that have the figure. */
export function spread(
  rows: readonly Row[],
  column: string,
): { readonly mean: number; readonly deviation: number; readonly count: number } | undefined {
  const values = rows.flatMap((row) => (row[column] ? [Number(row[column])] : []));
  if (values.length === 0) return undefined;
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / Math.max(1, values.length - 1)), count: values.length };
}
