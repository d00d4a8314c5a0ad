/** Samples to assign: noise, or digits where they fit. */
import type { ManifestInput } from "../../runtime/node.ts";
import { loadSource } from "../../train/data/index.ts";

export interface Samples {
  readonly data: Uint8Array | Float32Array;
  readonly shape: readonly number[];
}

/** n samples of noise of a fixed seed, [n, ...]: bytes, or numbers in -1..1. */
export function noise(n: number, { shape, dtype }: Pick<ManifestInput, "shape" | "dtype">): Samples {
  const sample = shape.slice(1).map(Number);
  const length = sample.reduce((a, b) => a * b, n);
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const data =
    dtype === "uint8"
      ? Uint8Array.from({ length }, () => 256 * next())
      : Float32Array.from({ length }, () => 2 * next() - 1);
  return { data, shape: [n, ...sample] };
}

/** At most n unseen digits where they fit: noise is all of one cluster, so labels that are equal would say little. */
export async function unseen(n: number, input: ManifestInput): Promise<Samples> {
  if (input.shape.join() !== "N,28,28,1") return noise(n, input);
  return part((await loadSource("digits:unseen")).samples, 0, n);
}

/** Samples `from` up to `to`. */
export function part({ data, shape }: Samples, from: number, to: number): Samples {
  const [n = 0, ...sample] = shape;
  const width = sample.reduce((a, b) => a * b, 1);
  return { data: data.slice(from * width, to * width), shape: [Math.min(to, n) - from, ...sample] };
}
