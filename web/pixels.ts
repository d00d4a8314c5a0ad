import type { GraphManifest, PixelInput } from "../runtime/web.ts";

/** Height and width of a picture. */
export interface Size {
  readonly height: number;
  readonly width: number;
}

/** Of the images a clusterer takes. */
export function imageSize({ input }: GraphManifest): Size {
  const [, height, width] = input.shape as [string, number, number];
  return { height, width };
}

/** The middle of a picture in the proportions of `to`, no larger than it is shown: the runtime does the rest. */
export function middleOf(image: CanvasImageSource, from: Size, to: Size, invert: boolean): PixelInput {
  const part = Math.min(from.width / to.width, from.height / to.height);
  const [width, height] = [to.width * part, to.height * part];
  const scale = Math.min(1, LARGEST / Math.max(width, height));
  const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
  const context = new OffscreenCanvas(w, h).getContext("2d", { willReadFrequently: true })!;
  context.drawImage(image, (from.width - width) / 2, (from.height - height) / 2, width, height, 0, 0, w, h);
  if (invert) {
    context.globalCompositeOperation = "difference";
    context.fillStyle = "#fff";
    context.fillRect(0, 0, w, h);
  }
  return context.getImageData(0, 0, w, h);
}

/** Pixels a side of a picture from the camera. */
const LARGEST = 480;

/** A picture of a sample; of a file, read when it is seen. Few pixels stay pixels. */
export function pictureElement(image: Blob | PixelInput, className = ""): HTMLElement {
  return image instanceof Blob ? pictureOfFile(image, className) : pictureOfPixels(image, className);
}

function pictureOfPixels({ data, width, height }: PixelInput, className: string): HTMLElement {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height, canvas.className] = [width, height, className];
  canvas.getContext("2d")!.putImageData(new ImageData(new Uint8ClampedArray(data), width, height), 0, 0);
  canvas.classList.toggle("pixels", isSmall(width));
  return canvas;
}

function pictureOfFile(file: Blob, className: string): HTMLElement {
  const image = document.createElement("img");
  Object.assign(image, { alt: "", className, loading: "lazy", src: URL.createObjectURL(file) });
  const done = () => {
    image.classList.toggle("pixels", isSmall(image.naturalWidth));
    URL.revokeObjectURL(image.src);
  };
  image.addEventListener("load", done, { once: true });
  image.addEventListener("error", done, { once: true });
  return image;
}

const isSmall = (width: number) => width <= 96;
