import * as tf from "@tensorflow/tfjs-core";
import "../../models/gradients.ts";
import { describe, expect, test } from "vitest";
import {
  assignmentLoss,
  clusterDivergence,
  codingRate,
  infoNce,
  jensenShannonLoss,
  priorDivergence,
  relativeReconstruction,
  squaredError,
} from "../../models/losses.ts";
import { choleskyColumns, logDeterminant, orthonormalizer } from "../../models/orthonormal.ts";
import { compare, draws, type Feeds } from "../export/run-model.ts";
import { gradientError, type ScalarFunction, withGradients } from "./gradient-check.ts";

type Shape = readonly number[];
interface Case {
  readonly name: string;
  readonly loss: (...inputs: tf.Tensor2D[]) => tf.Scalar;
  /** Inputs the loss is differentiated by. */
  readonly by: readonly Shape[];
  /** Inputs that are given: rows that sum to 1. */
  readonly given?: readonly Shape[];
}

/** Symmetric, positive definite: A A^T + I. */
const definite = (a: tf.Tensor2D) =>
  tf.add(tf.matMul(a, a, false, true), tf.tensor2d([1, 0, 0, 0, 1, 0, 0, 0, 1], [3, 3])) as tf.Tensor2D;
/** A number that hangs on every entry of a tensor, each in its own way. */
const weighed = (x: tf.Tensor) => {
  const weights = tf.reshape(tf.sin(tf.add(tf.range(0, x.size), 1)), x.shape);
  return tf.sum(tf.mul(x, weights)) as tf.Scalar;
};

const cases: readonly Case[] = [
  {
    name: "squaredError",
    loss: (x, y) => squaredError(x, y),
    by: [
      [4, 3],
      [4, 3],
    ],
  },
  {
    name: "relativeReconstruction",
    loss: (x, clean, noised) => relativeReconstruction(x, clean, noised, 0.5),
    by: [
      [3, 4],
      [3, 4],
      [3, 4],
    ],
  },
  {
    name: "jensenShannonLoss",
    loss: (joint, marginal) => jensenShannonLoss(joint, marginal),
    by: [
      [4, 3],
      [4, 3],
    ],
  },
  { name: "infoNce", loss: (latents) => infoNce(latents, 0.5), by: [[6, 4]] },
  {
    name: "priorDivergence",
    loss: (mean, logVariance) => priorDivergence(mean, logVariance),
    by: [
      [4, 3],
      [4, 3],
    ],
  },
  {
    name: "clusterDivergence",
    // Softmax keeps the probabilities on the simplex while they are moved.
    loss: (mean, logVariance, logits, means) => clusterDivergence(mean, logVariance, tf.softmax(logits), means),
    by: [
      [4, 3],
      [4, 3],
      [4, 2],
      [2, 3],
    ],
  },
  { name: "assignmentLoss", loss: (logits, targets) => assignmentLoss(logits, targets), by: [[5, 3]], given: [[5, 3]] },
  { name: "codingRate", loss: (latents) => codingRate(latents, logDeterminant), by: [[5, 3]] },
  { name: "logDeterminant", loss: (a) => logDeterminant(definite(a)), by: [[3, 3]] },
  { name: "choleskyColumns", loss: (a) => weighed(tf.concat(choleskyColumns(definite(a)), 1)), by: [[3, 3]] },
  { name: "orthonormalizer", loss: (outputs) => weighed(orthonormalizer(outputs)), by: [[8, 3]] },
];

describe.each(cases)("$name", ({ loss, by, given = [] }) => {
  const differentiable = by.map((_, i) => `x${i}`);
  const names = [...differentiable, ...given.map((_, i) => `given${i}`)];
  const feeds: Feeds = {};
  by.forEach((shape, i) => {
    feeds[`x${i}`] = { data: draws(tf.util.sizeFromShape([...shape]), -1, 1, i + 1), shape: [...shape] };
  });
  given.forEach((shape, i) => {
    const [rows, columns] = shape as [number, number];
    const data = draws(rows * columns, 0, 1, i + 9);
    for (let row = 0; row < rows; row++) {
      const part = data.subarray(row * columns, (row + 1) * columns);
      const sum = part.reduce((a, b) => a + b, 0);
      part.forEach((value, k) => {
        part[k] = value / sum;
      });
    }
    feeds[`given${i}`] = { data, shape: [...shape] };
  });
  const fn: ScalarFunction = (x) => loss(...names.map((name) => x[name] as tf.Tensor2D));

  test("value and gradient are the same traced as eager", async () => {
    const inputs = Object.fromEntries(names.map((n) => [n, { type: "float32", shape: feeds[n]!.shape } as const]));
    const { difference, eager } = await compare(withGradients(fn, differentiable), { inputs }, feeds);
    expect(difference).toBeLessThanOrEqual(1e-5);
    expect(eager.value?.shape).toEqual([]);
  });

  test.each(differentiable)("gradient by %s agrees with finite differences", (name) => {
    expect(gradientError(fn, feeds, name)).toBeLessThan(1e-2);
  });
});

const number = (fn: () => tf.Scalar): number => {
  tf.setBackend("cpu");
  return tf.tidy(() => fn().dataSync()[0] as number);
};
const zeros = (rows: number, columns: number) => tf.zeros<tf.Rank.R2>([rows, columns]);

describe("known values", () => {
  test("squaredError sums over features and averages over samples", () => {
    expect(number(() => squaredError(tf.tensor2d([1, 2, 3, 4], [2, 2]), zeros(2, 2)))).toBe(15);
  });

  test("relativeReconstruction weighs the sample's error by delta, and not the noise's", () => {
    const [x, clean, noised] = [[0], [2], [5]].map((row) => () => tf.tensor2d(row, [1, 1]));
    expect(number(() => relativeReconstruction(x!(), clean!(), noised!(), 0.5))).toBe(9 + 0.5 * 4);
  });

  test("jensenShannonLoss of a discriminator that knows nothing is 2 log 2, of one that knows all 0", () => {
    expect(number(() => jensenShannonLoss(zeros(4, 3), zeros(4, 3)))).toBeCloseTo(2 * Math.log(2), 6);
    expect(number(() => jensenShannonLoss(tf.fill([2], 100), tf.fill([2], -100)))).toBeCloseTo(0, 6);
  });

  test("jensenShannonLoss of a discriminator that is wrong and sure stays finite", () => {
    expect(number(() => jensenShannonLoss(tf.fill([2], -200), tf.fill([2], 200)))).toBeCloseTo(400, 3);
  });

  test("infoNce of latents that say nothing is log(2b - 1)", () => {
    expect(number(() => infoNce(tf.ones([8, 3]), 0.1))).toBeCloseTo(Math.log(7), 5);
  });

  test("infoNce of views that agree and samples that differ is near 0", () => {
    const sample = [1, 0, 0, 0, 1, 0, 0, 0, 1];
    expect(number(() => infoNce(tf.tensor2d([...sample, ...sample], [6, 3]), 0.05))).toBeLessThan(1e-6);
  });

  test("infoNce divides similarities by the temperature", () => {
    // Of three other views one is the same and two are at right angles.
    const views = [1, 0, 0, 1, 1, 0, 0, 1];
    expect(number(() => infoNce(tf.tensor2d(views, [4, 2]), 0.5))).toBeCloseTo(Math.log(Math.exp(2) + 2) - 2, 5);
  });

  test("infoNce does not see a latent's length", () => {
    const latents = () => tf.tensor2d(draws(24), [6, 4]);
    const scaled = number(() => infoNce(tf.mul(latents(), 50), 0.5));
    expect(scaled).toBeCloseTo(
      number(() => infoNce(latents(), 0.5)),
      5,
    );
  });

  test("priorDivergence is 0 at the prior, and half the squared mean beside it", () => {
    expect(number(() => priorDivergence(zeros(4, 3), zeros(4, 3)))).toBe(0);
    expect(number(() => priorDivergence(tf.fill([4, 3], 2), zeros(4, 3)))).toBeCloseTo(3 * 2, 5);
  });

  test("clusterDivergence is 0 where all clusters are the prior, and log K more when one is chosen", () => {
    const latent = zeros(4, 3);
    expect(number(() => clusterDivergence(latent, latent, tf.fill([4, 5], 0.2), zeros(5, 3)))).toBeCloseTo(0, 6);
    const chosen = () => tf.tensor2d([1, 0, 0, 0, 0, 0, 1, 0, 0, 0], [2, 5]);
    const value = number(() => clusterDivergence(zeros(2, 3), zeros(2, 3), chosen(), zeros(5, 3)));
    expect(value).toBeCloseTo(Math.log(5), 5);
  });

  test("clusterDivergence measures from the chosen cluster's mean", () => {
    const chosen = () => tf.tensor2d([1, 0], [1, 2]);
    const means = () => tf.tensor2d([2, 0, 9, 9], [2, 2]);
    const value = number(() => clusterDivergence(zeros(1, 2), zeros(1, 2), chosen(), means()));
    expect(value).toBeCloseTo(0.5 * 4 + Math.log(2), 5);
  });

  test("assignmentLoss learns nothing from uniform targets, all from sure ones", () => {
    const logits = () => tf.tensor2d(draws(12), [4, 3]);
    expect(number(() => assignmentLoss(logits(), tf.fill([4, 3], 1 / 3)))).toBeCloseTo(0, 6);
    const sure = () => tf.tensor2d([0, 1, 0, 1, 0, 0], [2, 3]);
    expect(number(() => assignmentLoss(zeros(2, 3), sure()))).toBeCloseTo(Math.log(3), 6);
    expect(number(() => assignmentLoss(tf.mul(sure(), 50), sure()))).toBeCloseTo(0, 6);
  });

  test("codingRate is lower for latents that spread than for latents that coincide, as the formula says", () => {
    const collapsed = number(() => codingRate(tf.ones([4, 2]), logDeterminant));
    const spread = number(() => codingRate(tf.tensor2d([1, 0, 0, 1, 1, 0, 0, 1], [4, 2]), logDeterminant));
    // Gram matrices: of rank 1 with eigenvalue d / eps = 4; twice eigenvalue d / 2 eps = 2.
    expect(collapsed).toBeCloseTo(-Math.log(1 + 4) / 4, 5);
    expect(spread).toBeCloseTo((-2 * Math.log(1 + 2)) / 4, 5);
    expect(spread).toBeLessThan(collapsed);
  });
});
