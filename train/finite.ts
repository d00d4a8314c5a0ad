import type { Arrays } from "../models/index.ts";
import { SubspanError } from "../runtime/errors.ts";

/** The loss. @throws {SubspanError} TRAINING_DIVERGED naming the first term that is not finite. */
export function checkedSum(
  terms: Readonly<Record<string, number>>,
  phase: string,
  epoch: number,
  step: number,
): number {
  for (const [name, value] of Object.entries(terms)) {
    if (!Number.isFinite(value)) {
      const where = `${phase}, epoch ${epoch + 1}, step ${step + 1}`;
      throw new SubspanError(
        "TRAINING_DIVERGED",
        `the ${name} term became ${value} in ${where}; try a smaller learning rate`,
      );
    }
  }
  return Object.values(terms).reduce((a, b) => a + b, 0);
}

/**
 * A loss is that of the parameters before its step; those after the last one are looked at before they replace good ones.
 *
 * @throws {SubspanError} TRAINING_DIVERGED naming the first that is not finite.
 */
export function checkFinite(parameters: Arrays, phase: string, epoch: number): void {
  for (const [name, { data }] of Object.entries(parameters)) {
    const wrong = data.find((value) => !Number.isFinite(value));
    if (wrong === undefined) continue;
    const what = `parameters ${name} became ${wrong} in ${phase}, epoch ${epoch + 1}`;
    throw new SubspanError("TRAINING_DIVERGED", `${what}; try a smaller learning rate`);
  }
}
