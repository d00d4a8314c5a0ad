import type { Bundle } from "../../runtime/bundle.ts";
import { SubspanError } from "../../runtime/errors.ts";
import type { Shape } from "../../runtime/manifest.ts";
import type { TargetFiles } from "./target.ts";

const TYPES = { uint8: "TYPE_UINT8", int64: "TYPE_INT64", float32: "TYPE_FP32" } as const;
/** Samples that Triton joins to a batch, and how long the first of them waits for others, in microseconds. */
const BATCH = 256;
const DELAY = 2000;

/**
 * A model repository for Triton Inference Server's ONNX Runtime backend, which KServe's built-in runtime uses too.
 *
 * @throws {SubspanError} USAGE for a name that protobuf text cannot hold, of an output.
 * @see https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
 */
export function triton({ manifest, model }: Bundle): TargetFiles {
  const { name, clusterNames } = manifest;
  return {
    [`${name}/config.pbtxt`]: config(manifest),
    [`${name}/1/model.onnx`]: model,
    ...(clusterNames && {
      [`${name}/labels.txt`]: `${clusterNames.map((line) => line.replace(/\s+/g, " ")).join("\n")}\n`,
    }),
  };
}

function config({ name, input, outputs, clusterNames }: Bundle["manifest"]): string {
  const labels = clusterNames ? '\n    label_filename: "labels.txt"' : "";
  const ports = outputs.map(
    (output) => `  {
    name: ${quoted(output.name)}
    data_type: ${TYPES[output.dtype]}
${dims(output.shape)}${output.name === "probabilities" ? labels : ""}
  }`,
  );
  return `name: ${quoted(name)}
backend: "onnxruntime"
max_batch_size: ${BATCH}
input [
  {
    name: ${quoted(input.name)}
    data_type: ${TYPES[input.dtype]}
${dims(input.shape)}
  }
]
output [
${ports.join(",\n")}
]
dynamic_batching { max_queue_delay_microseconds: ${DELAY} }
instance_group [ { kind: KIND_AUTO count: 1 } ]
version_policy { latest { num_versions: 1 } }
model_warmup [
  {
    name: "zeros"
    batch_size: 1
    inputs {
      key: ${quoted(input.name)}
      value { data_type: ${TYPES[input.dtype]} dims: [ ${input.shape.slice(1).join(", ")} ] zero_data: true }
    }
  }
]
`;
}

/** Sizes without the batch's; a number a sample is a list of one to Triton, and none to the graph. */
function dims([, ...sizes]: Shape): string {
  return sizes.length === 0 ? "    dims: [ 1 ]\n    reshape { shape: [ ] }" : `    dims: [ ${sizes.join(", ")} ]`;
}

function quoted(text: string): string {
  if (!/["\\\n]/.test(text)) return `"${text}"`;
  throw new SubspanError("USAGE", `${JSON.stringify(text)}: expected a name without quotes, backslashes and line ends`);
}
