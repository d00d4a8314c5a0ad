/**
 * The Open Inference Protocol v2 over REST, in JSON: what requests mean and how answers look. No HTTP here.
 *
 * @see https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 */
import { z } from "zod";
import {
  type ArrayInput,
  type Assignments,
  type GraphManifest,
  type ManifestInput,
  type ManifestOutput,
  type NumberArray,
  type OutputName,
  SubspanError,
} from "../runtime/node.ts";
import { HttpProblem } from "./problem.ts";
import { VERSION } from "./registry.ts";

/** What the protocol calls the element types of our graphs. */
const DATATYPE = { uint8: "UINT8", float32: "FP32", int64: "INT64" } as const;

/** A tensor of an answer. `data` is flat and row-major; a number that is not finite becomes null, as JSON has none. */
export interface ResponseTensor {
  readonly name: string;
  readonly datatype: (typeof DATATYPE)[keyof typeof DATATYPE];
  readonly shape: readonly number[];
  readonly data: readonly number[];
}

export interface InferRequest {
  readonly id: string | undefined;
  readonly input: ArrayInput;
  /** In the order asked for; all the graph has if the request names none. */
  readonly outputs: readonly OutputName[];
}

const SCHEMA = z.object({
  id: z.string().optional(),
  inputs: z.array(
    z.object({
      name: z.string(),
      datatype: z.string(),
      shape: z.array(z.int().nonnegative()),
      data: z.unknown().optional(),
    }),
  ),
  outputs: z.array(z.object({ name: z.string() })).optional(),
});

/** Answer to a model's metadata request: -1 in a shape is the batch. */
export function modelMetadata({ name, input, outputs }: GraphManifest) {
  const tensor = ({ name, dtype, shape }: ManifestInput | ManifestOutput) => ({
    name,
    datatype: DATATYPE[dtype],
    shape: shape.map((dim) => (typeof dim === "number" ? dim : -1)),
  });
  return {
    name,
    versions: [VERSION],
    platform: "onnx_onnxv1",
    inputs: [tensor(input)],
    outputs: outputs.map(tensor),
  };
}

/**
 * Parses an inference request. `parameters` are read past: none is defined for JSON tensors.
 *
 * @param json - the body.
 * @param maxBatch - samples a request may hold.
 * @throws {HttpProblem} 400 for another form, 413 for more samples.
 * @throws {SubspanError} USAGE, SHAPE_MISMATCH, DTYPE_MISMATCH or OUT_OF_RANGE for tensors the model does not take.
 */
export function parseInferRequest(json: unknown, { input, outputs }: GraphManifest, maxBatch: number): InferRequest {
  const parsed = SCHEMA.safeParse(json);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!;
    throw new HttpProblem(400, `${path.map(String).join(".") || "body"}: ${message}`);
  }
  const names = parsed.data.inputs.map(({ name }) => name);
  if (names.length !== 1 || names[0] !== input.name)
    throw new SubspanError("USAGE", `inputs: expected one, "${input.name}", got ${names.join(", ") || "none"}`);
  const tensor = parsed.data.inputs[0]!;
  if (tensor.datatype !== DATATYPE[input.dtype])
    throw new SubspanError(
      "DTYPE_MISMATCH",
      `${input.name}: expected ${DATATYPE[input.dtype]}, got ${tensor.datatype}`,
    );
  checkShape(tensor.shape, input);
  checkCount(tensor.shape[0]!, maxBatch);
  return {
    id: parsed.data.id,
    input: { data: numbers(tensor.data, tensor.shape, input), shape: tensor.shape },
    outputs: requestedOutputs(parsed.data.outputs?.map(({ name }) => name) ?? [], outputs),
  };
}

/** @throws {HttpProblem} 413 for more samples than a request may hold. */
export function checkCount(count: number, maxBatch: number): void {
  if (count > maxBatch) throw new HttpProblem(413, `expected up to ${maxBatch} samples a request, got ${count}`);
}

/** Answer to an inference request. */
export function inferResponse(
  { name, outputs }: GraphManifest,
  { id, outputs: requested }: InferRequest,
  assignments: Assignments<OutputName>,
) {
  const tensors = requested.map((output): ResponseTensor => {
    const { dtype } = outputs.find(({ name }) => name === output)!;
    const value: NumberArray | Int32Array | Float32Array = assignments[output];
    const { data, shape } = ArrayBuffer.isView(value) ? { data: value, shape: [value.length] } : value;
    return { name: output, datatype: DATATYPE[dtype], shape, data: Array.from(data) };
  });
  return { model_name: name, model_version: VERSION, ...(id === undefined ? {} : { id }), outputs: tensors };
}

function requestedOutputs(names: readonly string[], outputs: readonly ManifestOutput[]): readonly OutputName[] {
  const known = outputs.map(({ name }) => name);
  const wrong = names.find((name, i) => !known.includes(name) || names.indexOf(name) !== i);
  if (wrong !== undefined)
    throw new SubspanError("USAGE", `outputs: expected each of ${known.join(", ")} at most once, got ${wrong}`);
  return (names.length === 0 ? known : names) as OutputName[];
}

function checkShape(shape: readonly number[], { name, shape: expected }: ManifestInput): void {
  if (shape.length !== expected.length || expected.some((dim, i) => i > 0 && dim !== shape[i]))
    throw new SubspanError("SHAPE_MISMATCH", `${name}: expected [${expected.join(", ")}], got [${shape.join(", ")}]`);
}

/**
 * The data of a tensor, nested as its shape says or flat, row-major. It is gathered before an array of the shape's size
 * is made: a short body never makes a large array.
 */
function numbers(data: unknown, shape: readonly number[], { name, dtype }: ManifestInput): Uint8Array | Float32Array {
  const values: number[] = [];
  const mismatch = (expected: string, got: string) =>
    new SubspanError(
      "SHAPE_MISMATCH",
      `${name}: data: expected ${expected}, got ${got}, near element ${values.length}`,
    );
  const dims = Array.isArray(data) && Array.isArray(data[0]) ? shape.map(BigInt) : [elements(shape)];
  const walk = (items: unknown, axis: number): void => {
    if (!Array.isArray(items)) throw mismatch("a list", items === undefined ? "none in JSON" : typeof items);
    if (BigInt(items.length) !== dims[axis]) throw mismatch(`${dims[axis]} items`, String(items.length));
    if (axis + 1 < dims.length) for (const item of items) walk(item, axis + 1);
    else for (const item of items) values.push(element(item, values.length, name, dtype));
  };
  walk(data, 0);
  return dtype === "uint8" ? Uint8Array.from(values) : Float32Array.from(values);
}

/** How many numbers a shape holds, exactly however large. */
function elements(shape: readonly number[]): bigint {
  return shape.reduce((product, dim) => product * BigInt(dim), 1n);
}

/** Numbers too large for float32 are left to the clusterer, which looks at what they became. */
function element(value: unknown, at: number, name: string, dtype: ManifestInput["dtype"]): number {
  if (typeof value !== "number")
    throw new SubspanError("DTYPE_MISMATCH", `${name}: data: expected numbers, got ${typeof value} as element ${at}`);
  if (dtype === "uint8" && !(Number.isInteger(value) && value >= 0 && value <= 255))
    throw new SubspanError("OUT_OF_RANGE", `${name}: data: expected integers 0..255, got ${value} as element ${at}`);
  return value;
}
