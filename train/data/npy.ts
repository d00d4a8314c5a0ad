import { type ByteReader, invalid } from "./bytes.ts";

/** dtypes that are read, by NumPy's letters: unsigned, signed, float, bool; the digit is the size in bytes. */
const TYPES = {
  b1: Uint8Array,
  u1: Uint8Array,
  i1: Int8Array,
  u2: Uint16Array,
  i2: Int16Array,
  u4: Uint32Array,
  i4: Int32Array,
  u8: BigUint64Array,
  i8: BigInt64Array,
  f4: Float32Array,
  f8: Float64Array,
} as const;

type NpyType = keyof typeof TYPES;
export type NpyData = InstanceType<(typeof TYPES)[NpyType]>;

/** An array as NumPy saves it, row-major. A b1 is 0 or 1. */
export interface NpyArray {
  readonly type: NpyType;
  readonly data: NpyData;
  readonly shape: readonly number[];
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // "\x93NUMPY"
const HEADER_LIMIT = 65_535;

/**
 * An array from the bytes of a .npy file, format 1.0, 2.0 or 3.0, little-endian, C order.
 *
 * @param file - what errors call it: a path, or archive:member.
 * @throws {SubspanError} SOURCE_INVALID, by name for Fortran order, big-endian numbers, objects and records.
 * @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
export function decodeNpy(bytes: Uint8Array<ArrayBuffer>, file: string): NpyArray {
  const { type, shape, start } = layoutOf(bytes, bytes.length, file);
  const aligned = (bytes.byteOffset + start) % TYPES[type].BYTES_PER_ELEMENT === 0;
  return { type, data: typed(type, aligned ? bytes.subarray(start) : bytes.slice(start)), shape };
}

const typed = (type: NpyType, { buffer, byteOffset, length }: Uint8Array<ArrayBuffer>): NpyData =>
  new TYPES[type](buffer, byteOffset, length / TYPES[type].BYTES_PER_ELEMENT);

/** An array that is read from front to back, some rows at a time. */
export class NpyRows {
  readonly type: NpyType;
  readonly shape: readonly number[];
  /** Of one row. */
  readonly rowBytes: number;
  readonly #bytes: ByteReader;
  readonly #file: string;
  #left: number;

  private constructor(bytes: ByteReader, { type, shape }: Omit<NpyArray, "data">, file: string) {
    const [n = 1, ...row] = shape;
    this.type = type;
    this.shape = shape;
    this.rowBytes = row.reduce((a, b) => a * b, TYPES[type].BYTES_PER_ELEMENT);
    this.#bytes = bytes;
    this.#file = file;
    this.#left = n;
  }

  /** @param length - of all bytes. @throws {SubspanError} as `decodeNpy`. */
  static async open(bytes: ByteReader, length: number, file: string): Promise<NpyRows> {
    try {
      const first = await bytes.take(12);
      const rest = await bytes.take(Math.max(0, headerEnd(first) - first.length));
      return new NpyRows(bytes, layoutOf(Buffer.concat([first, rest]), length, file), file);
    } catch (error) {
      await bytes.close();
      throw error;
    }
  }

  /** The next rows, `most` or as many as there are. After the last come none, and the bytes have been read to their end. */
  async take(most: number): Promise<NpyArray> {
    const { type, shape, rowBytes } = this;
    const n = Math.min(most, this.#left);
    const bytes = await this.#bytes.take(n === 0 ? 1 : n * rowBytes);
    if (bytes.length !== n * rowBytes)
      throw invalid(this.#file, `it changed while it was read, ${this.#left} rows before its end`);
    this.#left -= n;
    return { type, data: typed(type, bytes), shape: [n, ...shape.slice(1)] };
  }

  close(): Promise<void> {
    return this.#bytes.close();
  }
}

/** @param length - of the whole file, of which `bytes` is at least the header. */
function layoutOf(bytes: Uint8Array, length: number, file: string) {
  const { header, start } = headerOf(bytes, file);
  const type = typeOf(header, file);
  if (/'fortran_order'\s*:\s*True/.test(header)) {
    throw invalid(file, "Fortran order (columns first) is not read; save numpy.ascontiguousarray(...)");
  }
  const shape = /'shape'\s*:\s*\(([\dL,\s]*)\)/.exec(header)?.[1]?.match(/\d+/g)?.map(Number) ?? [];
  if (!/'shape'\s*:\s*\(/.test(header)) throw invalid(file, `no shape in the header ${header.trim()}`);
  const expected = shape.reduce((a, b) => a * b, 1) * TYPES[type].BYTES_PER_ELEMENT;
  const found = length - start;
  if (expected !== found) {
    throw invalid(file, `byte ${start}: expected ${expected} bytes of data for [${shape}] ${type}, found ${found}`);
  }
  return { type, shape, start };
}

/** Where the header ends, going by its first 12 bytes, which `headerOf` has yet to check. */
function headerEnd(first: Uint8Array): number {
  if (first.length < 12) return 0;
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength);
  return first[6] === 1 ? 10 + view.getUint16(8, true) : 12 + Math.min(HEADER_LIMIT, view.getUint32(8, true));
}

function headerOf(bytes: Uint8Array, file: string): { header: string; start: number } {
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) {
    throw invalid(file, String.raw`byte 0: not a .npy file, expected \x93NUMPY, found ${hex(bytes.subarray(0, 6))}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6] as number;
  if (![1, 2, 3].includes(version)) throw invalid(file, `byte 6: .npy format ${version}, expected 1, 2 or 3`);
  const begin = version === 1 ? 10 : 12;
  if (bytes.length < begin) throw invalid(file, `truncated at byte ${bytes.length}, within the header`);
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > HEADER_LIMIT) throw invalid(file, `byte 8: a header of ${length} bytes, the most is ${HEADER_LIMIT}`);
  const start = begin + length;
  if (bytes.length < start) throw invalid(file, `truncated at byte ${bytes.length}, the header ends at ${start}`);
  return { header: new TextDecoder(version === 3 ? "utf-8" : "latin1").decode(bytes.subarray(begin, start)), start };
}

function typeOf(header: string, file: string): NpyType {
  const [, order, type] = /'descr'\s*:\s*'([<>|=]?)(\w+)'/.exec(header) ?? [];
  const read = `read are little-endian ${Object.keys(TYPES).join(" ")}`;
  if (type === undefined) throw invalid(file, `records or no dtype at all; ${read}`);
  if (type === "O") throw invalid(file, `Python objects (dtype O); ${read}`);
  if (order === ">" && !type.endsWith("1")) throw invalid(file, `big-endian numbers (dtype >${type}); ${read}`);
  if (!Object.hasOwn(TYPES, type)) throw invalid(file, `dtype ${order}${type}; ${read}`);
  return type as NpyType;
}

/** The bytes of a .npy file, format 1.0; the dtype follows from the array's class. */
export function encodeNpy({ data, shape }: Pick<NpyArray, "data" | "shape">): Uint8Array {
  // The last match: bytes are u1, not b1.
  const [type] = Object.entries(TYPES).findLast(([, Type]) => data instanceof Type) as [NpyType, unknown];
  const order = data.BYTES_PER_ELEMENT === 1 ? "|" : "<";
  const tuple = `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
  const text = `{'descr': '${order}${type}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const start = Math.ceil((10 + text.length + 1) / 64) * 64;
  const bytes = new Uint8Array(start + data.byteLength).fill(0x20, 0, start);
  bytes.set([...MAGIC, 1, 0, (start - 10) & 255, (start - 10) >> 8]);
  bytes.set(new TextEncoder().encode(text), 10);
  bytes[start - 1] = 0x0a;
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start);
  return bytes;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
