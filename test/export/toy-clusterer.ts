import * as tf from "@tensorflow/tfjs-core";
import {
  type BundleContent,
  compareOutputs,
  graphOutputs,
  modelWithManifest,
  PARITY_TOLERANCE,
  type PortType,
  type Tensors,
  trace,
} from "../../export/index.ts";
import type { GraphManifest } from "../../runtime/manifest.ts";

export const INPUTS: Record<string, PortType> = { features: { type: "float32", shape: ["N", 4] } };

/** Three clusters of four features: the largest of the first three wins. `shift` spoils it. */
export const toyFunction =
  (shift = 0) =>
  ({ features }: Tensors): Tensors => {
    const latent = tf.add(features as tf.Tensor2D, shift);
    const embedding = tf.slice(latent as tf.Tensor2D, [0, 0], [-1, 3]);
    const probabilities = tf.softmax(embedding);
    return {
      label: tf.argMax(embedding, 1),
      confidence: tf.max(probabilities, 1),
      novelty: tf.mean(tf.sigmoid(latent), 1),
      probabilities,
      embedding,
      latent,
    };
  };

export const toyRows = {
  data: Float32Array.of(5, 1, 0, 0, 0, 4, 1, 0, 1, 0, 6, 1, 7, 2, 1, 0, 0, 0, 3, 0, 1, 8, 2, 0),
  shape: [6, 4],
};

export function toyManifest(changes: Partial<GraphManifest> = {}): GraphManifest {
  return {
    formatVersion: 1,
    name: "toy",
    method: "toy",
    readout: "head",
    clusters: 3,
    input: { name: "features", kind: "features", shape: ["N", 4], dtype: "float32", preprocessing: "none" },
    outputs: [
      { name: "label", dtype: "int64", shape: ["N"] },
      { name: "confidence", dtype: "float32", shape: ["N"] },
      { name: "novelty", dtype: "float32", shape: ["N"] },
      { name: "probabilities", dtype: "float32", shape: ["N", 3] },
      { name: "embedding", dtype: "float32", shape: ["N", 3] },
      { name: "latent", dtype: "float32", shape: ["N", 4] },
    ],
    clusterSizes: [2, 2, 2],
    metrics: { agreement: 0.97, meanConfidence: 0.97 },
    seed: 1,
    data: { name: "toy", samples: 6, fingerprint: "0123456789abcdef" },
    versions: { subspan: "0.1.0" },
    licence: "MIT",
    created: "2026-01-02T03:04:05Z",
    ...changes,
  };
}

/** A small bundle's content; `manifest` may be made wrong. */
export async function toyContent(manifest = toyManifest()): Promise<BundleContent> {
  const model = trace(toyFunction(), { inputs: INPUTS, outputs: { label: "int64" } });
  const outputs = await graphOutputs(modelWithManifest(model, manifest), "features", toyRows);
  return {
    manifest,
    model,
    parts: { encoder: trace(({ features }) => ({ latent: tf.add(features as tf.Tensor, 0) }), { inputs: INPUTS }) },
    parity: { tolerance: PARITY_TOLERANCE, comparisons: [compareOutputs("itself", outputs, outputs)] },
    card: "# toy\n",
    preview: {
      points: { x: [0], y: [0], label: [0] },
      projection: {
        mean: [0, 0, 0],
        axes: [
          [1, 0, 0],
          [0, 1, 0],
        ],
      },
      thumbnails: [null, null, null],
      more: [[], [], []],
    },
  };
}
