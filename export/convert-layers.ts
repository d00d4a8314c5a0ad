import type * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { SubspanError } from "../runtime/errors.ts";
import { type ConvertOptions, closedPorts, type ModelFunction, uniqueNames } from "./model-function.ts";
import type { Tensors } from "./signature.ts";
import { MOST_TURNS } from "./static-flow.ts";

/** A Layers model as a function of named tensors: its inference on a whole batch, which `predict` cuts into parts. */
export function layersModelFunction(model: LayersModel, { signature, shapes }: ConvertOptions): ModelFunction {
  if (signature) throw new SubspanError("USAGE", "a Layers model has no signature, its names are those of its layers");
  if (!model.built) model.build([]); // a Sequential has no names before
  const stateful = model.layers.find((layer) => layer.stateful);
  if (stateful !== undefined) {
    const why = "keeps its state from batch to batch (stateful), and a graph keeps nothing";
    throw new SubspanError("TRACE_REFUSED", `layer ${stateful.name} ${why}`);
  }
  refuseLongUnrolling(model);
  const ports = model.inputs.map(({ dtype, shape }, i) => ({
    name: model.inputNames[i] as string,
    dtype,
    shape: shape.map((dim) => dim ?? undefined),
  }));
  const inputs = closedPorts(ports, shapes);
  const outputs = uniqueNames(model.outputNames, Object.keys(inputs));
  const run = (tensors: Tensors): Tensors => {
    const given = ports.map(({ name }) => tensors[name] as tf.Tensor);
    const results = [model.apply(given, { training: false }) as tf.Tensor | tf.Tensor[]].flat();
    return Object.fromEntries(outputs.map((name, i) => [name, results[i] as tf.Tensor]));
  };
  return { name: model.name, inputs, outputs, rows: embeddedRows(model), run };
}

/** Layers that tfjs calls once for every time step. */
const RECURRENT = new Set(["SimpleRNN", "LSTM", "GRU", "RNN", "ConvLSTM2D", "Bidirectional", "TimeDistributed"]);

function refuseLongUnrolling({ layers }: LayersModel): void {
  for (const layer of layers) {
    const shapes = RECURRENT.has(layer.getClassName())
      ? layer.inboundNodes.flatMap(({ inputShapes }) => inputShapes)
      : [];
    const steps = Math.max(0, ...shapes.map((shape) => shape?.[1] ?? 0));
    if (steps <= MOST_TURNS) continue;
    const why = `would be unrolled over ${steps} time steps, more than ${MOST_TURNS}`;
    throw new SubspanError("TRACE_REFUSED", `layer ${layer.name} ${why}`);
  }
}

/** Inputs of Embedding layers, by name, and how many embeddings there are. */
function embeddedRows(model: LayersModel): Record<string, number> {
  const rows: Record<string, number> = {};
  for (const layer of model.layers) {
    if (layer.getClassName() !== "Embedding") continue;
    for (const tensor of layer.inboundNodes.flatMap(({ inputTensors }) => inputTensors)) {
      const name = model.inputNames[model.inputs.indexOf(tensor)];
      if (name !== undefined)
        rows[name] = Math.min(rows[name] ?? Number.POSITIVE_INFINITY, Number(layer.getConfig().inputDim));
    }
  }
  return rows;
}
