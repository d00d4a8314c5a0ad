import type { Precision } from "../../runtime/node.ts";
import type { BatchAnswer, Calls, Job, Opened, SharedBundle, WorkerSettings } from "./messages.ts";
import { Thread, WorkerLost } from "./thread.ts";

type OpenAsk = Calls["open"]["ask"];

/** A worker that dies before it has its models is tried again ever later, in milliseconds. */
const FIRST_BACKOFF = 50;
const MAX_BACKOFF = 5_000;
/**
 * How long workers may take to end, in milliseconds: one may open a model, or be in a run that nobody waits for. Were the process
 * to end before, what ONNX Runtime throws in a thread that is being stopped would abort it.
 */
const END_MS = 60_000;

export interface PoolEvents {
  /** A worker is free, or there is a new one. */
  onIdle(): void;
  onLost(reason: string): void;
}

/** Worker threads, each with every model open. One that dies is replaced. */
export class Pool {
  readonly size: number;
  readonly #settings: WorkerSettings;
  readonly #events: PoolEvents;
  /** Those that serve, and all whose threads have not ended yet. */
  readonly #threads = new Set<Thread>();
  readonly #running = new Set<Thread>();
  readonly #models = new Map<number, OpenAsk>();
  readonly #retries = new Set<NodeJS.Timeout>();
  #backoff = 0;
  #closed = false;

  constructor(size: number, settings: WorkerSettings, events: PoolEvents) {
    this.size = size;
    this.#settings = settings;
    this.#events = events;
    for (let i = 0; i < size; i++) this.#threads.add(this.#started());
  }

  /** Workers that can run batches. */
  get alive(): number {
    return this.#threads.size;
  }

  idle(): Thread | undefined {
    for (const thread of this.#threads) if (!thread.busy) return thread;
    return undefined;
  }

  /** Reads and checks a bundle in a worker, the free one if there is one. @throws {SubspanError} as `readBundle`. */
  read(source: string | Uint8Array, precision: Precision): Promise<SharedBundle> {
    const thread = this.idle() ?? [...this.#threads][0];
    if (thread === undefined) throw new WorkerLost("there is none");
    return thread.call("read", { source, precision });
  }

  /**
   * Opens a model in every worker, those that come later too.
   *
   * @throws {SubspanError} DEVICE_UNAVAILABLE; then no worker has it.
   */
  async open(ask: OpenAsk): Promise<Opened> {
    this.#models.set(ask.model, ask);
    const opening = [...this.#threads].map((thread) => thread.call("open", ask));
    const failed = (await Promise.allSettled(opening)).flatMap((one) =>
      one.status === "rejected" ? [one.reason] : [],
    );
    const fault = failed.find((reason) => !(reason instanceof WorkerLost)) ?? failed[opening.length - 1];
    if (fault !== undefined) {
      await this.close(ask.model);
      throw fault;
    }
    return (await Promise.any(opening)) as Opened;
  }

  async close(model: number): Promise<void> {
    this.#models.delete(model);
    await Promise.allSettled([...this.#threads].map((thread) => thread.call("close", { model })));
  }

  /** Runs a batch in a worker that `idle` gave. */
  async run(
    thread: Thread,
    model: number,
    jobs: readonly Job[],
    transfer: readonly ArrayBuffer[],
  ): Promise<BatchAnswer> {
    thread.busy = true;
    try {
      return await thread.call("run", { model, jobs }, transfer);
    } finally {
      thread.busy = false;
    }
  }

  /** Ends a worker as a crash would: its batch is answered 503, and another takes its place. */
  kill(index: number, reason: string): void {
    void [...this.#threads][index % Math.max(1, this.alive)]?.abandon(reason);
  }

  async dispose(): Promise<void> {
    this.#closed = true;
    for (const retry of this.#retries) clearTimeout(retry);
    const ended = Promise.all([...this.#running].map((thread) => thread.abandon("the server closes")));
    // The timer holds the process: the threads do not, and it would end before this does.
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, END_MS);
    });
    await Promise.race([ended, late]);
    clearTimeout(timer);
  }

  #started(): Thread {
    const thread = new Thread(this.#settings);
    this.#running.add(thread);
    void thread.exited.then(() => this.#running.delete(thread));
    thread.lost.then((reason) => {
      const served = this.#threads.delete(thread);
      if (this.#closed) return;
      this.#events.onLost(reason);
      if (served) this.#backoff = 0;
      this.#replaceAfter(this.#backoff);
      this.#backoff = Math.min(Math.max(this.#backoff * 2, FIRST_BACKOFF), MAX_BACKOFF);
    });
    return thread;
  }

  #replaceAfter(milliseconds: number): void {
    const retry = setTimeout(() => {
      this.#retries.delete(retry);
      void this.#replace();
    }, milliseconds);
    this.#retries.add(retry);
  }

  /** A new worker gets work once it has all models open. */
  async #replace(): Promise<void> {
    const thread = this.#started();
    const opened = new Set<number>();
    const missing = () => [...this.#models].find(([id]) => !opened.has(id));
    try {
      for (let next = missing(); next !== undefined; next = missing()) {
        await thread.call("open", next[1]);
        opened.add(next[0]);
      }
    } catch (error) {
      void thread.abandon((error as Error).message); // its loss asks for the next one
      return;
    }
    for (const model of opened) if (!this.#models.has(model)) thread.call("close", { model }).catch(() => {});
    if (this.#closed) {
      void thread.abandon("the server closes");
      return;
    }
    this.#threads.add(thread);
    this.#events.onIdle();
  }
}
