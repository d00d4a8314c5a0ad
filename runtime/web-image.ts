import { SubspanError } from "./errors.ts";
import { fromRgba, type Pixels } from "./pixels.ts";

/** What browsers decode: an image file (Blob, File), or anything that can be drawn on a canvas. */
export type WebImage = Blob | CanvasImageSource;

/**
 * Decodes an image in the browser, turned upright, sRGB, its size kept.
 *
 * @param channels - 1 for grey, 3 for RGB, 4 for RGBA.
 * @returns uint8 [h, w, channels].
 * @throws {SubspanError} SOURCE_INVALID if it is no image.
 */
export async function decodeImage(image: WebImage, channels: number): Promise<Pixels> {
  try {
    const bitmap = await createImageBitmap(image, { imageOrientation: "from-image", premultiplyAlpha: "none" });
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    return fromRgba(context.getImageData(0, 0, width, height).data, height, width, channels);
  } catch (cause) {
    throw new SubspanError("SOURCE_INVALID", `not an image: ${(cause as Error).message}`, { cause });
  }
}
