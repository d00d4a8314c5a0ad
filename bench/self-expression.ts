/**
 * What closed-form self-expression gives without any training: COIL-20's pixels in unit rows, ridge regression, both affinities,
 * all ways to cut them. And seconds, of COIL-20 and of as many random latents as asked for.
 *
 * npm run build && node dist/bench/self-expression.js [--lambda 10] [--samples 5000]
 */
import { parseArgs } from "node:util";
import { loadSource } from "../train/data/index.ts";
import { accuracy, adjustedRandIndex, normalizedMutualInformation } from "../train/metrics.ts";
import { Random } from "../train/random.ts";
import {
  type DenseClusteringOptions,
  denseAffinityClustering,
  plainAffinity,
  postProcessedAffinity,
  ridgeSelfExpression,
  unitRows,
} from "../train/spectral/index.ts";

const { values: options } = parseArgs({
  options: { lambda: { type: "string", default: "10" }, samples: { type: "string" } },
});
const lambda = Number(options.lambda);

/** The result, and the seconds it took: on the clock, and of all processors. */
async function timed<T>(run: () => T | Promise<T>): Promise<[T, { clock: number; processors: number }]> {
  const [began, before] = [performance.now(), process.cpuUsage()];
  const result = await run();
  const { user, system } = process.cpuUsage(before);
  const rounded = (seconds: number) => Number(seconds.toFixed(2));
  return [result, { clock: rounded((performance.now() - began) / 1e3), processors: rounded((user + system) / 1e6) }];
}

const CUTS: Readonly<Record<string, Pick<DenseClusteringOptions, "rule" | "eigenvectors">>> = {
  discretise: { rule: "discretise" },
  "K eigenvectors": { eigenvectors: 20 },
  "K + 2": { eigenvectors: 22 },
  balance: { eigenvectors: "balance" },
};

async function coil20() {
  const { samples, labels } = await loadSource("../shared/data/coil20.npz");
  const truth = labels as ArrayLike<number>;
  const latents = unitRows({ data: Float32Array.from(samples.data), shape: [1440, 1024] });
  const [{ coefficients }, ridge] = await timed(() => ridgeSelfExpression(latents, lambda));
  const plain = plainAffinity(coefficients);
  const [refined, postProcessing] = await timed(() =>
    postProcessedAffinity(coefficients, { kept: 0.04, rank: 12 * 20 + 1, power: 8 }),
  );
  console.log(JSON.stringify({ samples: 1440, lambda, seconds: { ridge, postProcessing } }));
  for (const [form, affinity] of Object.entries({ plain, "post-processed": refined.affinity })) {
    for (const [cut, by] of Object.entries(CUTS)) {
      const random = new Random(0, "structure");
      const [found, seconds] = await timed(() => denseAffinityClustering(affinity, { clusters: 20, random, ...by }));
      const scores = {
        accuracy: accuracy(found.labels, truth).accuracy.toFixed(4),
        nmi: normalizedMutualInformation(found.labels, truth).toFixed(4),
        ari: adjustedRandIndex(found.labels, truth).toFixed(4),
      };
      console.log(JSON.stringify({ form, cut, ...scores, eigenvectors: found.eigenvectors, seconds }));
    }
  }
}

/** Latents of 40 subspaces of 4 dimensions in 128, with noise. */
function noisySubspaces(n: number) {
  const random = new Random(0, "subspaces");
  const bases = Float64Array.from({ length: 40 * 4 * 128 }, () => random.normal());
  const data = new Float32Array(n * 128).map(() => 0.3 * random.normal());
  for (let i = 0; i < n; i++) {
    for (let b = 0; b < 4; b++) {
      const weight = random.normal();
      for (let j = 0; j < 128; j++)
        data[i * 128 + j] = (data[i * 128 + j] as number) + weight * (bases[((i % 40) * 4 + b) * 128 + j] as number);
    }
  }
  return unitRows({ data, shape: [n, 128] });
}

async function size(n: number) {
  const latents = noisySubspaces(n);
  const [{ coefficients }, ridge] = await timed(() => ridgeSelfExpression(latents, lambda));
  const kept = { kept: 0.04, rank: 4 * 40 + 1, power: 8 };
  const [{ affinity }, postProcessing] = await timed(() => postProcessedAffinity(coefficients, kept));
  const [found, clustering] = await timed(() =>
    denseAffinityClustering(affinity, { clusters: 40, eigenvectors: 40, random: new Random(0, "structure") }),
  );
  const truth = Int32Array.from({ length: n }, (_, i) => i % 40);
  const score = accuracy(found.labels, truth).accuracy.toFixed(4);
  const seconds = { ridge, postProcessing, clustering };
  console.log(
    JSON.stringify({ samples: n, lambda, accuracy: score, seconds, megabytes: process.memoryUsage.rss() / 1e6 }),
  );
}

await (options.samples === undefined ? coil20() : size(Number(options.samples)));
