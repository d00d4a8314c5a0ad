import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import {
  blockedLayout,
  blockProbe,
  type ConvolutionLayout,
  encodeModel,
  type Model,
  trace,
} from "../../export/index.ts";
import { type Device, reasonOf, walkLadder } from "../../runtime/devices.ts";
import { SubspanError } from "../../runtime/errors.ts";
import { NODE_LADDER, whyNot } from "../../runtime/node-devices.ts";
import type { ElementType } from "../../runtime/onnx-schema.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { compileStep, PORT, type StepDefinition } from "../step.ts";
import type { AnyArray, Executor, SessionSettings, Step, StepState } from "./executor.ts";

/** A traced model that can be run: named arrays in, named arrays out. */
export class CompiledFunction {
  readonly #session: ort.InferenceSession;
  readonly #types: Readonly<Record<string, ElementType>>;

  private constructor(session: ort.InferenceSession, types: Readonly<Record<string, ElementType>>) {
    this.#session = session;
    this.#types = types;
  }

  /** @throws {SubspanError} DEVICE_UNAVAILABLE with the remedy. */
  static async compile(model: Model, { device = "cpu", threads }: SessionSettings = {}): Promise<CompiledFunction> {
    const bytes = encodeModel(model);
    const open = () => createSession(bytes, device, threads);
    const { opened } = await walkLadder(device, true, NODE_LADDER, open);
    return new CompiledFunction(opened, Object.fromEntries(model.inputs.map(({ name, type }) => [name, type])));
  }

  tensor(name: string, { data, shape }: AnyArray): ort.Tensor {
    return new ort.Tensor(this.#types[name] as "float32", data as Float32Array, [...shape]);
  }

  /** Runs on tensors that were outputs before, or made by `tensor`. @param into - tensors that outputs are written to. */
  async runTensors(
    feeds: Readonly<Record<string, ort.Tensor>>,
    into: Readonly<Record<string, ort.Tensor>> = {},
  ): Promise<ort.InferenceSession.ReturnType> {
    return this.#session.run(
      feeds,
      Object.fromEntries(this.#session.outputNames.map((name) => [name, into[name] ?? null])),
    );
  }

  async run(arrays: Readonly<Record<string, AnyArray>>): Promise<Record<string, NumberArray>> {
    const feeds = Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, this.tensor(name, array)]));
    const fetches = await this.runTensors(feeds);
    return Object.fromEntries(
      Object.entries(fetches).map(([name, { data, dims }]) => [name, { data: data as Float32Array, shape: dims }]),
    );
  }

  async dispose(): Promise<void> {
    await this.#session.release();
  }
}

async function createSession(graph: Uint8Array, device: Device, threads: number | undefined) {
  const reason = await whyNot(device);
  if (reason !== undefined) throw new Error(reason);
  return ort.InferenceSession.create(graph, sessionOptions(device, threads));
}

/** What every session of a step runs with. */
export function sessionOptions(device: Device, threads: number | undefined): ort.InferenceSession.SessionOptions {
  return {
    executionProviders: [device],
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
    extra: {
      // Adam's moments of quiet weights sink to numbers that CPUs multiply a hundred times slower.
      session: { set_denormal_as_zero: "1" },
      // The tracer has placed every transpose; moved past reshapes, they take three times as long.
      optimization: { disable_specified_optimizers: "TransposeOptimizer;TransposeOptimizer_CPUExecutionProvider" },
    },
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
  };
}

/** The form of convolutions that a device trains fastest. ONNX Runtime's CPU provider alone has kernels over blocks of channels. */
export async function convolutionLayout({ device = "cpu" }: SessionSettings): Promise<ConvolutionLayout> {
  if (device !== "cpu") return "channels-batch";
  const probe = await CompiledFunction.compile(blockProbe, { threads: 1 }).catch(() => undefined);
  const answer = await probe?.run({ image: { data: new Float32Array(8), shape: [1, 8, 1, 1] } });
  await probe?.dispose();
  return blockedLayout(answer?.blocks?.shape[1]) ?? "channels-batch";
}

/** Compiles steps with ONNX Runtime: the default engine. */
export class OnnxExecutor implements Executor {
  readonly libraries = { onnxruntime: ort.env.versions.node ?? "unknown" };
  readonly session: SessionSettings;

  constructor(session: SessionSettings = {}) {
    this.session = session;
  }

  /** Has the device compute once: a session may open and fail to run. @throws {SubspanError} DEVICE_UNAVAILABLE. */
  static async open(session: SessionSettings): Promise<OnnxExecutor> {
    const x = { type: "float32", shape: [1] } as const;
    const square = trace(({ x }) => ({ y: tf.square(x as tf.Tensor) }), { inputs: { x } });
    const probe = await CompiledFunction.compile(square, session);
    try {
      await probe.run({ x: { data: Float32Array.of(2), shape: [1] } });
    } catch (cause) {
      const message = `${session.device ?? "cpu"}: ${reasonOf(cause)}`;
      throw new SubspanError("DEVICE_UNAVAILABLE", message, { cause: cause as Error });
    } finally {
      await probe.dispose();
    }
    return new OnnxExecutor(session);
  }

  prepare(definition: StepDefinition, state: StepState, frozen: Readonly<Record<string, NumberArray>>): Promise<Step> {
    return OnnxStep.compile(definition, state, frozen, this.session);
  }
}

/**
 * Runs a compiled step: what it gives is fed back at the next step. The state is there twice, and a step writes to what the step before
 * it read from: onnxruntime-node copies outputs that have no place to go, 105 ms a step of a ResNet-18.
 */
class OnnxStep implements Step {
  readonly #step: CompiledFunction;
  readonly #names: readonly string[];
  readonly #buffers: readonly string[];
  #state: Record<string, ort.Tensor> = {};
  #spare: Record<string, ort.Tensor> = {};
  readonly #frozen: Record<string, ort.Tensor>;

  private constructor(step: CompiledFunction, state: StepState, frozen: Readonly<Record<string, NumberArray>>) {
    this.#step = step;
    this.#names = Object.keys(state.parameters);
    this.#buffers = Object.keys(state.buffers);
    this.#set(PORT.t, scalar(state.t));
    for (const [name, array] of Object.entries(state.parameters)) this.#set(PORT.parameter(name), array);
    for (const [name, array] of Object.entries(state.buffers)) this.#set(PORT.buffer(name), array);
    for (const [name, array] of Object.entries(state.m)) this.#set(PORT.m(name), array);
    for (const [name, array] of Object.entries(state.v)) this.#set(PORT.v(name), array);
    this.#frozen = Object.fromEntries(
      Object.entries(frozen).map(([name, array]) => [PORT.frozen(name), step.tensor(PORT.frozen(name), array)]),
    );
  }

  static async compile(
    definition: StepDefinition,
    state: StepState,
    frozen: Readonly<Record<string, NumberArray>>,
    settings: SessionSettings,
  ): Promise<OnnxStep> {
    const model = compileStep(definition, await convolutionLayout(settings));
    return new OnnxStep(await CompiledFunction.compile(model, settings), state, frozen);
  }

  #set(port: string, array: NumberArray): void {
    const data = Float32Array.from(array.data);
    this.#state[port] = this.#step.tensor(port, { ...array, data });
    this.#spare[port] = this.#step.tensor(port, { ...array, data: new Float32Array(data.length) });
  }

  async run(batch: Readonly<Record<string, AnyArray>>, learningRate: number): Promise<Record<string, number>> {
    const feeds: Record<string, ort.Tensor> = { ...this.#state, ...this.#frozen };
    feeds[PORT.learningRate] = this.#step.tensor(PORT.learningRate, scalar(learningRate));
    for (const [name, array] of Object.entries(batch))
      feeds[PORT.batch(name)] = this.#step.tensor(PORT.batch(name), array);
    const into = Object.fromEntries(Object.entries(this.#spare).map(([port, tensor]) => [PORT.next(port), tensor]));
    const fetches = await this.#step.runTensors(feeds, into);
    [this.#state, this.#spare] = [this.#spare, this.#state];
    const terms = Object.entries(fetches).filter(([port]) => port.startsWith("term/"));
    return Object.fromEntries(terms.map(([port, { data }]) => [port.slice("term/".length), Number(data[0])]));
  }

  get state(): StepState {
    const pick = (port: (name: string) => string, names = this.#names) =>
      Object.fromEntries(
        names.map((name) => {
          const { data, dims } = this.#state[port(name)] as ort.Tensor;
          return [name, { data: Float32Array.from(data as Float32Array), shape: dims }];
        }),
      );
    const t = Number(this.#state[PORT.t]?.data[0]);
    const buffers = pick(PORT.buffer, this.#buffers);
    return { parameters: pick(PORT.parameter), buffers, m: pick(PORT.m), v: pick(PORT.v), t };
  }

  async dispose(): Promise<void> {
    await this.#step.dispose();
  }
}

function scalar(value: number): NumberArray {
  return { data: Float32Array.of(value), shape: [] };
}
