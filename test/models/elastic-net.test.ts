import { Matrix, solve } from "ml-matrix";
import { expect, test } from "vitest";
import { draws } from "../export/run-model.ts";
import { elasticNet, elasticNetObjective } from "./elastic-net.ts";

/**
 * The least objective over all signs of all coefficients: with signs given it is quadratic, and its minimum solves
 * (gamma D_S D_S^T + (1 - lambda) I) c = gamma D_S z - lambda sign. A solution of other signs is no minimum of these signs.
 */
function bruteForce(z: Float32Array, atoms: Float32Array, d: number, gamma: number, lambda: number): number {
  const m = atoms.length / d;
  let best = Number.POSITIVE_INFINITY;
  for (let code = 0; code < 3 ** m; code++) {
    const signs = Array.from({ length: m }, (_, j) => (Math.floor(code / 3 ** j) % 3) - 1);
    const chosen = signs.flatMap((sign, j) => (sign === 0 ? [] : [j]));
    const c = new Float64Array(m);
    if (chosen.length > 0) {
      const rows = new Matrix(chosen.map((j) => Array.from(atoms.subarray(j * d, (j + 1) * d))));
      const left = rows
        .mmul(rows.transpose())
        .mul(gamma)
        .add(Matrix.eye(chosen.length).mul(1 - lambda));
      const right = rows.mmul(Matrix.columnVector(Array.from(z))).mul(gamma);
      chosen.forEach((j, i) => {
        right.set(i, 0, right.get(i, 0) - lambda * signs[j]!);
      });
      const solution = solve(left, right);
      chosen.forEach((j, i) => {
        c[j] = solution.get(i, 0);
      });
      if (chosen.some((j) => Math.sign(c[j]!) !== signs[j])) continue;
    }
    best = Math.min(best, elasticNetObjective(z, atoms, c, { gamma, lambda }));
  }
  return best;
}

test.each([
  { gamma: 20, lambda: 0.9 },
  { gamma: 3, lambda: 0.9 },
  { gamma: 5, lambda: 0.1 },
  { gamma: 0.1, lambda: 0.9 },
])("coordinate descent reaches the best of all signs, $gamma $lambda", (weights) => {
  const [d, m] = [3, 5];
  for (let seed = 1; seed <= 8; seed++) {
    const [z, atoms] = [draws(d, -1, 1, seed), draws(m * d, -1, 1, 100 + seed)];
    const { objective } = elasticNet(z, atoms, d, weights);
    expect(objective).toBeCloseTo(bruteForce(z, atoms, d, weights.gamma, weights.lambda), 7);
  }
});

test("a sample's own coefficient stays 0, and the others make up for it", () => {
  const [n, d] = [12, 3];
  const points = draws(n * d);
  const weights = { gamma: 50, lambda: 0.9 };
  const { coefficients, objective } = elasticNet(points, points, d, { ...weights, own: (sample) => sample });
  for (let i = 0; i < n; i++) expect(coefficients[i * n + i]).toBe(0);
  expect(objective).toBeGreaterThan(elasticNet(points, points, d, weights).objective);
  expect(objective).toBeLessThan(25 * (points.reduce((sum, x) => sum + x * x, 0) / n));
});

test("the objective is the mean over samples", () => {
  const [d, m] = [3, 4];
  const [z, atoms] = [draws(2 * d), draws(m * d, -1, 1, 3)];
  const weights = { gamma: 10, lambda: 0.9 };
  const { coefficients, objective } = elasticNet(z, atoms, d, weights);
  const of = (i: number) =>
    elasticNetObjective(z.slice(i * d, (i + 1) * d), atoms, coefficients.slice(i * m, (i + 1) * m), weights);
  expect(objective).toBeCloseTo((of(0) + of(1)) / 2, 12);
});
