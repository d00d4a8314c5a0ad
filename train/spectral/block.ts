import type { Random } from "../random.ts";
import { symmetricEigen } from "./jacobi.ts";

// Blocks of `width` vectors of R^n: [n, width], row-major, so that a sparse product reads whole rows.

/** What subspace iteration does with blocks of one size, in place. */
export interface BlockAlgebra {
  /** Makes the columns orthonormal. A column that depends on those before it is replaced by a random one. */
  orthonormalise(block: Float64Array): void | Promise<void>;
  /** Rayleigh-Ritz: turns an orthonormal block and its image A block to the Ritz vectors; fills their values, descending. */
  rotateToRitzVectors(block: Float64Array, image: Float64Array, values: Float64Array): void | Promise<void>;
}

/** Of blocks so narrow that loops over their rows are as good as anything. */
export function narrowBlocks(n: number, width: number, random: Random): BlockAlgebra {
  return {
    orthonormalise: (block) => orthonormalise(block, n, width, random),
    rotateToRitzVectors: (block, image, values) => {
      const projected = new Float64Array(width * width);
      for (let i = 0; i < n; i++) {
        const row = i * width;
        for (let a = 0; a < width; a++) {
          const value = block[row + a]!;
          for (let b = 0; b < width; b++) projected[a * width + b]! += value * image[row + b]!;
        }
      }
      const eigen = symmetricEigen(projected, width);
      rotateColumns(block, eigen.vectors, n, width);
      rotateColumns(image, eigen.vectors, n, width);
      values.set(eigen.values);
    },
  };
}

/** Orthonormal columns by classical Gram-Schmidt done twice; a column that vanishes is replaced by a random one. */
export function orthonormalise(block: Float64Array, n: number, width: number, random: Random): void {
  const products = new Float64Array(width);
  for (let column = 0; column < width; column++) {
    for (let pass = 0; pass < 2; pass++) {
      const before = scaleColumn(block, n, width, column);
      removeProjections(block, n, width, column, products);
      const after = columnNorm(block, n, width, column);
      if (before === 0 || after < 1e-13) {
        for (let i = 0; i < n; i++) block[i * width + column] = random.uniform(-1, 1);
        pass = -1;
      }
    }
    scaleColumn(block, n, width, column);
  }
}

/** Column j -= sum over the columns before it of their inner product with it times them. */
function removeProjections(
  block: Float64Array,
  n: number,
  width: number,
  column: number,
  products: Float64Array,
): void {
  products.fill(0);
  for (let i = 0; i < n; i++) {
    const row = i * width;
    const value = block[row + column]!;
    for (let c = 0; c < column; c++) products[c]! += block[row + c]! * value;
  }
  for (let i = 0; i < n; i++) {
    const row = i * width;
    let projection = 0;
    for (let c = 0; c < column; c++) projection += products[c]! * block[row + c]!;
    block[row + column]! -= projection;
  }
}

function columnNorm(block: Float64Array, n: number, width: number, column: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += block[i * width + column]! ** 2;
  return Math.sqrt(sum);
}

/** Scales a column to length 1 and returns its length before. A column of zeros stays. */
function scaleColumn(block: Float64Array, n: number, width: number, column: number): number {
  const norm = columnNorm(block, n, width, column);
  if (norm > 0) for (let i = 0; i < n; i++) block[i * width + column]! /= norm;
  return norm;
}

/** Every row times the rotation, [width, width]: the block's columns turned among themselves. */
export function rotateColumns(block: Float64Array, rotation: Float64Array, n: number, width: number): void {
  const turned = new Float64Array(width);
  for (let row = 0; row < n * width; row += width) {
    turned.fill(0);
    for (let a = 0; a < width; a++) {
      const value = block[row + a]!;
      for (let b = 0; b < width; b++) turned[b]! += value * rotation[a * width + b]!;
    }
    block.set(turned, row);
  }
}

export function identity(n: number): Float64Array {
  return Float64Array.from({ length: n * n }, (_, entry) => (entry % (n + 1) === 0 ? 1 : 0));
}
