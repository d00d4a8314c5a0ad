/**
 * Our step function op by op on a backend of tfjs, as a peer of `npm run bench:step` (README.md has the protocol): tensorflow is
 * tfjs-node's libtensorflow, wasm has one thread in Node, cpu is JavaScript.
 */
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import type { Tensors } from "../../export/index.ts";
import type { AnyArray } from "../../train/executors/executor.ts";
import { loadTensorflow, TENSORFLOW_BACKEND } from "../../train/executors/tensorflow.ts";
import { PORT, stepFunction } from "../../train/step.ts";
import { LEARNING_RATE, total } from "../step/contestant.ts";
import { parameterCount, type Spec, type Workload, workloadOf } from "../step/workload.ts";

const VERSION = tf.version_core;
/** Loads a backend's package. @returns the engine and its version. */
const BACKENDS: Readonly<Record<string, () => string>> = {
  [TENSORFLOW_BACKEND]: () => `tfjs-node ${VERSION}, libtensorflow ${loadTensorflow("tfjs-node")}`,
  wasm: () => {
    createRequire(import.meta.url)("@tensorflow/tfjs-backend-wasm");
    return `tfjs WASM ${VERSION}`;
  },
  cpu: () => `tfjs CPU ${VERSION}`,
};

/** As a trace takes it: integers are int32. */
const tensor = ({ data, shape }: AnyArray): tf.Tensor =>
  data instanceof Float32Array
    ? tf.tensor(data, [...shape], "float32")
    : tf.tensor(Int32Array.from(data), [...shape], "int32");

class EagerStep {
  readonly #step: (inputs: Tensors) => Tensors;
  readonly #workload: Workload;
  #state: Tensors;

  constructor(workload: Workload) {
    const { definition, state, frozen } = workload;
    this.#workload = workload;
    this.#step = stepFunction(definition);
    this.#state = { [PORT.t]: tf.scalar(state.t) };
    for (const [name, array] of Object.entries(frozen)) this.#state[PORT.frozen(name)] = tensor(array);
    for (const [name, array] of Object.entries(state.parameters)) {
      this.#state[PORT.parameter(name)] = tensor(array);
      for (const moment of [PORT.m, PORT.v]) this.#state[moment(name)] = tf.zeros([...array.shape]);
    }
  }

  /** @returns the loss before the update. */
  run(): number {
    const outputs = tf.tidy(() => {
      const inputs: Tensors = { ...this.#state, [PORT.learningRate]: tf.scalar(LEARNING_RATE) };
      for (const [name, array] of Object.entries(this.#workload.feed)) inputs[PORT.batch(name)] = tensor(array);
      return this.#step(inputs);
    });
    const terms: Record<string, number> = {};
    for (const [port, value] of Object.entries(outputs)) {
      if (port.startsWith("term/")) {
        terms[port] = value.dataSync()[0] as number;
        value.dispose();
      } else {
        const name = port.slice("next/".length);
        this.#state[name]?.dispose();
        this.#state[name] = value;
      }
    }
    return total(terms);
  }

  /** Milliseconds of each step, and the last loss. */
  timed(steps: number): { readonly milliseconds: readonly number[]; readonly loss: number } {
    let loss = Number.NaN;
    const milliseconds = Array.from({ length: steps }, () => {
      const began = performance.now();
      loss = this.run();
      return performance.now() - began;
    });
    return { milliseconds, loss };
  }
}

async function open({ backend, ...spec }: Spec & { readonly backend: string }): Promise<[EagerStep, object]> {
  const load = BACKENDS[backend];
  if (load === undefined) throw new Error(`backend: expected ${Object.keys(BACKENDS).join(", ")}, got ${backend}`);
  const engine = load();
  await tf.setBackend(backend);
  const workload = workloadOf(spec as Spec);
  const step = new EagerStep(workload);
  const { milliseconds, loss } = step.timed(1);
  return [step, { engine, parameters: parameterCount(workload), loss, first: milliseconds[0] }];
}

async function serve(lines: AsyncIterable<string>): Promise<void> {
  let step: EagerStep | undefined;
  for await (const line of lines) {
    const request = JSON.parse(line);
    if (step !== undefined) console.log(JSON.stringify(step.timed(request.steps)));
    else {
      const [opened, ready] = await open(request);
      step = opened;
      console.log(JSON.stringify(ready));
    }
  }
}

try {
  await serve(createInterface({ input: process.stdin }));
} catch (error) {
  console.log(JSON.stringify({ error: (error as Error).message.split("\n")[0] }));
  process.exitCode = 1;
}
process.stdin.destroy();
