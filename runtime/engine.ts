import type { InferenceSession, Tensor } from "onnxruntime-common";
import type { Bundle } from "./bundle.ts";
import type { Batch } from "./input.ts";
import type { GraphManifest } from "./manifest.ts";
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

/** One graph open on one device, in this thread or in one of its own. */
export interface Engine {
  /** Runs a batch; what comes back is of the type and shape the manifest says. */
  run(batch: Batch, fetches: readonly string[]): Promise<Outputs>;
  release(): Promise<void>;
}

/** An engine of this thread: a session of ONNX Runtime. */
export class SessionEngine implements Engine {
  readonly #runtime: Runtime;
  readonly #session: InferenceSession;
  readonly #manifest: GraphManifest;

  private constructor(runtime: Runtime, session: InferenceSession, manifest: GraphManifest) {
    this.#runtime = runtime;
    this.#session = session;
    this.#manifest = manifest;
  }

  /** Opens a graph and runs one sample of zeros, so that what cannot run fails here. */
  static async open(
    runtime: Runtime,
    { model, manifest }: Pick<Bundle, "model" | "manifest">,
    options: InferenceSession.SessionOptions,
  ): Promise<SessionEngine> {
    const session = await runtime.InferenceSession.create(model, options);
    const engine = new SessionEngine(runtime, session, manifest);
    const outputs = manifest.outputs.map(({ name }) => name);
    try {
      await engine.run({ data: zeros(manifest.input, 1), count: 1 }, outputs);
    } catch (error) {
      await session.release();
      throw error;
    }
    return engine;
  }

  async run({ data, count }: Batch, fetches: readonly string[]): Promise<Outputs> {
    const { input, outputs } = this.#manifest;
    const feed = new this.#runtime.Tensor(input.dtype, data, [count, ...input.shape.slice(1).map(Number)]);
    const results = await this.#session.run({ [input.name]: feed }, fetches);
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

  release(): Promise<void> {
    return this.#session.release();
  }
}
