import { abortable, checkAborted } from "./abort.ts";
import type { Bundle, Precision } from "./bundle.ts";
import type { Device, DeviceFailure, DeviceRequest } from "./devices.ts";
import type { Outputs } from "./engine.ts";
import { SubspanError } from "./errors.ts";
import { type Batch, type Decoder, type Input, InputReader } from "./input.ts";
import type { GraphManifest } from "./manifest.ts";
import type { NumberArray } from "./samples.ts";
import type { Sessions } from "./sessions.ts";

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
  /** Which outputs to compute; label, confidence and novelty unless said. */
  readonly outputs?: readonly K[];
  /** Samples a run, 256 unless said: larger inputs are cut. */
  readonly batchSize?: number;
  /** Stops before the next run, with INTERRUPTED; a run under way ends unwatched. */
  readonly signal?: AbortSignal;
}

/** Where a clusterer runs, and why it does not run elsewhere. */
export interface Placement {
  readonly device: Device;
  readonly requested: DeviceRequest;
  readonly failures: readonly DeviceFailure[];
  /** Threads of one run; absent where ONNX Runtime chooses. */
  readonly threads?: number;
  /** Whether it runs, and decodes images, in a thread of its own. */
  readonly worker: boolean;
  /** What could be better here, and why it is not: threads, the worker. */
  readonly notes: readonly string[];
}

/** What a clusterer is, and where it runs. */
export interface ClustererInfo extends Placement {
  readonly name: string;
  readonly clusters: number;
  readonly manifest: GraphManifest;
  /** Which of the bundle's graphs; absent for a bare graph, which does not say. */
  readonly dtype: Precision | undefined;
  readonly modelBytes: number;
  readonly parameterBytes: number;
  readonly nodes: number;
}

export const DEFAULT_OUTPUTS: readonly DefaultOutput[] = ["label", "confidence", "novelty"];
const BATCH_SIZE = 256;

/** An open clusterer: samples in, clusters out. Runs are queued, one at a time, as ONNX Runtime wants them. */
export class Clusterer<Encoded = never> {
  readonly info: ClustererInfo;
  readonly bundle: Bundle;
  readonly #sessions: Sessions;
  readonly #reader: InputReader<Encoded>;
  #queue: Promise<unknown> = Promise.resolve();
  #disposal: Promise<void> | undefined;

  constructor(sessions: Sessions, bundle: Bundle, placement: Placement, decode: Decoder<Encoded>) {
    const { manifest, model, graph, dtype } = bundle;
    const { name, clusters } = manifest;
    const { nodes, parameterBytes } = graph;
    this.#sessions = sessions;
    this.#reader = new InputReader(manifest.input, decode);
    this.bundle = bundle;
    this.info = { name, clusters, ...placement, manifest, dtype, modelBytes: model.length, parameterBytes, nodes };
  }

  /**
   * Assigns samples: any number of them, none included, in runs of `batchSize`. The arrays that come back are the
   * caller's.
   *
   * @param input - `{ data, shape }`, nested numbers, ImageData-like pixels, an encoded image, or a list of single
   *   samples. Images are uint8 [n, h, w, c] or one [h, w, c]; features float32 [n, d] or one [d]. Not to be changed
   *   meanwhile. Pixels and encoded images may be of any size and colour: see `fromRgba`. Arrays may not.
   * @throws {SubspanError} SHAPE_MISMATCH, DTYPE_MISMATCH, OUT_OF_RANGE, NOT_FINITE; for encoded images IMAGE_INVALID,
   *   IMAGE_EMPTY, IMAGE_TOO_LARGE, IMAGE_ANIMATED, IMAGE_CMYK; USAGE for an output the graph has not; ASSIGN_FAILED if
   *   ONNX Runtime gives up; INTERRUPTED; DISPOSED.
   */
  async assign<K extends OutputName = DefaultOutput>(
    input: Input<Encoded>,
    options: AssignOptions<K> = {},
  ): Promise<Assignments<K>> {
    const { outputs, batchSize, signal } = this.#parse(options);
    checkAborted(signal);
    const batch = await abortable(this.#reader.read(input), signal);
    const collected = new Collector<K>(this.bundle.manifest, outputs, batch.count);
    for (let start = 0; start < batch.count; start += batchSize) {
      const part = this.#reader.slice(batch, start, start + batchSize);
      collected.add(await this.#run(part, outputs, signal), start);
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
    const { outputs, batchSize, signal } = this.#parse(options);
    const run = async (batch: Batch, start: number) => {
      const collected = new Collector<K>(this.bundle.manifest, outputs, batch.count);
      collected.add(await this.#run(batch, outputs, signal), 0);
      return { ...collected.assignments, start };
    };
    const { inBatches } = await import("./stream.ts"); // pages seldom stream
    yield* inBatches(source, batchSize, this.#reader, run, signal);
  }

  /** Waits for runs under way, then frees the session. Calling it again changes nothing. */
  dispose(): Promise<void> {
    this.#disposal ??= this.#queue.then(() => this.#sessions.release());
    return this.#disposal;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #parse<K extends OutputName>(options: AssignOptions<K>) {
    this.#checkOpen();
    const { batchSize = BATCH_SIZE, signal } = options;
    const outputs = options.outputs ?? (DEFAULT_OUTPUTS as readonly OutputName[] as readonly K[]);
    const known = this.bundle.manifest.outputs.map(({ name }) => name);
    const unknown = outputs.find((name) => !known.includes(name));
    if (unknown !== undefined || outputs.length === 0)
      throw new SubspanError("USAGE", `outputs: expected some of ${known.join(", ")}, got ${unknown ?? "none"}`);
    if (!Number.isSafeInteger(batchSize) || batchSize < 1)
      throw new SubspanError("USAGE", `batchSize: expected an integer from 1, got ${batchSize}`);
    return { outputs, batchSize, signal };
  }

  #checkOpen(): void {
    if (this.#disposal !== undefined) throw new SubspanError("DISPOSED", `clusterer "${this.info.name}" is disposed`);
  }

  async #run(batch: Batch, outputs: readonly OutputName[], signal: AbortSignal | undefined): Promise<Outputs> {
    this.#checkOpen();
    const run = this.#queue.then(() => {
      checkAborted(signal);
      return this.#sessions.run(batch, outputs);
    });
    this.#queue = run.catch(() => {});
    try {
      return await abortable(run, signal);
    } catch (cause) {
      if (cause instanceof SubspanError) throw cause;
      const message = `${this.info.name}: ${batch.count} samples on ${this.info.device}: ${(cause as Error).message}`;
      throw new SubspanError("ASSIGN_FAILED", message, { cause });
    }
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
  add(results: Outputs, start: number): void {
    for (const [name, { data, width }] of this.#arrays) {
      const from = results[name]!;
      if (from instanceof BigInt64Array) copyLow(from, data, start);
      else data.set(from, start * width);
    }
  }
}

/** The low halves of little-endian int64s: labels, without a BigInt each. */
function copyLow(from: BigInt64Array, to: Int32Array | Float32Array, start: number): void {
  const halves = new Int32Array(from.buffer, from.byteOffset, from.length * 2);
  for (let i = 0; i < from.length; i++) to[start + i] = halves[2 * i]!;
}
