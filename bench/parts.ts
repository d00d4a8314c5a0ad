/**
 * Times the parts around training: spectral clustering of 10,000 x 32 latents, and what `Clusterer.assign` adds to a bare
 * `session.run` at batch 256. `npm run bench:parts [-- --bundle bundles/digits]`.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as ort from "onnxruntime-node";
import { loadClusterer } from "../runtime/node.ts";
import { loadSource } from "../train/data/index.ts";
import { Random } from "../train/random.ts";
import {
  kMeans,
  leadingEigenpairs,
  nearestNeighbours,
  normalisedAffinity,
  selfTunedAffinity,
  unitRows,
} from "../train/spectral/index.ts";
import { median } from "./median.ts";

const { values: options } = parseArgs({ options: { bundle: { type: "string", default: "bundles/digits" } } });
const ROUNDS = 5;
const LATENT = 32;
const CLUSTERS = 10;

async function timed<T>(run: () => T | Promise<T>): Promise<[T, number]> {
  const began = performance.now();
  const result = await run();
  return [result, performance.now() - began];
}

/** The digits' pixels through a fixed random projection: real neighbourhoods, without a training run. */
async function projectedDigits() {
  const { samples } = await loadSource("digits");
  const [n] = samples.shape;
  const pixels = samples.data.length / n;
  const random = new Random(0, "projection");
  const matrix = Float32Array.from({ length: pixels * LATENT }, () => random.normal());
  const data = new Float32Array(n * LATENT);
  for (let i = 0; i < n; i++) {
    for (let p = 0; p < pixels; p++) {
      const value = samples.data[i * pixels + p] as number;
      if (value === 0) continue;
      for (let j = 0; j < LATENT; j++)
        data[i * LATENT + j] = (data[i * LATENT + j] as number) + value * (matrix[p * LATENT + j] as number);
    }
  }
  return unitRows({ data, shape: [n, LATENT] });
}

async function spectral() {
  const points = await projectedDigits();
  const seconds: Record<string, number[]> = { neighbours: [], affinity: [], eigenvectors: [], kMeans: [], total: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const [neighbours, a] = await timed(() => nearestNeighbours(points, 10));
    const [operator, b] = await timed(() => normalisedAffinity(selfTunedAffinity(neighbours).affinity));
    const [{ vectors }, c] = await timed(() =>
      leadingEigenpairs(operator, CLUSTERS, { random: new Random(0, "eigen") }),
    );
    const [, d] = await timed(() =>
      kMeans({ data: vectors, shape: [10_000, CLUSTERS] }, { clusters: CLUSTERS, random: new Random(0, "k-means") }),
    );
    [a, b, c, d, a + b + c + d].forEach((value, i) => {
      (Object.values(seconds)[i] as number[]).push(value / 1000);
    });
  }
  return Object.fromEntries(Object.entries(seconds).map(([name, values]) => [name, Number(median(values).toFixed(3))]));
}

async function overhead(bundle: string) {
  const { samples } = await loadSource("digits:unseen");
  const shape = [256, ...samples.shape.slice(1)];
  const data = (samples.data as Uint8Array).slice(
    0,
    shape.reduce((a, b) => a * b, 1),
  );
  const clusterer = await loadClusterer(bundle, { device: "cpu" });
  const session = await ort.InferenceSession.create(readFileSync(join(bundle, "model.onnx")), {
    executionProviders: ["cpu"],
  });
  const bare: number[] = [];
  const ours: number[] = [];
  for (let round = 0; round < 40; round++) {
    bare.push(
      (
        await timed(() =>
          session.run({ images: new ort.Tensor("uint8", data, shape) }, ["label", "confidence", "novelty"]),
        )
      )[1],
    );
    ours.push((await timed(() => clusterer.assign({ data, shape })))[1]);
  }
  await clusterer.dispose();
  await session.release();
  return { bareMilliseconds: median(bare), assignMilliseconds: median(ours), ratio: median(ours) / median(bare) };
}

console.log(JSON.stringify({ spectral: { samples: 10_000, latent: LATENT, seconds: await spectral() } }));
if (existsSync(options.bundle))
  console.log(JSON.stringify({ assign: { batch: 256, ...(await overhead(options.bundle)) } }));
else console.log(`no bundle at ${options.bundle}: run the quickstart first to time assign`);
