import { invalid } from "./bytes.ts";

/** Pixels as R, G, B bytes, rows from the top: [height, width, 3]. */
export interface Pixels {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

const PIXEL_LIMIT = 2 ** 28;

/**
 * An uncompressed BMP of 1, 4, 8, 24 or 32 bits a pixel; sharp's own libvips reads none. A fourth channel is passed over.
 *
 * @throws {SubspanError} SOURCE_INVALID naming what is not read.
 */
export function decodeBmp(bytes: Uint8Array, file: string): Pixels {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 54 || view.getUint16(0) !== 0x424d)
    throw invalid(file, "not a BMP image, or truncated in the header");
  const start = view.getUint32(10, true);
  const palette = 14 + view.getUint32(14, true);
  const width = view.getInt32(18, true);
  const signedHeight = view.getInt32(22, true); // below zero where rows go from the top
  const height = Math.abs(signedHeight);
  const bits = view.getUint16(28, true);
  const compression = view.getUint32(30, true);
  if (palette < 54 || compression !== 0 || ![1, 4, 8, 24, 32].includes(bits)) {
    throw invalid(
      file,
      `BMP with ${bits} bits a pixel, compression ${compression}; read are 1, 4, 8, 24, 32 uncompressed`,
    );
  }
  const stride = Math.ceil((width * bits) / 32) * 4;
  if (width <= 0 || height === 0 || width * height > PIXEL_LIMIT || start + stride * height > bytes.length) {
    throw invalid(file, `BMP of ${width}x${height} pixels in ${bytes.length} bytes: truncated or too large`);
  }
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const row = start + stride * (signedHeight < 0 ? y : height - 1 - y);
    for (let x = 0; x < width; x++) {
      const bit = x * bits;
      const byte = row + (bit >> 3);
      const index = ((bytes[byte] as number) >> (8 - bits - (bit & 7))) & (2 ** bits - 1);
      const blue = bits > 8 ? byte : palette + 4 * index;
      for (let c = 0; c < 3; c++) data[(y * width + x) * 3 + c] = bytes[blue + 2 - c] ?? 0;
    }
  }
  return { data, width, height };
}
