import { SubspanError } from "../runtime/web.ts";
import type { Sample } from "./assigning.ts";

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * A table of numbers, one sample a row, fields between commas, semicolons or tabs. A first row without any number, or
 * with a column called `label` or `y`, is a header; that column is left out, as the command line does.
 *
 * @param name - of the file; samples go by its lines.
 * @param width - features of a sample. A row of another length, or with what is no number, is one failure.
 * @throws {SubspanError} TOO_FEW_SAMPLES for a table without a row.
 */
export function readTable(text: string, name: string, width: number): Sample[] {
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\r|\n/);
  const rows: Sample[] = [];
  let labels: number | undefined;
  for (const [at, content] of lines.entries()) {
    if (content.trim() === "") continue;
    const fields = content.split(/[,;\t]/).map((field) => field.trim().replace(/^"(.*)"$/, "$1"));
    if (labels === undefined) {
      labels = fields.findIndex((field) => /^(label|y)$/i.test(field));
      if (labels >= 0 || !fields.some((field) => NUMBER.test(field))) continue;
    }
    const features = labels < 0 ? fields : fields.toSpliced(labels, 1);
    rows.push({ name: `${name}:${at + 1}`, given: numbers(features, width, at + 1) });
  }
  if (rows.length === 0) throw new SubspanError("TOO_FEW_SAMPLES", `${name}: no row of numbers, expected at least one`);
  return rows;
}

function numbers(fields: readonly string[], width: number, line: number): Float32Array | SubspanError {
  if (fields.length !== width)
    return new SubspanError("SHAPE_MISMATCH", `line ${line}: expected ${width} numbers, got ${fields.length}`);
  const row = Float32Array.from(fields, Number);
  const wrong = fields.findIndex((field, i) => !NUMBER.test(field) || !Number.isFinite(row[i]));
  if (wrong < 0) return row;
  const got = JSON.stringify(fields[wrong]!.slice(0, 40));
  return new SubspanError(
    "SOURCE_INVALID",
    `line ${line}: expected a number of float32 in column ${wrong + 1}, got ${got}`,
  );
}
