import { SubspanError } from "./errors.ts";
import type { PixelInput, Pixels } from "./samples.ts";

/** Past this an image is refused before it is decoded: 8,192 x 8,192. */
export const MAX_PIXELS = 2 ** 26;

/** @returns the IMAGE_TOO_LARGE of an image, said in words. */
export function tooLarge(what: string): SubspanError {
  return new SubspanError("IMAGE_TOO_LARGE", `${what}: expected up to ${MAX_PIXELS} pixels`);
}

/**
 * An RGBA image as a graph takes it. Everything after decoding happens here, for Node and browsers alike:
 *
 * - alpha is laid over black, which is what browsers' premultiplied pixels allow without loss;
 * - grey is the luma of Rec. 601, (299 R + 587 G + 114 B) / 1000, rounded, so a grey image keeps its values;
 * - an image of another size is cropped to the middle of the graph's proportions, then resized.
 *
 * @param shape - the shape wanted, [h, w, c]; c is 1 for grey, 3 for RGB, 4 to keep it as it is.
 */
export function fromRgba(image: PixelInput, [height, width, channels]: Pixels["shape"]): Pixels {
  return resize(toChannels(image, channels), height, width);
}

function toChannels({ data: rgba, height, width }: PixelInput, channels: number): Pixels {
  const data = new Uint8Array(height * width * channels);
  for (let pixel = 0; pixel < height * width; pixel++) {
    const from = pixel * 4;
    const to = pixel * channels;
    const alpha = channels === 4 ? 255 : rgba[from + 3]!;
    const over = (channel: number) => Math.round((rgba[from + channel]! * alpha) / 255);
    if (channels === 1) data[to] = Math.floor((299 * over(0) + 587 * over(1) + 114 * over(2) + 500) / 1000);
    else for (let channel = 0; channel < channels; channel++) data[to + channel] = over(channel);
  }
  return { data, shape: [height, width, channels] };
}

/** Resizes the largest middle part that has the new proportions, rows last. An image of that size comes back as it is. */
function resize(image: Pixels, height: number, width: number): Pixels {
  const [h, w, c] = image.shape;
  if (h === height && w === width) return image;
  const scale = Math.min(h / height, w / width);
  const across = resample(image.data, { rows: h, length: w, step: c, scale, size: width });
  const down = resample(across, { rows: 1, length: h, step: width * c, scale, size: height });
  return { data: Uint8Array.from(down, (value) => Math.floor(value + 0.5)), shape: [height, width, c] };
}

interface Axis {
  /** How often the axis is gone through. */
  readonly rows: number;
  /** Items along it, each of `step` numbers. */
  readonly length: number;
  readonly step: number;
  /** Old items a new one covers. */
  readonly scale: number;
  /** New items. */
  readonly size: number;
}

/**
 * Resamples along one axis with a triangle filter as wide as the scale, what others call antialiased bilinear: enlarging
 * interpolates, reducing averages all that is covered.
 *
 * @returns [rows, size, step], not rounded.
 */
function resample(data: ArrayLike<number>, { rows, length, step, scale, size }: Axis): Float32Array {
  const out = new Float32Array(rows * size * step);
  const reach = Math.max(scale, 1);
  for (let i = 0; i < size; i++) {
    const centre = (length - size * scale) / 2 + (i + 0.5) * scale;
    const from = Math.max(0, Math.floor(centre - reach));
    const to = Math.min(length, Math.ceil(centre + reach));
    const weights: number[] = [];
    for (let j = from; j < to; j++) weights.push(Math.max(0, 1 - Math.abs(j + 0.5 - centre) / reach));
    const sum = weights.reduce((a, b) => a + b, 0);
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < step; k++) {
        let value = 0;
        for (let j = from; j < to; j++) value += weights[j - from]! * data[(row * length + j) * step + k]!;
        out[(row * size + i) * step + k] = value / sum;
      }
    }
  }
  return out;
}
