import * as tf from "@tensorflow/tfjs-core";
import { env as onnxRuntime } from "onnxruntime-node";
import type { Tensors } from "../../export/index.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { PORT, type StepDefinition, stepFunction } from "../step.ts";
import type { AnyArray, Executor, SessionSettings, Step, StepState } from "./executor.ts";
import { loadTensorflow, TENSORFLOW_BACKEND, type TensorflowEngine } from "./tensorflow.ts";

/** Runs step functions op by op with libtensorflow. */
export class TensorflowExecutor implements Executor {
  readonly libraries: Readonly<Record<string, string>>;
  readonly session: SessionSettings;

  private constructor(libtensorflow: string, session: SessionSettings) {
    this.libraries = { libtensorflow, onnxruntime: onnxRuntime.versions.node ?? "unknown" };
    this.session = session;
  }

  /** @throws {SubspanError} as `loadTensorflow`. */
  static open(engine: TensorflowEngine, session: SessionSettings): TensorflowExecutor {
    return new TensorflowExecutor(loadTensorflow(engine), session);
  }

  async prepare(
    definition: StepDefinition,
    state: StepState,
    frozen: Readonly<Record<string, NumberArray>>,
  ): Promise<Step> {
    return new EagerStep(definition, state, frozen);
  }
}

/** A step that runs under a tfjs backend; its state stays in that backend's tensors. */
class EagerStep implements Step {
  readonly #step: (inputs: Tensors) => Tensors;
  readonly #names: readonly string[];
  readonly #buffers: readonly string[];
  readonly #frozen: Tensors;
  #state: Tensors;

  constructor(definition: StepDefinition, state: StepState, frozen: Readonly<Record<string, NumberArray>>) {
    this.#step = stepFunction(definition);
    this.#names = Object.keys(state.parameters);
    this.#buffers = Object.keys(state.buffers);
    const tensors = (arrays: Readonly<Record<string, NumberArray>>, port: (name: string) => string): Tensors =>
      Object.fromEntries(Object.entries(arrays).map(([name, array]) => [port(name), tensor(array)]));
    [this.#frozen, this.#state] = underBackend(() => [
      tensors(frozen, PORT.frozen),
      {
        [PORT.t]: tf.scalar(state.t),
        ...tensors(state.parameters, PORT.parameter),
        ...tensors(state.buffers, PORT.buffer),
        ...tensors(state.m, PORT.m),
        ...tensors(state.v, PORT.v),
      },
    ]);
  }

  async run(batch: Readonly<Record<string, AnyArray>>, learningRate: number): Promise<Record<string, number>> {
    return underBackend(() => {
      const outputs = tf.tidy(() => {
        const inputs: Tensors = { ...this.#state, ...this.#frozen, [PORT.learningRate]: tf.scalar(learningRate) };
        for (const [name, array] of Object.entries(batch)) inputs[PORT.batch(name)] = tensor(array);
        return this.#step(inputs);
      });
      tf.dispose(this.#state);
      const terms: Record<string, number> = {};
      this.#state = {};
      for (const [port, value] of Object.entries(outputs)) {
        if (port.startsWith("term/")) {
          terms[port.slice("term/".length)] = value.dataSync()[0] as number;
          value.dispose();
        } else this.#state[port.slice("next/".length)] = value;
      }
      return terms;
    });
  }

  get state(): StepState {
    const read = (port: string): NumberArray => {
      const value = this.#state[port] as tf.Tensor;
      return { data: value.dataSync<"float32">(), shape: value.shape };
    };
    const pick = (port: (name: string) => string, names = this.#names) =>
      Object.fromEntries(names.map((name) => [name, read(port(name))]));
    return underBackend(() => ({
      parameters: pick(PORT.parameter),
      buffers: pick(PORT.buffer, this.#buffers),
      m: pick(PORT.m),
      v: pick(PORT.v),
      t: read(PORT.t).data[0] as number,
    }));
  }

  async dispose(): Promise<void> {
    tf.dispose([this.#state, this.#frozen]);
  }
}

/** As a trace takes it: integers are int32. */
function tensor({ data, shape }: AnyArray): tf.Tensor {
  if (data instanceof Float32Array) return tf.tensor(data, [...shape], "float32");
  return tf.tensor(Int32Array.from(data), [...shape], "int32");
}

function underBackend<T>(compute: () => T): T {
  const before = tf.getBackend();
  tf.setBackend(TENSORFLOW_BACKEND);
  try {
    return compute();
  } finally {
    tf.setBackend(before);
  }
}
