import * as tf from "@tensorflow/tfjs-core";

/** The identity, [k, k], made from a range. */
export function identity(k: number): tf.Tensor2D {
  const index = tf.range(0, k);
  return tf.cast(tf.equal(tf.reshape(index, [k, 1]), tf.reshape(index, [1, k])), "float32");
}

/**
 * Lower Cholesky factor L of a symmetric positive definite matrix, A = L L^T, column by column: ONNX has no such operator, and
 * k is the number of clusters, so it is written out (3 nodes a column and their gradients).
 *
 * @param a - [k, k]. @returns L's columns, each [k, 1], the entries above the diagonal 0.
 * @see Golub & Van Loan 2013, Matrix Computations, Algorithm 4.2.2 (outer product form).
 */
export function choleskyColumns(a: tf.Tensor2D): tf.Tensor2D[] {
  const [k] = a.shape;
  const columns: tf.Tensor2D[] = [];
  let rest = a;
  for (let j = 0; j < k; j++) {
    const pivot = tf.rsqrt(tf.maximum(tf.slice(rest, [j, j], [1, 1]), 1e-12));
    const column = tf.mul(tf.slice(rest, [0, j], [k, 1]), pivot) as tf.Tensor2D;
    columns.push(column);
    // The first j + 1 rows of the remainder are zero up to rounding; they are cleared so that no later column sees them.
    if (j < k - 1) rest = tf.mul(tf.sub(rest, tf.matMul(column, column, false, true)), below(k, j)) as tf.Tensor2D;
  }
  return columns;
}

/** 1 where both row and column are after j. */
function below(k: number, j: number): tf.Tensor2D {
  const after = tf.cast(tf.greater(tf.range(0, k), j), "float32");
  return tf.mul(tf.reshape(after, [k, 1]), tf.reshape(after, [1, k])) as tf.Tensor2D;
}

/**
 * The matrix that makes outputs orthonormal: with Y~^T Y~ = L L^T, Y = sqrt(m) Y~ (L^-1)^T has (1/m) Y^T Y = I.
 *
 * Y~^T Y~ is guarded with 1e-6 of its mean eigenvalue, so that outputs that coincide do not divide by zero, and with 1e-12 at
 * least, so that outputs that are all 0 do not.
 *
 * @param outputs - Y~, [m, k]. @returns sqrt(m) (L^-1)^T, [k, k].
 * @see Shaham et al. 2018, SpectralNet, section 3.2, arXiv:1801.01587.
 */
export function orthonormalizer(outputs: tf.Tensor2D): tf.Tensor2D {
  const [m, k] = outputs.shape;
  const gram = tf.matMul(outputs, outputs, true, false);
  const eye = identity(k);
  const ridge = tf.maximum(tf.mul(tf.sum(tf.mul(gram, eye)), 1e-6 / k), 1e-12);
  const columns = choleskyColumns(tf.add(gram, tf.mul(eye, ridge)) as tf.Tensor2D);
  // Forward substitution L X = I, one row of X at a time; X = L^-1.
  let remainder = eye;
  const rows: tf.Tensor2D[] = [];
  columns.forEach((column, j) => {
    const pivot = tf.slice(column, [j, 0], [1, 1]);
    const row = tf.div(tf.slice(remainder, [j, 0], [1, k]), pivot) as tf.Tensor2D;
    rows.push(row);
    remainder = tf.sub(remainder, tf.matMul(column, row)) as tf.Tensor2D;
  });
  return tf.mul(tf.transpose(tf.concat(rows, 0)), Math.sqrt(m)) as tf.Tensor2D;
}

/** log det of a symmetric positive definite matrix, from its Cholesky pivots. */
export function logDeterminant(a: tf.Tensor2D): tf.Scalar {
  const pivots = choleskyColumns(a).map((column, j) => tf.log(tf.slice(column, [j, 0], [1, 1])));
  return tf.mul(2, tf.sum(tf.concat(pivots, 0)));
}
