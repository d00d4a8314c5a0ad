import { crc32, inflateRawSync } from "node:zlib";
import { invalid } from "./bytes.ts";

/** A member of an archive, from the central directory; nothing of it is unpacked yet. */
export interface ZipMember {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  readonly packed: number;
  readonly size: number;
  readonly offset: number;
}

const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED = 1;
const ESCAPED = 0xffffffff;

/**
 * The members of a zip archive, zip64 included. fflate, which writes ours, neither tells a member's checksum nor checks it, and
 * a damaged data set should not train.
 *
 * @throws {SubspanError} SOURCE_INVALID naming the byte, also when an archive is truncated (the directory is its end).
 * @see https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.
 */
export function zipMembers(bytes: Uint8Array, file: string): ZipMember[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return readable(file, "the archive's directory", () => {
    let { count, position } = directory(view, file);
    const members: ZipMember[] = [];
    for (; count > 0; count--) {
      expectSignature(view, position, 0x02014b50, file);
      const nameLength = view.getUint16(position + 28, true);
      const extraLength = view.getUint16(position + 30, true);
      const name = new TextDecoder().decode(bytes.subarray(position + 46, position + 46 + nameLength));
      if (view.getUint16(position + 8, true) & ENCRYPTED) throw invalid(file, `member ${name} is encrypted`);
      const wide = wideFields(view, position + 46 + nameLength, extraLength);
      const field = (at: number) => {
        const value = view.getUint32(position + at, true);
        return value === ESCAPED ? wide() : value;
      };
      const size = field(24); // the wide fields come in this order: size, packed size, offset
      const packed = field(20);
      const offset = field(42);
      const method = view.getUint16(position + 10, true);
      members.push({ name, method, crc: view.getUint32(position + 16, true), packed, size, offset });
      position += 46 + nameLength + extraLength + view.getUint16(position + 32, true);
    }
    return members;
  });
}

/** A member's content, its length and checksum as the directory says. */
export function unzipMember(bytes: Uint8Array, member: ZipMember, file: string): Uint8Array<ArrayBuffer> {
  const { name, method, crc, packed, size, offset } = member;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const content = readable(file, `member ${name}`, () => {
    expectSignature(view, offset, 0x04034b50, file);
    const start = offset + 30 + view.getUint16(offset + 26, true) + view.getUint16(offset + 28, true);
    const body = bytes.subarray(start, start + packed);
    if (method === STORED) return Uint8Array.from(body);
    if (method === DEFLATED) return inflateRawSync(body, { maxOutputLength: Math.max(1, size) });
    throw invalid(file, `member ${name}: compression method ${method}, expected 0 (stored) or 8 (deflate)`);
  });
  if (content.length !== size) throw invalid(file, `member ${name}: ${content.length} bytes, expected ${size}`);
  if (crc32(content) !== crc) throw invalid(file, `member ${name} is damaged: wrong checksum`);
  return content as Uint8Array<ArrayBuffer>;
}

/** How many members there are and where their directory begins, from the record at the end of the archive. */
function directory(view: DataView, file: string): { count: number; position: number } {
  const longestComment = 65_535;
  let end = view.byteLength - 22;
  const first = Math.max(0, end - longestComment);
  while (end >= first && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < first) throw invalid(file, `no zip archive, or truncated: no directory before byte ${view.byteLength}`);
  const position = view.getUint32(end + 16, true);
  if (position !== ESCAPED) return { count: view.getUint16(end + 10, true), position };
  const wide = Number(view.getBigUint64(end - 12, true));
  expectSignature(view, wide, 0x06064b50, file);
  return { count: Number(view.getBigUint64(wide + 32, true)), position: Number(view.getBigUint64(wide + 48, true)) };
}

/** Reads the 64-bit fields of a member's zip64 extra field (id 1) one after the other. */
function wideFields(view: DataView, begin: number, length: number): () => number {
  let position = begin;
  while (position < begin + length && view.getUint16(position, true) !== 1) {
    position += 4 + view.getUint16(position + 2, true);
  }
  position += 4;
  return () => {
    if (position + 8 > begin + length) throw new RangeError("a zip64 size is missing");
    position += 8;
    return Number(view.getBigUint64(position - 8, true));
  };
}

function expectSignature(view: DataView, position: number, signature: number, file: string): void {
  const found = view.getUint32(position, true);
  if (found !== signature) {
    throw invalid(
      file,
      `byte ${position}: expected a zip record ${signature.toString(16)}, found ${found.toString(16)}`,
    );
  }
}

/** Offsets in an archive are anybody's: one that points outside is damage, not a bug. So is what zlib refuses. */
function readable<T>(file: string, place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof RangeError || code?.startsWith("Z_")) {
      throw invalid(file, `${place} is damaged (${(error as Error).message})`, error);
    }
    throw error;
  }
}
