import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import type { Logger } from "../log.ts";
import { HttpProblem, problemAnswer } from "../problem.ts";
import type { Bindings } from "./app.ts";
import { beginCall, type Call } from "./call.ts";
import { type CorsOrigins, crossOrigin } from "./cors.ts";

export interface HandlerParts {
  readonly app: Hono<{ Bindings: Bindings }>;
  readonly cors: CorsOrigins;
  readonly draining: () => boolean;
  /** Whether requests that are in no trace begin one. */
  readonly traced: boolean;
  /** Hears of every request once its answer is through, or its client gone. */
  readonly onAnswered: (incoming: IncomingMessage, status: number, call: Call, ms: number) => void;
}

/** A request that carries its call: a map of them by weak keys is work for every collection of garbage. */
type Asked = IncomingMessage & { call?: Call };

/** What Node's server calls with each request: around the routes, what all of them share. */
export function requestHandler({ app, cors, draining, traced, onAnswered }: HandlerParts): RequestListener {
  // Without the override, this process's own Request and Response stay what they are.
  const listener = getRequestListener(
    (request, env) => {
      const { incoming, outgoing } = env as Omit<Bindings, "call">;
      return app.fetch(request, { incoming, outgoing, call: (incoming as Asked).call! });
    },
    { overrideGlobalObjects: false, errorHandler: unreadable },
  );
  return (incoming: Asked, outgoing: ServerResponse) => {
    const call = beginCall(incoming, outgoing, traced);
    incoming.call = call;
    if (draining()) outgoing.shouldKeepAlive = false;
    outgoing.once("close", () => {
      const status = outgoing.headersSent ? outgoing.statusCode : 499;
      onAnswered(incoming, status, call, performance.now() - call.began);
    });
    if (cors.length > 0 && crossOrigin(incoming, outgoing, cors)) return;
    void listener(incoming, outgoing);
  };
}

/** A request that is HTTP, and yet of no address. */
function unreadable(error: unknown): Response {
  const { status, body } = problemAnswer(new HttpProblem(400, `request: ${(error as Error).message}`));
  return Response.json(body, { status });
}

/** One line a request: at `info`, or at `error` with the reason where the server is to blame. */
export function logCall(
  logger: Logger,
  { method, url }: IncomingMessage,
  status: number,
  call: Call,
  ms: number,
): void {
  const level = status >= 500 ? "error" : "info";
  if (!logger.isLevelEnabled(level)) return;
  const { id, trace, served, rows, queueMs, computeMs, fault } = call;
  logger[level](
    {
      request: id,
      ...(trace === undefined ? {} : { trace_id: trace.traceId, span_id: trace.spanId }),
      method,
      path: url?.slice(0, 200),
      status,
      ms: rounded(ms),
      ...(served === undefined ? {} : { model: served.name, version: served.version }),
      ...(rows === undefined ? {} : { rows, queue_ms: rounded(queueMs!), compute_ms: rounded(computeMs!) }),
      ...(fault === undefined ? {} : { err: fault instanceof Error ? fault : { message: String(fault) } }),
    },
    "request",
  );
}

const rounded = (ms: number) => Math.round(ms * 100) / 100;
