import * as tf from "@tensorflow/tfjs-core";
import { SubspanError } from "../runtime/errors.ts";
import { ELEMENT_TYPE, type ElementType } from "../runtime/onnx-schema.ts";
import { TRACING_BACKEND, type TracingBackend } from "./backend.ts";
import { type DynamicAxis, mergeTraces } from "./dynamic.ts";
import { Graph, type GraphPort } from "./graph.ts";
import type { Model } from "./proto.ts";
import {
  checkOutputs,
  checkSignature,
  type PortType,
  type Signature,
  type Tensors,
  type TraceFunction,
} from "./signature.ts";
import { liveNodes, simplified } from "./simplify.ts";

/**
 * The sizes a dynamic axis is traced at, such as few layers have, so that what depends on the axis shows. Of the strides 2 to 8,
 * 10, 12, 14, 16 and 32 the last two are a multiple and one above: padding "same" is least at the one and most at the other.
 */
const SIZES = [2003, 3361, 3360] as const;

/**
 * Records a pure tfjs function as an ONNX graph. tfjs computes through named kernels; under the tracing backend each call
 * adds nodes instead, so gradients (which are kernel calls too) are recorded as well. Nothing is computed.
 *
 * Integers of 8 and 64 bits are int32 tensors inside the function. Random operations, reads of a tensor's data and kernels
 * that ONNX cannot express are refused by name.
 *
 * @param fn - pure: parameters, noise, step count come in as inputs and go out as outputs.
 * @throws {SubspanError} TRACE_REFUSED.
 */
export function trace(fn: TraceFunction, signature: Signature): Model {
  checkSignature(signature);
  const axis = dynamicAxis(signature);
  const at = (size: number) => ({ graph: record(fn, signature, size), size });
  const graph = axis === undefined ? record(fn, signature, 1) : mergeTraces(SIZES.map(at), axis);
  refuseTwins(namesIn(graph));
  return finished(simplified(graph), signature);
}

/** The one axis that a symbol names, and an input to read its size from. */
function dynamicAxis({ inputs }: Signature): DynamicAxis | undefined {
  const found = Object.entries(inputs).flatMap(([input, { shape }]) =>
    shape.flatMap((dim, axis) => (typeof dim === "string" ? [{ symbol: dim, input, axis }] : [])),
  );
  const symbols = new Set(found.map(({ symbol }) => symbol));
  if (symbols.size <= 1) return found[0];
  throw new SubspanError("TRACE_REFUSED", `expected one dynamic axis, got ${symbols.size}: ${[...symbols].join(", ")}`);
}

/** Runs `fn` under the tracing backend, with `size` for the symbol, and puts the global backend back. */
function record(fn: TraceFunction, signature: Signature, size: number): Graph {
  const graph = new Graph(signature.convolutions);
  const previous = tf.getBackend() ?? "cpu";
  const unassigned = keepVariables();
  tf.setBackend(TRACING_BACKEND);
  const backend = tf.backend() as TracingBackend;
  const stop = backend.record(graph);
  try {
    tf.tidy(() => {
      const inputs: Tensors = {};
      for (const [name, port] of Object.entries(signature.inputs)) inputs[name] = input(backend, name, port, size);
      const outputs = fn(inputs);
      checkOutputs(outputs);
      for (const [name, tensor] of Object.entries(outputs)) addOutput(backend, name, tensor, signature.outputs?.[name]);
    });
    backend.refuseMissing();
    unassigned.check();
    const live = liveNodes(graph);
    refuseTwins(namesIn(live));
    return live;
  } catch (error) {
    backend.refuseMissing();
    throw error;
  } finally {
    stop();
    tf.setBackend(previous);
    unassigned.restore();
  }
}

/** tfjs's variables as they are before a trace: what a function assigns to one is of the trace, and no value. */
function keepVariables() {
  const kept = Object.values(tf.engine().registeredVariables).map((variable) => {
    return { variable, dataId: variable.dataId, value: tf.engine().tidy(() => tf.keep(variable.clone())) };
  });
  const assigned = () => kept.filter(({ variable, dataId }) => variable.dataId !== dataId);
  return {
    check: () => {
      const [first] = assigned();
      if (first === undefined) return;
      const message = `the function assigns the variable ${first.variable.name}: give what changes as an output`;
      throw new SubspanError("TRACE_REFUSED", message);
    },
    restore: () => {
      for (const { variable, value } of assigned()) variable.assign(value as tf.Tensor);
      for (const { value } of kept) value.dispose();
    },
  };
}

function input(backend: TracingBackend, name: string, { type, shape }: PortType, size: number): tf.Tensor {
  const { graph } = backend;
  graph.inputs.push({ name, type, shape });
  const dtype = tensorType(type);
  const sizes = shape.map((dim) => (typeof dim === "number" ? dim : size));
  const value = type === dtype ? name : graph.node("Cast", [name], { to: ELEMENT_TYPE[dtype] });
  return tf.engine().makeTensorFromTensorInfo(backend.tensor({ shape: sizes, dtype }, { name: value, shape: sizes }));
}

function addOutput(backend: TracingBackend, name: string, tensor: tf.Tensor, type: ElementType | undefined): void {
  const { graph } = backend;
  const { name: value, dtype, shape } = backend.operand(tensor);
  const own = dtype as ElementType;
  const typed = type === undefined || type === own ? value : graph.node("Cast", [value], { to: ELEMENT_TYPE[type] });
  graph.outputs.push({ name, type: type ?? own, shape, value: typed });
}

/** The tfjs dtype that holds an element type inside a traced function. */
function tensorType(type: ElementType): "float32" | "int32" | "bool" {
  if (type === "float32" || type === "int32" || type === "bool") return type;
  if (type === "uint8" || type === "int8" || type === "int64") return "int32";
  throw new SubspanError("TRACE_REFUSED", `tfjs has no tensors of ${type}`);
}

/**
 * Gives the outputs their names and collects what the nodes use.
 *
 * @throws {SubspanError} TRACE_REFUSED for an output named as an input, or a port named as one of the graph's own values.
 */
export function finished(graph: Graph, { name, metadata }: Pick<Signature, "name" | "metadata">): Model {
  const outputs = graph.outputs.map(({ name: output, value }) => ({
    op: "Identity",
    name: `output_${output}`,
    inputs: [value],
    outputs: [output],
    attributes: {},
  }));
  const nodes = [...graph.nodes, ...outputs];
  const used = new Set(nodes.flatMap(({ inputs }) => inputs));
  const initializers = [...graph.initializers.values()].filter((constant) => used.has(constant.name));
  refuseTwins([...namesIn(graph), ...graph.outputs.map((output) => output.name)]);
  return {
    name: name ?? "subspan",
    inputs: graph.inputs,
    outputs: graph.outputs.map(({ name, type, shape }): GraphPort => ({ name, type, shape })),
    nodes,
    initializers,
    metadata: metadata ?? {},
  };
}

/** The model with outputs that nodes give under their own names: ONNX Runtime copies what is an output and read by a node, too. */
export function withoutCopies(model: Model): Model {
  const computed = new Set(model.nodes.flatMap(({ outputs }) => outputs));
  const ports = new Set(model.outputs.map(({ name }) => name));
  const names = new Map<string, string>();
  const nodes = model.nodes.filter(({ op, inputs, outputs }) => {
    const [value, output] = [inputs[0] as string, outputs[0] as string];
    if (op !== "Identity" || !ports.has(output) || !computed.has(value) || names.has(value)) return true;
    names.set(value, output);
    return false;
  });
  const named = (value: string) => names.get(value) ?? value;
  return {
    ...model,
    nodes: nodes.map((node) => ({ ...node, inputs: node.inputs.map(named), outputs: node.outputs.map(named) })),
  };
}

/** The names of a graph's values, but for its outputs. */
function namesIn({ inputs, initializers, nodes }: Graph): readonly string[] {
  return [...inputs.map(({ name }) => name), ...initializers.keys(), ...nodes.flatMap(({ outputs }) => outputs)];
}

function refuseTwins(names: readonly string[]): void {
  const taken = new Set<string>();
  for (const name of names) {
    if (taken.has(name)) throw new SubspanError("TRACE_REFUSED", `two values of the graph would be named ${name}`);
    taken.add(name);
  }
}
