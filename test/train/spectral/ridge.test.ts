import { inverse, Matrix } from "ml-matrix";
import { describe, expect, test } from "vitest";
import type { NumberArray } from "../../../runtime/samples.ts";
import { Random } from "../../../train/random.ts";
import { ridgeSelfExpression, unitRows, withoutItself } from "../../../train/spectral/index.ts";

function latentsOf(n: number, d: number, seed = 0): NumberArray {
  const random = new Random(seed, "ridge");
  return unitRows({ data: Float32Array.from({ length: n * d }, () => random.normal()), shape: [n, d] });
}

const matrix = ({ data, shape }: NumberArray) => Matrix.from1DArray(shape[0]!, shape[1]!, Array.from(data));
const furthest = (a: Matrix, b: Matrix) => Matrix.sub(a, b).abs().max();

/** Z Z^T (Z Z^T + lambda I)^-1. */
function closedForm(latents: NumberArray, lambda: number): Matrix {
  const z = matrix(latents);
  const gram = z.mmul(z.transpose());
  return gram.mmul(inverse(Matrix.add(gram, Matrix.eye(z.rows).mul(lambda))));
}

describe.each([
  ["fewer latents than dimensions", 40, 60],
  ["as many", 50, 50],
  ["more", 90, 20],
  ["several blocks of latents", 140, 150],
  ["several blocks of dimensions", 150, 140],
])("of %s", (_, n, d) => {
  const latents = latentsOf(n, d);

  test.each([0.1, 10])(
    "coefficients are the closed form at lambda %d, their diagonal to more digits",
    async (lambda) => {
      const { coefficients, residues, map } = await ridgeSelfExpression(latents, lambda);
      const expected = closedForm(latents, lambda);
      expect(furthest(matrix(coefficients), expected)).toBeLessThan(1e-6);
      expect(furthest(matrix(coefficients), matrix(coefficients).transpose())).toBe(0);
      for (let i = 0; i < n; i++) expect(residues[i]).toBeCloseTo(1 - expected.get(i, i), 10);
      expect(furthest(matrix(latents).mmul(matrix(map)), expected)).toBeLessThan(1e-5); // the map is float32
    },
  );
});

test("of many latents, too, coefficients solve C (G + lambda I) = G", async () => {
  const latents = latentsOf(530, 540);
  const { coefficients } = await ridgeSelfExpression(latents, 0.5);
  const z = matrix(latents);
  const x = Matrix.from1DArray(530, 1, Array.from(z.getColumn(0)));
  const gramTimes = (vector: Matrix) => z.mmul(z.transpose().mmul(vector));
  const left = matrix(coefficients).mmul(gramTimes(x).add(Matrix.mul(x, 0.5)));
  expect(furthest(left, gramTimes(x))).toBeLessThan(1e-5);
});

test.each([
  [12, 30],
  [30, 12],
])("without itself, a sample of %i in %i dimensions has the ridge regression on the others", async (n, d) => {
  const lambda = 0.3;
  const latents = latentsOf(n, d, 1);
  const coefficients = matrix(withoutItself(await ridgeSelfExpression(latents, lambda)));
  const z = matrix(latents);
  for (let i = 0; i < n; i++) {
    const others = Array.from({ length: n }, (_, j) => j).filter((j) => j !== i);
    const rest = z.selection(
      others,
      Array.from({ length: d }, (_, j) => j),
    );
    const gram = rest.mmul(rest.transpose()).add(Matrix.eye(n - 1).mul(lambda));
    const expected = z.getRowVector(i).mmul(rest.transpose()).mmul(inverse(gram));
    expect(coefficients.get(i, i)).toBe(0);
    for (const [at, j] of others.entries()) expect(coefficients.get(i, j)).toBeCloseTo(expected.get(0, at), 5);
  }
});

test("rows of zeros express nothing and are not expressed", async () => {
  const latents = latentsOf(10, 6);
  latents.data.fill(0, 12, 18);
  const { coefficients, residues } = await ridgeSelfExpression(latents, 1);
  const c = matrix(coefficients);
  expect([c.getRowVector(2).abs().max(), c.getColumnVector(2).abs().max()]).toEqual([0, 0]);
  expect(residues[2]).toBe(1);
});

test("all rows alike share their expression evenly", async () => {
  const latents = { data: new Float32Array(5 * 8).fill(Math.SQRT1_2 / 2), shape: [5, 8] };
  const { coefficients } = await ridgeSelfExpression(latents, 1);
  for (const value of coefficients.data) expect(value).toBeCloseTo(1 / 6, 6); // 1 / (n + lambda)
});

test("twice the same is bit-equal", async () => {
  const run = () => ridgeSelfExpression(latentsOf(140, 150), 1);
  expect(await run()).toEqual(await run());
});

test("what has no closed form is an error with a reason", async () => {
  const code = (name: string) => expect.objectContaining({ code: name });
  const latents = latentsOf(4, 3);
  await expect(ridgeSelfExpression(latents, 0)).rejects.toThrow(/lambda: expected above 0, got 0/);
  await expect(ridgeSelfExpression({ ...latents, shape: [3, 3] }, 1)).rejects.toThrow(code("SHAPE_MISMATCH"));
  latents.data[0] = Number.NaN;
  await expect(ridgeSelfExpression(latents, 1)).rejects.toThrow(code("NOT_FINITE"));
});
