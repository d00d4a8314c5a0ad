import * as tf from "@tensorflow/tfjs-core";
import { expect, test } from "vitest";
import { trace } from "../../export/index.ts";
import { anchorEmbedding } from "../../models/assignment/anchors.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { Random } from "../../train/random.ts";
import { anchorWeights, bipartiteClustering } from "../../train/spectral/index.ts";
import { runModel } from "../export/run-model.ts";
import { blocksOf, signedCoefficients } from "../train/spectral/coefficients.ts";

const [N, M, T] = [150, 40, 5];
const { coefficients } = signedCoefficients(N, M, 3, 0.4);
const weights = await anchorWeights(blocksOf(coefficients, 64), {
  ...{ samples: N, anchors: M, nonzeros: T },
  ties: "both",
});
const clustering = await bipartiteClustering(weights, {
  ...{ clusters: 3, eigenvectors: "diffusion" },
  random: new Random(1, "spectral"),
});
const { rows, embedding, eigenvectors: m } = clustering;
const model = trace(
  ({ c }) => ({
    y: anchorEmbedding(c as tf.Tensor2D, tf.tensor2d(rows.data, rows.shape as [number, number]), T, "both"),
  }),
  { inputs: { c: { type: "float32", shape: ["N", M] } } },
);

async function place({ data, shape }: NumberArray): Promise<NumberArray<ArrayLike<number>>> {
  const { y } = await runModel(model, { c: { data, shape: [...shape] } });
  return y as NumberArray<ArrayLike<number>>;
}

const worst = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));

test("every training sample lands on its own row", async () => {
  const placed = await place(coefficients);
  expect(placed.shape).toEqual([N, m]);
  expect(worst(placed.data, embedding.data)).toBeLessThan(1e-5);
});

test("a sample's place does not depend on the scale or the signs of its coefficients", async () => {
  const changed = coefficients.data.map((value, at) => (at % 2 === 0 ? -1e-6 : 1e-6) * value);
  expect(worst((await place({ data: changed, shape: [N, M] })).data, embedding.data)).toBeLessThan(1e-5);
});

test("any number of samples, none too, and eagerly the same", async () => {
  for (const count of [0, 1, 7]) {
    const data = coefficients.data.slice(0, count * M);
    const placed = await place({ data, shape: [count, M] });
    expect(placed.shape).toEqual([count, m]);
    expect(count === 0 ? 0 : worst(placed.data, embedding.data)).toBeLessThan(1e-5);
  }
  tf.setBackend("cpu");
  const eager = tf.tidy(() =>
    anchorEmbedding(tf.tensor2d(coefficients.data, [N, M]), tf.tensor2d(rows.data, [M, m]), T, "both").dataSync(),
  );
  expect(worst(eager, embedding.data)).toBeLessThan(1e-5);
});

test("a sample without coefficients lands on the origin", async () => {
  const { data } = await place({ data: new Float32Array(M), shape: [1, M] });
  expect(Array.from(data, Math.abs)).toEqual(Array(m).fill(0));
});

const placedByTwo = (c: [number, number], ties: "positive" | "both") => {
  tf.setBackend("cpu");
  const rows = () => tf.tensor2d([1, 0, 0, 1], [2, 2]);
  return tf.tidy(() => anchorEmbedding(tf.tensor2d([c]), rows(), 5, ties).dataSync());
};

test("of fewer anchors than were asked for all count, by their energies", () => {
  expect(worst(placedByTwo([3, 1], "both"), [9 / Math.sqrt(82), 1 / Math.sqrt(82)])).toBeLessThan(1e-6);
});

test("a coefficient below 0 ties only where that is asked for", () => {
  expect(worst(placedByTwo([1, -1], "positive"), [1, 0])).toBeLessThan(1e-6);
  expect(worst(placedByTwo([1, -1], "both"), [Math.SQRT1_2, Math.SQRT1_2])).toBeLessThan(1e-6);
});
