import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { expect, test } from "vitest";
import { Random } from "../../../train/random.ts";
import { leadingEigenpairsAsync } from "../../../train/spectral/eigen.ts";
import {
  laplacian,
  leadingEigenpairs,
  normalisedAffinity,
  type SparseSymmetric,
  type SymmetricOperator,
  sparseFromDense,
} from "../../../train/spectral/index.ts";
import { symmetricEigen } from "../../../train/spectral/jacobi.ts";
import { symmetricEigenByQl } from "../../../train/spectral/tridiagonal.ts";

/** A random affinity of `parts` unconnected parts of `size` samples, about 8 neighbours each. */
function randomAffinity(parts: number, size: number, random: Random): SparseSymmetric {
  const n = parts * size;
  const data = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const first = i - (i % size);
    for (let l = 0; l < 4; l++) data[i * n + first + random.integer(size)] = random.uniform(0.2, 1);
    data[i * n + first + ((i + 1) % size)] = 1; // a ring keeps each part connected
  }
  return sparseFromDense({ data, shape: [n, n] });
}

function dense({ n, apply }: SymmetricOperator): Matrix {
  const image = new Float64Array(n * n);
  apply(Float64Array.from(Matrix.eye(n).to1DArray()), n, image);
  return Matrix.from1DArray(n, n, image);
}

const oracle = (operator: SymmetricOperator) =>
  new EigenvalueDecomposition(dense(operator), { assumeSymmetric: true }).realEigenvalues.toSorted((a, b) => b - a);

/** ||A V - V diag(values)|| and ||V^T V - I||, the largest entries. */
function defects(operator: SymmetricOperator, values: Float64Array, vectors: Float64Array): [number, number] {
  const m = values.length;
  const v = Matrix.from1DArray(operator.n, m, vectors);
  const residual = dense(operator)
    .mmul(v)
    .sub(v.mmul(Matrix.diag([...values])));
  return [residual.abs().max(), v.transpose().mmul(v).sub(Matrix.eye(m)).abs().max()];
}

const solvers = { Jacobi: symmetricEigen, QL: symmetricEigenByQl };

test.each(Object.keys(solvers) as (keyof typeof solvers)[])("%s gives the eigenpairs of ml-matrix", (name) => {
  const random = new Random(1, "test");
  const n = 20;
  const a = Matrix.from1DArray(
    n,
    n,
    Float64Array.from({ length: n * n }, () => random.normal()),
  );
  const symmetric = Matrix.add(a, a.transpose());
  const { values, vectors } = solvers[name](Float64Array.from(symmetric.to1DArray()), n);
  const expected = new EigenvalueDecomposition(symmetric).realEigenvalues.toSorted((x, y) => y - x);
  for (const [i, value] of values.entries()) expect(value).toBeCloseTo(expected[i]!, 11);
  const v = Matrix.from1DArray(n, n, vectors);
  expect(
    v
      .mmul(Matrix.diag([...values]))
      .mmul(v.transpose())
      .sub(symmetric)
      .abs()
      .max(),
  ).toBeLessThan(1e-12);
});

test.each([
  ["nothing", [0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0]],
  ["the identity", [1, 0, 0, 0, 1, 0, 0, 0, 1], [1, 1, 1]],
  ["ones", [1, 1, 1, 1, 1, 1, 1, 1, 1], [3, 0, 0]],
  ["a matrix that has split", [2, 0, 0, 0, 0, 3, 0, 3, 0], [3, 2, -3]],
])("QL gives the eigenvalues of %s", (_, matrix, expected) => {
  const { values, vectors } = symmetricEigenByQl(Float64Array.from(matrix), 3);
  for (const [i, value] of values.entries()) expect(value).toBeCloseTo(expected[i]!, 14);
  const v = Matrix.from1DArray(3, 3, vectors);
  expect(v.transpose().mmul(v).sub(Matrix.eye(3)).abs().max()).toBeLessThan(1e-14);
});

test.each([1, 3, 50])(
  "dozens of eigenpairs of an affinity of %i parts, in wide blocks, are the dense ones",
  async (parts) => {
    const operator = normalisedAffinity(randomAffinity(parts, 150 / parts, new Random(parts, "test")));
    const { values, vectors } = await leadingEigenpairsAsync(operator, 70, { random: new Random(0, "spectral") });
    const expected = oracle(operator);
    for (const [i, value] of values.entries()) expect(value).toBeCloseTo(expected[i]!, 10);
    const [residual, skew] = defects(operator, values, vectors);
    expect(residual).toBeLessThan(1e-9);
    expect(skew).toBeLessThan(1e-12);
  },
);

test("what is waited for gives the same bits", async () => {
  const operator = normalisedAffinity(randomAffinity(2, 100, new Random(5, "test")));
  const late = {
    ...operator,
    apply: async (...product: Parameters<typeof operator.apply>) => operator.apply(...product),
  };
  const expected = leadingEigenpairs(operator, 6, { random: new Random(0, "spectral") });
  expect(await leadingEigenpairsAsync(late, 6, { random: new Random(0, "spectral") })).toEqual(expected);
});

test.each([1, 3, 20, 50])("the leading eigenpairs of an affinity of %i parts are the dense ones", (parts) => {
  const operator = normalisedAffinity(randomAffinity(parts, 200 / parts, new Random(parts, "test")));
  const { values, vectors, residuals } = leadingEigenpairs(operator, 10, { random: new Random(0, "spectral") });
  const expected = oracle(operator);
  for (const [i, value] of values.entries()) expect(value).toBeCloseTo(expected[i]!, 12);
  const [residual, skew] = defects(operator, values, vectors);
  expect(residual).toBeLessThan(1e-9);
  expect(skew).toBeLessThan(1e-13);
  expect(Math.max(...residuals)).toBeLessThan(1e-9);
});

test("eigenvalue 1 comes once a connected part", () => {
  const operator = normalisedAffinity(randomAffinity(4, 50, new Random(2, "test")));
  const { values } = leadingEigenpairs(operator, 5, { random: new Random(0, "spectral") });
  expect([...values].filter((value) => value > 1 - 1e-9)).toHaveLength(4);
});

test("few samples are solved densely, all of their eigenpairs if asked", () => {
  const operator = laplacian(randomAffinity(1, 12, new Random(3, "test")));
  const { values, vectors } = leadingEigenpairs(operator, 12, { random: new Random(0, "spectral") });
  const expected = oracle(operator);
  for (const [i, value] of values.entries()) expect(value).toBeCloseTo(expected[i]!, 13);
  expect(Math.max(...defects(operator, values, vectors))).toBeLessThan(1e-13);
});

test("the Laplacian is I minus the normalised affinity", () => {
  const affinity = randomAffinity(1, 30, new Random(4, "test"));
  const sum = dense(laplacian(affinity)).add(dense(normalisedAffinity(affinity)));
  expect(sum.sub(Matrix.eye(30)).abs().max()).toBeLessThan(1e-16);
});

test("the same draws give the same bits, and the largest entry of each eigenvector is positive", () => {
  const operator = normalisedAffinity(randomAffinity(2, 100, new Random(5, "test")));
  const first = leadingEigenpairs(operator, 6, { random: new Random(0, "spectral") });
  expect(leadingEigenpairs(operator, 6, { random: new Random(0, "spectral") })).toEqual(first);
  for (let c = 0; c < 6; c++) {
    const column = first.vectors.filter((_, entry) => entry % 6 === c);
    expect(Math.max(...column)).toBe(Math.max(...column.map(Math.abs)));
  }
});

test("a sample of degree 0 has entry 0 in the eigenvectors of other eigenvalues", () => {
  const data = new Float64Array(16);
  for (const [i, j] of [
    [0, 1],
    [1, 2],
  ] as const)
    data[i * 4 + j] = data[j * 4 + i] = 1; // sample 3 is alone
  const operator = normalisedAffinity(sparseFromDense({ data, shape: [4, 4] }));
  expect([...operator.degrees]).toEqual([1, 2, 1, 0]);
  const { values, vectors } = leadingEigenpairs(operator, 1, { random: new Random(0, "spectral") });
  expect(values[0]).toBeCloseTo(1, 14);
  expect(vectors[3]).toBe(0);
});

test("what cannot be solved is an error with a reason", () => {
  const random = new Random(0, "spectral");
  const affinity = randomAffinity(1, 200, new Random(6, "test"));
  const operator = normalisedAffinity(affinity);
  const code = (name: string) => expect.objectContaining({ code: name });
  expect(() => leadingEigenpairs(operator, 201, { random })).toThrow(code("OUT_OF_RANGE"));
  expect(() => leadingEigenpairs(operator, 5, { random, maxRounds: 1 })).toThrow(
    /5 of 200 not converged after 1 round/,
  );
  expect(() => symmetricEigenByQl(Float64Array.of(Number.NaN), 1)).toThrow(code("NOT_FINITE"));
  expect(() => normalisedAffinity({ ...affinity, values: affinity.values.map(() => Number.NaN) })).toThrow(
    code("NOT_FINITE"),
  );
  expect(() => normalisedAffinity({ ...affinity, values: affinity.values.map(() => -1) })).toThrow(
    code("OUT_OF_RANGE"),
  );
});
