import { readFile } from "node:fs/promises";
import type { Sharp, SharpOptions } from "sharp";
import { SubspanError } from "./errors.ts";
import { checkImageHeader } from "./image-header.ts";
import { kindOf } from "./input-check.ts";
import { decodePlainPng } from "./node-png.ts";
import { fromRgba, MAX_PIXELS, tooLarge } from "./pixels.ts";
import { isPixels, type PixelInput, type Pixels } from "./samples.ts";

type SharpModule = (input: Uint8Array, options: SharpOptions) => Sharp;

/** What Node decodes: the path or file URL of an image file, or its bytes. */
export type EncodedImage = string | URL | Uint8Array | ArrayBuffer | Blob;

/**
 * Decodes an image file with the optional package `sharp`, any format it reads, turned upright, sRGB, 8 bits a channel, and
 * makes it of the shape wanted, see `fromRgba`. Small, plain PNGs are decoded without it, to the same pixels.
 *
 * @param image - a path, or the bytes of an image file.
 * @param shape - [h, w, c]; c is 1 for grey, 3 for RGB, 4 for RGBA.
 * @throws {SubspanError} DEPENDENCY_MISSING without sharp, SOURCE_MISSING for no such file, IMAGE_INVALID for no image;
 *   IMAGE_EMPTY, IMAGE_TOO_LARGE, IMAGE_ANIMATED, IMAGE_CMYK before it is decoded.
 */
export async function decodeImage(image: EncodedImage | PixelInput, shape: Pixels["shape"]): Promise<Pixels> {
  if (isPixels(image)) return fromRgba(image, shape);
  const { name, bytes } = await encoded(image);
  checkImageHeader(bytes, name);
  const plain = decodePlainPng(bytes);
  if (plain !== undefined) return fromRgba(plain, shape);
  const sharp = await loadSharp();
  try {
    const pipeline = sharp(bytes, { limitInputPixels: MAX_PIXELS, failOn: "error" });
    const { data, info } = await pipeline
      .autoOrient()
      .toColourspace("srgb")
      .ensureAlpha()
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    return fromRgba({ data, width: info.width, height: info.height }, shape);
  } catch (cause) {
    const { message } = cause as Error;
    if (message.includes("exceeds pixel limit")) throw tooLarge(name);
    throw new SubspanError("IMAGE_INVALID", `${name}: not an image: ${message}`, { cause });
  }
}

async function encoded(image: EncodedImage): Promise<{ name: string; bytes: Uint8Array }> {
  if (typeof image === "string" || image instanceof URL) return { name: String(image), bytes: await read(image) };
  const of = image instanceof Blob ? await image.arrayBuffer() : image;
  if (!(of instanceof ArrayBuffer || of instanceof Uint8Array)) {
    const what = "expected an image's path, file URL or bytes, or its pixels with their width and height";
    throw new SubspanError("DTYPE_MISMATCH", `${what}, got ${kindOf(image)}`);
  }
  const bytes = of instanceof ArrayBuffer ? new Uint8Array(of) : of;
  return { name: (image as Partial<File>).name || `an image of ${bytes.length} bytes`, bytes };
}

async function read(path: string | URL): Promise<Uint8Array> {
  try {
    return await readFile(typeof path === "string" && path.startsWith("file:") ? new URL(path) : path);
  } catch (cause) {
    const hint = /^https?:/.test(String(path)) ? "expected a file; give the bytes that fetch gets" : undefined;
    throw new SubspanError("SOURCE_MISSING", `${path}: ${hint ?? (cause as Error).message}`, { cause });
  }
}

async function loadSharp(): Promise<SharpModule> {
  try {
    return (await import("sharp")).default;
  } catch (cause) {
    throw new SubspanError("DEPENDENCY_MISSING", "reading image files needs sharp: npm install sharp", { cause });
  }
}
