import type { Random } from "../random.ts";
import { type BlockAlgebra, orthonormalise } from "./block.ts";
import type { MatrixProducts } from "./products.ts";
import { symmetricEigenByQl } from "./tridiagonal.ts";

/** How much of a column of length 1 must be its own, squared, for the Gram matrix to tell. */
const LEAST_PIVOT = 1e-6;

/** Of blocks of hundreds of columns: their products run on ONNX Runtime. */
export function wideBlocks(n: number, width: number, random: Random, products: MatrixProducts): BlockAlgebra {
  const rotate = async (block: Float64Array, rotation: Float64Array) => {
    const turned = await products.multiply(
      { data: block, shape: [n, width] },
      { data: rotation, shape: [width, width] },
    );
    block.set(turned.data);
  };
  return {
    orthonormalise: (block) => orthonormaliseByGram(block, n, width, random, products),
    rotateToRitzVectors: async (block, image, values) => {
      const [b, a] = [block, image].map((data) => ({ data, shape: [n, width] }));
      const eigen = symmetricEigenByQl((await products.multiply(b!, a!, "aTb")).data, width);
      await rotate(block, eigen.vectors);
      await rotate(image, eigen.vectors);
      values.set(eigen.values);
    },
  };
}

/**
 * Orthonormal columns by way of their Gram matrix: with Q^T Q = L L^T, Q L^-T has orthonormal columns, up to rounding that the
 * same once more removes. Columns too near to dependent for that are left to Gram-Schmidt.
 *
 * @see Yamamoto, Nakatsukasa, Yanagisawa & Fukaya 2015, Roundoff error analysis of the CholeskyQR2 algorithm, ETNA 44.
 */
async function orthonormaliseByGram(
  block: Float64Array,
  n: number,
  width: number,
  random: Random,
  products: MatrixProducts,
): Promise<void> {
  const matrix = { data: block, shape: [n, width] };
  for (let pass = 0; pass < 2; pass++) {
    scaleColumns(block, n, width);
    const gram = await products.multiply(matrix, matrix, "aTb");
    const inverse = inverseFactor(gram.data, width);
    if (inverse === undefined) return orthonormalise(block, n, width, random);
    block.set((await products.multiply(matrix, { data: inverse, shape: [width, width] }, "abT")).data);
  }
}

/** Columns of length 1; a column of zeros stays. */
function scaleColumns(block: Float64Array, n: number, width: number): void {
  const squares = new Float64Array(width);
  for (let i = 0; i < n; i++) for (let c = 0; c < width; c++) squares[c]! += block[i * width + c]! ** 2;
  const factors = squares.map((square) => (square > 0 ? 1 / Math.sqrt(square) : 0));
  for (let i = 0; i < n; i++) for (let c = 0; c < width; c++) block[i * width + c]! *= factors[c]!;
}

/** L^-1 of a = L L^T, lower, [m, m]; none where a pivot is below `LEAST_PIVOT` (of a diagonal of 1). */
function inverseFactor(a: Float64Array, m: number): Float64Array | undefined {
  const inverse = new Float64Array(m * m);
  const row = new Float64Array(m);
  for (let i = 0; i < m; i++) {
    // Row i of L is L^-1 a_i, row i of L^-1 is (e_i - (that row) L^-1) / l_ii.
    let pivot = a[i * m + i]!;
    for (let j = 0; j < i; j++) {
      let sum = 0;
      for (let p = 0; p <= j; p++) sum += inverse[j * m + p]! * a[i * m + p]!;
      row[j] = sum;
      pivot -= sum * sum;
    }
    if (!(pivot > LEAST_PIVOT)) return undefined;
    const root = Math.sqrt(pivot);
    for (let j = 0; j < i; j++) {
      for (let p = 0; p <= j; p++) inverse[i * m + p]! -= (row[j]! / root) * inverse[j * m + p]!;
    }
    inverse[i * m + i] = 1 / root;
  }
  return inverse;
}
