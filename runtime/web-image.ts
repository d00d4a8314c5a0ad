import { fromRgba, MAX_PIXELS, tooLarge } from "./pixels.ts";
import { isPixels, type PixelInput, type Pixels } from "./samples.ts";
import { type PortableImage, portable, toBitmap, type WebImage } from "./web-bitmap.ts";

/**
 * Decodes an image in the browser, turned upright, sRGB, and makes it of the shape wanted, see `fromRgba`.
 *
 * @param shape - [h, w, c]; c is 1 for grey, 3 for RGB, 4 for RGBA.
 * @throws {SubspanError} IMAGE_INVALID if it is no image; IMAGE_EMPTY, IMAGE_TOO_LARGE, IMAGE_ANIMATED, IMAGE_CMYK
 *   before it is decoded.
 */
export async function decodeImage(image: WebImage | PixelInput, shape: Pixels["shape"]): Promise<Pixels> {
  return decodePortable(isPixels(image) ? image : await portable(image), shape);
}

/** The part of it that any thread can do. */
export async function decodePortable(image: PortableImage, shape: Pixels["shape"]): Promise<Pixels> {
  if (isPixels(image)) return fromRgba(image, shape);
  const bitmap = await toBitmap(image);
  const { width, height } = bitmap;
  try {
    if (width * height > MAX_PIXELS) throw tooLarge(`${width} x ${height} pixels`);
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
    context.drawImage(bitmap, 0, 0);
    return fromRgba(context.getImageData(0, 0, width, height), shape);
  } finally {
    bitmap.close();
  }
}
