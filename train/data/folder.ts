import { readdir, stat } from "node:fs/promises";
import { basename, extname, join, sep } from "node:path";
import { SubspanError } from "../../runtime/errors.ts";
import type { Samples } from "../../runtime/samples.ts";
import { decodeBmp, type Pixels } from "./bmp.ts";
import { invalid, readBytes, unreadable } from "./bytes.ts";
import type { Content, Skipped } from "./dataset.ts";

const IMAGES = [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"];
const DECODED_AT_ONCE = 16;

type Sharp = typeof import("sharp")["default"];
type LoadSharp = () => Promise<{ readonly default: Sharp }>;

/**
 * A folder of images of one size, in the order of their names. Where they lie in sub-folders, each of these is a label, 0.. in
 * the order of the names. Files that are no images and hidden files are left out; of an animation the first picture counts.
 *
 * Images are turned as their EXIF says, laid on black where transparent, and made 8-bit sRGB; if every pixel of all is grey
 * they have one channel, else three.
 *
 * @param skip - whether files that are not read, or have another size than the first that is, are left out and told of.
 * @throws {SubspanError} unless `skip`: SOURCE_INVALID naming the first such file; TOO_FEW_SAMPLES if there is no image;
 *   DEPENDENCY_MISSING without sharp.
 */
export async function loadFolder(
  folder: string,
  load: LoadSharp = () => import("sharp"),
  skip = false,
): Promise<Content> {
  const { files, labelNames } = await imagesIn(folder);
  const { samples, skipped } = await decodeAll(folder, files, await sharpOr(load), skip);
  const content = { samples, ...(skip && { skipped }) };
  if (labelNames.length === 0) return content;
  const left = files.filter((_, i) => !skipped.some(({ index }) => index === i));
  return { ...content, labels: Int32Array.from(left, (file) => labelNames.indexOf(firstPart(file))), labelNames };
}

const firstPart = (file: string) => file.slice(0, file.indexOf(sep));

/** Image files by their path within `folder`, sorted, and the sub-folders that hold some. */
async function imagesIn(folder: string): Promise<{ files: string[]; labelNames: string[] }> {
  const files: string[] = [];
  for (const entry of await readdir(folder).catch(refuse(folder))) {
    const isFolder = (await stat(join(folder, entry)).catch(refuse(join(folder, entry)))).isDirectory();
    const inside = isFolder ? await readdir(join(folder, entry), { recursive: true }).catch(refuse(folder)) : [];
    files.push(...(isFolder ? inside.map((name) => join(entry, name)) : [entry]));
  }
  const images = files
    .filter((file) => IMAGES.includes(extname(file).toLowerCase()) && !/(^|[\\/])\./.test(file))
    .sort();
  if (images.length === 0) {
    throw new SubspanError("TOO_FEW_SAMPLES", `${folder}: no images; looked for ${IMAGES.join(" ")}`);
  }
  const loose = images.find((file) => !file.includes(sep));
  const labelled = images.find((file) => file.includes(sep));
  if (loose !== undefined && labelled !== undefined) {
    throw invalid(
      folder,
      `images both in it (${loose}) and in sub-folders (${labelled}): which are labels cannot be told`,
    );
  }
  return { files: images, labelNames: loose === undefined ? [...new Set(images.map(firstPart))] : [] };
}

const refuse = (path: string) => (error: unknown) => {
  throw unreadable(path, error);
};

async function sharpOr(load: LoadSharp): Promise<Sharp> {
  const missing = "image files are decoded by sharp, which does not load here; get it with `npm install sharp@0.35.5`";
  const { default: sharp } = await load().catch((cause) => {
    throw new SubspanError("DEPENDENCY_MISSING", missing, { cause });
  });
  return sharp;
}

/** Images one after the other, as bytes, and those that are none. */
async function decodeAll(folder: string, files: readonly string[], sharp: Sharp, skip: boolean) {
  const skipped: Skipped[] = [];
  const images = new Images(files.length);
  for (let i = 0; i < files.length; i += DECODED_AT_ONCE) {
    const part = files.slice(i, i + DECODED_AT_ONCE);
    const decoded = await Promise.allSettled(part.map((file) => decode(join(folder, file), sharp)));
    for (const [j, image] of decoded.entries()) {
      const name = part[j] as string;
      const reason = image.status === "rejected" ? image.reason : images.add(image.value, join(folder, name));
      if (reason === undefined) continue;
      if (!skip || !(reason instanceof SubspanError)) throw reason;
      skipped.push({ index: i + j, message: reason.message });
    }
  }
  if (skipped.length === files.length)
    throw new SubspanError(
      "TOO_FEW_SAMPLES",
      `${folder}: none of ${files.length} images was read; ${skipped[0]?.message}`,
    );
  return { samples: images.samples(), skipped };
}

/** RGB images of the size of the first. */
class Images {
  readonly #most: number;
  #first: { readonly name: string; readonly width: number; readonly height: number } | undefined;
  #rgb = new Uint8Array(0);
  #count = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Takes an image, or gives back why not. */
  add({ data, width, height }: Pixels, name: string): SubspanError | undefined {
    if (this.#first === undefined) {
      this.#first = { name: basename(name), width, height };
      this.#rgb = new Uint8Array(this.#most * data.length);
    }
    const first = this.#first;
    if (width !== first.width || height !== first.height)
      return invalid(name, `${width}x${height} pixels, expected ${first.width}x${first.height} as in ${first.name}`);
    this.#rgb.set(data, this.#count++ * data.length);
    return undefined;
  }

  samples(): Samples {
    const { width, height } = this.#first ?? { width: 0, height: 0 };
    const rgb = this.#rgb.subarray(0, this.#count * width * height * 3);
    const c = isGrey(rgb) ? 1 : 3;
    return { kind: "images", data: c === 1 ? everyThird(rgb) : rgb, shape: [this.#count, height, width, c] };
  }
}

async function decode(file: string, sharp: Sharp): Promise<Pixels> {
  const bytes = await readBytes(file);
  if (bytes[0] === 0x42 && bytes[1] === 0x4d) return decodeBmp(bytes, file);
  try {
    const image = sharp(bytes).autoOrient().flatten({ background: "#000" }).toColourspace("srgb");
    const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
    return { data, width: info.width, height: info.height };
  } catch (error) {
    throw invalid(file, `cannot be decoded (${(error as Error).message})`, error);
  }
}

function isGrey(rgb: Uint8Array): boolean {
  for (let i = 0; i < rgb.length; i += 3) {
    if (rgb[i] !== rgb[i + 1] || rgb[i] !== rgb[i + 2]) return false;
  }
  return true;
}

function everyThird(rgb: Uint8Array): Uint8Array {
  const grey = new Uint8Array(rgb.length / 3);
  for (let i = 0; i < grey.length; i++) grey[i] = rgb[3 * i] as number;
  return grey;
}
