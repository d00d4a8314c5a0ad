import { badNumber, countSamples, mismatch } from "./input-check.ts";
import type { ManifestInput } from "./manifest.ts";
import { type Batch, type NestedInput, zeros } from "./samples.ts";

/**
 * Samples of nested numbers, checked one by one.
 *
 * @throws {SubspanError} SHAPE_MISMATCH, DTYPE_MISMATCH, OUT_OF_RANGE or NOT_FINITE.
 */
export function readNested(rows: NestedInput, input: ManifestInput): Batch {
  const shape = shapeOf(rows, input.shape.length);
  const count = countSamples(input, shape);
  if (count === undefined) throw mismatch(input, "SHAPE_MISMATCH", `[${shape.join(", ")}] numbers`);
  const data = zeros(input, count);
  const checked = input.dtype === "uint8" ? checkedPixel : checkedFeature;
  let at = 0;
  const fill = (items: NestedInput, depth: number): void => {
    if (!Array.isArray(items) || items.length !== shape[depth])
      throw mismatch(input, "SHAPE_MISMATCH", `rows of different lengths, near element ${at}`);
    for (const item of items) {
      if (depth + 1 < shape.length) fill(item as NestedInput, depth + 1);
      else {
        data[at] = checked(input, item, at);
        at++;
      }
    }
  };
  fill(rows, 0);
  return { data, count, own: true };
}

/** The shape the first of every rows has; `readNested` holds the others to it. */
function shapeOf(rows: NestedInput, rank: number): number[] {
  const shape: number[] = [];
  for (let row: unknown = rows; Array.isArray(row) && shape.length <= rank; row = row[0]) shape.push(row.length);
  return shape;
}

function checkedPixel(input: ManifestInput, value: unknown, at: number): number {
  if (typeof value !== "number") throw badNumber(input, "DTYPE_MISMATCH", "numbers", value, at);
  if (Number.isInteger(value) && value >= 0 && value <= 255) return value;
  throw badNumber(input, Number.isFinite(value) ? "OUT_OF_RANGE" : "NOT_FINITE", "integers 0..255", value, at);
}

function checkedFeature(input: ManifestInput, value: unknown, at: number): number {
  if (typeof value !== "number") throw badNumber(input, "DTYPE_MISMATCH", "numbers", value, at);
  if (Number.isFinite(Math.fround(value))) return value;
  throw badNumber(input, "NOT_FINITE", "finite float32", value, at);
}
