import * as tf from "@tensorflow/tfjs-core";
import { type Model, type PortType, type Tensors, type TraceFunction, trace } from "../export/index.ts";
import type { Arrays, Method, SampleType } from "../models/index.ts";
import type { Parameters } from "../models/parameters.ts";

/** All that a clusterer computes with. */
export interface ClustererDefinition {
  readonly method: Method;
  readonly config: object;
  readonly sample: SampleType;
  readonly parameters: Arrays;
  readonly structure: Arrays;
}

/** A traced function and its signature: a graph, or what runs eagerly to the same numbers. */
export interface GraphDefinition {
  readonly fn: TraceFunction;
  readonly inputs: Readonly<Record<string, PortType>>;
}

/** Arrays as constants of a trace. */
export function constants(arrays: Arrays): Parameters {
  return Object.fromEntries(
    Object.entries(arrays).map(([name, { data, shape }]) => [name, tf.tensor(data, [...shape], "float32")]),
  );
}

/** The port that samples come in by: uint8 images [N, h, w, c] or float32 features [N, d]. */
export function samplePort({ kind, shape }: SampleType): Record<string, PortType> {
  return { [kind]: { type: kind === "images" ? "uint8" : "float32", shape: ["N", ...shape] } };
}

/** The latent's port: as wide as the landmarks, which every structure has. */
const latentPort = ({ structure }: ClustererDefinition): PortType => ({
  type: "float32",
  shape: ["N", structure.landmarks?.shape[1] as number],
});

/** The embedding's port: as wide as the read-out is high, which every structure has. */
const embeddingPort = ({ structure }: ClustererDefinition): PortType => ({
  type: "float32",
  shape: ["N", structure.weights?.shape[0] as number],
});

/** Samples -> latent. */
export function encoderGraph({
  method,
  config,
  sample,
  parameters,
}: Omit<ClustererDefinition, "structure">): GraphDefinition {
  return {
    inputs: samplePort(sample),
    fn: (inputs) => ({ latent: method.encode(config, constants(parameters), inputs[sample.kind] as tf.Tensor) }),
  };
}

/** Latent -> embedding. */
export function headGraph(definition: ClustererDefinition): GraphDefinition {
  const { method, config, parameters, structure } = definition;
  return {
    inputs: { latent: latentPort(definition) },
    fn: ({ latent }) => ({
      embedding: method.embed(config, constants(parameters), constants(structure), latent as tf.Tensor2D),
    }),
  };
}

/** Latent and embedding -> label, confidence, novelty, probabilities. */
export function assignGraph(definition: ClustererDefinition): GraphDefinition {
  const { method, config, structure } = definition;
  return {
    inputs: { latent: latentPort(definition), embedding: embeddingPort(definition) },
    fn: ({ latent, embedding }) => ({
      ...method.assign(config, constants(structure), latent as tf.Tensor2D, embedding as tf.Tensor2D),
    }),
  };
}

/** Latent -> embedding, label, confidence, novelty, probabilities: what follows the encoder, in one graph. */
export function placementGraph(definition: ClustererDefinition): GraphDefinition {
  const head = headGraph(definition);
  const assign = assignGraph(definition);
  return {
    inputs: head.inputs,
    fn: ({ latent }) => {
      const { embedding } = head.fn({ latent: latent as tf.Tensor });
      return { ...assign.fn({ latent, embedding } as Tensors), embedding } as Tensors;
    },
  };
}

/** Samples -> label, confidence, novelty, probabilities, embedding, latent: the whole clusterer. */
export function clustererGraph(definition: ClustererDefinition): GraphDefinition {
  const encoder = encoderGraph(definition);
  const placement = placementGraph(definition);
  return {
    inputs: encoder.inputs,
    fn: (inputs) => {
      const { latent } = encoder.fn(inputs);
      return { ...placement.fn({ latent } as Tensors), latent } as Tensors;
    },
  };
}

/** A graph as it is written: labels are int64. */
export function exportedModel(name: string, { fn, inputs }: GraphDefinition): Model {
  return trace(fn, { name, inputs, outputs: { label: "int64" } });
}

/** The parts whose composition is the whole, by the names of their files. */
export function clustererParts(definition: ClustererDefinition): Readonly<Record<string, GraphDefinition>> {
  return { encoder: encoderGraph(definition), head: headGraph(definition), assign: assignGraph(definition) };
}
