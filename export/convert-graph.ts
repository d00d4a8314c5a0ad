import type { GraphModel } from "@tensorflow/tfjs-converter";
import type * as tf from "@tensorflow/tfjs-core";
import { SubspanError } from "../runtime/errors.ts";
import { checkGraph } from "./model-check.ts";
import { type ConvertOptions, closedPorts, type ModelFunction, type OpenPort, uniqueNames } from "./model-function.ts";
import type { Tensors } from "./signature.ts";
import { type GraphExecutor, type GraphModelNode, nodeOf, runGraph } from "./static-flow.ts";

/** A tensor of the graph, "node" or "node:output", and what the signature calls it. */
interface Port {
  readonly tensor: string;
  readonly key: string;
}

/** What of a signature matters here; a `resourceId` stands for a hash table. */
type SignaturePorts = Readonly<Record<string, { readonly name: string; readonly resourceId?: unknown }>>;

/** A Graph model as a function of named tensors. @throws {SubspanError} TRACE_REFUSED for what a graph cannot hold. */
export function graphModelFunction(model: GraphModel, { signature, shapes }: ConvertOptions): ModelFunction {
  const { executor } = model as unknown as { readonly executor: GraphExecutor };
  const signed = model.modelSignature as { inputs?: SignaturePorts; outputs?: SignaturePorts } | undefined;
  if (signature && Object.keys(signed?.outputs ?? {}).length === 0) {
    throw new SubspanError("USAGE", "the model has no signature, its names are those of its nodes");
  }
  const nameOf = ({ tensor, key }: Port) => (signature ? key : tensor);
  // Without a signature a placeholder with a default is no input, and what nobody uses but computes nothing is no output.
  const unsigned = (ports: readonly { readonly name: string }[], is: (node: GraphModelNode) => boolean) =>
    ports
      .filter(({ name }) => is(nodeOf(executor, name) as GraphModelNode))
      .map(({ name }) => ({ tensor: name, key: name }));
  const given = signedPorts(signed?.inputs) ?? unsigned(executor.inputs, ({ inputs }) => inputs.length === 0);
  const taken = signedPorts(signed?.outputs) ?? unsigned(executor.outputs, ({ op }) => op !== "Const" && op !== "NoOp");
  if (taken.length === 0) throw new SubspanError("MODEL_INVALID", "the model has no outputs");
  const results = taken.map(({ tensor }) => tensor);
  checkGraph(
    executor,
    given.map(({ tensor }) => tensor),
    results,
  );
  const ports = given.map((port) => openPort(executor, nameOf(port), port.tensor));
  const inputs = closedPorts(ports, shapes);
  const outputs = uniqueNames(taken.map(nameOf), Object.keys(inputs));
  const run = (tensors: Tensors): Tensors => {
    const feeds = given.map((port) => [port.tensor, tensors[nameOf(port)] as tf.Tensor] as const);
    const found = runGraph(executor, Object.fromEntries(feeds), results);
    return Object.fromEntries(outputs.map((name, i) => [name, found[i] as tf.Tensor]));
  };
  return { name: "graph_model", inputs, outputs, rows: {}, run };
}

/** Undefined where a signature says nothing. */
function signedPorts(ports: SignaturePorts | undefined): Port[] | undefined {
  const entries = Object.entries(ports ?? {});
  const table = entries.find(([, { resourceId }]) => resourceId != null);
  if (table !== undefined) throw new SubspanError("TRACE_REFUSED", `a graph cannot hold hash tables: ${table[0]}`);
  const unnamed = entries.find(([, { name }]) => typeof name !== "string");
  if (unnamed !== undefined)
    throw new SubspanError("MODEL_INVALID", `the signature's ${unnamed[0]} has no tensor's name`);
  return entries.length === 0
    ? undefined
    : entries.map(([key, { name }]) => ({ key, tensor: name.replace(/:0$/, "") }));
}

function openPort(executor: GraphExecutor, name: string, tensor: string): OpenPort {
  const node = nodeOf(executor, tensor);
  if (node === undefined) throw new SubspanError("MODEL_INVALID", `input ${tensor} is not in the graph`);
  const shape = node.attrParams.shape?.value as readonly number[] | undefined;
  return {
    name,
    dtype: node.attrParams.dtype?.value as string | undefined,
    shape: shape?.map((dim) => (dim < 0 ? undefined : dim)),
  };
}
