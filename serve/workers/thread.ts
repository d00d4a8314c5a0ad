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
  /** Settles when it answers no more, with what it ended of: its thread may still be in a run. */
  readonly lost: Promise<string>;
  /** Settles when its thread has ended. */
  readonly exited: Promise<void>;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #tickets = 0;
  #reason = "it ended";
  #alive = true;
  #lose: (reason: string) => void = () => {};

  constructor(settings: WorkerSettings) {
    this.#worker = new Worker(WORKER, { workerData: settings });
    this.#worker.on("message", (answer: Answer) => this.#settle(answer));
    this.#worker.on("error", (error: Error) => {
      this.#reason = error.message;
    });
    this.lost = new Promise((resolve) => {
      this.#lose = resolve;
    });
    this.exited = new Promise((resolve) => this.#worker.once("exit", () => resolve(this.#end())));
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

  /**
   * Gives it up: its calls fail at once, and it ends when it is out of the run it may be in. It is not stopped there:
   * what ONNX Runtime's native code would throw in a thread that is being stopped ends the process.
   *
   * @returns when it has ended.
   */
  abandon(reason: string): Promise<void> {
    this.#reason = reason;
    this.#end();
    this.#worker.postMessage("exit");
    this.#worker.unref();
    return this.exited;
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

  #end(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#lose(this.#reason);
    for (const { reject } of this.#waiting.values()) reject(new WorkerLost(this.#reason));
    this.#waiting.clear();
  }
}
