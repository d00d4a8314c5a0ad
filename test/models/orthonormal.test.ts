import * as tf from "@tensorflow/tfjs-core";
import "../../models/gradients.ts";
import { CholeskyDecomposition, Matrix } from "ml-matrix";
import { describe, expect, test } from "vitest";
import { choleskyColumns, logDeterminant, orthonormalizer } from "../../models/orthonormal.ts";
import { compare, draws, maxAbsDifference } from "../export/run-model.ts";
import { gradientError } from "./gradient-check.ts";

const [m, k] = [64, 10];

/** m rows of k numbers, the later columns leaning on the first. */
function outputs(): Matrix {
  const free = new Matrix(Array.from({ length: m }, (_, i) => Array.from(draws(k, -1, 1, i))));
  for (let i = 0; i < m; i++) for (let j = 1; j < k; j++) free.set(i, j, free.get(i, j) + 0.5 * free.get(i, 0));
  return free;
}
const tensor = (matrix: Matrix) => tf.tensor2d(matrix.to2DArray());
const numbers = (fn: () => tf.Tensor): Float32Array => {
  tf.setBackend("cpu");
  return tf.tidy(() => fn().dataSync() as Float32Array);
};
/** (1/m) Y^T Y - I of Y = Y~ orthonormalizer(Y~), the largest entry. */
function departure(y: () => tf.Tensor2D): number {
  const gram = numbers(() => {
    const orthonormal = tf.matMul(y(), orthonormalizer(y()));
    return tf.div(tf.matMul(orthonormal, orthonormal, true, false), y().shape[0]);
  });
  const width = Math.sqrt(gram.length);
  return maxAbsDifference(
    gram,
    Array.from(gram, (_, i) => (i % (width + 1) === 0 ? 1 : 0)),
  );
}

describe("the Cholesky factor", () => {
  const gram = outputs().transpose().mmul(outputs());
  const reference = new CholeskyDecomposition(gram).lowerTriangularMatrix;

  test("agrees with a float64 one", () => {
    const factor = numbers(() => tf.concat(choleskyColumns(tensor(gram)), 1));
    // Float32 of a matrix whose entries reach 30 and whose condition is some 50.
    expect(maxAbsDifference(factor, reference.to1DArray())).toBeLessThan(2e-5);
  });

  test("has zeros above the diagonal, exactly", () => {
    const factor = numbers(() => tf.concat(choleskyColumns(tensor(gram)), 1));
    for (let i = 0; i < k; i++) for (let j = i + 1; j < k; j++) expect(Math.abs(factor[i * k + j] as number)).toBe(0);
  });

  test("gives the log determinant", () => {
    const expected = 2 * reference.diagonal().reduce((sum, pivot) => sum + Math.log(pivot), 0);
    expect(numbers(() => logDeterminant(tensor(gram)))[0]).toBeCloseTo(expected, 4);
  });
});

describe("the orthonormalising layer", () => {
  test("makes outputs orthonormal: (1/m) Y^T Y = I to 1e-4", () => {
    expect(departure(() => tensor(outputs()))).toBeLessThan(1e-4);
  });

  test.each([1e-3, 1e3])("whatever the outputs' scale: %d", (scale) => {
    expect(departure(() => tf.mul(tensor(outputs()), scale))).toBeLessThan(1e-4);
  });

  test("agrees with the inverse of a float64 Cholesky factor", () => {
    const y = outputs();
    const factor = new CholeskyDecomposition(y.transpose().mmul(y)).lowerTriangularMatrix;
    const inverse = Matrix.zeros(k, k);
    for (let j = 0; j < k; j++) {
      for (let i = j; i < k; i++) {
        let sum = i === j ? 1 : 0;
        for (let l = j; l < i; l++) sum -= factor.get(i, l) * inverse.get(l, j);
        inverse.set(i, j, sum / factor.get(i, i));
      }
    }
    const expected = inverse.transpose().mul(Math.sqrt(m)).to1DArray();
    // The guard adds 1e-6 of the mean eigenvalue.
    expect(
      maxAbsDifference(
        numbers(() => orthonormalizer(tensor(y))),
        expected,
      ),
    ).toBeLessThan(1e-4);
  });

  test("has the gradient of its finite differences", () => {
    const feeds = { y: { data: Float32Array.from(outputs().to1DArray()).subarray(0, 16 * k), shape: [16, k] } };
    const weights = draws(16 * k, -1, 1, 3);
    const error = gradientError(
      ({ y }) => {
        const orthonormal = tf.matMul(y as tf.Tensor2D, orthonormalizer(y as tf.Tensor2D));
        return tf.sum(tf.mul(orthonormal, tf.tensor2d(weights, [16, k])));
      },
      feeds,
      "y",
      // Sixteen rows of ten numbers are badly conditioned: the third derivative is large.
      3e-3,
    );
    expect(error).toBeLessThan(2e-2);
  });

  test("is the same traced as eager", async () => {
    const fn = ({ y }: Record<string, tf.Tensor>) => ({ q: orthonormalizer(y as tf.Tensor2D) });
    const feeds = { y: { data: Float32Array.from(outputs().to1DArray()), shape: [m, k] } };
    const { difference } = await compare(fn, { inputs: { y: { type: "float32", shape: [m, k] } } }, feeds);
    expect(difference).toBeLessThanOrEqual(1e-5);
  });
});

describe("of outputs that hardly have a rank, layer and gradient stay finite", () => {
  const column = (values: ArrayLike<number>) => new Matrix(Array.from(values, (value) => [value]));
  const first = column(draws(m));
  const repeated = (noise: number) =>
    Matrix.from1DArray(
      m,
      k,
      Array.from(draws(m * k, -noise, noise), (value, i) => value + first.get(Math.floor(i / k), 0)),
    );
  const deadColumn = outputs();
  for (let i = 0; i < m; i++) deadColumn.set(i, 4, 0);
  const chosen = Matrix.from1DArray(
    m,
    k,
    Array.from({ length: m * k }, (_, i) => (i % k === 0 ? 1 : 0)),
  );

  test.each<[string, Matrix]>([
    ["one column ten times", repeated(0)],
    ["one column ten times, with noise", repeated(1e-4)],
    ["a column of zeros", deadColumn],
    ["every row the same cluster", chosen],
    ["one row alone", outputs().subMatrix(0, 0, 0, k - 1)],
    ["zeros", Matrix.zeros(m, k)],
  ])("%s", (_, matrix) => {
    const rows = matrix.rows;
    const finite = (values: Float32Array) => values.every((value) => Number.isFinite(value));
    const layer = (y: tf.Tensor) => tf.matMul(y as tf.Tensor2D, orthonormalizer(y as tf.Tensor2D));
    const weights = draws(rows * k, -1, 1, 3);
    expect(finite(numbers(() => layer(tensor(matrix))))).toBe(true);
    const gradient = numbers(() =>
      tf.grad((y: tf.Tensor) => tf.sum(tf.mul(layer(y), tf.tensor2d(weights, [rows, k]))))(tensor(matrix)),
    );
    expect(finite(gradient)).toBe(true);
  });
});
