import { SubspanError } from "./errors.ts";

/**
 * Reading protobuf's wire format from bytes nobody vouches for: fields are found, never copied, and every length is
 * checked against the message it stands in. Nothing here recurses: how deep a file is read is written in the code that
 * reads it.
 */
export type Kind = "varint" | "fixed64" | "fixed32" | "bytes";

/** Where a message or a field's payload stands: bytes[start, end). */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What a message may hold. Fields not listed are refused: ONNX Runtime might read what a checker skips. */
export interface MessageSpec {
  readonly name: string;
  /** Numbers of all its fields by name, the refused ones too. */
  readonly fields: Readonly<Record<string, number>>;
  /** At most once: protobuf merges repeats, and two readers may do so differently. */
  readonly one: Readonly<Record<number, Kind>>;
  readonly many: Readonly<Record<number, Kind>>;
}

/** The fields of one message by number. Packed numbers are one span of several. */
export type Message = ReadonlyMap<number, readonly Span[]>;

const WIRE: Readonly<Record<number, Kind>> = { 0: "varint", 1: "fixed64", 2: "bytes", 5: "fixed32" };
const MAX_VARINT_BYTES = 10;
/** Fields of one message: a found field costs more memory than its two bytes, so a crowd of them is a memory bomb. */
const MAX_FIELDS = 2 ** 20;
const NONE: readonly Span[] = [];
const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Finds the fields of one message.
 *
 * @throws {SubspanError} GRAPH_INVALID if the bytes are not a message, GRAPH_REFUSED for a field outside `spec`.
 */
export function readMessage(bytes: Uint8Array, span: Span, spec: MessageSpec): Message {
  const fields = new Map<number, Span[]>();
  let count = 0;
  for (let at = span.start; at < span.end; ) {
    if (++count > MAX_FIELDS) throw new SubspanError("GRAPH_REFUSED", `${spec.name}: more than ${MAX_FIELDS} fields`);
    const tagEnd = varintEnd(bytes, at, span.end, spec);
    const tag = lowBits(bytes, at, tagEnd);
    const number = Math.floor(tag / 8);
    const wire = WIRE[tag & 7];
    if (wire === undefined || number < 1) throw invalid(spec, at, `no such field tag (${tag})`);
    const field = payload(bytes, tagEnd, span.end, wire, spec);
    admit(spec, number, wire, fields, at);
    const seen = fields.get(number);
    if (seen === undefined) fields.set(number, [field]);
    else seen.push(field);
    at = field.end;
  }
  return fields;
}

/** Refuses a field that `spec` does not know, has as another kind, or has already. */
function admit(spec: MessageSpec, number: number, wire: Kind, seen: Message, at: number): void {
  const one = spec.one[number];
  const kind = one ?? spec.many[number];
  if (kind === undefined) {
    const what = Object.keys(spec.fields).find((name) => spec.fields[name] === number) ?? `field ${number}`;
    throw new SubspanError("GRAPH_REFUSED", `${spec.name}: ${what} is not allowed`);
  }
  const packed = one === undefined && wire === "bytes";
  if (wire !== kind && !packed) throw invalid(spec, at, `field ${number}: expected ${kind}, got ${wire}`);
  if (one !== undefined && seen.has(number)) throw invalid(spec, at, `field ${number} stands twice`);
}

function payload(bytes: Uint8Array, at: number, end: number, wire: Kind, spec: MessageSpec): Span {
  let start = at;
  let stop: number;
  if (wire === "varint") stop = varintEnd(bytes, at, end, spec);
  else if (wire === "bytes") {
    start = varintEnd(bytes, at, end, spec);
    stop = start + lowBits(bytes, at, start);
  } else stop = at + (wire === "fixed64" ? 8 : 4);
  if (stop > end) throw invalid(spec, at, `a field of ${stop - start} bytes where ${end - start} are left`);
  return { start, end: stop };
}

function varintEnd(bytes: Uint8Array, at: number, end: number, spec: MessageSpec): number {
  for (let i = at; i < end && i < at + MAX_VARINT_BYTES; i++) if (bytes[i]! < 0x80) return i + 1;
  throw invalid(spec, at, end - at < MAX_VARINT_BYTES ? "the bytes end within a number" : "a number over 10 bytes");
}

/** A varint as a float: exact to 2^53, and never smaller than it should be, so bounds checks hold beyond. */
function lowBits(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let i = end - 1; i >= start; i--) value = value * 128 + (bytes[i]! & 0x7f);
  return value;
}

function invalid(spec: MessageSpec, at: number, what: string): SubspanError {
  return new SubspanError("GRAPH_INVALID", `${spec.name}: ${what} (at byte ${at})`);
}

export function all(message: Message, number: number): readonly Span[] {
  return message.get(number) ?? NONE;
}

export function first(message: Message, number: number): Span | undefined {
  return message.get(number)?.[0];
}

/** A string field, "" where absent. */
export function string(bytes: Uint8Array, span: Span | undefined): string {
  if (span === undefined) return "";
  try {
    return text.decode(bytes.subarray(span.start, span.end));
  } catch (cause) {
    throw new SubspanError("GRAPH_INVALID", `text that is not UTF-8 (at byte ${span.start})`, { cause });
  }
}

/** A varint field as int64, 0 where absent. */
export function int64(bytes: Uint8Array, span: Span | undefined): bigint {
  if (span === undefined) return 0n;
  if (span.end - span.start === 1) return BigInt(bytes[span.start]!);
  let value = 0n;
  for (let i = span.end - 1; i >= span.start; i--) value = (value << 7n) | BigInt(bytes[i]! & 0x7f);
  return BigInt.asIntN(64, value);
}

/** How many numbers a repeated field holds, packed or not, and where each of the first `keep` stands. */
export function repeated(
  bytes: Uint8Array,
  message: Message,
  number: number,
  spec: MessageSpec,
  keep: number,
): { readonly count: number; readonly items: readonly Span[] } {
  const kind = spec.many[number];
  const step = kind === "fixed64" ? 8 : kind === "fixed32" ? 4 : 0;
  const items: Span[] = [];
  let count = 0;
  for (const span of all(message, number)) {
    for (let at = span.start; at < span.end; count++) {
      const end = step === 0 ? varintEnd(bytes, at, span.end, spec) : at + step;
      if (end > span.end) throw invalid(spec, at, `field ${number}: packed numbers that end within one`);
      if (count < keep) items.push({ start: at, end });
      at = end;
    }
  }
  return { count, items };
}
