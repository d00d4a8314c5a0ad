import { basename } from "node:path";
import { createGunzip } from "node:zlib";
import type { Samples } from "../../runtime/samples.ts";
import { ByteReader, gunzipped, invalid, isGzip, readBytes, samplesInPart, streamed, UNPACKED_LIMIT } from "./bytes.ts";
import type { Content } from "./dataset.ts";

/** The first four bytes: two zeros, type 8 (unsigned byte), the number of axes. */
const MAGIC = { images: 0x00000803, labels: 0x00000801 } as const;

/** Whether a file is IDX, or gzip and may hold it, by its first bytes. */
export const looksLikeIdx = (bytes: Uint8Array) =>
  (bytes[0] === 0 && bytes[1] === 0 && bytes[2] === 8) || isGzip(bytes);

/**
 * Images [n, h, w] and, given a second file, their labels, in the format of the MNIST files; either may be gzipped.
 *
 * @throws {SubspanError} SOURCE_INVALID naming the file and byte.
 * @see http://yann.lecun.com/exdb/mnist/
 */
export async function loadIdx(imagesPath: string, labelsPath?: string): Promise<Content> {
  const images = await readIdx(imagesPath, "images");
  const [n, h, w] = imageSizes(images.sizes, imagesPath);
  const samples = { kind: "images", data: images.data, shape: [n, h, w, 1] } as const;
  if (labelsPath === undefined) return { samples };
  const labels = await readIdx(labelsPath, "labels");
  checkCount(labels.sizes, labelsPath, n, imagesPath);
  return { samples, labels: Int32Array.from(labels.data) };
}

/** The images of `loadIdx` in parts; of the labels no more is looked at than how many there are. @throws {SubspanError} as it. */
export async function* idxParts(imagesPath: string, labelsPath?: string): AsyncGenerator<Samples> {
  const images = await openIdx(imagesPath, "images");
  try {
    const [n, h, w] = imageSizes(images.sizes, imagesPath);
    if (labelsPath !== undefined) {
      const labels = await openIdx(labelsPath, "labels");
      await labels.close();
      checkCount(labels.sizes, labelsPath, n, imagesPath);
    }
    const most = samplesInPart(h * w);
    for (let at = 0; at < n; at += most) {
      const count = Math.min(most, n - at);
      const data = await images.take(count * h * w);
      if (data.length < count * h * w)
        throw wrongLength(imagesPath, images.start, images.sizes, `${at * h * w + data.length}`);
      yield { kind: "images", data, shape: [count, h, w, 1] };
    }
    if ((await images.take(1)).length > 0) throw wrongLength(imagesPath, images.start, images.sizes, "more");
  } finally {
    await images.close();
  }
}

async function openIdx(path: string, kind: keyof typeof MAGIC) {
  const packed = isGzip(await readBytes(path, 0, 2));
  const bytes = new ByteReader(streamed(path, packed ? { unpack: createGunzip() } : {}));
  const take = (n: number) =>
    bytes.take(n).catch((error) => {
      throw invalid(path, `${packed ? "not a whole gzip file" : "cannot be read"} (${error.message})`, error);
    });
  return { ...headerOf(await take(headerBytes(kind)), path, kind), take, close: () => bytes.close() };
}

function imageSizes(sizes: readonly number[], path: string): readonly [number, number, number] {
  const [n, h, w] = sizes as [number, number, number];
  if (h * w === 0 || h * w > UNPACKED_LIMIT) throw invalid(path, `images of ${h}x${w} pixels`);
  return [n, h, w];
}

function checkCount([found]: readonly number[], labels: string, n: number, images: string): void {
  if (found !== n) throw invalid(labels, `${found} labels for the ${n} images of ${basename(images)}`);
}

async function readIdx(path: string, kind: keyof typeof MAGIC) {
  return decodeIdx(await gunzipped(path, await readBytes(path)), path, kind);
}

function decodeIdx(bytes: Uint8Array, file: string, kind: keyof typeof MAGIC) {
  const { sizes, start } = headerOf(bytes, file, kind);
  const found = bytes.length - start;
  if (found !== sizes.reduce((a, b) => a * b)) throw wrongLength(file, start, sizes, String(found));
  return { sizes, data: bytes.subarray(start) };
}

const headerBytes = (kind: keyof typeof MAGIC) => 4 + 4 * (MAGIC[kind] & 255);

function headerOf(bytes: Uint8Array, file: string, kind: keyof typeof MAGIC) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = bytes.length < 4 ? undefined : view.getUint32(0);
  if (magic !== MAGIC[kind]) {
    const other = kind === "images" && magic === MAGIC.labels ? " (a file of labels)" : "";
    throw invalid(file, `byte 0: expected ${hex(MAGIC[kind])} (IDX ${kind}), found ${hex(magic)}${other}`);
  }
  const start = headerBytes(kind);
  if (bytes.length < start) throw invalid(file, `truncated at byte ${bytes.length}, within the header`);
  return { sizes: Array.from({ length: MAGIC[kind] & 255 }, (_, axis) => view.getUint32(4 + 4 * axis)), start };
}

const wrongLength = (file: string, start: number, sizes: readonly number[], found: string) =>
  invalid(file, `byte ${start}: expected ${sizes.reduce((a, b) => a * b)} bytes for [${sizes}], found ${found}`);

const hex = (magic: number | undefined) =>
  magic === undefined ? "nothing" : `0x${magic.toString(16).padStart(8, "0")}`;
