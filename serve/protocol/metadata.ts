import type { GraphManifest, ManifestInput, ManifestOutput } from "../../runtime/node.ts";
import { DATATYPE } from "./datatypes.ts";

/** Extensions of the protocol that are served, by the names Triton gives them. */
export const EXTENSIONS = ["binary_tensor_data", "model_repository", "model_configuration", "statistics"] as const;

/** Answer to a model's metadata request: -1 in a shape is the batch. */
export function modelMetadata(name: string, versions: readonly string[], { input, outputs }: GraphManifest) {
  const tensor = ({ name, dtype, shape }: ManifestInput | ManifestOutput) => ({
    name,
    datatype: DATATYPE[dtype],
    shape: shape.map((dim) => (typeof dim === "number" ? dim : -1)),
  });
  return { name, versions, platform: "onnx_onnxv1", inputs: [tensor(input)], outputs: outputs.map(tensor) };
}

/** How batches are made, for a model's configuration. */
export interface Batching {
  readonly maxBatch: number;
  readonly maxDelayMs: number;
  readonly workers: number;
}

/**
 * Answer to a model's configuration request: the JSON form of Triton's ModelConfig, whose shapes leave the batch out.
 *
 * @see https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_configuration.md
 */
export function modelConfiguration(
  name: string,
  versions: readonly string[],
  { input, outputs }: GraphManifest,
  { maxBatch, maxDelayMs, workers }: Batching,
) {
  const tensor = ({ name, dtype, shape }: ManifestInput | ManifestOutput) => ({
    name,
    data_type: `TYPE_${DATATYPE[dtype]}`,
    dims: shape.slice(1).map(Number),
  });
  return {
    name,
    platform: "onnxruntime_onnx",
    backend: "onnxruntime",
    version_policy: { specific: { versions: versions.map(Number) } },
    max_batch_size: maxBatch,
    input: [tensor(input)],
    output: outputs.map(tensor),
    instance_group: [{ name, kind: "KIND_CPU", count: workers }],
    dynamic_batching: { preferred_batch_size: [maxBatch], max_queue_delay_microseconds: Math.round(maxDelayMs * 1000) },
  };
}
