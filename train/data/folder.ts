import { readdir, stat } from "node:fs/promises";
import { extname, join, sep } from "node:path";
import { SubspanError } from "../../runtime/errors.ts";
import type { Samples } from "../../runtime/samples.ts";
import { decodeBmp, type Pixels } from "./bmp.ts";
import { invalid, readBytes, unreadable } from "./bytes.ts";
import type { Content } from "./dataset.ts";

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
 * @throws {SubspanError} SOURCE_INVALID naming the first file that is not read or has another size; TOO_FEW_SAMPLES if there
 *   is no image; DEPENDENCY_MISSING without sharp.
 */
export async function loadFolder(folder: string, load: LoadSharp = () => import("sharp")): Promise<Content> {
  const { files, labelNames } = await imagesIn(folder);
  const samples = await decodeAll(folder, files, await sharpOr(load));
  if (labelNames.length === 0) return { samples };
  return { samples, labels: Int32Array.from(files, (file) => labelNames.indexOf(firstPart(file))), labelNames };
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

async function decodeAll(folder: string, files: readonly string[], sharp: Sharp): Promise<Samples> {
  const first = await decode(join(folder, files[0] as string), sharp);
  const size = first.data.length;
  const rgb = new Uint8Array(files.length * size);
  for (let i = 0; i < files.length; i += DECODED_AT_ONCE) {
    const part = files.slice(i, i + DECODED_AT_ONCE);
    const images = await Promise.allSettled(part.map((file) => decode(join(folder, file), sharp)));
    for (const [j, image] of images.entries()) {
      if (image.status === "rejected") throw image.reason;
      const { width, height, data } = image.value;
      if (width !== first.width || height !== first.height) {
        const expected = `${first.width}x${first.height} as in ${files[0]}`;
        throw invalid(join(folder, part[j] as string), `${width}x${height} pixels, expected ${expected}`);
      }
      rgb.set(data, (i + j) * size);
    }
  }
  const c = isGrey(rgb) ? 1 : 3;
  return { kind: "images", data: c === 1 ? everyThird(rgb) : rgb, shape: [files.length, first.height, first.width, c] };
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
