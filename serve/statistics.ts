import type { BatchAnswer } from "./workers/messages.ts";

/** How often something happened and how long it took in all. */
class Duration {
  count = 0;
  #ms = 0;

  add(ms: number, times = 1): void {
    this.count += times;
    this.#ms += ms * times;
  }

  toJSON() {
    return { count: this.count, ns: Math.round(this.#ms * 1e6) };
  }
}

/** The numbers of one version of a model since it was loaded, as the protocol's statistics extension tells them. */
export class Statistics {
  readonly #requests = { success: new Duration(), fail: new Duration(), queue: new Duration() };
  readonly #compute = { input: new Duration(), infer: new Duration(), output: new Duration() };
  readonly #batches = new Map<number, { input: Duration; infer: Duration; output: Duration }>();
  #rows = 0;
  #lastInference = 0;

  /** A request that ended, `ms` after it was taken in. */
  request(ok: boolean, ms: number): void {
    this.#requests[ok ? "success" : "fail"].add(ms);
  }

  /** A batch that ran. @param waits - how long each of its requests waited for it, in milliseconds. */
  batch({ rows, readMs, inferMs, writeMs }: BatchAnswer, waits: readonly number[]): void {
    this.#lastInference = Date.now();
    this.#rows += rows;
    for (const wait of waits) this.#requests.queue.add(wait);
    let ofSize = this.#batches.get(rows);
    if (ofSize === undefined) {
      ofSize = { input: new Duration(), infer: new Duration(), output: new Duration() };
      this.#batches.set(rows, ofSize);
    }
    ofSize.input.add(readMs);
    ofSize.infer.add(inferMs);
    ofSize.output.add(writeMs);
    this.#compute.input.add(readMs, waits.length);
    this.#compute.infer.add(inferMs, waits.length);
    this.#compute.output.add(writeMs, waits.length);
  }

  /** @see https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md */
  told(name: string, version: string) {
    const { input, infer, output } = this.#compute;
    const batches = [...this.#batches].sort(([a], [b]) => a - b);
    return {
      name,
      version,
      last_inference: this.#lastInference,
      inference_count: this.#rows,
      execution_count: batches.reduce((sum, [, { infer }]) => sum + infer.count, 0),
      inference_stats: {
        ...this.#requests,
        compute_input: input,
        compute_infer: infer,
        compute_output: output,
      },
      batch_stats: batches.map(([size, { input, infer, output }]) => ({
        batch_size: size,
        compute_input: input,
        compute_infer: infer,
        compute_output: output,
      })),
    };
  }
}
