import * as tf from "@tensorflow/tfjs-core";
import { SubspanError } from "../runtime/errors.ts";
import { ELEMENT_TYPE, type ElementType } from "../runtime/onnx-schema.ts";
import type { ConvolutionLayout } from "./graph.ts";

/** Named tensors, as a traced function takes and gives them. */
export type Tensors = Record<string, tf.Tensor>;
export type TraceFunction = (inputs: Tensors) => Tensors;

/** A port's element type and shape; one symbol, for instance "N", may stand for a size that varies. */
export interface PortType {
  readonly type: ElementType;
  readonly shape: readonly (number | string)[];
}

export interface Signature {
  readonly inputs: Readonly<Record<string, PortType>>;
  /** Element types of outputs that are not the tfjs dtype's own, for instance `{ label: "int64" }`. */
  readonly outputs?: Readonly<Record<string, ElementType>>;
  /** Default channels-first. The others are for training steps on a CPU, whose batch is fixed. */
  readonly convolutions?: ConvolutionLayout;
  readonly name?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

const refused = (message: string) => new SubspanError("TRACE_REFUSED", message);

/** @throws {SubspanError} TRACE_REFUSED naming the port whose name, shape or element type no graph can have. */
export function checkSignature(signature: Signature): void {
  if (typeof signature?.inputs !== "object" || signature.inputs === null)
    throw refused("expected a signature: { inputs: { x: { type, shape } } }");
  const { inputs, outputs = {} } = signature;
  for (const [name, { shape }] of Object.entries(inputs)) {
    if (name === "") throw refused("an input has an empty name");
    const wrong = shape.find((dim) => (typeof dim === "string" ? dim === "" : !Number.isSafeInteger(dim) || dim < 0));
    if (wrong !== undefined)
      throw refused(`input ${name}: expected sizes from 0 and one symbol, got ${JSON.stringify(wrong)} in [${shape}]`);
  }
  for (const [name, type] of Object.entries(outputs)) {
    if (type in ELEMENT_TYPE) continue;
    throw refused(`output ${name}: expected one of ${Object.keys(ELEMENT_TYPE).join(", ")}, got ${type}`);
  }
}

/**
 * What a function returned: named tensors, at least one.
 *
 * @throws {SubspanError} TRACE_REFUSED naming the output, for instance a promise, such as tf.booleanMaskAsync's.
 */
export function checkOutputs(tensors: Tensors): void {
  checkSettled("the function", tensors);
  if (typeof tensors !== "object" || tensors === null || tensors instanceof tf.Tensor)
    throw refused(`expected named tensors from the function, such as { y }, got ${described(tensors)}`);
  if (Object.keys(tensors).length === 0) throw refused("expected at least one output from the function, got none");
  for (const [name, tensor] of Object.entries(tensors)) {
    if (name === "") throw refused("an output has an empty name");
    checkSettled(`output ${name}`, tensor);
    if (!(tensor instanceof tf.Tensor)) throw refused(`output ${name}: expected a tensor, got ${described(tensor)}`);
    if (tensor.isDisposed) throw refused(`output ${name}: the function has disposed of it`);
  }
}

function checkSettled(what: string, value: unknown): void {
  if (!(value instanceof Promise)) return;
  value.catch(() => {}); // It waits for data that never come.
  throw refused(
    `expected tensors, got a promise from ${what}: a trace does not wait, and sizes that depend on data are not static`,
  );
}

const described = (value: unknown): string =>
  value instanceof tf.Tensor ? "a tensor" : value === null ? "null" : typeof value;
