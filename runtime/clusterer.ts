import type { InferenceSession, Tensor } from "onnxruntime-common";
import type { Bundle } from "./bundle.ts";
import type { Device, DeviceFailure, DeviceRequest } from "./devices.ts";
import { SubspanError } from "./errors.ts";
import { type Batch, type Decoder, type Input, InputReader } from "./input.ts";
import type { GraphManifest } from "./manifest.ts";
import type { NumberArray } from "./samples.ts";

/** What a clusterer says of n samples, each field one output of the graph. */
export interface OutputArrays {
  /** Cluster of each sample, 0..K-1. */
  readonly label: Int32Array;
  /** Calibrated probability of `label`, 0..1. */
  readonly confidence: Float32Array;
  /** Share of training samples nearer to the training data than this one; near 1 is unlike anything seen. */
  readonly novelty: Float32Array;
  /** [n, K] */
  readonly probabilities: NumberArray;
  /** Spectral embedding, [n, k]. */
  readonly embedding: NumberArray;
  /** Encoder output, [n, d]. */
  readonly latent: NumberArray;
  /** Of self-expressive methods exported with them, [n, m]. */
  readonly coefficients: NumberArray;
}
export type OutputName = keyof OutputArrays;
export type DefaultOutput = "label" | "confidence" | "novelty";
export type Assignments<K extends OutputName = DefaultOutput> = { readonly count: number } & Pick<OutputArrays, K>;
/** A part of a stream's assignments, from sample `start` of it on. */
export type AssignmentsPart<K extends OutputName = DefaultOutput> = Assignments<K> & { readonly start: number };

export interface AssignOptions<K extends OutputName = DefaultOutput> {
  /** Which outputs to fetch; label, confidence and novelty unless said. */
  readonly outputs?: readonly K[];
  /** Samples a run, 256 unless said: larger inputs are cut. */
  readonly batchSize?: number;
}

/** Where a clusterer runs, and why it does not run elsewhere. */
export interface Placement {
  readonly device: Device;
  readonly requested: DeviceRequest;
  readonly failures: readonly DeviceFailure[];
  /** Threads of one run; absent where ONNX Runtime chooses. */
  readonly threads?: number;
}

/** What a clusterer is, and where it runs. */
export interface ClustererInfo extends Placement {
  readonly name: string;
  readonly clusters: number;
  readonly manifest: GraphManifest;
  readonly modelBytes: number;
  readonly parameterBytes: number;
  readonly nodes: number;
}

/** What both ONNX Runtime packages are to us. */
export interface Runtime {
  readonly InferenceSession: {
    create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: new (type: "uint8" | "float32", data: Uint8Array | Float32Array, dims: readonly number[]) => Tensor;
}

const DEFAULT_OUTPUTS: readonly DefaultOutput[] = ["label", "confidence", "novelty"];
const BATCH_SIZE = 256;

/** One graph open on one device. */
export class Engine {
  readonly #runtime: Runtime;
  readonly #session: InferenceSession;
  readonly #manifest: GraphManifest;

  private constructor(runtime: Runtime, session: InferenceSession, manifest: GraphManifest) {
    this.#runtime = runtime;
    this.#session = session;
    this.#manifest = manifest;
  }

  /** Opens a graph and runs one sample of zeros, so that what cannot run fails here. */
  static async open(runtime: Runtime, bundle: Bundle, options: InferenceSession.SessionOptions): Promise<Engine> {
    const session = await runtime.InferenceSession.create(bundle.model, options);
    const engine = new Engine(runtime, session, bundle.manifest);
    const { input, outputs } = bundle.manifest;
    const reader = new InputReader(input);
    try {
      await engine.run(
        { data: reader.array(1), count: 1 },
        outputs.map(({ name }) => name),
      );
    } catch (error) {
      await session.release();
      throw error;
    }
    return engine;
  }

  /** Runs a batch; what comes back is of the type and shape the manifest says. */
  async run({ data, count }: Batch, fetches: readonly string[]): Promise<Readonly<Record<string, Tensor>>> {
    const { input, outputs } = this.#manifest;
    const feed = new this.#runtime.Tensor(input.dtype, data, [count, ...input.shape.slice(1).map(Number)]);
    const results = await this.#session.run({ [input.name]: feed }, fetches);
    for (const { name, dtype, shape } of outputs) {
      if (!fetches.includes(name)) continue;
      const got = results[name]!;
      if (got.type !== dtype || got.dims.join() !== [count, ...shape.slice(1)].join())
        throw new Error(`${name}: expected ${dtype} [${[count, ...shape.slice(1)]}], got ${got.type} [${got.dims}]`);
    }
    return results;
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

/** An open clusterer: samples in, clusters out. Runs are queued, one at a time, as ONNX Runtime wants them. */
export class Clusterer<Encoded = never> {
  readonly info: ClustererInfo;
  readonly bundle: Bundle;
  readonly #engine: Engine;
  readonly #reader: InputReader<Encoded>;
  #queue: Promise<unknown> = Promise.resolve();
  #disposal: Promise<void> | undefined;

  constructor(engine: Engine, bundle: Bundle, placement: Placement, decode?: Decoder<Encoded>) {
    const { manifest, model, graph } = bundle;
    const { name, clusters } = manifest;
    const { nodes, parameterBytes } = graph;
    this.#engine = engine;
    this.#reader = new InputReader(manifest.input, decode);
    this.bundle = bundle;
    this.info = { name, clusters, ...placement, manifest, modelBytes: model.length, parameterBytes, nodes };
  }

  /**
   * Assigns samples: any number of them, none included, in runs of `batchSize`. The arrays that come back are the
   * caller's.
   *
   * @param input - `{ data, shape }`, nested numbers, ImageData-like pixels, an encoded image, or a list of single
   *   samples. Images are uint8 [n, h, w, c] or one [h, w, c]; features float32 [n, d] or one [d]. Not to be changed
   *   meanwhile.
   * @throws {SubspanError} SHAPE_MISMATCH, DTYPE_MISMATCH, OUT_OF_RANGE, NOT_FINITE, or an encoded image's
   *   SOURCE_INVALID; USAGE for an output the graph has not; ASSIGN_FAILED if ONNX Runtime gives up; DISPOSED.
   */
  async assign<K extends OutputName = DefaultOutput>(
    input: Input<Encoded>,
    options: AssignOptions<K> = {},
  ): Promise<Assignments<K>> {
    const { outputs, batchSize } = this.#parse(options);
    const batch = await this.#reader.read(input);
    const collected = new Collector<K>(this.bundle.manifest, outputs, batch.count);
    for (let start = 0; start < batch.count; start += batchSize) {
      const part = this.#reader.slice(batch, start, start + batchSize);
      collected.add(await this.#run(part, outputs), start);
    }
    return collected.assignments;
  }

  /**
   * Assigns a stream of inputs of any sizes, in order, in parts of exactly `batchSize` samples and a last smaller one.
   * While a part runs the next is read, no further: memory is that of two parts and one input.
   *
   * @param source - yields what `assign` takes. Each is copied before the next is asked for.
   * @throws {SubspanError} as `assign`; parts before the fault have been yielded.
   */
  async *assignStream<K extends OutputName = DefaultOutput>(
    source: AsyncIterable<Input<Encoded>> | Iterable<Input<Encoded>>,
    options: AssignOptions<K> = {},
  ): AsyncGenerator<AssignmentsPart<K>, void, undefined> {
    const { outputs, batchSize } = this.#parse(options);
    let running: Promise<AssignmentsPart<K>> | undefined;
    let start = 0;
    const run = async (batch: Batch, from: number) => {
      const collected = new Collector<K>(this.bundle.manifest, outputs, batch.count);
      collected.add(await this.#run(batch, outputs), 0);
      return { ...collected.assignments, start: from };
    };
    try {
      for await (const batch of this.#rebatch(source, batchSize)) {
        const before = running;
        running = run(batch, start);
        running.catch(() => {}); // it is awaited below, maybe after it failed
        start += batch.count;
        if (before !== undefined) yield await before;
      }
    } catch (error) {
      if (running !== undefined) yield await running;
      throw error;
    }
    if (running !== undefined) yield await running;
  }

  /** Waits for runs under way, then frees the session. Calling it again changes nothing. */
  dispose(): Promise<void> {
    this.#disposal ??= this.#queue.then(() => this.#engine.release());
    return this.#disposal;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #parse<K extends OutputName>(options: AssignOptions<K>): { outputs: readonly K[]; batchSize: number } {
    this.#checkOpen();
    const { batchSize = BATCH_SIZE, outputs = DEFAULT_OUTPUTS as readonly OutputName[] as readonly K[] } = options;
    const known = this.bundle.manifest.outputs.map(({ name }) => name);
    const unknown = outputs.find((name) => !known.includes(name));
    if (unknown !== undefined || outputs.length === 0)
      throw new SubspanError("USAGE", `outputs: expected some of ${known.join(", ")}, got ${unknown ?? "none"}`);
    if (!Number.isSafeInteger(batchSize) || batchSize < 1)
      throw new SubspanError("USAGE", `batchSize: expected an integer from 1, got ${batchSize}`);
    return { outputs, batchSize };
  }

  #checkOpen(): void {
    if (this.#disposal !== undefined) throw new SubspanError("DISPOSED", `clusterer "${this.info.name}" is disposed`);
  }

  async #run(batch: Batch, outputs: readonly OutputName[]): Promise<Readonly<Record<string, Tensor>>> {
    this.#checkOpen();
    const run = this.#queue.then(() => this.#engine.run(batch, outputs));
    this.#queue = run.catch(() => {});
    try {
      return await run;
    } catch (cause) {
      const message = `${this.info.name}: ${batch.count} samples on ${this.info.device}: ${(cause as Error).message}`;
      throw new SubspanError("ASSIGN_FAILED", message, { cause });
    }
  }

  async *#rebatch(source: AsyncIterable<Input<Encoded>> | Iterable<Input<Encoded>>, size: number) {
    const reader = this.#reader;
    let parts: Batch[] = [];
    let count = 0;
    for await (const input of source) {
      const batch = await reader.read(input);
      for (let start = 0; start < batch.count; ) {
        const part = reader.slice(batch, start, start + size - count);
        parts.push(reader.join([part]));
        count += part.count;
        start += part.count;
        if (count < size) continue;
        yield reader.join(parts);
        parts = [];
        count = 0;
      }
    }
    if (count > 0) yield reader.join(parts);
  }
}

/** Joins the outputs of several runs. */
class Collector<K extends OutputName> {
  readonly assignments: Assignments<K>;
  readonly #arrays = new Map<K, { readonly data: Int32Array | Float32Array; readonly width: number }>();

  constructor(manifest: GraphManifest, outputs: readonly K[], count: number) {
    const fields: Record<string, unknown> = { count };
    for (const name of outputs) {
      const { dtype, shape } = manifest.outputs.find((output) => output.name === name)!;
      const width = shape.slice(1).reduce<number>((a, b) => a * Number(b), 1);
      const data = dtype === "int64" ? new Int32Array(count) : new Float32Array(count * width);
      this.#arrays.set(name, { data, width });
      fields[name] = shape.length === 1 ? data : { data, shape: [count, ...shape.slice(1)] };
    }
    this.assignments = fields as unknown as Assignments<K>;
  }

  /** Copies a run's outputs in, as samples from `start` on. */
  add(results: Readonly<Record<string, Tensor>>, start: number): void {
    for (const [name, { data, width }] of this.#arrays) {
      const from = results[name]!.data;
      if (from instanceof BigInt64Array) copyLow(from, data, start);
      else data.set(from as Float32Array, start * width);
    }
  }
}

/** The low halves of little-endian int64s: labels, without a BigInt each. */
function copyLow(from: BigInt64Array, to: Int32Array | Float32Array, start: number): void {
  const halves = new Int32Array(from.buffer, from.byteOffset, from.length * 2);
  for (let i = 0; i < from.length; i++) to[start + i] = halves[2 * i]!;
}
