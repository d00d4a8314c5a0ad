/** The samples of one call or one data set. Images are uint8 [n, h, w, c], vectors float32 [n, d]; both row-major. */
export type Samples =
  | { readonly kind: "images"; readonly data: Uint8Array; readonly shape: readonly [number, number, number, number] }
  | { readonly kind: "features"; readonly data: Float32Array; readonly shape: readonly [number, number] };

/** A named array with its shape: parameters, moments, latents; row-major. */
export interface NumberArray<T extends ArrayLike<number> = Float32Array> {
  readonly data: T;
  readonly shape: readonly number[];
}
