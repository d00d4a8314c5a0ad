import { SubspanError } from "../../runtime/errors.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import type { MatrixProducts } from "./products.ts";

// Dense [n, n] matrices are float32: at 5,000 samples 100 MB each. They are computed with in float64, some rows at a time.

/** Rows that are made float64 at once. */
const ROWS = 512;

/** n of a matrix [n, n]. @throws {SubspanError} SHAPE_MISMATCH naming it. */
export function squareSide(name: string, { data, shape }: NumberArray): number {
  const [n = 0, width] = shape;
  if (shape.length !== 2 || n !== width || data.length !== n * n) {
    throw new SubspanError("SHAPE_MISMATCH", `${name}: expected [n, n], got [${shape}] with ${data.length} numbers`);
  }
  return n;
}

/** y = A x for a block of `width` vectors, summed in float64; x and y are [n, width] and distinct. */
export async function denseProduct(
  { data, shape }: NumberArray,
  x: Float64Array,
  width: number,
  y: Float64Array,
  products: MatrixProducts,
): Promise<void> {
  const n = shape[0] as number;
  for (let first = 0; first < n; first += ROWS) {
    const count = Math.min(ROWS, n - first);
    const rows = Float64Array.from(data.subarray(first * n, (first + count) * n));
    const product = await products.multiply({ data: rows, shape: [count, n] }, { data: x, shape: [n, width] });
    y.set(product.data, first * width);
  }
}
