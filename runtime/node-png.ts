import { crc32, inflateSync } from "node:zlib";
import type { PixelInput } from "./samples.ts";

/** Larger pictures are sharp's: what it takes before it decodes, about a millisecond, no longer counts. */
const MAX_PLAIN = 2 ** 16;
/** Channels by the header's colour type: grey, RGB, grey with alpha, RGBA. Palettes are sharp's. */
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3, 4: 2, 6: 4 };
const SIGNATURE = "89504e470d0a1a0a";
/** Chunks that change no pixel: the picture's resolution, and when it was changed. */
const IGNORED = new Set(["pHYs", "tIME"]);

/**
 * Decodes a small, plain PNG: 8 bits a channel, no palette, not interlaced, without colour profiles and the like.
 *
 * @returns its pixels, or nothing for every other file, faulty ones too: those are for sharp to read or to refuse.
 * @see https://www.w3.org/TR/png-3/
 */
export function decodePlainPng(bytes: Uint8Array): PixelInput | undefined {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const chunks = readChunks(file);
  const [header, ...rest] = chunks ?? [];
  if (header?.type !== "IHDR" || header.data.length !== 13) return undefined;
  const [width, height] = [header.data.readUInt32BE(0), header.data.readUInt32BE(4)];
  const [depth, colour, ...methods] = header.data.subarray(8);
  const channels = CHANNELS[colour!];
  if (depth !== 8 || channels === undefined || methods.some((method) => method !== 0)) return undefined;
  if (width * height === 0 || width * height > MAX_PLAIN) return undefined;
  const parts = rest.filter(({ type }) => !IGNORED.has(type));
  if (parts.pop()?.type !== "IEND" || parts.some(({ type }) => type !== "IDAT")) return undefined;
  const packed = parts.length === 1 ? parts[0]!.data : Buffer.concat(parts.map(({ data }) => data));
  const rows = inflated(packed, height * (width * channels + 1));
  if (rows === undefined || !unfilter(rows, width * channels, channels)) return undefined;
  return { data: toRgba(rows, width, height, channels), width, height };
}

interface Chunk {
  readonly type: string;
  readonly data: Buffer;
}

/** All chunks to the end of the file: each its length, type, data and checksum. */
function readChunks(file: Buffer): readonly Chunk[] | undefined {
  if (file.toString("hex", 0, 8) !== SIGNATURE) return undefined;
  const chunks: Chunk[] = [];
  for (let at = 8; at < file.length; ) {
    const end = at + 12 > file.length ? Number.POSITIVE_INFINITY : at + 12 + file.readUInt32BE(at);
    if (end > file.length || crc32(file.subarray(at + 4, end - 4)) !== file.readUInt32BE(end - 4)) return undefined;
    chunks.push({ type: file.toString("latin1", at + 4, at + 8), data: file.subarray(at + 8, end - 4) });
    at = end;
  }
  return chunks;
}

/** The bytes of a zlib stream that are exactly so many. */
function inflated(packed: Buffer, length: number): Buffer | undefined {
  try {
    const chunkSize = Math.max(length, 64);
    const { buffer, engine } = inflateSync(packed, {
      chunkSize,
      maxOutputLength: chunkSize,
      info: true,
    }) as unknown as {
      readonly buffer: Buffer;
      readonly engine: { readonly bytesWritten: number };
    };
    return buffer.length === length && engine.bytesWritten === packed.length ? buffer : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Undoes what each row was filtered by, in place: its first byte says how its bytes were foretold by those on the left,
 * above, and above on the left.
 *
 * @returns false for a filter there is not.
 */
function unfilter(rows: Buffer, stride: number, channels: number): boolean {
  for (let start = 0; start < rows.length; start += stride + 1) {
    const predict = FILTERS[rows[start]!];
    if (predict === undefined) return false;
    for (let i = 1; i <= stride; i++) {
      const at = start + i;
      const left = i > channels ? rows[at - channels]! : 0;
      const above = start > 0 ? rows[at - stride - 1]! : 0;
      const corner = start > 0 && i > channels ? rows[at - stride - 1 - channels]! : 0;
      rows[at] = rows[at]! + predict(left, above, corner);
    }
  }
  return true;
}

const FILTERS: readonly ((left: number, above: number, corner: number) => number)[] = [
  () => 0,
  (left) => left,
  (_, above) => above,
  (left, above) => (left + above) >> 1,
  paeth,
];

/** Of left, above and corner the one nearest to left + above - corner; the first of equals. */
function paeth(left: number, above: number, corner: number): number {
  const toLeft = Math.abs(above - corner);
  const toAbove = Math.abs(left - corner);
  const toCorner = Math.abs(left + above - 2 * corner);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

function toRgba(rows: Buffer, width: number, height: number, channels: number): Uint8Array {
  const rgba = new Uint8Array(4 * width * height);
  const grey = channels < 3;
  const alpha = channels % 2 === 0;
  let from = 0;
  for (let to = 0; to < rgba.length; to += 4, from += channels) {
    if (to % (4 * width) === 0) from++; // past the row's filter
    rgba[to] = rows[from]!;
    rgba[to + 1] = rows[grey ? from : from + 1]!;
    rgba[to + 2] = rows[grey ? from : from + 2]!;
    rgba[to + 3] = alpha ? rows[from + channels - 1]! : 255;
  }
  return rgba;
}
