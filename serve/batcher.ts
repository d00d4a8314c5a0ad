import type { Body, Budget } from "./http/body.ts";
import type { Limits } from "./limits.ts";
import type { Metrics } from "./metrics.ts";
import { HttpProblem } from "./problem.ts";
import type { ServedVersion } from "./repository/repository.ts";
import type { BatchAnswer, Job, Reply } from "./workers/messages.ts";
import type { Pool } from "./workers/pool.ts";
import type { Thread } from "./workers/thread.ts";

export interface BatcherOptions {
  /** Samples of a run. */
  readonly maxBatch: number;
  /** How long a request waits for others to join it, in milliseconds. */
  readonly maxDelayMs: number;
  readonly limits: Pick<Limits, "queueRequests" | "queueMs" | "runMs">;
}

/** A request on its way to a worker. */
export interface Request {
  readonly model: ServedVersion;
  readonly job: Omit<Job, "body">;
  readonly body: Body;
  /** How many samples it has, as far as its size tells. */
  readonly rows: number;
  /** When it must have begun to run, in the time of performance.now(); the queue's limit if that is sooner. */
  readonly deadline?: number | undefined;
}

/** Its answer, ready to send. */
export interface Answered {
  readonly reply: Reply;
  readonly body: Uint8Array;
  /** Milliseconds it waited, and its batch took. */
  readonly queueMs: number;
  readonly computeMs: number;
}

interface Entry {
  readonly request: Request;
  readonly since: number;
  readonly until: number;
  readonly resolve: (answered: Answered) => void;
  readonly reject: (error: unknown) => void;
}

interface Queue {
  readonly entries: Set<Entry>;
  rows: number;
}

const SWEEP_MS = 50;
const ALIGNMENT = 4;

/**
 * Requests wait here for a worker. As soon as one is free it gets its share of those of one model that waited longest, as
 * many as a batch may have: so batches grow with the load, and a lone request waits for nobody unless `maxDelayMs` says so.
 */
export class Batcher {
  readonly #pool: Pool;
  readonly #budget: Budget;
  readonly #options: BatcherOptions;
  readonly #metrics: Metrics;
  readonly #queues = new Map<ServedVersion, Queue>();
  readonly #sweeping: NodeJS.Timeout;
  #waiting = 0;
  #scheduled = false;
  #wake: NodeJS.Timeout | undefined;

  constructor(pool: Pool, budget: Budget, metrics: Metrics, options: BatcherOptions) {
    this.#pool = pool;
    this.#budget = budget;
    this.#metrics = metrics;
    this.#options = options;
    this.#sweeping = setInterval(() => this.#sweep(), SWEEP_MS).unref();
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Runs a request with others of its model. The bytes of its body are given back to the budget when it ends.
   *
   * @param onCancel - is handed what drops the request; one that runs already runs on, unheard.
   * @throws {HttpProblem} 429 if the queue is full, 503 if it waited too long or its worker died, 499 if dropped.
   */
  submit(request: Request, onCancel: (cancel: () => void) => void): Promise<Answered> {
    const { held } = request.body;
    const answered = new Promise<Answered>((resolve, reject) => {
      const { queueRequests, queueMs } = this.#options.limits;
      if (this.#waiting >= queueRequests)
        throw new HttpProblem(429, `the queue is full: ${queueRequests} requests wait`, { "retry-after": "1" });
      const since = performance.now();
      const until = Math.min(since + queueMs, request.deadline ?? Number.POSITIVE_INFINITY);
      const entry = { request, since, until, resolve, reject };
      this.#add(entry);
      onCancel(() => this.#drop(entry, 499, "the client left"));
    });
    return answered.finally(() => this.#budget.give(held));
  }

  /** Looks for work; to be called when a worker may be free. Requests of one turn of the event loop go together. */
  readonly schedule = (): void => {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#dispatch();
    });
  };

  close(): void {
    clearInterval(this.#sweeping);
    clearTimeout(this.#wake);
    for (const { entries } of this.#queues.values())
      for (const entry of [...entries]) this.#drop(entry, 503, "the server closes");
  }

  #add(entry: Entry): void {
    const { model, rows } = entry.request;
    const queue = this.#queues.get(model) ?? { entries: new Set(), rows: 0 };
    this.#queues.set(model, queue);
    queue.entries.add(entry);
    queue.rows += rows;
    this.#waiting++;
    this.schedule();
  }

  /** Takes an entry out of its queue; false if it is there no more. */
  #remove(entry: Entry): boolean {
    const { model, rows } = entry.request;
    const queue = this.#queues.get(model);
    if (!queue?.entries.delete(entry)) return false;
    queue.rows -= rows;
    this.#waiting--;
    if (queue.entries.size === 0) this.#queues.delete(model);
    return true;
  }

  #drop(entry: Entry, status: number, reason: string): void {
    if (this.#remove(entry))
      entry.reject(new HttpProblem(status, reason, status === 503 ? { "retry-after": "1" } : {}));
  }

  #sweep(): void {
    if (this.#waiting === 0) return;
    const now = performance.now();
    for (const { entries } of this.#queues.values())
      for (const entry of [...entries]) if (entry.until <= now) this.#drop(entry, 503, "waited too long for a worker");
  }

  #dispatch(): void {
    for (let without = this.#pool.alive; ; without--) {
      const thread = this.#pool.idle();
      const queue = thread && this.#next();
      if (thread === undefined || queue === undefined) return;
      void this.#run(thread, this.#take(queue, without));
    }
  }

  /** The queue whose first waited longest, of those that are due; if none is, it is looked again when one will be. */
  #next(): Queue | undefined {
    const { maxBatch, maxDelayMs } = this.#options;
    const now = performance.now();
    let [next, since, dueIn]: [Queue | undefined, number, number] = [undefined, Number.POSITIVE_INFINITY, maxDelayMs];
    for (const queue of this.#queues.values()) {
      const [first] = queue.entries;
      const left = queue.rows >= maxBatch ? 0 : first!.since + maxDelayMs - now;
      if (left > 0) dueIn = Math.min(dueIn, left);
      else if (first!.since < since) [next, since] = [queue, first!.since];
    }
    if (next === undefined && this.#queues.size > 0) {
      clearTimeout(this.#wake);
      this.#wake = setTimeout(this.schedule, dueIn);
    }
    return next;
  }

  /**
   * A batch of those that waited longest: an equal share of all that wait for each of the workers `without` one, for another may be
   * free the sooner. Where requests are told to wait for others it is as many as there may be: what were left over would wait again.
   */
  #take(queue: Queue, without: number): readonly Entry[] {
    const batch: Entry[] = [];
    const { maxBatch, maxDelayMs } = this.#options;
    const share = Math.ceil(queue.rows / Math.max(1, without));
    const most = maxDelayMs > 0 ? maxBatch : Math.min(maxBatch, share);
    let rows = 0;
    for (const entry of queue.entries) {
      if (batch.length > 0 && rows + entry.request.rows > most) break;
      batch.push(entry);
      rows += entry.request.rows;
    }
    for (const entry of batch) this.#remove(entry);
    return batch;
  }

  async #run(thread: Thread, batch: readonly Entry[]): Promise<void> {
    const { model } = batch[0]!.request;
    const { runMs } = this.#options.limits;
    const began = performance.now();
    const tooLong = setTimeout(() => void thread.abandon(`a batch took longer than ${runMs} ms`), runMs);
    try {
      const { jobs, transfer } = packed(batch.map(({ request }) => request));
      const answer = await this.#pool.run(thread, model.id, jobs, transfer);
      const waits = batch.map(({ since }) => began - since);
      model.statistics.batch(answer, waits);
      this.#metrics.batch(model.name, model.version, answer, waits);
      settle(batch, answer, waits);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      clearTimeout(tooLong);
      this.#dispatch();
    }
  }
}

function settle(batch: readonly Entry[], answer: BatchAnswer, waits: readonly number[]): void {
  const computeMs = answer.readMs + answer.inferMs + answer.writeMs;
  for (const [i, { resolve }] of batch.entries()) {
    const reply = answer.replies[i]!;
    const body = new Uint8Array(answer.bytes, reply.from, reply.to - reply.from);
    resolve({ reply, body, queueMs: waits[i]!, computeMs });
  }
}

/** The bodies of a batch, ready to change threads: small ones in one buffer, their floats where floats may stand. */
function packed(batch: readonly Request[]): { jobs: Job[]; transfer: ArrayBuffer[] } {
  const small = batch.filter(({ body }) => !body.own);
  const arena = new ArrayBuffer(small.reduce((sum, { body }) => sum + body.size + ALIGNMENT, 0));
  let at = 0;
  const copied = ({ pieces, size }: Body, headerLength = 0) => {
    at += (ALIGNMENT - ((at + headerLength) % ALIGNMENT)) % ALIGNMENT;
    const bytes = new Uint8Array(arena, at, size);
    let to = 0;
    for (const piece of pieces) {
      bytes.set(piece, to);
      to += piece.length;
    }
    at += size;
    return [bytes];
  };
  const jobs = batch.map(({ job: { kind, contentType, headerLength }, body }) => ({
    kind,
    contentType,
    headerLength,
    body: body.own ? body.pieces : copied(body, headerLength),
  }));
  const segments = batch.flatMap(({ body }) =>
    body.own ? body.pieces.map(({ buffer }) => buffer as ArrayBuffer) : [],
  );
  return { jobs, transfer: [arena, ...segments] };
}
