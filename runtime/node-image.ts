import { readFile } from "node:fs/promises";
import type { Sharp, SharpOptions } from "sharp";
import { SubspanError } from "./errors.ts";
import { fromRgba, type Pixels } from "./pixels.ts";

/** Past this an image is refused before it is decoded: 8,192 x 8,192. */
const MAX_PIXELS = 2 ** 26;

type SharpModule = (input: Uint8Array, options: SharpOptions) => Sharp;

/**
 * Decodes an image file with the optional package `sharp`: any format it reads, turned upright, sRGB, 8 bits a channel.
 * Its size is kept: scaling would be a second preprocessing beside the graph's.
 *
 * @param image - a path, or the bytes of an image file.
 * @param channels - 1 for grey, 3 for RGB, 4 for RGBA.
 * @returns uint8 [h, w, channels].
 * @throws {SubspanError} DEPENDENCY_MISSING without sharp, SOURCE_MISSING for no such file, SOURCE_INVALID for no
 *   image.
 */
export async function decodeImage(image: string | URL | Uint8Array, channels: number): Promise<Pixels> {
  const sharp = await loadSharp();
  const name = image instanceof Uint8Array ? `an image of ${image.length} bytes` : String(image);
  const bytes = image instanceof Uint8Array ? image : await read(image);
  try {
    const pipeline = sharp(bytes, { limitInputPixels: MAX_PIXELS, failOn: "error" });
    const { data, info } = await pipeline
      .autoOrient()
      .toColourspace("srgb")
      .ensureAlpha()
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    return fromRgba(data, info.height, info.width, channels);
  } catch (cause) {
    throw new SubspanError("SOURCE_INVALID", `${name}: not an image: ${(cause as Error).message}`, { cause });
  }
}

async function read(path: string | URL): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new SubspanError("SOURCE_MISSING", `${path}: ${(cause as Error).message}`, { cause });
  }
}

async function loadSharp(): Promise<SharpModule> {
  try {
    return (await import("sharp")).default;
  } catch (cause) {
    throw new SubspanError("DEPENDENCY_MISSING", "reading image files needs sharp: npm install sharp", { cause });
  }
}
