import { basename } from "node:path";
import { gunzipped, invalid, readBytes } from "./bytes.ts";
import type { Content } from "./dataset.ts";

/** The first four bytes: two zeros, type 8 (unsigned byte), the number of axes. */
const MAGIC = { images: 0x00000803, labels: 0x00000801 } as const;

/** Whether a file is IDX, or gzip and may hold it. */
export const looksLikeIdx = (bytes: Uint8Array) =>
  (bytes[0] === 0 && bytes[1] === 0 && bytes[2] === 8) || (bytes[0] === 0x1f && bytes[1] === 0x8b);

/**
 * Images [n, h, w] and, given a second file, their labels, in the format of the MNIST files; either may be gzipped.
 *
 * @throws {SubspanError} SOURCE_INVALID naming the file and byte.
 * @see http://yann.lecun.com/exdb/mnist/
 */
export async function loadIdx(imagesPath: string, labelsPath?: string): Promise<Content> {
  const images = await readIdx(imagesPath, "images");
  const [n, h, w] = images.sizes as [number, number, number];
  if (h * w === 0) throw invalid(imagesPath, `images of ${h}x${w} pixels`);
  const samples = { kind: "images", data: images.data, shape: [n, h, w, 1] } as const;
  if (labelsPath === undefined) return { samples };
  const labels = await readIdx(labelsPath, "labels");
  if (labels.data.length !== n) {
    throw invalid(labelsPath, `${labels.data.length} labels for the ${n} images of ${basename(imagesPath)}`);
  }
  return { samples, labels: Int32Array.from(labels.data) };
}

async function readIdx(path: string, kind: keyof typeof MAGIC) {
  return decodeIdx(await gunzipped(path, await readBytes(path)), path, kind);
}

function decodeIdx(bytes: Uint8Array, file: string, kind: keyof typeof MAGIC) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = bytes.length < 4 ? undefined : view.getUint32(0);
  if (magic !== MAGIC[kind]) {
    const other = kind === "images" && magic === MAGIC.labels ? " (a file of labels)" : "";
    throw invalid(file, `byte 0: expected ${hex(MAGIC[kind])} (IDX ${kind}), found ${hex(magic)}${other}`);
  }
  const axes = MAGIC[kind] & 255;
  const start = 4 + 4 * axes;
  if (bytes.length < start) throw invalid(file, `truncated at byte ${bytes.length}, within the header`);
  const sizes = Array.from({ length: axes }, (_, axis) => view.getUint32(4 + 4 * axis));
  const expected = sizes.reduce((a, b) => a * b);
  const found = bytes.length - start;
  if (found !== expected)
    throw invalid(file, `byte ${start}: expected ${expected} bytes for [${sizes}], found ${found}`);
  return { sizes, data: bytes.subarray(start) };
}

const hex = (magic: number | undefined) =>
  magic === undefined ? "nothing" : `0x${magic.toString(16).padStart(8, "0")}`;
