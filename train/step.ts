import * as tf from "@tensorflow/tfjs-core";
import "../models/gradients.ts";
import {
  type ConvolutionLayout,
  type Model,
  type PortType,
  type Tensors,
  trace,
  withoutCopies,
} from "../export/index.ts";
import type { Parameters } from "../models/index.ts";
import { type AdamSettings, adam } from "./optimizers.ts";

/** A training step as a pure function: what it updates, what it holds still, what a batch is, and the loss's terms. */
export interface StepDefinition {
  /** Shapes of the parameters that are updated. */
  readonly trainable: Readonly<Record<string, readonly number[]>>;
  /** Shapes of the parameters that are used and stay. */
  readonly frozen: Readonly<Record<string, readonly number[]>>;
  /** Shapes of the parameters that `update` renews. */
  readonly buffers?: Readonly<Record<string, readonly number[]>>;
  readonly batch: Readonly<Record<string, PortType>>;
  /** Weighted terms, scalars; their sum is the loss. */
  readonly loss: (parameters: Parameters, batch: Parameters) => Readonly<Record<string, tf.Scalar>>;
  /** New values of all buffers, from the parameters before the step: a momentum encoder, a queue of latents. Pure. */
  readonly update?: (parameters: Parameters, batch: Parameters) => Readonly<Record<string, tf.Tensor>>;
  readonly adam?: AdamSettings;
}

/** Names of a step's ports: a parameter and its moments, one that is frozen or a buffer, an input of the batch, a loss term. */
export const PORT = {
  parameter: (name: string) => `parameter/${name}`,
  m: (name: string) => `m/${name}`,
  v: (name: string) => `v/${name}`,
  frozen: (name: string) => `frozen/${name}`,
  buffer: (name: string) => `buffer/${name}`,
  batch: (name: string) => `batch/${name}`,
  term: (name: string) => `term/${name}`,
  next: (port: string) => `next/${port}`,
  t: "t",
  learningRate: "learningRate",
} as const;

/**
 * One update: loss, gradients and Adam. Parameters, moments, step count, learning rate and batch go in; the new parameters and
 * moments (under `next/`) and the terms of the loss come out. Pure, so it is traced once or run eagerly, with equal results.
 */
export function stepFunction({
  trainable,
  frozen,
  buffers = {},
  batch,
  loss,
  update,
  adam: settings,
}: StepDefinition): (inputs: Tensors) => Tensors {
  const names = Object.keys(trainable);
  const pick = (inputs: Tensors, keys: readonly string[], port: (name: string) => string): Record<string, tf.Tensor> =>
    Object.fromEntries(keys.map((name) => [name, inputs[port(name)] as tf.Tensor]));
  return (inputs) => {
    const held = {
      ...pick(inputs, Object.keys(frozen), PORT.frozen),
      ...pick(inputs, Object.keys(buffers), PORT.buffer),
    };
    const data = pick(inputs, Object.keys(batch), PORT.batch);
    const parameters = pick(inputs, names, PORT.parameter);
    let terms: Readonly<Record<string, tf.Scalar>> = {};
    const total = (...tensors: tf.Tensor[]): tf.Scalar => {
      const own = Object.fromEntries(names.map((name, i) => [name, tensors[i] as tf.Tensor]));
      terms = loss({ ...held, ...own }, data);
      for (const term of Object.values(terms)) tf.keep(term); // tf.grads gives gradients alone, and tidies up
      return tf.addN(Object.values(terms));
    };
    const list = tf.grads(total)(names.map((name) => parameters[name] as tf.Tensor));
    const gradients = Object.fromEntries(names.map((name, i) => [name, list[i] as tf.Tensor]));
    const state = { m: pick(inputs, names, PORT.m), v: pick(inputs, names, PORT.v), t: inputs[PORT.t] as tf.Scalar };
    const next = adam(parameters, gradients, state, inputs[PORT.learningRate] as tf.Scalar, settings);
    const outputs: Tensors = { [PORT.next(PORT.t)]: next.state.t };
    for (const name of names) {
      outputs[PORT.next(PORT.parameter(name))] = next.parameters[name] as tf.Tensor;
      outputs[PORT.next(PORT.m(name))] = next.state.m[name] as tf.Tensor;
      outputs[PORT.next(PORT.v(name))] = next.state.v[name] as tf.Tensor;
    }
    const renewed = update?.({ ...held, ...parameters }, data) ?? {};
    for (const name of Object.keys(buffers)) outputs[PORT.next(PORT.buffer(name))] = renewed[name] as tf.Tensor;
    for (const [name, term] of Object.entries(terms)) {
      outputs[PORT.term(name)] = tf.clone(term);
      term.dispose();
    }
    return outputs;
  };
}

/** The step as one ONNX graph. @param convolutions - the form that the CPU is fastest at, where it is known. */
export function compileStep(definition: StepDefinition, convolutions: ConvolutionLayout = "channels-batch"): Model {
  const inputs: Record<string, PortType> = {
    [PORT.t]: { type: "float32", shape: [] },
    [PORT.learningRate]: { type: "float32", shape: [] },
  };
  for (const [name, shape] of Object.entries(definition.trainable)) {
    for (const port of [PORT.parameter, PORT.m, PORT.v]) inputs[port(name)] = { type: "float32", shape };
  }
  for (const [name, shape] of Object.entries(definition.frozen)) inputs[PORT.frozen(name)] = { type: "float32", shape };
  for (const [name, shape] of Object.entries(definition.buffers ?? {})) {
    inputs[PORT.buffer(name)] = { type: "float32", shape };
  }
  for (const [name, port] of Object.entries(definition.batch)) inputs[PORT.batch(name)] = port;
  return withoutCopies(trace(stepFunction(definition), { inputs, convolutions, name: "step" }));
}
