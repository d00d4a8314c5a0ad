import type { NumberArray } from "../../../runtime/samples.ts";
import { Random } from "../../../train/random.ts";

/**
 * Signed coefficients of n samples on anchors, both of `clusters` kinds in turn: large within a kind, `leak` times that across.
 */
export function signedCoefficients(n: number, anchors: number, clusters: number, leak = 0.05) {
  const random = new Random(4, "coefficients");
  const data = Float32Array.from({ length: n * anchors }, (_, at) => {
    const [i, j] = [Math.floor(at / anchors), at % anchors];
    return random.normal() * (i % clusters === j % clusters ? 1 : leak);
  });
  const coefficients: NumberArray = { data, shape: [n, anchors] };
  return { coefficients, truth: Int32Array.from({ length: n }, (_, i) => i % clusters) };
}

/** Its rows, `size` at a time. */
export function* blocksOf({ data, shape }: NumberArray, size: number): Generator<NumberArray> {
  const [n = 0, width = 0] = shape;
  for (let from = 0; from < n; from += size) {
    const rows = Math.min(size, n - from);
    yield { data: data.subarray(from * width, (from + rows) * width), shape: [rows, width] };
  }
}
