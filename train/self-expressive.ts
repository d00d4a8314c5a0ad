import type * as tf from "@tensorflow/tfjs-core";
import { trace } from "../export/index.ts";
import { effectiveRank } from "../models/energy.ts";
import type { Arrays, Method, SpectralSettings } from "../models/index.ts";
import type { NumberArray } from "../runtime/samples.ts";
import { constants } from "./clusterer-graph.ts";
import type { SessionSettings } from "./executors/executor.ts";
import { CompiledFunction } from "./executors/onnx.ts";
import { BatchFunction } from "./inference.ts";
import type { Random } from "./random.ts";
import {
  type AnchorWeights,
  anchorCentres,
  anchorWeights,
  type BipartiteClustering,
  bipartiteClustering,
  denseAffinityClustering,
  refinedAffinity,
  ridgeSelfExpression,
  unitRows,
  walkedAffinity,
} from "./spectral/index.ts";
import { type Clustered, centreReadout, extensionRows, gatherRows } from "./structure.ts";
import { AFFINITY } from "./watch.ts";

/** Coefficients to anchors are computed for so many samples at once. */
const BLOCK = 500;
/** Of the k-means that places anchors: they are to lie among the latents, not to be optimal. */
const ANCHOR_ITERATIONS = 5;

/**
 * The clusters of the affinity that fine-tuning settled to, and what places new samples among them: closed-form coefficients over
 * the training samples' latents. Where there was no fine-tuning, these are clustered, too.
 *
 * @param latents - of all training samples, [n, d].
 */
export async function expressionStructure(
  parameters: Arrays,
  latents: NumberArray,
  settings: SpectralSettings,
  random: Random,
): Promise<Clustered> {
  const { refinement, assignment, ridge } = settings.selfExpression as NonNullable<SpectralSettings["selfExpression"]>;
  const { clusters, eigenvectors } = settings;
  const rule = assignment === "discretise" ? { rule: assignment } : { eigenvectors };
  // New samples are expressed in closed form, so what their coefficients mean is read from closed-form ones, too: on COIL-20 a
  // learned C's factors put a training sample elsewhere a little more often (0.3 to 0.7 % against 0.3 to 0.4 %).
  const { map, coefficients } = await ridgeSelfExpression(unitRows(latents), ridge);
  const { affinity, factors } = await refinedAffinity(coefficients, refinement);
  const clustering = await denseAffinityClustering(parameters[AFFINITY] ?? affinity, { clusters, ...rule, random });
  return {
    structure: {
      map,
      rows: extensionRows(clustering),
      ...centreReadout(clustering.centres),
      ...(factors && { extension: factors.extension, units: factors.rows, reach: factors.reach }),
    },
    labels: clustering.labels,
    eigengaps: clustering.eigengaps,
    metrics: {
      eigenvectors: clustering.eigenvectors,
      eigengap: clustering.eigengaps[clustering.eigenvectors - 1] ?? 0,
    },
  };
}

interface AnchorClustering extends BipartiteClustering {
  /** Unit rows, [M, d]. */
  readonly anchors: NumberArray;
  readonly weights: AnchorWeights;
}

/** The clusters of the bipartite graph of samples and anchors, tied by coefficients. @param latents - [n, d]. */
async function anchorClustering(
  method: Method,
  config: object,
  parameters: Arrays,
  latents: NumberArray,
  random: Random,
  session: SessionSettings | undefined,
): Promise<AnchorClustering> {
  const { clusters, eigenvectors, anchors: wanted } = method.spectral(config);
  const { count, ...ties } = wanted as NonNullable<SpectralSettings["anchors"]>;
  const [n, d] = latents.shape as [number, number];
  const anchors = await anchorCentres(unitRows(latents), Math.min(count, n), { iterations: ANCHOR_ITERATIONS, random });
  const stored = { anchors };
  const coefficients = await BatchFunction.compile(
    (batch, arrays) =>
      (method.coefficients as NonNullable<Method["coefficients"]>)(
        config,
        arrays,
        constants(stored),
        batch as tf.Tensor2D,
      ),
    { type: "float32", shape: ["N", d] },
    parameters,
    session,
  );
  try {
    async function* blocks() {
      for (let from = 0; from < n; from += BLOCK) {
        const rows = Int32Array.from({ length: Math.min(BLOCK, n - from) }, (_, i) => from + i);
        yield coefficients.run(rows.length, BLOCK, () => gatherRows(latents, rows));
      }
    }
    const weights = await anchorWeights(blocks(), { samples: n, anchors: anchors.shape[0] as number, ...ties });
    return { anchors, weights, ...(await bipartiteClustering(weights, { clusters, eigenvectors, random })) };
  } finally {
    await coefficients.dispose();
  }
}

/**
 * The clusters of the bipartite graph, and what places new samples among them.
 *
 * @param latents - of the samples that are clustered, [n, d].
 */
export async function anchorStructure(...given: Parameters<typeof anchorClustering>): Promise<Clustered> {
  const { anchors, rows, centres, labels, eigenvectors, eigengaps } = await anchorClustering(...given);
  return {
    structure: { anchors, rows, ...centreReadout(centres) },
    labels,
    eigengaps,
    metrics: {
      eigenvectors,
      eigengap: eigengaps[eigenvectors - 1] ?? 0,
      effectiveRank: await latentRank(given[3], given[5]),
    },
  };
}

/** What `Targets` are made of: clusters of the bipartite graph, and for each sample some that it shares anchors with. */
export async function anchorNeighbourhoods(...given: Parameters<typeof anchorClustering>) {
  const { labels, eigenvectors, weights } = await anchorClustering(...given);
  const { neighbours } = given[0].spectral(given[1]);
  return { labels, eigenvectors, affinity: walkedAffinity(weights, neighbours, given[4]) };
}

/** `effectiveRank` of latents, [n, d]. */
export async function latentRank(latents: NumberArray, session: SessionSettings | undefined): Promise<number> {
  const model = trace(({ z }) => ({ rank: effectiveRank(z as tf.Tensor2D) }), {
    inputs: { z: { type: "float32", shape: latents.shape } },
  });
  const compiled = await CompiledFunction.compile(model, session);
  try {
    const { rank } = await compiled.run({ z: latents });
    return (rank as NumberArray).data[0] as number;
  } finally {
    await compiled.dispose();
  }
}
