import { crc32 } from "node:zlib";
import { zlibSync } from "fflate";

/** PNG's colour types by channels. */
const COLOUR: Readonly<Record<number, number>> = { 1: 0, 2: 4, 3: 2, 4: 6 };

/**
 * Pixels as a PNG: grey, grey and alpha, RGB or RGBA by their channels; of more channels the first three. Equal pixels give
 * equal bytes everywhere (the compressor is JavaScript, not the machine's zlib).
 *
 * @param pixels - [h, w, c].
 * @see https://www.w3.org/TR/png-3/, 11.2.
 */
export function encodePng(pixels: Uint8Array, [h, w, c]: readonly [number, number, number]): Uint8Array {
  const used = c in COLOUR ? c : 3;
  const lines = new Uint8Array(h * (w * used + 1)); // each line begins with its filter: 0, none
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const from = (y * w + x) * c;
      lines.set(pixels.subarray(from, from + used), y * (w * used + 1) + 1 + x * used);
    }
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, w);
  view.setUint32(4, h);
  header.set([8, COLOUR[used] as number, 0, 0, 0], 8);
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", zlibSync(lines, { level: 9 })),
    chunk("IEND", new Uint8Array()),
  ]);
}

function chunk(type: string, content: Uint8Array): Uint8Array {
  const out = new Uint8Array(content.length + 12);
  const view = new DataView(out.buffer);
  view.setUint32(0, content.length);
  out.set(new TextEncoder().encode(type), 4);
  out.set(content, 8);
  view.setUint32(8 + content.length, crc32(out.subarray(4, 8 + content.length)));
  return out;
}
