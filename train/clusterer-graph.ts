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

/** The coefficients' port: one for each sample or anchor that is stored to express others. */
const coefficientsPort = ({ structure }: ClustererDefinition): PortType => ({
  type: "float32",
  shape: ["N", (structure.anchors ?? structure.landmarks)?.shape[0] as number],
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

/** What the head gives: the embedding, or the coefficients it is made of, where the method has any. */
const headOutput = ({ method }: ClustererDefinition) =>
  method.coefficients === undefined ? "embedding" : "coefficients";

/** Latent -> embedding or coefficients. */
export function headGraph(definition: ClustererDefinition): GraphDefinition {
  const { method, config, parameters, structure } = definition;
  const output = headOutput(definition);
  return {
    inputs: { latent: latentPort(definition) },
    fn: ({ latent }) => {
      const of = method.coefficients?.bind(method) ?? method.embed.bind(method);
      return { [output]: of(config, constants(parameters), constants(structure), latent as tf.Tensor2D) };
    },
  };
}

/** Latent -> embedding, by way of the coefficients where the method has any. */
export function embed(
  { method, config }: Pick<ClustererDefinition, "method" | "config">,
  parameters: Parameters,
  structure: Parameters,
  latent: tf.Tensor2D,
): tf.Tensor2D {
  const coefficients = method.coefficients?.(config, parameters, structure, latent);
  return method.embed(config, parameters, structure, latent, coefficients);
}

/** Latent and what the head gives -> label, confidence, novelty, probabilities; the embedding too, unless it came from there. */
export function assignGraph(definition: ClustererDefinition): GraphDefinition {
  const { method, config, parameters, structure } = definition;
  const from = headOutput(definition);
  return {
    inputs: {
      latent: latentPort(definition),
      [from]: from === "embedding" ? embeddingPort(definition) : coefficientsPort(definition),
    },
    fn: (inputs) => {
      const [latent, given] = [inputs.latent, inputs[from]] as tf.Tensor2D[] as [tf.Tensor2D, tf.Tensor2D];
      const stored = constants(structure);
      if (from === "embedding") return { ...method.assign(config, stored, latent, given) };
      const embedding = method.embed(config, constants(parameters), stored, latent, given);
      return { ...method.assign(config, stored, latent, embedding), embedding };
    },
  };
}

/** Latent -> embedding, label, confidence, novelty, probabilities: what follows the encoder, in one graph. */
export function placementGraph(definition: ClustererDefinition, withCoefficients = false): GraphDefinition {
  const head = headGraph(definition);
  const assign = assignGraph(definition);
  return {
    inputs: head.inputs,
    fn: ({ latent }) => {
      const given = head.fn({ latent: latent as tf.Tensor });
      const { coefficients, ...rest } = { ...given, ...assign.fn({ latent, ...given } as Tensors) };
      return (withCoefficients ? { ...rest, coefficients } : rest) as Tensors;
    },
  };
}

/**
 * Samples -> label, confidence, novelty, probabilities, embedding, latent: the whole clusterer.
 *
 * @param withCoefficients - also the coefficients, of methods that have any.
 */
export function clustererGraph(definition: ClustererDefinition, withCoefficients = false): GraphDefinition {
  const encoder = encoderGraph(definition);
  const placement = placementGraph(definition, withCoefficients);
  return {
    inputs: encoder.inputs,
    fn: (inputs) => {
      const { latent } = encoder.fn(inputs);
      const { label, confidence, novelty, probabilities, embedding, coefficients } = placement.fn({
        latent,
      } as Tensors);
      const contract = { label, confidence, novelty, probabilities, embedding, latent };
      return (withCoefficients ? { ...contract, coefficients } : contract) as Tensors;
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
