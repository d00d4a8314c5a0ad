import { Worker } from "node:worker_threads";
import { type ErrorCode, SubspanError } from "../../runtime/node.ts";
import { HttpProblem } from "../problem.ts";
import type { Answer, Calls, WorkerSettings } from "./messages.ts";

/** This file's own kind: the worker is compiled beside it. */
const WORKER = new URL(`./worker${import.meta.url.slice(import.meta.url.lastIndexOf("."))}`, import.meta.url);

interface Waiting {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: unknown) => void;
}

/** What a request is told whose worker died. */
export class WorkerLost extends HttpProblem {
  constructor(reason: string) {
    super(503, `the worker that ran this request was lost (${reason}); try again`, { "retry-after": "1" });
  }
}

/** One worker thread, and the calls it has not answered yet. */
export class Thread {
  /** Whether it runs a batch. */
  busy = false;
  /** Settles when it ends, however it does, with what it ended of. */
  readonly ended: Promise<string>;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #tickets = 0;
  #reason = "it ended";
  #alive = true;

  constructor(settings: WorkerSettings) {
    this.#worker = new Worker(WORKER, { workerData: settings });
    this.#worker.on("message", (answer: Answer) => this.#settle(answer));
    this.#worker.on("error", (error: Error) => {
      this.#reason = error.message;
    });
    this.ended = new Promise((resolve) => this.#worker.once("exit", () => resolve(this.#end())));
  }

  /** @throws {SubspanError | Error} what the worker threw; {WorkerLost} if it dies first. */
  call<K extends keyof Calls>(
    call: K,
    ask: Calls[K]["ask"],
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<Calls[K]["answer"]> {
    if (!this.#alive) return Promise.reject(new WorkerLost(this.#reason));
    const ticket = this.#tickets++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(ticket, { resolve, reject });
      this.#worker.postMessage({ ticket, call, ask }, transfer);
    });
  }

  async terminate(reason: string): Promise<void> {
    this.#reason = reason;
    await this.#worker.terminate();
  }

  #settle(answer: Answer): void {
    const waiting = this.#waiting.get(answer.ticket);
    this.#waiting.delete(answer.ticket);
    if ("answer" in answer) waiting?.resolve(answer.answer as never);
    else {
      const { code, message } = answer.error;
      waiting?.reject(code === undefined ? new Error(message) : new SubspanError(code as ErrorCode, message));
    }
  }

  #end(): string {
    this.#alive = false;
    for (const { reject } of this.#waiting.values()) reject(new WorkerLost(this.#reason));
    this.#waiting.clear();
    return this.#reason;
  }
}
