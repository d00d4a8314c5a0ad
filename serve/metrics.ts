import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { BatchAnswer } from "./workers/messages.ts";

/** What the gauges look at when they are asked for. */
export interface Gauged {
  readonly queuedRequests: number;
  readonly queuedBytes: number;
  readonly workers: number;
  readonly models: readonly { readonly name: string; readonly version: string; readonly device: string }[];
}

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096];

/** The server's numbers for Prometheus: its own, and those of the process (event-loop delay, memory, handles). */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<"model" | "version" | "code">;
  readonly #http: Counter<"method" | "code">;
  readonly #queue: Histogram<"model" | "version">;
  readonly #compute: Histogram<"model" | "version">;
  readonly #rows: Histogram<"model" | "version">;
  readonly #duration: Histogram<"model" | "version">;
  readonly #lost: Counter;
  readonly #loads: Counter<"outcome">;

  constructor(gauged: () => Gauged) {
    const registers = [this.#registry];
    const ofModel = ["model", "version"] as const;
    const histogram = (name: string, help: string, buckets: number[]) =>
      new Histogram({ name: `subspan_${name}`, help, labelNames: ofModel, buckets, registers });
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name: `subspan_${name}`,
        help,
        registers,
        collect() {
          this.set(value());
        },
      });
    this.#requests = new Counter({
      name: "subspan_inference_requests_total",
      help: "Inference requests by model, version and HTTP status",
      labelNames: [...ofModel, "code"],
      registers,
    });
    this.#http = new Counter({
      name: "subspan_http_requests_total",
      help: "HTTP requests by method and status",
      labelNames: ["method", "code"],
      registers,
    });
    this.#queue = histogram("queue_seconds", "How long a request waited for a worker", SECONDS);
    this.#compute = histogram("compute_seconds", "How long a worker took for a batch", SECONDS);
    this.#duration = histogram(
      "inference_seconds",
      "How long an inference request took, its body's arrival aside",
      SECONDS,
    );
    this.#rows = histogram("batch_rows", "Samples of a batch", ROWS);
    this.#lost = new Counter({ name: "subspan_workers_lost_total", help: "Workers that died", registers });
    this.#loads = new Counter({
      name: "subspan_model_loads_total",
      help: "Loads of model versions by outcome",
      labelNames: ["outcome"],
      registers,
    });
    gauge("queue_requests", "Requests that wait for a worker", () => gauged().queuedRequests);
    gauge("queue_bytes", "Bytes of requests that are read, wait or run", () => gauged().queuedBytes);
    gauge("workers", "Workers that can run batches", () => gauged().workers);
    new Gauge({
      name: "subspan_model_info",
      help: "1 for each version served, by the execution provider it runs on",
      labelNames: [...ofModel, "provider"],
      registers,
      collect() {
        this.reset();
        for (const { name, version, device } of gauged().models)
          this.set({ model: name, version, provider: device }, 1);
      },
    });
    collectDefaultMetrics({ register: this.#registry });
  }

  http(method: string, code: number): void {
    this.#http.inc({ method, code });
  }

  inference(model: string, version: string, code: number, ms: number): void {
    this.#requests.inc({ model, version, code });
    this.#duration.observe({ model, version }, ms / 1000);
  }

  batch(model: string, version: string, answer: BatchAnswer, waits: readonly number[]): void {
    const labels = { model, version };
    this.#compute.observe(labels, (answer.readMs + answer.inferMs + answer.writeMs) / 1000);
    this.#rows.observe(labels, answer.rows);
    for (const wait of waits) this.#queue.observe(labels, wait / 1000);
  }

  workerLost(): void {
    this.#lost.inc();
  }

  load(outcome: "loaded" | "refused" | "unloaded"): void {
    this.#loads.inc({ outcome });
  }

  /** In Prometheus's text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }
}
