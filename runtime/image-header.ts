import { SubspanError } from "./errors.ts";
import { MAX_PIXELS, tooLarge } from "./pixels.ts";

/** What an image file says of itself before anything of it is decoded. Sides are in pixels, as they are stored. */
export interface ImageHeader {
  readonly format: string;
  readonly width: number;
  readonly height: number;
  readonly animated?: boolean;
  readonly cmyk?: boolean;
  /** Fewer bytes cannot hold so many pixels, if that is known of the format. */
  readonly leastBytes?: number;
}

/**
 * Refuses an image file by its header: decoding is where the time and the memory go.
 *
 * @param name - for messages.
 * @returns the header, or nothing for a format not known here (known: PNG, JPEG, GIF, WebP, BMP, TIFF, AVIF and HEIF).
 * @throws {SubspanError} IMAGE_EMPTY, IMAGE_INVALID for a known format cut short, IMAGE_TOO_LARGE, IMAGE_ANIMATED (which
 *   of its pictures was meant cannot be told), IMAGE_CMYK (platforms turn inks into light in ways of their own).
 */
export function checkImageHeader(bytes: Uint8Array, name: string): ImageHeader | undefined {
  if (bytes.length === 0) throw new SubspanError("IMAGE_EMPTY", `${name}: expected an image, got no bytes`);
  const header = imageHeader(bytes, name);
  if (header === undefined) return undefined;
  const { format, width, height, animated, cmyk, leastBytes = 0 } = header;
  if (width * height > MAX_PIXELS) throw tooLarge(`${name}: ${width} x ${height} ${format}`);
  if (width * height === 0) throw invalid(name, `${width} x ${height} ${format}`);
  if (bytes.length < leastBytes) throw invalid(name, `${width} x ${height} ${format} in ${bytes.length} bytes`);
  if (animated) throw new SubspanError("IMAGE_ANIMATED", `${name}: expected one picture, got an animated ${format}`);
  if (cmyk) throw new SubspanError("IMAGE_CMYK", `${name}: expected RGB or grey, got a ${format} in CMYK`);
  return header;
}

function invalid(name: string, what: string, cause?: unknown): SubspanError {
  return new SubspanError("IMAGE_INVALID", `${name}: not an image: ${what}`, cause === undefined ? {} : { cause });
}

function imageHeader(bytes: Uint8Array, name: string): ImageHeader | undefined {
  const format = FORMATS.find(({ magic, at = 0 }) => [...magic].every((c, i) => bytes[at + i] === c.charCodeAt(0)));
  if (format === undefined) return undefined;
  try {
    return { format: format.name, ...format.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.length)) };
  } catch (cause) {
    if (cause instanceof RangeError) throw invalid(name, `a ${format.name} cut short`, cause);
    throw cause;
  }
}

/** Reading past the end is a RangeError: the file is cut short. */
interface Format {
  readonly name: string;
  readonly magic: string;
  readonly at?: number;
  read(view: DataView): Omit<ImageHeader, "format">;
}

const tag = (view: DataView, at: number) => String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));

const FORMATS: readonly Format[] = [
  { name: "PNG", magic: "\x89PNG\r\n\x1a\n", read: readPng },
  { name: "JPEG", magic: "\xff\xd8\xff", read: readJpeg },
  { name: "GIF", magic: "GIF8", read: readGif },
  { name: "WebP", magic: "WEBP", at: 8, read: readWebp },
  {
    name: "BMP",
    magic: "BM",
    read: (view) => ({ width: Math.abs(view.getInt32(18, true)), height: Math.abs(view.getInt32(22, true)) }),
  },
  { name: "TIFF", magic: "II*\0", read: (view) => readTiff(view, true) },
  { name: "TIFF", magic: "MM\0*", read: (view) => readTiff(view, false) },
  { name: "AVIF or HEIF", magic: "ftyp", at: 4, read: readHeif },
];

/** Chunks of length, tag, data, checksum; an animation's acTL comes before the first IDAT. */
function readPng(view: DataView) {
  const size = { width: view.getUint32(16), height: view.getUint32(20) };
  for (let at = 8; ; at += 12 + view.getUint32(at)) {
    const name = tag(view, at + 4);
    if (name === "acTL" || name === "IDAT") return { ...size, animated: name === "acTL" };
  }
}

/** Segments of a marker and a length that counts itself; SOF0..SOF15 but DHT, JPG and DAC have the size. */
function readJpeg(view: DataView) {
  for (let at = 2; ; ) {
    while (view.getUint8(at + 1) === 0xff) at++; // fill bytes
    const marker = view.getUint8(at + 1);
    const bare = marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker))
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7), cmyk: view.getUint8(at + 9) === 4 };
    at += 2 + (bare ? 0 : view.getUint16(at + 2));
  }
}

/** Bytes of a GIF per pixel, at the least: a code of its LZW has 12 bits once it stands for 4,096 pixels. */
const GIF_BYTES = 12 / 8 / 4096;

/**
 * The screen, its colours, then blocks: extensions (0x21) and pictures (0x2c), each a row of counted sub-blocks. A picture
 * may stand out of the screen, and decoders make room for it: a few bytes could ask for gigabytes.
 */
function readGif(view: DataView) {
  const side = (at: number) => view.getUint16(at, true);
  let [width, height] = [side(6), side(8)];
  const colours = (flags: number) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  let pictures = 0;
  for (let at = 13 + colours(view.getUint8(10)); at < view.byteLength && pictures < 2; ) {
    const block = view.getUint8(at);
    if (block !== 0x21 && block !== 0x2c) break;
    if (block === 0x2c) {
      pictures++;
      width = Math.max(width, side(at + 1) + side(at + 5));
      height = Math.max(height, side(at + 3) + side(at + 7));
    }
    at += block === 0x21 ? 2 : 11 + colours(view.getUint8(at + 9));
    while (at < view.byteLength && view.getUint8(at) !== 0) at += 1 + view.getUint8(at);
    at++;
  }
  return { width, height, animated: pictures > 1, leastBytes: GIF_BYTES * width * height };
}

/** RIFF with one first chunk of three kinds: lossy, lossless, or extended, which says whether it moves. */
function readWebp(view: DataView) {
  const kind = tag(view, 12);
  const side = (bits: number) => (bits & 0x3fff) + 1;
  if (kind === "VP8 ") return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  const packed = view.getUint32(21, true);
  if (kind === "VP8L") return { width: side(packed), height: side(packed >>> 14) };
  const extent = (at: number) => (view.getUint16(at, true) | (view.getUint8(at + 2) << 16)) + 1;
  return { width: extent(24), height: extent(27), animated: (view.getUint8(20) & 2) !== 0 };
}

/** The first directory: fields of a tag, a type (3 is a short, else a long), a count and a value. */
function readTiff(view: DataView, little: boolean) {
  const from = view.getUint32(4, little);
  const sides = new Map<number, number>();
  for (let left = view.getUint16(from, little), at = from + 2; left > 0; left--, at += 12) {
    const value =
      view.getUint16(at + 2, little) === 3 ? view.getUint16(at + 8, little) : view.getUint32(at + 8, little);
    sides.set(view.getUint16(at, little), value);
  }
  return { width: sides.get(256) ?? 0, height: sides.get(257) ?? 0 };
}

/** Boxes in boxes; every picture's size stands in an "ispe", so the largest is the image's or bounds it. */
function readHeif(view: DataView) {
  const end = Math.min(view.byteLength, 2 ** 16) - 16;
  let [width, height] = [0, 0];
  for (let at = 8; at < end; at++) {
    if (view.getUint32(at) !== 0x69737065) continue;
    width = Math.max(width, view.getUint32(at + 8));
    height = Math.max(height, view.getUint32(at + 12));
  }
  return { width, height, animated: tag(view, 8) === "avis" };
}
