import type { GraphModel } from "@tensorflow/tfjs-converter";
import type * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { SubspanError } from "../runtime/errors.ts";
import { kindOf } from "../runtime/input-check.ts";
import { graphModelFunction } from "./convert-graph.ts";
import { layersModelFunction } from "./convert-layers.ts";
import type { ConvertOptions, ModelFunction } from "./model-function.ts";
import type { Model } from "./proto.ts";
import type { PortType, Tensors } from "./signature.ts";
import { trace } from "./trace.ts";

/** What tfjs-layers and tfjs-converter load. */
export type TfjsModel = LayersModel | GraphModel;

/** Protobuf ends at 2 GiB; the nodes need some of it. */
const MOST_WEIGHT_BYTES = 2 ** 31 - 2 ** 24;

/**
 * A tfjs model as an ONNX graph, its weights inside. Where an input's first size is open, the graph takes any batch.
 *
 * What is traced is the model's inference (`predict`): dropout and noise are off, batch normalisation is frozen, recurrent layers
 * and static control flow are unrolled.
 *
 * @param model - loaded; it can be used as before afterwards.
 * @throws {SubspanError} TRACE_REFUSED naming what a graph cannot hold, NOT_FINITE naming a weight, MODEL_INVALID, and USAGE
 *   for an input's shape that is needed or does not fit.
 */
export function convertModel(model: TfjsModel, options: ConvertOptions = {}): Model {
  const fn = modelFunction(model, options);
  refuseNotFinite(model);
  const converted = traceModel(fn);
  const bytes = converted.initializers.reduce((sum, { bytes }) => sum + bytes.length, 0);
  if (bytes <= MOST_WEIGHT_BYTES) return converted;
  throw new SubspanError("TRACE_REFUSED", `${bytes} bytes of weights are more than an ONNX file can hold`);
}

/** The model as a function of named tensors, which runs on any backend. @throws {SubspanError} as `convertModel`. */
export function modelFunction(model: TfjsModel, options: ConvertOptions = {}): ModelFunction {
  if (typeof model !== "object" || model === null)
    throw new SubspanError("MODEL_INVALID", `expected a Layers or Graph model, got ${kindOf(model)}: load it first`);
  return "layers" in model ? layersModelFunction(model, options) : graphModelFunction(model, options);
}

function refuseNotFinite(model: TfjsModel): void {
  for (const [name, tensor] of weightsOf(model)) {
    // A scalar constant of a graph is no weight: a max is padded with -Infinity.
    if (tensor.dtype !== "float32" || (tensor.rank === 0 && !Number.isNaN(tensor.dataSync()[0]))) continue;
    const values = tensor.dataSync<"float32">();
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at < 0) continue;
    throw new SubspanError("NOT_FINITE", `weight ${name}: value ${at} of [${tensor.shape}] is ${values[at]}`);
  }
}

function weightsOf(model: TfjsModel): (readonly [name: string, tensor: tf.Tensor])[] {
  if ("layers" in model) return model.weights.map((weight) => [weight.originalName, weight.read()]);
  return Object.entries(model.weights).flatMap(([name, tensors]) => tensors.map((tensor) => [name, tensor] as const));
}

/** A size for an axis that is open and not the batch: enough for any window, and halves five times, as networks with skips need. */
export const OPEN_SIZE = 64;

/** Traces; where an open size is what a graph cannot hold, the error says how to do without. */
function traceModel(fn: ModelFunction): Model {
  try {
    return tracedWithNames(fn, fn.inputs);
  } catch (error) {
    const shapes = Object.values(fn.inputs).map(({ shape }) => shape);
    const symbol = shapes.flat().find((dim) => typeof dim === "string");
    const isBatch = shapes.some(([first]) => first === symbol);
    const fixed = Object.fromEntries(
      Object.entries(fn.inputs).map(([name, port]) => [name, withSize(port, isBatch ? 1 : OPEN_SIZE)]),
    );
    if (symbol === undefined || !converts(fn, fixed)) throw error;
    const flags = Object.entries(fixed).map(([name, { shape }]) => `--shape ${name}=${shape}`);
    const open = isBatch ? "it takes no batch of any size, but a fixed one" : `${symbol} has to be fixed, for instance`;
    const remedy = `${open}: ${flags.join(" ")} (shapes in convertModel)`;
    throw new SubspanError("TRACE_REFUSED", `${(error as Error).message}; ${remedy}`, { cause: error });
  }
}

function converts(fn: ModelFunction, inputs: ModelFunction["inputs"]): boolean {
  try {
    tracedWithNames(fn, inputs);
    return true;
  } catch {
    return false;
  }
}

const withSize = ({ type, shape }: PortType, size: number): PortType => ({
  type,
  shape: shape.map((dim) => (typeof dim === "string" ? size : dim)),
});

/** Names as `trace` gives to values of its own. */
const OWN_NAME = /^(?:[A-Z][A-Za-z]*|constant)_\d+(?:\.\d+)?$/;

/** Traces under names that no value of the graph can have, then swaps each with the name it stands for. */
function tracedWithNames({ name, outputs, run }: ModelFunction, inputs: ModelFunction["inputs"]): Model {
  const ambiguous = [...Object.keys(inputs), ...outputs].filter((name) => OWN_NAME.test(name));
  const other = new Map(ambiguous.flatMap((name) => [[name, `${name} `] as const, [`${name} `, name] as const]));
  const swap = (name: string) => other.get(name) ?? name;
  const swapKeys = <T>(record: Readonly<Record<string, T>>) =>
    Object.fromEntries(Object.entries(record).map(([name, value]) => [swap(name), value]));
  const fn = (tensors: Tensors) => swapKeys(run(swapKeys(tensors)));
  const model = traced(() => trace(fn, { inputs: swapKeys(inputs), name }));
  if (ambiguous.length === 0) return model;
  const swapPorts = <T extends { readonly name: string }>(ports: readonly T[]) =>
    ports.map((port) => ({ ...port, name: swap(port.name) }));
  const nodes = model.nodes.map((node) => ({
    ...node,
    inputs: node.inputs.map(swap),
    outputs: node.outputs.map(swap),
  }));
  return {
    ...model,
    nodes,
    inputs: swapPorts(model.inputs),
    outputs: swapPorts(model.outputs),
    initializers: swapPorts(model.initializers),
  };
}

/** An error of tfjs's, at shapes that do not fit for instance, in our words. */
function traced(work: () => Model): Model {
  try {
    return work();
  } catch (error) {
    if (error instanceof SubspanError) throw error;
    throw new SubspanError("TRACE_REFUSED", `the model does not run: ${(error as Error).message}`, { cause: error });
  }
}
