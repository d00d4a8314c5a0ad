import { stat } from "node:fs/promises";
import { crc32, createInflateRaw, inflateRawSync } from "node:zlib";
import { invalid, readBytes, streamed, unreadable } from "./bytes.ts";

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
 * @param base - where in the archive `bytes` begin, which reach to its end.
 * @throws {SubspanError} SOURCE_INVALID naming the byte, also when an archive is truncated (the directory is its end).
 * @see https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.
 */
export function zipMembers(bytes: Uint8Array, file: string, base = 0): ZipMember[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return readable(file, "the archive's directory", () => {
    const { count, start } = directory(view, file, base);
    let position = start - base;
    const members: ZipMember[] = [];
    for (let left = count; left > 0; left--) {
      expectSignature(view, position, 0x02014b50, file, base);
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
  const { name, method, packed, size } = member;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const content = readable(file, `member ${name}`, () => {
    const start = contentStart(view, member, file);
    const body = bytes.subarray(start, start + packed);
    if (method === STORED) return Uint8Array.from(body);
    if (method === DEFLATED) return inflateRawSync(body, { maxOutputLength: Math.max(1, size) });
    throw unknownMethod(file, member);
  });
  checkContent(file, member, content.length, crc32(content));
  return content as Uint8Array<ArrayBuffer>;
}

/** The members of the archive at a path, of which no more than the directory is read. @throws {SubspanError} as `zipMembers`. */
export async function zipMembersAt(path: string): Promise<ZipMember[]> {
  const { size } = await stat(path).catch((error) => {
    throw unreadable(path, error);
  });
  const base = Math.max(0, size - LONGEST_END);
  const tail = await readBytes(path, base);
  const { start } = readable(path, "the archive's directory", () => directory(new DataView(tail.buffer), path, base));
  return start >= base ? zipMembers(tail, path, base) : zipMembers(await readBytes(path, start), path, start);
}

/** A member's content as it is read; at its end its length and checksum are what the directory says, or that throws. */
export async function* memberBytes(path: string, member: ZipMember): AsyncGenerator<Uint8Array> {
  const { name, method, packed, size, offset } = member;
  if (method !== STORED && method !== DEFLATED) throw unknownMethod(path, member);
  const head = await readBytes(path, offset, offset + 30);
  const place = `member ${name}`;
  const start = readable(path, place, () => contentStart(new DataView(head.buffer), member, path, offset));
  let [length, crc] = [0, 0];
  try {
    const unpack = method === DEFLATED ? { unpack: createInflateRaw() } : {};
    for await (const bytes of streamed(path, { start, end: start + packed, ...unpack })) {
      length += bytes.length;
      if (length > size) break;
      crc = crc32(bytes, crc);
      yield bytes;
    }
  } catch (error) {
    readable(path, place, () => {
      throw error;
    });
  }
  checkContent(path, member, length, crc);
}

const unknownMethod = (file: string, { name, method }: ZipMember) =>
  invalid(file, `member ${name}: compression method ${method}, expected 0 (stored) or 8 (deflate)`);

function contentStart(view: DataView, { offset }: ZipMember, file: string, base = 0): number {
  const head = offset - base;
  expectSignature(view, head, 0x04034b50, file, base);
  return offset + 30 + view.getUint16(head + 26, true) + view.getUint16(head + 28, true);
}

function checkContent(file: string, { name, size, crc }: ZipMember, length: number, found: number): void {
  if (length !== size)
    throw invalid(file, `member ${name}: ${length > size ? "more" : length} bytes, expected ${size}`);
  if (found !== crc) throw invalid(file, `member ${name} is damaged: wrong checksum`);
}

const LONGEST_COMMENT = 65_535;
/** Of what comes after the directory: the comment, and the three records that tell where it is, of 22, 20 and 56 bytes. */
const LONGEST_END = LONGEST_COMMENT + 22 + 20 + 56;

/** How many members there are and where their directory begins, from the record at the end of the archive. */
function directory(view: DataView, file: string, base: number): { count: number; start: number } {
  let end = view.byteLength - 22;
  const first = Math.max(0, end - LONGEST_COMMENT);
  while (end >= first && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < first)
    throw invalid(file, `no zip archive, or truncated: no directory before byte ${base + view.byteLength}`);
  const start = view.getUint32(end + 16, true);
  if (start !== ESCAPED) return { count: view.getUint16(end + 10, true), start };
  const wide = Number(view.getBigUint64(end - 12, true)) - base;
  expectSignature(view, wide, 0x06064b50, file, base);
  return { count: Number(view.getBigUint64(wide + 32, true)), start: Number(view.getBigUint64(wide + 48, true)) };
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

function expectSignature(view: DataView, position: number, signature: number, file: string, base: number): void {
  const found = view.getUint32(position, true);
  if (found !== signature) {
    throw invalid(
      file,
      `byte ${base + position}: expected a zip record ${signature.toString(16)}, found ${found.toString(16)}`,
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
