import { SubspanError } from "../../runtime/node.ts";
import { HttpProblem } from "../problem.ts";
import { LIST, LIST_END, OBJECT, OBJECT_END, QUOTE, stringEnd } from "./json.ts";

const [SPACE, TAB, NEWLINE, RETURN] = [32, 9, 10, 13];
const [COMMA, MINUS, PLUS, POINT, ZERO, NINE, EXPONENT, SMALL_EXPONENT] = [44, 45, 43, 46, 48, 57, 69, 101];
/** Powers of ten that a double holds exactly. */
const POWERS = Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));

/**
 * Reads the numbers of a JSON list from its bytes into `values`: no list and no text is ever made of them, which would take
 * tens of bytes a number.
 *
 * @param dims - of the nested lists, outermost first; `values` has their product. Numbers too large for float32 become infinite.
 * @param name - for messages.
 * @throws {SubspanError} SHAPE_MISMATCH for lists of other lengths, DTYPE_MISMATCH for what is no number, OUT_OF_RANGE for one
 *   that is no byte. {HttpProblem} 400 for what is no JSON.
 */
export function readList(
  bytes: Uint8Array,
  dims: readonly number[],
  values: Uint8Array | Float32Array,
  name: string,
): void {
  const pixels = values instanceof Uint8Array;
  let at = 0;
  let count = 0;
  const next = () => {
    while (bytes[at] === SPACE || bytes[at] === NEWLINE || bytes[at] === TAB || bytes[at] === RETURN) at++;
    return bytes[at]!;
  };
  const list = (axis: number): void => {
    const length = dims[axis]!;
    if (next() !== LIST) throw mismatch(name, "a list", kindOf(bytes, at), count);
    at++;
    let items = 0;
    if (next() === LIST_END) at++;
    else
      for (let separator = COMMA; separator !== LIST_END; at++) {
        next();
        if (items++ >= length) at = itemEnd(bytes, at);
        else if (axis + 1 < dims.length) list(axis + 1);
        else number();
        separator = next();
        if (separator !== COMMA && separator !== LIST_END) throw notJson(bytes, at);
      }
    if (items !== length) throw mismatch(name, `${length} items`, String(items), count);
  };
  const number = () => {
    const start = at;
    const value = read();
    if (pixels && value !== (value & 255))
      throw new SubspanError(
        "OUT_OF_RANGE",
        `${name}: data: expected integers 0..255, got ${value} as element ${count}`,
      );
    if (at === start) throw notNumber(name, kindOf(bytes, at), count);
    values[count++] = value;
  };
  /** Up to 2^53 and 22 decimals, digits over a power of ten: both are exact, so their quotient is the nearest double. */
  const read = (): number => {
    const start = at;
    let byte = bytes[at]!;
    if (byte === MINUS) byte = bytes[++at]!;
    const whole = at;
    let digits = 0;
    for (; byte >= ZERO && byte <= NINE; byte = bytes[++at]!) digits = digits * 10 + byte - ZERO;
    if (at === start) return 0;
    if (at === whole || (bytes[whole] === ZERO && at > whole + 1)) throw notJson(bytes, at);
    let decimals = 0;
    if (byte === POINT) {
      byte = bytes[++at]!;
      for (; byte >= ZERO && byte <= NINE; byte = bytes[++at]!, decimals++) digits = digits * 10 + byte - ZERO;
      if (decimals === 0) throw notJson(bytes, at);
    }
    const scaled = byte === EXPONENT || byte === SMALL_EXPONENT;
    if (scaled) {
      byte = bytes[++at]!;
      if (byte === PLUS || byte === MINUS) byte = bytes[++at]!;
      const first = at;
      while (byte >= ZERO && byte <= NINE) byte = bytes[++at]!;
      if (at === first) throw notJson(bytes, at);
    }
    if (scaled || digits > Number.MAX_SAFE_INTEGER || decimals >= POWERS.length)
      return Number(Buffer.from(bytes.buffer, bytes.byteOffset + start, at - start).toString("latin1"));
    const value = decimals === 0 ? digits : digits / POWERS[decimals]!;
    return whole > start ? -value : value;
  };
  list(0);
  if (at !== bytes.length) throw notJson(bytes, at);
}

/** Whether the first item of a list is a list. */
export function isNested(bytes: Uint8Array): boolean {
  let at = 1;
  while (bytes[at]! <= SPACE) at++;
  return bytes[at] === LIST;
}

/** Where an item ends that nobody reads: at the comma or bracket behind it. */
function itemEnd(bytes: Uint8Array, start: number): number {
  let depth = 0;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === QUOTE) at = stringEnd(bytes, at);
    else if (depth === 0 && (byte === COMMA || byte === LIST_END)) return at;
    else if (byte === LIST || byte === OBJECT) depth++;
    else if (byte === LIST_END || byte === OBJECT_END) depth--;
  }
  return bytes.length;
}

/** What JavaScript would call the value that begins here. @throws {HttpProblem} 400 if none does. */
function kindOf(bytes: Uint8Array, at: number): string {
  const first = String.fromCharCode(bytes[at] ?? 0);
  if (first === '"') return "string";
  if ("[{n".includes(first)) return "object";
  if ("tf".includes(first)) return "boolean";
  if ("-0123456789".includes(first)) return "number";
  throw notJson(bytes, at);
}

function notJson(bytes: Uint8Array, at: number): HttpProblem {
  const got = at < bytes.length ? JSON.stringify(String.fromCharCode(bytes[at]!)) : "its end";
  return new HttpProblem(400, `body: expected JSON: ${got} at byte ${at} of the data`);
}

export function mismatch(name: string, expected: string, got: string, at: number): SubspanError {
  return new SubspanError("SHAPE_MISMATCH", `${name}: data: expected ${expected}, got ${got}, near element ${at}`);
}

function notNumber(name: string, kind: string, at: number): SubspanError {
  return new SubspanError("DTYPE_MISMATCH", `${name}: data: expected numbers, got ${kind} as element ${at}`);
}
