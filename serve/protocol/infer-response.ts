import type { Assignments, GraphManifest, OutputName } from "../../runtime/node.ts";
import { DATATYPE, sampleSize } from "./datatypes.ts";
import type { InferRequest } from "./infer-request.ts";
import { jsonNumbers } from "./json.ts";

/** The body of an answer in pieces: JSON text first, then the bytes of binary tensors. */
export interface AnswerBody {
  readonly json: string;
  /** Empty for an answer in JSON alone. */
  readonly binary: readonly Uint8Array[];
}

/**
 * Answers a request that was samples [start, start + n) of a run.
 *
 * @param head - how the JSON begins: the model's name and version.
 */
export function inferAnswer(
  head: string,
  { id, outputs: requested, shape }: Pick<InferRequest, "id" | "outputs" | "shape">,
  { outputs }: GraphManifest,
  assignments: Assignments<OutputName>,
  start: number,
): AnswerBody {
  const count = shape[0]!;
  const binary: Uint8Array[] = [];
  const tensors = requested.map(({ name, binary: asBytes }) => {
    const output = outputs.find((output) => output.name === name)!;
    const size = sampleSize(output.shape);
    const field = assignments[name];
    const values = (ArrayBuffer.isView(field) ? field : field.data).subarray(start * size, (start + count) * size);
    const dims = [count, ...output.shape.slice(1)];
    const begin = `{"name":"${name}","datatype":"${DATATYPE[output.dtype]}","shape":[${dims}]`;
    if (!asBytes) return `${begin},"data":${jsonNumbers(values)}}`;
    const bytes = littleEndian(values);
    binary.push(bytes);
    return `${begin},"parameters":{"binary_data_size":${bytes.length}}}`;
  });
  const echo = id === undefined ? "" : `,"id":${JSON.stringify(id)}`;
  return { json: `${head}${echo},"outputs":[${tensors.join(",")}]}`, binary };
}

/** How the JSON of a model's answers begins. */
export function answerHead(name: string, version: string): string {
  return `{"model_name":${JSON.stringify(name)},"model_version":${JSON.stringify(version)}`;
}

/** The bytes of float32s, or of labels as int64s. */
function littleEndian(values: Int32Array | Float32Array): Uint8Array {
  if (values instanceof Float32Array) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const halves = new Int32Array(values.length * 2);
  for (let i = 0; i < values.length; i++) halves[2 * i] = values[i]!; // labels are not negative: the high half is 0
  return new Uint8Array(halves.buffer);
}
