import { SubspanError } from "./errors.ts";
import type { ManifestInput } from "./manifest.ts";

/** How many samples a shape holds; nothing if it holds none such. The channel axis of grey images may be left out. */
export function countSamples(input: ManifestInput, shape: readonly number[]): number | undefined {
  const whole = input.shape.slice(1);
  const grey = input.kind === "images" && whole[2] === 1;
  for (const sample of grey ? [whole, whole.slice(0, 2)] : [whole]) {
    if (sample.every((dim, i) => dim === shape[shape.length - sample.length + i])) {
      if (shape.length === sample.length) return 1;
      if (shape.length === sample.length + 1 && Number.isSafeInteger(shape[0]) && shape[0]! >= 0) return shape[0]!;
    }
  }
  return undefined;
}

/** @param at - where the number stands among all numbers of all samples. */
export function badNumber(
  { name, shape }: ManifestInput,
  code: "NOT_FINITE" | "OUT_OF_RANGE" | "DTYPE_MISMATCH",
  expected: string,
  got: unknown,
  at: number,
): SubspanError {
  const size = shape.slice(1).reduce<number>((a, b) => a * Number(b), 1);
  const what = typeof got === "number" ? String(got) : kindOf(got);
  const where = `element ${at % size} of sample ${Math.floor(at / size)}`;
  return new SubspanError(code, `${name}: expected ${expected}, got ${what} as ${where}`);
}

export function mismatch(
  { name, shape, dtype }: ManifestInput,
  code: "SHAPE_MISMATCH" | "DTYPE_MISMATCH",
  got: string,
): SubspanError {
  return new SubspanError(code, `${name}: expected [${shape.join(", ")}] ${dtype}, got ${got}`);
}

/** A value of the wrong kind, in words. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return typeof value === "object" ? value.constructor?.name || "an object" : `a ${typeof value}`;
}
