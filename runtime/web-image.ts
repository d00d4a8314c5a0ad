import { SubspanError } from "./errors.ts";
import { checkImageHeader, MAX_PIXELS, tooLarge } from "./image-header.ts";
import { fromRgba, type Pixels } from "./pixels.ts";

/** What browsers decode: an image file (Blob, File), or anything that can be drawn on a canvas. */
export type WebImage = Blob | CanvasImageSource;

/**
 * Decodes an image in the browser, turned upright, sRGB, and makes it of the shape wanted, see `fromRgba`.
 *
 * @param shape - [h, w, c]; c is 1 for grey, 3 for RGB, 4 for RGBA.
 * @throws {SubspanError} IMAGE_INVALID if it is no image; IMAGE_EMPTY, IMAGE_TOO_LARGE, IMAGE_ANIMATED, IMAGE_CMYK
 *   before it is decoded.
 */
export async function decodeImage(image: WebImage, shape: Pixels["shape"]): Promise<Pixels> {
  const bitmap = await toBitmap(image);
  const { width, height } = bitmap;
  try {
    if (width * height > MAX_PIXELS) throw tooLarge(`${width} x ${height} pixels`);
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
    context.drawImage(bitmap, 0, 0);
    return fromRgba(context.getImageData(0, 0, width, height).data, height, width, shape);
  } finally {
    bitmap.close();
  }
}

/** An image as a bitmap of the caller's own. @throws as decodeImage. */
export async function toBitmap(image: WebImage): Promise<ImageBitmap> {
  const name = (image as Partial<File>).name ?? "an image";
  try {
    if (image instanceof Blob) checkImageHeader(new Uint8Array(await image.arrayBuffer()), name);
    return await createImageBitmap(image, { imageOrientation: "from-image", premultiplyAlpha: "none" });
  } catch (cause) {
    if (cause instanceof SubspanError) throw cause;
    throw new SubspanError("IMAGE_INVALID", `${name}: not an image: ${(cause as Error).message}`, { cause });
  }
}
