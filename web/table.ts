import { SubspanError } from "../runtime/web.ts";
import type { Sample } from "./assigning.ts";

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * A table of numbers, one sample a row, fields between commas, semicolons or tabs. A first row without any number is a
 * header; a column called `label` or `y` there is left out, as the command line does.
 *
 * @param name - of the file; samples go by its lines.
 * @param width - features of a sample. A row of another length, or with what is no number, is one failure.
 */
export function readTable(text: string, name: string, width: number): Sample[] {
  const lines = text.replace(/^\uFEFF/, "").split(/\r\n|\r|\n/);
  const rows: Sample[] = [];
  let labels: number | undefined;
  for (const [at, content] of lines.entries()) {
    if (content.trim() === "") continue;
    const fields = content.split(/[,;\t]/).map((field) => field.trim().replace(/^"(.*)"$/, "$1"));
    if (labels === undefined) {
      const header = !fields.some((field) => NUMBER.test(field));
      labels = header ? fields.findIndex((field) => /^(label|y)$/i.test(field)) : -1;
      if (header) continue;
    }
    const features = labels < 0 ? fields : fields.toSpliced(labels, 1);
    rows.push({ name: `${name}:${at + 1}`, given: numbers(features, width, at + 1) });
  }
  return rows;
}

function numbers(fields: readonly string[], width: number, line: number): Float32Array | SubspanError {
  if (fields.length !== width)
    return new SubspanError("SHAPE_MISMATCH", `line ${line}: expected ${width} numbers, got ${fields.length}`);
  const wrong = fields.findIndex((field) => !NUMBER.test(field));
  if (wrong < 0) return Float32Array.from(fields, Number);
  const got = JSON.stringify(fields[wrong]!.slice(0, 40));
  return new SubspanError("SOURCE_INVALID", `line ${line}: expected a number in column ${wrong + 1}, got ${got}`);
}
