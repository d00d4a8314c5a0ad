import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { beforeAll, describe, expect, test } from "vitest";
import { trace } from "../../export/index.ts";
import { nearestLandmarks } from "../../models/assignment/nystrom.ts";
import {
  type ExpressionDictionary,
  expressedCoefficients,
  expressionEmbedding,
  keptCoefficients,
} from "../../models/assignment/self-expression.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { Random } from "../../train/random.ts";
import {
  type DenseAffinityClustering,
  denseAffinityClustering,
  plainAffinity,
  postProcessedAffinity,
  ridgeSelfExpression,
} from "../../train/spectral/index.ts";
import { extensionRows } from "../../train/structure.ts";
import { runModel } from "../export/run-model.ts";
import { subspaces } from "../train/spectral/subspaces.ts";

const tensor = ({ data, shape }: NumberArray) => tf.tensor2d(data, shape as [number, number]);
const furthest = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0);

const SPACES = { clusters: 4, dimension: 3, perCluster: 30, width: 20 };
const CLUSTERS = SPACES.clusters;
const N = CLUSTERS * SPACES.perCluster;
const SETTINGS = { lambda: 0.1, kept: 0.4, power: 4 };

async function trained(form: "plain" | "post-processed") {
  const { latents, truth } = subspaces(SPACES);
  const { coefficients, map } = await ridgeSelfExpression(latents, SETTINGS.lambda);
  const { affinity, factors } =
    form === "plain"
      ? { affinity: plainAffinity(coefficients), factors: undefined }
      : await postProcessedAffinity(coefficients, { ...SETTINGS, rank: CLUSTERS * 3 + 1 });
  const random = new Random(0, "k-means");
  const clustering = await denseAffinityClustering(affinity, { clusters: CLUSTERS, eigenvectors: CLUSTERS, random });
  const rows = extensionRows(clustering);
  const arrays = {
    latents,
    map,
    rows,
    ...(factors && { reach: factors.reach, extension: factors.extension, units: factors.rows }),
  };
  return { latents, truth, clustering, arrays: arrays as Record<string, NumberArray> };
}

/** The dictionary as tensors of the backend at work. */
function dictionaryOf(arrays: Record<string, NumberArray>): ExpressionDictionary {
  const [latents, map, rows] = ["latents", "map", "rows"].map((name) => tensor(arrays[name] as NumberArray));
  const dictionary = { latents, map, rows } as ExpressionDictionary;
  if (arrays.reach === undefined) return dictionary;
  const [extension, units] = ["extension", "units"].map((name) => tensor(arrays[name] as NumberArray));
  return { ...dictionary, factors: { reach: tf.tensor1d(arrays.reach.data), extension: extension!, units: units! } };
}

function place(samples: tf.Tensor2D, arrays: Record<string, NumberArray>): tf.Tensor2D {
  const dictionary = dictionaryOf(arrays);
  const nearest = nearestLandmarks(samples, dictionary.latents, 5);
  const coefficients = expressedCoefficients(samples, nearest, dictionary, SETTINGS.lambda);
  return expressionEmbedding(coefficients, nearest, dictionary, SETTINGS);
}

function nearestCentres(embedding: ArrayLike<number>, { centres }: DenseAffinityClustering): number[] {
  const k = centres.shape[1]!;
  return Array.from({ length: embedding.length / k }, (_, i) => {
    const squared = Array.from({ length: CLUSTERS }, (_, c) =>
      Array.from({ length: k }, (_, j) => (embedding[i * k + j]! - centres.data[c * k + j]!) ** 2).reduce(
        (a, b) => a + b,
      ),
    );
    return squared.indexOf(Math.min(...squared));
  });
}

beforeAll(() => {
  tf.setBackend("cpu");
});

describe.each(["plain", "post-processed"] as const)("the extension of a %s affinity", async (form) => {
  const { latents, truth, clustering, arrays } = await trained(form);

  test("puts every training sample on its own row, so in its own cluster", () => {
    const embedding = place(tensor(latents), arrays).dataSync();
    expect(furthest(embedding, clustering.embedding.data)).toBeLessThan(2e-3); // float32 throughout, and its tolerances
    expect(nearestCentres(embedding, clustering)).toEqual([...clustering.labels]);
  });

  test("puts unseen samples of the same subspaces in their clusters", () => {
    const unseen = subspaces({ ...SPACES, seed: 1 });
    const labels = nearestCentres(place(tensor(unseen.latents), arrays).dataSync(), clustering);
    const clusterOf = new Map(Array.from(truth, (cluster, i) => [cluster, clustering.labels[i]]));
    const right = labels.filter((label, i) => label === clusterOf.get(unseen.truth[i]!)).length;
    expect(right / N).toBeGreaterThanOrEqual(0.98);
  });

  test("gives rows of length 1, of a sample that nothing expresses 0", () => {
    const samples = tf.concat([tf.slice(tensor(latents), 0, 3), tf.zeros([1, SPACES.width])]) as tf.Tensor2D;
    const lengths = tf.norm(place(samples, arrays), 2, 1).dataSync();
    expect(furthest(lengths, [1, 1, 1, 0])).toBeLessThan(1e-6);
  });

  test("traced once gives the same for 0, 1 and 7 samples", async () => {
    const inputs = { latent: { type: "float32", shape: ["N", SPACES.width] } } as const;
    const model = trace(({ latent }) => ({ embedding: place(latent as tf.Tensor2D, arrays) }), { inputs });
    for (const b of [0, 1, 7]) {
      const { latents: some } = subspaces({ ...SPACES, perCluster: 2, seed: 2 });
      const data = some.data.slice(0, b * SPACES.width);
      data.set(latents.data.subarray(0, Math.min(1, b) * SPACES.width)); // the first is a training sample
      const { embedding } = await runModel(model, { latent: { data, shape: [b, SPACES.width] } });
      expect(embedding?.shape).toEqual([b, CLUSTERS]);
      if (b === 0) continue;
      const eager = place(tf.tensor2d(data, [b, SPACES.width]), arrays).dataSync();
      expect(furthest(embedding!.data, eager)).toBeLessThan(1e-4); // high powers of cosines, in float32
    }
  });
});

test("a new sample has the coefficients that it would have in the dictionary", async () => {
  const { latents } = subspaces(SPACES);
  const [sample, others] = [latents.data.slice(0, 20), latents.data.slice(20)];
  const lambda = 0.3;
  const x = tf.tensor2d(sample, [1, 20]);
  const among = async (latents: NumberArray, map: NumberArray) => {
    const dictionary = { latents: tensor(latents), map: tensor(map) };
    return expressedCoefficients(x, nearestLandmarks(x, dictionary.latents, 5), dictionary, lambda).dataSync();
  };
  const rest = { data: others, shape: [N - 1, 20] };
  const { coefficients, map } = await ridgeSelfExpression(latents, lambda);
  const outside = await among(rest, (await ridgeSelfExpression(rest, lambda)).map);
  expect(furthest(outside, coefficients.data.subarray(1, N))).toBeLessThan(1e-6);
  const inside = await among(latents, map);
  expect(inside[0]).toBe(0);
  expect(furthest(inside.subarray(1), coefficients.data.subarray(1, N))).toBeLessThan(1e-6);
});

describe("kept coefficients", () => {
  const kept = (row: number[], share: number, reach?: number[]) =>
    Array.from(
      keptCoefficients(tf.tensor2d([row]), share, reach && tf.tensor1d(reach)).dataSync(),
      (value) => value + 0,
    );

  test("are the largest until they pass the share of the absolute sum, and their equals", () => {
    expect(kept([1, -4, 3, 2], 0.3)).toEqual([0, -4, 0, 0]);
    expect(kept([1, -5, 3, 1], 0.5)).toEqual([0, -5, 3, 0]); // 5 of 10 does not pass 0.5
    expect(kept([2, -4, 2, 2], 0.5)).toEqual([2, -4, 2, 2]);
    expect(kept([1, -4, 3, 2], 1)).toEqual([1, -4, 3, 2]);
  });

  test("are whole where they reach the other sample too, half where one of the two keeps them", () => {
    expect(kept([1, -4, 3, 2], 0.3, [0.5, 3, 9, 9])).toEqual([0.5, -4, 0, 0]);
  });

  test("of nothing are nothing", () => expect(kept([0, 0, 0, 0], 0.5, [1, 1, 1, 0])).toEqual([0, 0, 0, 0]));
});
