import { randomUUID } from "node:crypto";
import { HttpProblem } from "../problem.ts";

const UTF8 = new TextDecoder("utf-8", { fatal: true });
const QUOTE = 34;
const COMMA = 44;
const ZERO = 48;
const COLON = 58;
const BACKSLASH = 92;
const [LIST, LIST_END, OBJECT, OBJECT_END] = [91, 93, 123, 125];
/** JSON's white space ends with the space. */
const SPACE = 32;

/** Bytes of a request's JSON besides its numbers: they become objects, which take some thirty times as many. */
export const BESIDES = 2 ** 18;
/** Bytes of a list that are parsed at a time. */
const PIECE = 2 ** 18;

/** In short JSON, where a list stood that was read by itself. No request knows it. */
const ELSEWHERE = randomUUID();

/** JSON, and the items of its lists of numbers. */
export interface JsonAround {
  readonly json: unknown;
  /** Of such a list of the JSON all items, some at a time. @throws {HttpProblem} 400 for what is no JSON. */
  readonly items: (list: readonly unknown[]) => Iterable<Items>;
}

/** Integers 0..255 may come as bytes. */
export type Items = readonly unknown[] | Uint8Array;

/** @throws {HttpProblem} 400 for what is not UTF-8, not JSON, or nested deeper than `maxDepth`. */
export function parseJson(bytes: Uint8Array, maxDepth: number): unknown {
  checkDepth(bytes, maxDepth);
  return parsed(bytes);
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(UTF8.decode(bytes));
  } catch (error) {
    throw notJson((error as Error).message);
  }
}

const notJson = (reason: string) => new HttpProblem(400, `body: expected JSON: ${reason}`);
const tooDeep = (maxDepth: number) => new HttpProblem(400, `body: expected JSON of up to ${maxDepth} levels, got more`);

/**
 * Parses JSON but for the lists that are values of a key. In long JSON those are parsed as their items are asked for: parsed
 * whole, they would take tens of bytes a number. In short JSON a list of bytes is read by itself, as that is faster.
 *
 * @param level - how many brackets the key stands in.
 * @param itemBytes - of the longest item that such a list may have.
 * @throws {HttpProblem} 400 as `parseJson`, or for a longer item; 413 for more than `BESIDES` bytes besides those lists.
 */
export function parseAround(
  bytes: Uint8Array,
  maxDepth: number,
  { key, level, itemBytes }: { readonly key: string; readonly level: number; readonly itemBytes: number },
): JsonAround {
  if (bytes.length <= PIECE)
    return parseAroundBytes(bytes, maxDepth, key) ?? { json: parseJson(bytes, maxDepth), items: (list) => [list] };
  /** What each list has between its brackets, cut at commas. Where it stood, the JSON has [i]. */
  const lists: Uint8Array[][] = [];
  const kept: Uint8Array[] = [];
  let pieces: Uint8Array[] = [];
  let [depth, from, start, piece, size] = [0, 0, -1, 0, 0];
  const keep = (part: Uint8Array) => {
    kept.push(part);
    size += part.length;
    if (size > BESIDES) throw new HttpProblem(413, `body: expected up to ${BESIDES} bytes besides the data, got more`);
  };
  const endPiece = (end: number) => {
    if (end - piece > PIECE + itemBytes)
      throw new HttpProblem(400, `${key}: expected items of up to ${itemBytes} bytes, got more`);
    pieces.push(bytes.subarray(piece, end));
    piece = end + 1;
  };
  let keyed = false; // a string like the key was the last, but for a colon and white space
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE) {
      const end = stringEnd(bytes, i);
      keyed = depth === level && isKey(bytes.subarray(i, end + 1), key);
      i = end;
    } else if (byte === LIST || byte === OBJECT) {
      if (++depth > maxDepth) throw tooDeep(maxDepth);
      if (keyed && byte === LIST) [start, piece, pieces] = [i, i + 1, []];
      keyed = false;
    } else if (byte === LIST_END || byte === OBJECT_END) {
      if (--depth !== level || start < 0) continue;
      if (byte === OBJECT_END) throw notJson("} where a list ends");
      endPiece(i);
      keep(bytes.subarray(from, start));
      keep(Buffer.from(`[${lists.length}]`));
      lists.push(pieces);
      [from, start] = [i + 1, -1];
    } else if (byte === COMMA && i - piece >= PIECE && start >= 0 && depth === level + 1) endPiece(i);
    else if (byte !== COLON && byte > SPACE) keyed = false;
  }
  if (depth > 0) throw notJson("it breaks off");
  keep(bytes.subarray(from));
  return { json: parsed(Buffer.concat(kept)), items: ([i]) => parsedPieces(lists[i as number]!) };
}

/**
 * Parses JSON in which one key of that name has a list of bytes, plainly written; undefined for any other, and for what is
 * wrong, which is told of the whole.
 */
function parseAroundBytes(bytes: Uint8Array, maxDepth: number, key: string): JsonAround | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const quoted = `"${key}"`;
  const at = text.indexOf(quoted);
  // Behind a backslash it is the end of a longer string.
  if (at < 1 || text[at - 1] === BACKSLASH || text.indexOf(quoted, at + 1) >= 0) return undefined;
  const start = text.indexOf(LIST, at);
  const end = text.indexOf(LIST_END, start);
  if (start < 0 || end < 0 || text.toString("latin1", at + quoted.length, start).trim() !== ":") return undefined;
  const values = plainBytes(text.subarray(start + 1, end));
  if (values === undefined) return undefined;
  const without = [text.subarray(0, start), Buffer.from(JSON.stringify([ELSEWHERE])), text.subarray(end + 1)];
  try {
    const json = parseJson(Buffer.concat(without), maxDepth);
    return { json, items: (list) => [list[0] === ELSEWHERE ? values : list] };
  } catch {
    return undefined;
  }
}

/** Reads integers 0..255 between commas, perhaps with spaces before them; undefined for anything else JSON may have, or may not. */
function plainBytes(text: Uint8Array): Uint8Array | undefined {
  const values = new Uint8Array((text.length + 1) >> 1); // n numbers take 2n - 1 characters
  let count = 0;
  let value = -1;
  for (let i = 0; i < text.length; i++) {
    const digit = text[i]! - ZERO;
    if (digit >= 0 && digit <= 9) {
      if (value === 0) return undefined;
      value = value < 0 ? digit : value * 10 + digit;
      if (value > 255) return undefined;
    } else if (digit === COMMA - ZERO) {
      if (value < 0) return undefined;
      values[count++] = value;
      value = -1;
    } else if (digit !== SPACE - ZERO || value >= 0) return undefined;
  }
  if (value < 0) return undefined;
  values[count++] = value;
  return values.subarray(0, count);
}

function* parsedPieces(pieces: readonly Uint8Array[]): Generator<Items> {
  let areBytes = true; // until one piece is not
  for (const piece of pieces) {
    const read: Uint8Array | undefined = areBytes ? plainBytes(piece) : undefined;
    areBytes = read !== undefined;
    const items = read ?? (parsed(Buffer.concat([Buffer.from("["), piece, Buffer.from("]")])) as readonly unknown[]);
    if (items.length === 0 && pieces.length > 1) throw notJson("a comma with nothing behind");
    yield items;
  }
}

/** A string with its quotes, and perhaps with escapes. */
function isKey(string: Uint8Array, key: string): boolean {
  const escaped = string.indexOf(BACKSLASH) >= 0;
  if (escaped ? string.length > 6 * key.length + 2 : string.length !== key.length + 2) return false;
  const text = Buffer.from(string.buffer, string.byteOffset, string.length).toString("latin1");
  try {
    return escaped ? JSON.parse(text) === key : text === `"${key}"`;
  } catch {
    return false;
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
      if (++depth > maxDepth) throw tooDeep(maxDepth);
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
