import { SubspanError } from "../../runtime/errors.ts";

/** "5" is five seeds, 0 to 4; "0,3" are those two, and "3," is the one. @throws {SubspanError} USAGE. */
export function seedsOf(text: string): number[] {
  const parts = text.split(",").filter((part) => part !== "");
  const numbers = parts.map(Number);
  if (parts.length === 0 || !parts.every((part) => /^\d{1,9}$/.test(part)) || text === "0")
    throw new SubspanError(
      "USAGE",
      `--seeds: expected a number of seeds such as 5, or a list such as 0,1,2 or 3, - got ${text}`,
    );
  return text.includes(",") ? numbers : Array.from({ length: numbers[0] as number }, (_, i) => i);
}
