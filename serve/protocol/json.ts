import { HttpProblem } from "../problem.ts";

const UTF8 = new TextDecoder("utf-8", { fatal: true });
const QUOTE = 34;
const BACKSLASH = 92;
const [LIST, LIST_END, OBJECT, OBJECT_END] = [91, 93, 123, 125];

/** @throws {HttpProblem} 400 for what is not UTF-8, not JSON, or nested deeper than `maxDepth`. */
export function parseJson(bytes: Uint8Array, maxDepth: number): unknown {
  checkDepth(bytes, maxDepth);
  try {
    return JSON.parse(UTF8.decode(bytes));
  } catch (error) {
    throw new HttpProblem(400, `body: expected JSON: ${(error as Error).message}`);
  }
}

/** Looks at brackets alone, before anything is made of the text. */
function checkDepth(bytes: Uint8Array, maxDepth: number): void {
  if (countUpTo(maxDepth, bytes, LIST) + countUpTo(maxDepth, bytes, OBJECT) <= maxDepth) return;
  let depth = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE) i = stringEnd(bytes, i);
    else if (byte === LIST || byte === OBJECT) {
      if (++depth > maxDepth) throw new HttpProblem(400, `body: expected JSON of up to ${maxDepth} levels, got more`);
    } else if (byte === LIST_END || byte === OBJECT_END) depth--;
  }
}

/** How often a byte comes, or more than `most`: searching for one is far faster than looking at each. */
function countUpTo(most: number, bytes: Uint8Array, byte: number): number {
  let count = 0;
  for (let at = bytes.indexOf(byte); at >= 0 && count <= most; at = bytes.indexOf(byte, at + 1)) count++;
  return count;
}

/** Where the closing quote of a string is, or the end of the text. */
function stringEnd(bytes: Uint8Array, start: number): number {
  for (let i = start + 1; i < bytes.length; i++) {
    if (bytes[i] === BACKSLASH) i++;
    else if (bytes[i] === QUOTE) return i;
  }
  return bytes.length;
}

/** Numbers as a JSON list; one that is not finite becomes null, as JSON has none. */
export function jsonNumbers(values: Int32Array | Float32Array): string {
  const text = values.join(",");
  return `[${/[Ny]/.test(text) ? text.replace(/NaN|-?Infinity/g, "null") : text}]`;
}
