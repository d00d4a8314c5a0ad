import type { Device } from "./devices.ts";
import type { Engine, Outputs } from "./engine.ts";
import { type ErrorCode, SubspanError } from "./errors.ts";
import type { Batch, Decoder } from "./input.ts";
import type { GraphManifest } from "./manifest.ts";
import type { Part } from "./part.ts";
import type { Pixels } from "./samples.ts";

/** One end of what two threads talk through: messages are copied, buffers in `transfer` are given away. */
export interface Channel {
  post(message: unknown, transfer: readonly ArrayBuffer[]): void;
  listen(listener: (message: unknown) => void): void;
}

/** A thread, seen from the one that started it. */
export interface Thread extends Channel {
  /** Hears why the thread will not answer any more. */
  onFailure(listener: (reason: string) => void): void;
  end(): Promise<void>;
}

/** A thread that cannot be started, or ended by itself: nothing can be assigned in it any more. */
export class ThreadFailure extends SubspanError {
  constructor(message: string, options?: ErrorOptions) {
    super("ASSIGN_FAILED", message, options);
  }
}

/** What a thread needs to open an engine. */
export interface EngineSetup {
  readonly manifest: GraphManifest;
  /** The first to open. */
  readonly part: Part;
  readonly device: Device;
  readonly threads: number | undefined;
  readonly wasmPaths?: string | undefined;
}

interface Calls<Encoded> extends Omit<Engine, "open"> {
  open(setup: EngineSetup): Promise<void>;
  decode: Decoder<Encoded>;
}
type Method = keyof Calls<unknown>;

interface Question {
  readonly id: number;
  readonly method: Method;
  readonly asked: readonly unknown[];
}
interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: { readonly code: ErrorCode | undefined; readonly message: string };
}

/** An engine in a thread of its own, which decodes images there too. */
export class RemoteEngine<Encoded> implements Engine {
  readonly #thread: Thread;
  readonly #setup: Omit<EngineSetup, "part">;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(reason: Error): void }>();
  #asked = 0;
  #failure: SubspanError | undefined;

  private constructor(thread: Thread, setup: Omit<EngineSetup, "part">) {
    this.#thread = thread;
    this.#setup = setup;
    thread.listen((message) => this.#hear(message as Answer));
    thread.onFailure((reason) => this.#fail(new ThreadFailure(`the worker thread does not answer: ${reason}`)));
  }

  /** @throws what opening throws in the thread, or a ThreadFailure. The thread has ended then. */
  static async open<Encoded>(thread: Thread, { part, ...setup }: EngineSetup): Promise<RemoteEngine<Encoded>> {
    const engine = new RemoteEngine<Encoded>(thread, setup);
    try {
      await engine.open(part);
      return engine;
    } catch (error) {
      await thread.end();
      throw error;
    }
  }

  open(part: Part): Promise<void> {
    return this.#call("open", [{ ...this.#setup, part }]);
  }

  run({ data, count, own }: Batch, fetches: readonly string[], part: string): Promise<Outputs> {
    const given = own ? data : data.slice();
    return this.#call("run", [{ data: given, count }, fetches, part], [given.buffer as ArrayBuffer]);
  }

  close(part: string): Promise<void> {
    return this.#call("close", [part]);
  }

  readonly decode: Decoder<Encoded> = (...asked) => this.#call("decode", asked);

  async release(): Promise<void> {
    try {
      if (this.#failure === undefined) await this.#call("release", []);
    } finally {
      this.#fail(new SubspanError("DISPOSED", "is disposed"));
      await this.#thread.end();
    }
  }

  #call<M extends Method>(method: M, asked: Parameters<Calls<Encoded>[M]>, transfer: readonly ArrayBuffer[] = []) {
    type Value = Awaited<ReturnType<Calls<Encoded>[M]>>;
    return new Promise<Value>((resolve, reject) => {
      if (this.#failure !== undefined) throw this.#failure;
      const id = this.#asked++;
      this.#thread.post({ id, method, asked } satisfies Question, transfer);
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
    });
  }

  #hear({ id, value, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(value);
    else
      waiting?.reject(
        error.code === undefined ? new Error(error.message) : new SubspanError(error.code, error.message),
      );
  }

  #fail(failure: SubspanError): void {
    this.#failure ??= failure;
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}

/** All a worker thread does: answers the calls of one RemoteEngine. */
export function serveEngine<Encoded>(
  channel: Channel,
  engineOf: (setup: EngineSetup) => Engine | Promise<Engine>,
  decode: Decoder<Encoded>,
): void {
  let engine: Engine | undefined;
  const calls: Calls<Encoded> = {
    open: async (setup) => {
      engine ??= await engineOf(setup);
      await engine.open(setup.part);
    },
    // ONNX Runtime's arrays may lie in memory that cannot be given away
    run: async (...asked) =>
      Object.fromEntries(Object.entries(await engine!.run(...asked)).map(([name, data]) => [name, data.slice()])),
    close: (part) => engine!.close(part),
    decode,
    release: () => engine!.release(),
  };
  channel.listen(async (message) => {
    const { id, method, asked } = message as Question;
    try {
      const value = (await (calls[method] as (...asked: readonly unknown[]) => Promise<unknown>)(...asked)) as
        | Outputs
        | Pixels
        | undefined;
      channel.post({ id, value } satisfies Answer, buffersOf(value));
    } catch (error) {
      const code = error instanceof SubspanError ? error.code : undefined;
      channel.post({ id, error: { code, message: (error as Error).message } } satisfies Answer, []);
    }
  });
}

/** The buffers of a record's arrays. */
function buffersOf(record: object | undefined): ArrayBuffer[] {
  return Object.values(record ?? {}).flatMap((item) => (ArrayBuffer.isView(item) ? [item.buffer as ArrayBuffer] : []));
}
