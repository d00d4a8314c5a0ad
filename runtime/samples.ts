import type { ManifestInput } from "./manifest.ts";

/** The samples of one call or one data set. Images are uint8 [n, h, w, c], vectors float32 [n, d]; both row-major. */
export type Samples =
  | { readonly kind: "images"; readonly data: Uint8Array; readonly shape: readonly [number, number, number, number] }
  | { readonly kind: "features"; readonly data: Float32Array; readonly shape: readonly [number, number] };

/** A named array with its shape: parameters, moments, latents; row-major. */
export interface NumberArray<T extends ArrayLike<number> = Float32Array> {
  readonly data: T;
  readonly shape: readonly number[];
}

/** Room for samples of a graph's input. */
export function zeros({ dtype, shape }: ManifestInput, count: number): Uint8Array | Float32Array {
  const length = shape.slice(1).reduce<number>((a, b) => a * Number(b), count);
  return dtype === "uint8" ? new Uint8Array(length) : new Float32Array(length);
}

/** A decoded image, uint8 [h, w, c], row-major. */
export interface Pixels {
  readonly data: Uint8Array;
  readonly shape: readonly [number, number, number];
}

/** RGBA pixels, not premultiplied, as a browser's ImageData. */
export interface PixelInput {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** Whether what stands for an image is pixels, not to be decoded any more. */
export function isPixels(image: unknown): image is PixelInput {
  return ArrayBuffer.isView((image as Partial<PixelInput> | null)?.data);
}

/** Rows of numbers, nested as deep as the shape. */
export type NestedInput = readonly (number | NestedInput)[];

/** Checked samples, flat, ready to feed. */
export interface Batch {
  readonly data: Uint8Array | Float32Array;
  readonly count: number;
  /** Whether the array, whole, is nobody else's: it may be given away. */
  readonly own?: boolean;
}
