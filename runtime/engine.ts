import type { InferenceSession, Tensor } from "onnxruntime-common";
import type { Batch } from "./input.ts";
import type { GraphManifest } from "./manifest.ts";
import type { Part } from "./part.ts";
import { zeros } from "./samples.ts";

/** What both ONNX Runtime packages are to us. */
export interface Runtime {
  readonly InferenceSession: {
    create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: new (type: "uint8" | "float32", data: Uint8Array | Float32Array, dims: readonly number[]) => Tensor;
}

/** What a run gives, flat, by the outputs' names. */
export type Outputs = Readonly<Record<string, BigInt64Array | Float32Array>>;

/** Parts of one graph open on one device, in this thread or in one of its own. */
export interface Engine {
  /** Opens a part beside those that are open, and runs one sample of zeros: what cannot run fails here. */
  open(part: Part): Promise<void>;
  /** Runs a batch on the part of that name; what comes back is of the type and shape the manifest says. */
  run(batch: Batch, fetches: readonly string[], part: string): Promise<Outputs>;
  close(part: string): Promise<void>;
  /** Closes all. */
  release(): Promise<void>;
}

/** An engine of this thread: sessions of ONNX Runtime. */
export class SessionEngine implements Engine {
  readonly #runtime: Runtime;
  readonly #manifest: GraphManifest;
  readonly #options: InferenceSession.SessionOptions;
  readonly #sessions = new Map<string, InferenceSession>();

  constructor(runtime: Runtime, manifest: GraphManifest, options: InferenceSession.SessionOptions) {
    this.#runtime = runtime;
    this.#manifest = manifest;
    this.#options = options;
  }

  async open({ name, outputs, model }: Part): Promise<void> {
    this.#sessions.set(name, await this.#runtime.InferenceSession.create(model, this.#options));
    try {
      await this.run({ data: zeros(this.#manifest.input, 1), count: 1 }, outputs, name);
    } catch (error) {
      await this.close(name);
      throw error;
    }
  }

  async run({ data, count }: Batch, fetches: readonly string[], part: string): Promise<Outputs> {
    const { input, outputs } = this.#manifest;
    const feed = new this.#runtime.Tensor(input.dtype, data, [count, ...input.shape.slice(1).map(Number)]);
    const results = await this.#sessions.get(part)!.run({ [input.name]: feed }, fetches);
    const arrays: Record<string, BigInt64Array | Float32Array> = {};
    for (const { name, dtype, shape } of outputs) {
      if (!fetches.includes(name)) continue;
      const got = results[name]!;
      if (got.type !== dtype || got.dims.join() !== [count, ...shape.slice(1)].join())
        throw new Error(`${name}: expected ${dtype} [${[count, ...shape.slice(1)]}], got ${got.type} [${got.dims}]`);
      arrays[name] = got.data as BigInt64Array | Float32Array;
    }
    return arrays;
  }

  async close(part: string): Promise<void> {
    const session = this.#sessions.get(part);
    this.#sessions.delete(part);
    await session?.release();
  }

  async release(): Promise<void> {
    for (const part of this.#sessions.keys()) await this.close(part);
  }
}
