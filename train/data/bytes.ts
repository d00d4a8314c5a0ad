import { open } from "node:fs/promises";
import { promisify } from "node:util";
import { gunzip, type ZlibOptions } from "node:zlib";
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
 * A whole file, of any size that fits in memory.
 *
 * @throws {SubspanError} SOURCE_MISSING, or SOURCE_INVALID when it cannot be read.
 */
export async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const file = await open(path);
    try {
      const bytes = new Uint8Array((await file.stat()).size);
      let end = 0;
      while (end < bytes.length) {
        const { bytesRead } = await file.read(bytes, end, Math.min(READ_AT_ONCE, bytes.length - end));
        if (bytesRead === 0) throw new Error(`it became shorter while it was read, ${end} of ${bytes.length} bytes`);
        end += bytesRead;
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

/** The content of a gzip file, or the bytes themselves if they are none. */
export async function gunzipped(file: string, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    const { buffer, byteOffset, length } = await unpack(bytes, { maxOutputLength: UNPACKED_LIMIT });
    return new Uint8Array(buffer, byteOffset, length);
  } catch (error) {
    const why = (error as Error).message;
    throw invalid(file, `not a whole gzip file of at most ${UNPACKED_LIMIT} bytes (${why})`, error);
  }
}
