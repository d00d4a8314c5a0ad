import { SubspanError } from "./errors.ts";
import type { PixelInput } from "./samples.ts";

/** What browsers decode: an image file (Blob, File), or anything that can be drawn on a canvas. */
export type WebImage = Blob | CanvasImageSource;

/** What of an image another thread can take. */
export type PortableImage = PixelInput | Blob | ImageBitmap;

/**
 * What the page does with an image before a thread decodes it: a file's header is checked, and what is of the document
 * becomes a bitmap. It is loaded with the first image, the check with the first file.
 *
 * @throws {SubspanError} IMAGE_EMPTY, IMAGE_TOO_LARGE, IMAGE_ANIMATED, IMAGE_CMYK or IMAGE_INVALID.
 */
export async function portable(image: WebImage): Promise<Blob | ImageBitmap> {
  if (!(image instanceof Blob)) return image instanceof ImageBitmap ? image : toBitmap(image);
  const name = nameOf(image);
  const { checkImageHeader } = await import("./image-header.ts");
  checkImageHeader(new Uint8Array(await image.arrayBuffer().catch((cause) => invalid(name, cause))), name);
  return image;
}

/** An image as a bitmap of the caller's own, turned upright. @throws {SubspanError} IMAGE_INVALID if it is no image. */
export async function toBitmap(image: WebImage): Promise<ImageBitmap> {
  const options = { imageOrientation: "from-image", premultiplyAlpha: "none" } as const;
  return createImageBitmap(image, options).catch((cause) => invalid(nameOf(image), cause));
}

const nameOf = (image: WebImage) => (image as Partial<File>).name ?? "an image";

function invalid(name: string, cause: Error): never {
  throw new SubspanError("IMAGE_INVALID", `${name}: not an image: ${cause.message}`, { cause });
}
