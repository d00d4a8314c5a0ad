import * as tf from "@tensorflow/tfjs-core";
import {
  type BackendValues,
  DataStorage,
  type DataType,
  engine,
  findBackend,
  getKernel,
  KernelBackend,
  type KernelConfig,
  type NamedAttrMap,
  type NamedTensorInfoMap,
  registerBackend,
  registerKernel,
  type TensorInfo,
  util,
} from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { SubspanError } from "../runtime/errors.ts";
import type { Graph } from "./graph.ts";
import type { AnyLowering } from "./lowering.ts";
import * as lowerings from "./lowerings/index.ts";
import { REFUSED } from "./refused.ts";
import { constant, uniform } from "./uniform.ts";
import { Operand, type Stored, type TensorType } from "./value.ts";

/** The tfjs backend that computes nothing: a kernel call becomes nodes of the graph being traced. */
export const TRACING_BACKEND = "subspan-trace";

export const LOWERINGS: ReadonlyMap<string, AnyLowering> = new Map(Object.entries(lowerings));

/** A tensor's data: numbers that JavaScript gave, or a value of the graph. */
interface Entry extends TensorType {
  references: number;
  readonly values?: BackendValues;
  /** Works out the numbers of what a kernel made of known numbers. */
  compute?: () => BackendValues;
  operand?: Operand;
}

/** An output that was worked out. */
interface Computed extends TensorType {
  readonly values: BackendValues;
}

/** tfjs operations that draw in JavaScript: inside a trace the draw would freeze into a constant. */
const RANDOM_OPERATIONS = /^(rand|truncatedNormal|multinomial|dropout)/;

/** Kernels without a lowering, all that a trace met: by name, with the reason and the model's node that calls it, if there is one. */
export class MissingKernels extends SubspanError {
  /** @param kernels - by name: the node, or "". */
  constructor(kernels: ReadonlyMap<string, string>) {
    const told = Array.from(kernels, ([name, node]) => {
      const reason = REFUSED.get(name);
      return { node, text: reason === undefined ? name : `${name} (${reason})` };
    });
    const [{ node, text }] = told as [(typeof told)[number]];
    const one = `${node && `${node}: `}no lowering for kernel ${text}`;
    const all = told.map((kernel) => `\n  ${kernel.text}${kernel.node && `, called by ${kernel.node}`}`).join("");
    super("TRACE_REFUSED", told.length === 1 ? one : `no lowering for ${told.length} kernels:${all}`);
  }
}

export class TracingBackend extends KernelBackend {
  readonly #data = new DataStorage<Entry>(this, engine());
  #graph: Graph | undefined;
  #nextId = 0;
  readonly #missing = new Map<string, string>();
  /** The node of a model whose kernels are called now; "" outside a model. */
  node = "";

  /** Records into `graph` until the returned function is called. */
  record(graph: Graph): () => void {
    if (this.#graph !== undefined) throw new SubspanError("TRACE_REFUSED", "a trace inside a traced function");
    this.#graph = graph;
    this.#missing.clear();
    return () => {
      this.#graph = undefined;
    };
  }

  /** @throws {MissingKernels} if the trace met any. */
  refuseMissing(): void {
    if (this.#missing.size > 0) throw new MissingKernels(this.#missing);
  }

  /** A tensor that is the value of the graph held as `stored`. */
  tensor(type: TensorType, stored: Stored): TensorInfo {
    const dataId = { id: this.#nextId++ };
    this.#data.set(dataId, { ...type, references: 1, operand: new Operand(this.graph, type, stored) });
    return { dataId, shape: [...type.shape], dtype: type.dtype };
  }

  operand({ dataId, shape, dtype }: TensorInfo): Operand {
    const entry = this.#data.get(dataId);
    if (entry.values === undefined && entry.operand?.graph !== this.graph) {
      throw new SubspanError(
        "TRACE_REFUSED",
        `a tensor of shape [${shape}] was made in another trace: trace pure functions`,
      );
    }
    if (entry.values === undefined) return entry.operand as Operand;
    // Numbers from outside may be shared by tensors of several shapes (tf.reshape shares them) and outlive a graph.
    const known = entry.operand;
    if (known?.graph !== this.graph || !util.arraysEqual([...known.shape], shape)) {
      const type = { shape, dtype };
      const values = entry.values as Float32Array | Int32Array | Uint8Array;
      entry.operand = new Operand(this.graph, type, this.given(type, values));
    }
    return entry.operand as Operand;
  }

  /** How the graph holds numbers that JavaScript gave: as a constant. */
  protected given(type: TensorType, values: Float32Array | Int32Array | Uint8Array): Stored {
    return constant(this.graph, type, values);
  }

  /** What is known of a tensor's data: its numbers, or the value of the graph. */
  protected entry(dataId: object): Readonly<Entry> {
    return this.#data.get(dataId);
  }

  get graph(): Graph {
    if (this.#graph === undefined) throw new Error(`the ${TRACING_BACKEND} backend works inside trace() only`);
    return this.#graph;
  }

  apply(rule: AnyLowering, kernel: string, inputs: NamedTensorInfoMap, attributes: object): TensorInfo | TensorInfo[] {
    const operands = Array.isArray(inputs)
      ? inputs.map((input) => this.operand(input))
      : Object.fromEntries(
          Object.entries(inputs).flatMap(([name, input]) => (input === undefined ? [] : [[name, this.operand(input)]])),
        );
    try {
      const types = rule.infer(operands, attributes) as TensorType | readonly TensorType[];
      const isEmpty = !isList(types) && types.shape.includes(0) && types.dtype !== "string";
      const results = (isEmpty ? uniform(this.graph, types.dtype, 0) : rule.emit(this.graph, operands, attributes)) as
        | string
        | Stored
        | readonly (string | Stored)[];
      const compute = this.#known(kernel, inputs, attributes);
      const result = (type: TensorType, stored: string | Stored, i: number) =>
        this.#result(type, stored, compute && (() => (compute()[i] as Computed).values));
      if (!isList(types)) return result(types, results as string | Stored, 0);
      return types.map((type, i) => result(type, (results as readonly (string | Stored)[])[i] as string | Stored, i));
    } catch (error) {
      if (error instanceof SubspanError) throw error;
      throw new SubspanError("TRACE_REFUSED", `kernel ${kernel} cannot be traced: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  /**
   * What a kernel makes of numbers that JavaScript gave can be read in a trace: the sizes, axes and loop counters that a model's
   * graph computes. It is worked out when it is read. Undefined for what depends on the graph's inputs.
   */
  #known(kernel: string, inputs: NamedTensorInfoMap, attributes: object): (() => readonly Computed[]) | undefined {
    const given = new Map<TensorInfo, () => BackendValues>();
    for (const input of Object.values(inputs)) {
      if (input === undefined) continue;
      const { values, compute } = this.#data.get(input.dataId);
      const numbers = values === undefined ? compute : () => values;
      if (numbers === undefined) return undefined;
      given.set(input, numbers);
    }
    let outputs: readonly Computed[] | undefined;
    return () => {
      outputs ??= onCpu(kernel, inputs, attributes, (input) => (given.get(input) as () => BackendValues)());
      return outputs;
    };
  }

  /**
   * A kernel without a lowering: what it makes of known numbers is a constant. Where it depends on the graph's inputs it is
   * noted, and the trace goes on with tensors of the sizes it gives for zeros: so that one error names all that is missing.
   *
   * @throws {MissingKernels} TRACE_REFUSED where the trace cannot go on.
   */
  unlowered(kernel: string, inputs: NamedTensorInfoMap, attributes: object): TensorInfo | TensorInfo[] {
    this.refuseRandom();
    const known = getKernel(kernel, "cpu") && this.#known(kernel, inputs, attributes);
    if (known === undefined) return this.#standIn(kernel, inputs, attributes);
    const constant = ({ values, shape, dtype }: Computed) => {
      return { dataId: this.write(values, [...shape], dtype), shape: [...shape], dtype };
    };
    return single(known().map(constant));
  }

  #standIn(kernel: string, inputs: NamedTensorInfoMap, attributes: object): TensorInfo | TensorInfo[] {
    if (!this.#missing.has(kernel)) this.#missing.set(kernel, this.node);
    try {
      const zeros = ({ shape, dtype }: TensorInfo) =>
        util.makeZerosTypedArray(util.sizeFromShape(shape), dtype) as BackendValues;
      const outputs = onCpu(kernel, inputs, attributes, zeros);
      return single(outputs.map(({ shape, dtype }) => this.tensor({ shape, dtype }, { name: kernel, shape })));
    } catch {
      throw new MissingKernels(this.#missing);
    }
  }

  /** @throws {SubspanError} TRACE_REFUSED inside one of tfjs's random operations. */
  protected refuseRandom(): void {
    const operation = engine().state.scopeStack.find(({ name }) => RANDOM_OPERATIONS.test(name))?.name;
    if (operation === undefined || this.#graph === undefined) return;
    throw new SubspanError(
      "TRACE_REFUSED",
      `tf.${operation.replace(/__op$/, "")} inside a trace would freeze its draw into the graph: pass random numbers as an input`,
    );
  }

  #result(type: TensorType, result: string | Stored, compute: (() => BackendValues) | undefined): TensorInfo {
    const tensor = this.tensor(type, typeof result === "string" ? { name: result, shape: type.shape } : result);
    if (compute) this.#data.get(tensor.dataId).compute = compute;
    return tensor;
  }

  override write(values: BackendValues, shape: number[], dtype: DataType): object {
    this.refuseRandom();
    const dataId = { id: this.#nextId++ };
    this.move(dataId, values, shape, dtype, 1);
    return dataId;
  }

  override move(dataId: object, values: BackendValues, shape: number[], dtype: DataType, references: number): void {
    this.#data.set(dataId, { values, shape, dtype, references });
  }

  override readSync(dataId: object): BackendValues {
    const entry = this.#data.get(dataId);
    const known = entry.values ?? entry.compute?.();
    if (known !== undefined) return known;
    throw new SubspanError(
      "TRACE_REFUSED",
      `the value of a traced tensor (${entry.operand?.name}, shape [${entry.shape}]) was read: a trace has shapes, no data`,
    );
  }

  override async read(dataId: object): Promise<BackendValues> {
    return this.readSync(dataId);
  }

  override dispose(): void {}

  override numDataIds(): number {
    return this.#data.numDataIds();
  }

  override refCount(dataId: object): number {
    return this.#data.has(dataId) ? this.#data.get(dataId).references : 0;
  }

  override incRef(dataId: object): void {
    if (this.#data.has(dataId)) this.#data.get(dataId).references++;
  }

  override disposeData(dataId: object, force = false): boolean {
    if (!this.#data.has(dataId)) return true;
    const entry = this.#data.get(dataId);
    entry.references--;
    if (!force && entry.references > 0) return false;
    this.#data.delete(dataId);
    return true;
  }

  override memory() {
    return { unreliable: true };
  }

  override timerAvailable(): boolean {
    return false;
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }
}

/** Runs a kernel on tfjs's CPU backend, with inputs of the given numbers. */
function onCpu(
  kernel: string,
  inputs: NamedTensorInfoMap,
  attributes: object,
  numbers: (input: TensorInfo) => BackendValues,
): Computed[] {
  const backend = findBackend("cpu") as KernelBackend;
  const moved = (input: TensorInfo): TensorInfo => {
    const { shape, dtype } = input;
    return { dataId: backend.write(numbers(input), shape, dtype), shape, dtype };
  };
  const operands = (
    Array.isArray(inputs)
      ? inputs.map(moved)
      : Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input && moved(input)]))
  ) as NamedTensorInfoMap;
  const rule = getKernel(kernel, "cpu") as KernelConfig;
  const results = [rule.kernelFunc({ inputs: operands, backend, attrs: attributes as NamedAttrMap })].flat();
  const outputs = results.map(({ dataId, shape, dtype }) => ({ shape, dtype, values: backend.readSync(dataId) }));
  for (const used of [Object.values(operands), results].flat()) if (used) backend.disposeData(used.dataId, true);
  return outputs;
}

/** As tfjs's kernels give their outputs: the one, or a list. */
const single = <T>(outputs: readonly T[]): T | T[] => (outputs.length === 1 ? (outputs[0] as T) : [...outputs]);

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

/** tfjs-core exports each kernel's name as a constant of that name. */
const KERNELS = Object.entries(tf).flatMap(([key, value]) => (key === value ? [key] : []));

/** Makes a tracing backend known to tfjs, and every kernel with it. */
export function registerTracer(backendName: string, create: () => TracingBackend): void {
  registerBackend(backendName, create, -1);
  for (const kernelName of new Set([...KERNELS, ...LOWERINGS.keys()])) {
    const rule = LOWERINGS.get(kernelName);
    registerKernel({
      kernelName,
      backendName,
      kernelFunc: ({ inputs, backend, attrs }) => {
        const tracer = backend as TracingBackend;
        const attributes = (attrs ?? {}) as object;
        return rule
          ? tracer.apply(rule, kernelName, inputs, attributes)
          : tracer.unlowered(kernelName, inputs, attributes);
      },
    });
  }
}

registerTracer(TRACING_BACKEND, () => new TracingBackend());
