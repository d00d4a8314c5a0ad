import type { Device } from "../../runtime/devices.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import type { StepDefinition } from "../step.ts";

export type AnyArray = NumberArray<Float32Array | Int32Array | Uint8Array>;

/** Parameters and Adam's moments by name, buffers, and the number of updates. */
export interface StepState {
  readonly parameters: Readonly<Record<string, NumberArray>>;
  readonly buffers: Readonly<Record<string, NumberArray>>;
  readonly m: Readonly<Record<string, NumberArray>>;
  readonly v: Readonly<Record<string, NumberArray>>;
  readonly t: number;
}

/** A step that is ready to run. Its state stays where the engine computes until it is asked for. */
export interface Step {
  /** One update. @returns the terms of the loss before it. */
  run(batch: Readonly<Record<string, AnyArray>>, learningRate: number): Promise<Record<string, number>>;
  /** After the last update; the arrays stay as they are when more updates follow. */
  readonly state: StepState;
  dispose(): Promise<void>;
}

/** What a session of ONNX Runtime runs with. */
export interface SessionSettings {
  /** The execution provider, cpu unless given; there is no fallback to another. */
  readonly device?: Device;
  /** Threads of one operator; repeated runs on the CPU are bit-equal at any number. */
  readonly threads?: number;
}

/** What computes training steps. Every executor gives the same losses, up to rounding, and goes on from any other's state. */
export interface Executor {
  /** The libraries that compute, and their versions: what may make a run's numbers differ in their last bits. */
  readonly libraries: Readonly<Record<string, string>>;
  /** Of the ONNX Runtime sessions beside the steps: encoding and prediction over all samples. */
  readonly session: SessionSettings;
  prepare(definition: StepDefinition, state: StepState, frozen: Readonly<Record<string, NumberArray>>): Promise<Step>;
}

/** A state before the first update: the given parameters and buffers, moments of zero. */
export function initialState(
  parameters: Readonly<Record<string, NumberArray>>,
  buffers: Readonly<Record<string, NumberArray>> = {},
): StepState {
  const zeros = Object.fromEntries(
    Object.entries(parameters).map(([name, { data, shape }]) => [name, { data: new Float32Array(data.length), shape }]),
  );
  return { parameters, buffers, m: zeros, v: zeros, t: 0 };
}
