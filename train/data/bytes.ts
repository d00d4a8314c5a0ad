import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { pipeline, Readable } from "node:stream";
import { promisify } from "node:util";
import { type Gunzip, gunzip, type InflateRaw, type ZlibOptions } from "node:zlib";
import { SubspanError } from "../../runtime/errors.ts";

/** The most bytes a source may unpack to: 4 GiB. */
export const UNPACKED_LIMIT = 4 * 2 ** 30;

/** One read call takes at most 2 GiB. */
const READ_AT_ONCE = 2 ** 30;

/** Error SOURCE_INVALID: which file, and what is wrong where. */
export const invalid = (file: string, wrong: string, cause?: unknown) =>
  new SubspanError("SOURCE_INVALID", `${file}: ${wrong}`, { cause });

/** A file that could not be opened or read, in our words. */
export function unreadable(file: string, error: unknown): SubspanError {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return new SubspanError("SOURCE_MISSING", `${file}: no such file or folder`, { cause: error });
  return invalid(file, `cannot be read (${message})`, error);
}

/**
 * A file, or its bytes from `start` on and before `end`, as far as they are there; of any size that fits in memory.
 *
 * @throws {SubspanError} SOURCE_MISSING, or SOURCE_INVALID when it cannot be read.
 */
export async function readBytes(path: string, start = 0, end = Infinity): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const file = await open(path);
    try {
      const { size } = await file.stat();
      const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - start));
      let at = 0;
      while (at < bytes.length) {
        const { bytesRead } = await file.read(bytes, at, Math.min(READ_AT_ONCE, bytes.length - at), start + at);
        if (bytesRead === 0) throw new Error(`it became shorter while it was read, ${at} of ${bytes.length} bytes`);
        at += bytesRead;
      }
      return bytes;
    } finally {
      await file.close();
    }
  } catch (error) {
    throw unreadable(path, error);
  }
}

const unpack = promisify<Uint8Array, ZlibOptions, Buffer<ArrayBuffer>>(gunzip);

export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** The content of a gzip file, or the bytes themselves if they are none. */
export async function gunzipped(file: string, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  if (!isGzip(bytes)) return bytes;
  try {
    const { buffer, byteOffset, length } = await unpack(bytes, { maxOutputLength: UNPACKED_LIMIT });
    return new Uint8Array(buffer, byteOffset, length);
  } catch (error) {
    const why = (error as Error).message;
    throw invalid(file, `not a whole gzip file of at most ${UNPACKED_LIMIT} bytes (${why})`, error);
  }
}

/** Bytes [start, end) of a file as they are read, unpacked by zlib if that is asked for; its errors are not in our words. */
export function streamed(
  path: string,
  { start = 0, end = Infinity, unpack }: { start?: number; end?: number; unpack?: Gunzip | InflateRaw } = {},
): AsyncIterable<Uint8Array> {
  if (end <= start) return Readable.from([]);
  const file = createReadStream(path, { start, end: end - 1, highWaterMark: 2 ** 18 });
  return unpack === undefined ? file : pipeline(file, unpack, () => {});
}

/** Bytes that come in chunks, taken in portions. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** The next n bytes, in a buffer of their own; fewer at the end alone. No more is allocated than there is. */
  async take(n: number): Promise<Uint8Array<ArrayBuffer>> {
    const parts: Uint8Array[] = [];
    for (let left = n; left > 0; ) {
      if (this.#held.length === 0) {
        const { value, done } = await this.#chunks.next();
        if (done) break;
        this.#held = value;
      }
      const part = this.#held.subarray(0, left);
      this.#held = this.#held.subarray(part.length);
      left -= part.length;
      parts.push(part);
    }
    const taken = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      taken.set(part, at);
      at += part.length;
    }
    return taken;
  }

  /** Closes the file behind it. */
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}

/** What one part of a source that is read part by part may take. */
const PART = { bytes: 2 ** 22, samples: 4096 };

/** How many samples of so many bytes make a part. */
export const samplesInPart = (bytes: number): number =>
  Math.max(1, Math.min(PART.samples, Math.floor(PART.bytes / bytes)));
