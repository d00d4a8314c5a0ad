import { existsSync } from "node:fs";
import type * as tf from "@tensorflow/tfjs-core";
import { expect, test } from "vitest";
import { trace } from "../../../export/index.ts";
import { nearestLandmarks } from "../../../models/assignment/nystrom.ts";
import {
  type ExpressionDictionary,
  expressedCoefficients,
  expressionEmbedding,
} from "../../../models/assignment/self-expression.ts";
import { constants } from "../../../train/clusterer-graph.ts";
import { loadSource } from "../../../train/data/index.ts";
import { CompiledFunction } from "../../../train/executors/onnx.ts";
import { accuracy } from "../../../train/metrics.ts";
import { Random } from "../../../train/random.ts";
import {
  denseAffinityClustering,
  postProcessedAffinity,
  ridgeSelfExpression,
  unitRows,
} from "../../../train/spectral/index.ts";
import { extensionRows } from "../../../train/structure.ts";

const COIL = "../shared/data/coil20.npz";
const OPTIONS = { kept: 0.04, rank: 12 * 20 + 1, power: 8 };
const LAMBDA = 10;

/**
 * Without any training. The figures of an implementation in numpy and scikit-learn on the same pixels: accuracy 0.883 by
 * discretise and 0.931 by k-means of K + 2 eigenvectors.
 */
test.skipIf(!existsSync(COIL))("COIL-20's pixels cluster as in numpy, and land where they were", async () => {
  const { samples, labels: truth } = await loadSource(COIL);
  const latents = unitRows({ data: Float32Array.from(samples.data), shape: [1440, 1024] });
  const { coefficients, map } = await ridgeSelfExpression(latents, LAMBDA);
  const { affinity, factors } = await postProcessedAffinity(coefficients, OPTIONS);
  const cluster = (by: object) =>
    denseAffinityClustering(affinity, { clusters: 20, random: new Random(0, "structure"), ...by });
  const scored = (labels: Int32Array) => accuracy(labels, truth as ArrayLike<number>).accuracy;

  const clustering = await cluster({ eigenvectors: 22 });
  expect(scored(clustering.labels)).toBeCloseTo(0.931, 2);
  expect(scored((await cluster({ rule: "discretise" })).labels)).toBeCloseTo(0.883, 2);

  const arrays = { latents, map, rows: extensionRows(clustering) };
  const { reach, extension, rows: units } = factors;
  const place = ({ latent }: Record<string, tf.Tensor>) => {
    const dictionary = { ...constants(arrays), factors: constants({ reach, extension, units }) };
    const known = dictionary as unknown as ExpressionDictionary;
    const nearest = nearestLandmarks(latent as tf.Tensor2D, known.latents, 5);
    const expressed = expressedCoefficients(latent as tf.Tensor2D, nearest, known, LAMBDA);
    return { embedding: expressionEmbedding(expressed, nearest, known, OPTIONS) };
  };
  const inputs = { latent: { type: "float32", shape: ["N", 1024] } } as const;
  const graph = await CompiledFunction.compile(trace(place, { inputs }));
  const { embedding } = await graph.run({ latent: latents });
  await graph.dispose();
  let least = 1;
  for (let i = 0; i < 1440; i++) {
    let cosine = 0;
    for (let j = 0; j < 22; j++) cosine += embedding!.data[i * 22 + j]! * clustering.embedding.data[i * 22 + j]!;
    least = Math.min(least, cosine);
  }
  expect(least).toBeGreaterThan(0.999);
});
