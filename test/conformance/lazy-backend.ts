import { type BackendValues, type NamedTensorInfoMap, type TensorInfo, util } from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { MissingKernels, TracingBackend } from "../../export/backend.ts";
import { Graph } from "../../export/graph.ts";
import type { AnyLowering } from "../../export/lowering.ts";
import { encodeModel, type Model } from "../../export/proto.ts";
import { liveNodes, simplified } from "../../export/simplify.ts";
import { finished } from "../../export/trace.ts";
import { elementType, type Operand, type Stored, type TensorType } from "../../export/value.ts";

/** Errors come as errors; the log is for what a test expects to fail. */
const QUIET = { logSeverityLevel: 4 } as const;
const SESSION = { ...QUIET, intraOpNumThreads: 1, interOpNumThreads: 1 };

/** What a test asked of the backend, from `start` on. */
export class Log {
  readonly kernels = new Set<string>();
  readonly refusals: Error[] = [];
  runs = 0;

  start(): void {
    this.kernels.clear();
    this.refusals.length = 0;
    this.runs = 0;
  }
}

/** A read that would have to wait for ONNX Runtime without giving way to it. */
export class SynchronousRead extends Error {}

/** How a graph gets the numbers that a test writes: fed when it runs, so that nothing is computed before; or as constants. */
export type Given = "inputs" | "constants";

/**
 * A tfjs backend that computes by what subspan compiles: kernel calls add nodes to a graph, as in a trace, and reading a tensor
 * runs the nodes it needs on ONNX Runtime.
 */
export class LazyBackend extends TracingBackend {
  readonly #given: Given;
  readonly #log: Log;
  readonly #feeds = new Map<string, ort.Tensor>();

  constructor(given: Given, log: Log) {
    super();
    this.#given = given;
    this.#log = log;
    this.record(new Graph());
  }

  protected override given(type: TensorType, values: Float32Array | Int32Array | Uint8Array): Stored {
    return this.#given === "constants" ? super.given(type, values) : this.#fed(type, values);
  }

  #fed({ shape, dtype }: TensorType, values: Float32Array | Int32Array | Uint8Array): Stored {
    const type = elementType(dtype);
    const name = `input_${this.#feeds.size}`;
    this.graph.inputs.push({ name, type, shape });
    this.#feeds.set(name, new ort.Tensor(type as "float32", values as Float32Array, shape));
    return { name, shape };
  }

  override apply(rule: AnyLowering, kernel: string, inputs: NamedTensorInfoMap, attributes: object) {
    this.#log.kernels.add(kernel);
    if (kernel === "Identity") return this.#alias(inputs.x as TensorInfo);
    return this.#noting(() => super.apply(rule, kernel, inputs, attributes));
  }

  /** tfjs counts a backend's data, and a clone shares its tensor's. */
  #alias({ dataId, shape, dtype }: TensorInfo): TensorInfo {
    this.incRef(dataId);
    return { dataId, shape, dtype };
  }

  override unlowered(kernel: string): TensorInfo | TensorInfo[] {
    return this.#noting(() => {
      throw new MissingKernels(new Map([[kernel, ""]]));
    });
  }

  /** Outside a trace a draw is data as any other. */
  protected override refuseRandom(): void {}

  override write(...[values, shape, dtype]: Parameters<TracingBackend["write"]>): object {
    return this.#noting(() => super.write(values, shape, dtype));
  }

  override readSync(dataId: object): BackendValues {
    return this.#noting(() => {
      const { values } = this.entry(dataId);
      if (values === undefined) throw new SynchronousRead("a computed tensor was read synchronously");
      return values;
    });
  }

  override async read(dataId: object): Promise<BackendValues> {
    const { values, operand } = this.entry(dataId);
    if (values !== undefined) return values;
    const { name, dtype, shape } = operand as Operand;
    const type = elementType(dtype);
    this.graph.outputs.splice(0, 1, { name: "output", type, shape, value: name });
    const output = await this.#run(finished(simplified(liveNodes(this.graph)), { name: "read" }));
    if (output.type === type && util.arraysEqual([...output.dims], [...shape])) return output.data as Float32Array;
    throw new Error(`expected ${type} [${shape}], ONNX Runtime gave ${output.type} [${output.dims}]`);
  }

  async #run(model: Model): Promise<ort.Tensor> {
    const used = new Set(model.nodes.flatMap(({ inputs }) => inputs));
    const inputs = model.inputs.filter(({ name }) => used.has(name));
    const session = await ort.InferenceSession.create(encodeModel({ ...model, inputs }), SESSION);
    try {
      const feeds = inputs.map(({ name }) => [name, this.#feeds.get(name) as ort.Tensor]);
      const { output } = await session.run(Object.fromEntries(feeds), QUIET);
      this.#log.runs++;
      return output as ort.Tensor;
    } finally {
      await session.release();
    }
  }

  /**
   * Runs `action`. An error is noted, since a test may expect an error and take any, and thrown as the lowering threw it, without
   * the tracer's mention of the kernel: tests compare messages.
   */
  #noting<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      const { cause = error } = error as Error;
      this.#log.refusals.push(cause as Error);
      throw cause;
    }
  }
}
