import type { IncomingMessage } from "node:http";
import type { Logger } from "../log.ts";
import type { Call } from "./call.ts";

/** A span as OTLP has it in JSON. */
type Span = Readonly<Record<string, unknown>>;

const FLUSH_MS = 2_000;
/** Spans kept until they are sent; more are let go. */
const MAX_SPANS = 2_048;
const SEND_MS = 5_000;
const SERVER_KIND = 2;
const ERROR = 2;

/**
 * Sends a span for each inference request to an OpenTelemetry collector, now and then, in OTLP over HTTP with JSON. A
 * collector that cannot be reached costs spans and a line in the log, nothing else.
 *
 * @see https://opentelemetry.io/docs/specs/otlp/#otlphttp-request
 */
export class Tracing {
  readonly #url: string;
  readonly #logger: Logger;
  readonly #flushing: NodeJS.Timeout;
  #spans: Span[] = [];
  #failing = false;

  /** @param endpoint - of the collector: "http://localhost:4318". */
  constructor(endpoint: string, logger: Logger) {
    this.#url = `${endpoint.replace(/\/+$/, "")}/v1/traces`;
    this.#logger = logger;
    this.#flushing = setInterval(() => void this.#flush(), FLUSH_MS).unref();
  }

  /** Takes a request that ended now, after `ms` milliseconds. */
  record({ method }: IncomingMessage, status: number, call: Call, ms: number): void {
    const { trace, served, rows, queueMs, computeMs } = call;
    const sampled = trace !== undefined && (Number.parseInt(trace.flags, 16) & 1) === 1;
    if (!sampled || served === undefined || this.#spans.length >= MAX_SPANS) return;
    const end = Date.now();
    this.#spans.push({
      traceId: trace.traceId,
      spanId: trace.spanId,
      ...(trace.parentId === undefined ? {} : { parentSpanId: trace.parentId }),
      name: `${method} ${served.name}`,
      kind: SERVER_KIND,
      startTimeUnixNano: nanoseconds(end - ms),
      endTimeUnixNano: nanoseconds(end),
      attributes: attributes({
        "http.request.method": method,
        "http.response.status_code": status,
        "subspan.model": served.name,
        "subspan.version": served.version,
        "subspan.request": call.id,
        "subspan.rows": rows,
        "subspan.queue_ms": queueMs,
        "subspan.compute_ms": computeMs,
      }),
      ...(status < 500 ? {} : { status: { code: ERROR } }),
    });
  }

  /** Sends what is left. */
  async close(): Promise<void> {
    clearInterval(this.#flushing);
    await this.#flush();
  }

  async #flush(): Promise<void> {
    if (this.#spans.length === 0) return;
    const spans = this.#spans;
    this.#spans = [];
    const resource = { attributes: attributes({ "service.name": process.env.OTEL_SERVICE_NAME ?? "subspan" }) };
    const body = JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ scope: { name: "subspan" }, spans }] }] });
    const headers = { "content-type": "application/json" };
    try {
      const { ok, status } = await fetch(this.#url, {
        method: "POST",
        headers,
        body,
        signal: AbortSignal.timeout(SEND_MS),
      });
      if (!ok) throw new Error(`HTTP ${status}`);
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#logger.warn({ url: this.#url, reason: (error as Error).message }, "traces are lost");
      this.#failing = true;
    }
  }
}

const nanoseconds = (ms: number) => `${Math.round(ms * 1000)}000`;

function attributes(values: Readonly<Record<string, string | number | undefined>>) {
  return Object.entries(values).flatMap(([key, value]) => {
    if (value === undefined) return [];
    const isInteger = Number.isInteger(value);
    const told =
      typeof value === "string" ? { stringValue: value } : isInteger ? { intValue: value } : { doubleValue: value };
    return [{ key, value: told }];
  });
}
