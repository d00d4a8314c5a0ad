import { readdir, stat } from "node:fs/promises";
import { basename, extname, join, sep } from "node:path";
import { SubspanError } from "../../runtime/errors.ts";
import { checkImageHeader } from "../../runtime/image-header.ts";
import type { Samples } from "../../runtime/samples.ts";
import { decodeBmp, type Pixels } from "./bmp.ts";
import { invalid, readBytes, samplesInPart, unreadable } from "./bytes.ts";
import type { Content, Skipped } from "./dataset.ts";

const IMAGES = [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"];
const DECODED_AT_ONCE = 16;

type Sharp = typeof import("sharp")["default"];
type LoadSharp = () => Promise<{ readonly default: Sharp }>;

/**
 * A folder of images of one size, in the order of their names. Where they lie in sub-folders, each of these is a label, 0.. in
 * the order of the names. Files that are no images by their name and hidden files are left out.
 *
 * Images are turned as their EXIF says, laid on black where transparent, and made 8-bit sRGB; if every pixel of all is grey
 * they have one channel, else three, unless it is said what they are to be.
 *
 * @throws {SubspanError} SOURCE_INVALID naming the first file that is not read, or has another size than the first; what
 *   `checkImageHeader` throws; TOO_FEW_SAMPLES if there is no image; DEPENDENCY_MISSING without sharp.
 */
export async function loadFolder(
  folder: string,
  wanted?: FolderImages,
  load: LoadSharp = () => import("sharp"),
): Promise<Content> {
  const { files, labelNames } = await imagesIn(folder);
  const images: Pixels[] = [];
  for await (const image of decoded(folder, files, await sharpOr(load), wanted)) images.push(image);
  const samples = samplesOf(images, wanted?.channels ?? (images.every(({ data }) => isGrey(data)) ? 1 : 3));
  if (labelNames.length === 0) return { samples };
  return { samples, labels: Int32Array.from(files, (file) => labelNames.indexOf(firstPart(file))), labelNames };
}

/** What the images of a folder are to be. */
export interface FolderImages {
  /** Of all: where it is 1, one that is not grey is a file that is not read. */
  readonly channels: 1 | 3;
  /** Of all; unless given, that of the first that can be read. */
  readonly size?: readonly [height: number, width: number] | undefined;
  /** Takes files that `loadFolder` refuses, or absent if they are errors. */
  readonly skipped?: Skipped[] | undefined;
}

/** The images of `loadFolder` in parts. @throws {SubspanError} as `loadFolder`. */
export async function* folderParts(folder: string, wanted: FolderImages): AsyncGenerator<Samples> {
  const { channels } = wanted;
  const { files } = await imagesIn(folder);
  const sharp = await sharpOr(() => import("sharp"));
  let images: Pixels[] = [];
  for await (const image of decoded(folder, files, sharp, wanted)) {
    images.push(image);
    if (images.length < samplesInPart(image.data.length)) continue;
    yield samplesOf(images, channels);
    images = [];
  }
  if (images.length > 0) yield samplesOf(images, channels);
}

const firstPart = (file: string) => file.slice(0, file.indexOf(sep));

/** Image files by their path within `folder`, sorted, and the sub-folders that hold some. */
async function imagesIn(folder: string): Promise<{ files: string[]; labelNames: string[] }> {
  const found: string[][] = [];
  for (const entry of await readdir(folder).catch(refuse(folder))) {
    if (entry.startsWith(".")) continue;
    // A link to nowhere is a file that cannot be read.
    const isFolder = await stat(join(folder, entry)).then(
      (found) => found.isDirectory(),
      () => false,
    );
    const inside = isFolder ? await readdir(join(folder, entry), { recursive: true }).catch(refuse(folder)) : [];
    found.push(isFolder ? inside.map((name) => join(entry, name)) : [entry]);
  }
  const images = found
    .flat()
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

/** Images of one size, RGB, one after the other; others are errors, or go to `skipped`. */
async function* decoded(
  folder: string,
  files: readonly string[],
  sharp: Sharp,
  { channels, size, skipped }: FolderImages = { channels: 3 },
): AsyncGenerator<Pixels> {
  let like = size && { height: size[0], width: size[1], as: "" };
  const refusal = (name: string, { data, width, height }: Pixels): SubspanError | undefined => {
    like ??= { width, height, as: ` as in ${basename(name)}` };
    if (width !== like.width || height !== like.height)
      return invalid(name, `${width}x${height} pixels, expected ${like.width}x${like.height}${like.as}`);
    return channels === 1 && !isGrey(data) ? invalid(name, "has colours, expected a grey picture") : undefined;
  };
  for (let i = 0; i < files.length; i += DECODED_AT_ONCE) {
    const names = files.slice(i, i + DECODED_AT_ONCE).map((file) => join(folder, file));
    const images = await Promise.allSettled(names.map((name) => decode(name, sharp)));
    for (const [j, image] of images.entries()) {
      const reason = image.status === "rejected" ? image.reason : refusal(names[j] as string, image.value);
      if (image.status === "fulfilled" && reason === undefined) yield image.value;
      else if (skipped === undefined || !(reason instanceof SubspanError)) throw reason;
      else skipped.push({ index: i + j, message: reason.message });
    }
  }
  if (skipped?.length === files.length)
    throw new SubspanError(
      "TOO_FEW_SAMPLES",
      `${folder}: none of ${files.length} images was read; ${skipped[0]?.message}`,
    );
}

/** RGB images of one size as samples; with one channel, the first of each. */
function samplesOf(images: readonly Pixels[], channels: 1 | 3): Samples {
  const { width, height } = images[0] ?? { width: 0, height: 0 };
  const size = width * height * channels;
  const data = new Uint8Array(images.length * size);
  for (const [i, image] of images.entries()) data.set(channels === 1 ? everyThird(image.data) : image.data, i * size);
  return { kind: "images", data, shape: [images.length, height, width, channels] };
}

async function decode(file: string, sharp: Sharp): Promise<Pixels> {
  const bytes = await readBytes(file);
  checkImageHeader(bytes, file);
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
