/**
 * Requests of the Open Inference Protocol v2: what their JSON and their binary tensors mean. No HTTP here.
 *
 * @see https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
 * @see https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
 */
import { z } from "zod";
import {
  type GraphManifest,
  type ManifestInput,
  type ManifestOutput,
  type OutputName,
  SubspanError,
} from "../../runtime/node.ts";
import type { Limits } from "../limits.ts";
import { HttpProblem } from "../problem.ts";
import { DATATYPE, DATATYPES, sampleBytes, sampleSize } from "./datatypes.ts";
import { type JsonAround, parseAround } from "./json.ts";

/** An output that was asked for, and whether its numbers are to come as bytes. */
export interface RequestedOutput {
  readonly name: OutputName;
  readonly binary: boolean;
}

export interface InferRequest {
  readonly id: string | undefined;
  readonly data: Uint8Array | Float32Array;
  /** [n, ...sample], as the model takes it. */
  readonly shape: readonly number[];
  /** In the order asked for; all the graph has if the request names none. */
  readonly outputs: readonly RequestedOutput[];
}

const PARAMETERS = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional();
const MAX_TENSORS = 64;
/** Where a tensor's numbers stand: {"inputs": [{"data": */
const DATA = { key: "data", level: 3 } as const;
/** Characters that a number takes in JSON at most, with brackets and white space around. */
const NUMBER_CHARACTERS = 64;

/** Bytes of JSON that samples take at most. */
export function jsonBytes({ shape }: Pick<ManifestInput, "shape">, samples = 1): number {
  return samples * sampleSize(shape) * NUMBER_CHARACTERS;
}

export const INFER_SCHEMA = z.object({
  id: z.string().optional(),
  parameters: PARAMETERS,
  inputs: z
    .array(
      z.object({
        name: z.string(),
        datatype: z.string(),
        shape: z.array(z.int().nonnegative()),
        parameters: PARAMETERS,
        data: z.unknown().optional(),
      }),
    )
    .max(MAX_TENSORS),
  outputs: z
    .array(z.object({ name: z.string(), parameters: PARAMETERS }))
    .max(MAX_TENSORS)
    .optional(),
});
type Json = z.infer<typeof INFER_SCHEMA>;
type Tensor = Json["inputs"][number];

/**
 * Parses an inference request.
 *
 * @param body - JSON, then the binary tensors in the order of the JSON's inputs.
 * @param headerLength - bytes of the JSON; undefined where it is all of the body, 0 where the body is one tensor.
 * @throws {HttpProblem} 400 for another form, 413 for more samples.
 * @throws {SubspanError} USAGE, SHAPE_MISMATCH, DTYPE_MISMATCH or OUT_OF_RANGE for tensors the model does not take.
 */
export function parseInferRequest(
  body: Uint8Array,
  headerLength: number | undefined,
  { input, outputs }: GraphManifest,
  limits: Pick<Limits, "rows" | "jsonDepth">,
): InferRequest {
  if (headerLength === 0) return rawRequest(body, input, outputs, limits.rows);
  if (headerLength !== undefined && headerLength > body.length)
    throw new HttpProblem(400, `inference-header-content-length: ${headerLength}, and the body has ${body.length}`);
  const header = headerLength === undefined ? body : body.subarray(0, headerLength);
  const around = parseAround(header, limits.jsonDepth, { ...DATA, itemBytes: jsonBytes(input) });
  const json = checked(around.json);
  const tensor = theInput(json.inputs, input);
  checkCount(tensor.shape[0]!, limits.rows);
  const binary = headerLength === undefined ? undefined : body.subarray(headerLength);
  return {
    id: json.id,
    data: tensorData(tensor, binary, around, header.length, input),
    shape: tensor.shape,
    outputs: requestedOutputs(json, outputs),
  };
}

/** @throws {HttpProblem} 413 for more samples than a request may hold. */
export function checkCount(count: number, maxRows: number): void {
  if (count > maxRows) throw new HttpProblem(413, `expected up to ${maxRows} samples a request, got ${count}`);
}

/** A body that is one tensor and nothing else: as many samples as it has bytes for, answered in binary. */
function rawRequest(
  body: Uint8Array,
  input: ManifestInput,
  outputs: readonly ManifestOutput[],
  maxRows: number,
): InferRequest {
  const count = body.length / sampleBytes(input);
  if (!Number.isInteger(count)) throw sizeMismatch(input, `a multiple of ${sampleBytes(input)} bytes`, body.length);
  checkCount(count, maxRows);
  return {
    id: undefined,
    data: fromBytes(body, input),
    shape: [count, ...input.shape.slice(1).map(Number)],
    outputs: outputs.map(({ name }) => ({ name: name as OutputName, binary: true })),
  };
}

function checked(json: unknown): Json {
  const parsed = INFER_SCHEMA.safeParse(json);
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw new HttpProblem(400, `${path.map(String).join(".") || "body"}: ${message}`);
}

/** The one input there is, its datatype and shape checked. */
function theInput(inputs: readonly Tensor[], input: ManifestInput): Tensor {
  const [tensor] = inputs;
  if (inputs.length !== 1 || tensor?.name !== input.name)
    throw new SubspanError(
      "USAGE",
      `inputs: expected one, "${input.name}", got ${inputs.map(({ name }) => name).join(", ") || "none"}`,
    );
  const { datatype, shape } = tensor;
  if (datatype !== DATATYPE[input.dtype]) {
    const known = Object.hasOwn(DATATYPES, datatype) ? "" : ", which is no datatype";
    throw new SubspanError(
      "DTYPE_MISMATCH",
      `${input.name}: expected ${DATATYPE[input.dtype]}, got ${datatype}${known}`,
    );
  }
  if (shape.length !== input.shape.length || input.shape.some((dim, i) => i > 0 && dim !== shape[i]))
    throw new SubspanError(
      "SHAPE_MISMATCH",
      `${input.name}: expected [${input.shape.join(", ")}], got [${shape.join(", ")}]`,
    );
  return tensor;
}

function tensorData(
  { data, shape, parameters = {} }: Tensor,
  binary: Uint8Array | undefined,
  around: JsonAround,
  characters: number,
  input: ManifestInput,
): Uint8Array | Float32Array {
  const { binary_data_size: size, shared_memory_region: region } = parameters;
  if (region !== undefined) throw new HttpProblem(400, `${input.name}: shared memory is not served`);
  if (size === undefined) {
    if (binary !== undefined && binary.length > 0)
      throw new HttpProblem(400, `${binary.length} bytes after the JSON that no input's binary_data_size claims`);
    return jsonData(data, shape, around, characters, input);
  }
  const expected = shape[0]! * sampleBytes(input);
  if (data !== undefined) throw new HttpProblem(400, `${input.name}: expected data or binary_data_size, got both`);
  if (binary === undefined)
    throw new HttpProblem(400, `${input.name}: binary_data_size needs the header inference-header-content-length`);
  if (size !== expected) throw sizeMismatch(input, `${expected} bytes`, size);
  if (binary.length !== expected) throw sizeMismatch(input, `${expected} bytes after the JSON`, binary.length);
  return fromBytes(binary, input);
}

function sizeMismatch({ name }: ManifestInput, expected: string, got: unknown): SubspanError {
  return new SubspanError("SHAPE_MISMATCH", `${name}: binary data: expected ${expected}, got ${got}`);
}

/** Little-endian numbers; copied only where floats do not stand on a multiple of 4. */
function fromBytes(bytes: Uint8Array, { dtype }: ManifestInput): Uint8Array | Float32Array {
  if (dtype === "uint8") return bytes;
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Float32Array(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.length / 4);
}

/**
 * The data of a tensor, nested as its shape says or flat, row-major. Nothing of the shape's size is made for a list that is
 * too short to hold it: n numbers take 2n - 1 characters at least.
 */
function jsonData(
  data: unknown,
  shape: readonly number[],
  { items: itemsOf }: JsonAround,
  characters: number,
  { name, dtype, shape: whole }: ManifestInput,
) {
  if (!Array.isArray(data)) throw mismatch(name, "a list", data === undefined ? "none in JSON" : typeof data, 0);
  const count = shape[0]! * sampleSize(whole);
  const numbers = (n: number) => (dtype === "uint8" ? new Uint8Array(n) : new Float32Array(n));
  let values = numbers(0);
  let dims: readonly number[] = [count];
  let at = 0;
  let length = 0;
  const fill = dtype === "uint8" ? fillBytes : fillFloats;
  const walk = (items: unknown, axis: number): void => {
    const areBytes = items instanceof Uint8Array;
    if (!areBytes && !Array.isArray(items)) throw mismatch(name, "a list", typeof items, at);
    if (axis > 0 && items.length !== dims[axis]) throw mismatch(name, `${dims[axis]} items`, String(items.length), at);
    if (axis + 1 < dims.length) for (const item of items) walk(item, axis + 1);
    else {
      if (areBytes) values.set(items, at);
      else fill(values, items, at, name);
      at += items.length;
    }
  };
  for (const items of itemsOf(data)) {
    if (length === 0 && items.length > 0) {
      if (Array.isArray(items[0])) dims = shape;
      if (count > characters) throw mismatch(name, `${count} numbers`, `${characters} bytes of JSON`, 0);
      values = numbers(count);
    }
    length += items.length;
    if (length <= dims[0]!) walk(items, 0);
  }
  if (length !== dims[0]) throw mismatch(name, `${dims[0]} items`, String(length), at);
  return values;
}

function mismatch(name: string, expected: string, got: string, at: number): SubspanError {
  return new SubspanError("SHAPE_MISMATCH", `${name}: data: expected ${expected}, got ${got}, near element ${at}`);
}

function fillBytes(values: ArrayLike<number>, items: readonly unknown[], start: number, name: string): void {
  const bytes = values as Uint8Array;
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    if (typeof item !== "number") throw notNumber(name, item, start + i);
    if (item !== (item & 255))
      throw new SubspanError(
        "OUT_OF_RANGE",
        `${name}: data: expected integers 0..255, got ${item} as element ${start + i}`,
      );
    bytes[start + i] = item;
  }
}

/** Numbers too large for float32 are left to the reader of samples, which looks at what they became. */
function fillFloats(values: ArrayLike<number>, items: readonly unknown[], start: number, name: string): void {
  const floats = values as Float32Array;
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    if (typeof item !== "number") throw notNumber(name, item, start + i);
    floats[start + i] = item;
  }
}

function notNumber(name: string, item: unknown, at: number): SubspanError {
  return new SubspanError("DTYPE_MISMATCH", `${name}: data: expected numbers, got ${typeof item} as element ${at}`);
}

function requestedOutputs({ outputs: asked = [], parameters }: Json, outputs: readonly ManifestOutput[]) {
  const known = outputs.map(({ name }) => name);
  const names = asked.map(({ name }) => name);
  const wrong = names.find((name, i) => !known.includes(name) || names.indexOf(name) !== i);
  if (wrong !== undefined)
    throw new SubspanError("USAGE", `outputs: expected each of ${known.join(", ")} at most once, got ${wrong}`);
  const all = flag("parameters.binary_data_output", parameters?.binary_data_output) ?? false;
  if (asked.length === 0) return known.map((name) => ({ name: name as OutputName, binary: all }));
  return asked.map(({ name, parameters: { binary_data, classification } = {} }) => {
    if (classification !== undefined) throw new HttpProblem(400, `${name}: classification is not served`);
    return { name: name as OutputName, binary: flag(`${name}: binary_data`, binary_data) ?? all };
  });
}

function flag(what: string, value: unknown): boolean | undefined {
  if (value === undefined || typeof value === "boolean") return value;
  throw new HttpProblem(400, `${what}: expected true or false, got ${value}`);
}
