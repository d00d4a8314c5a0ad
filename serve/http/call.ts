import type { IncomingMessage, ServerResponse } from "node:http";
import type { ServedVersion } from "../repository/repository.ts";
import { newTrace, type TraceContext, traceContext, traceparent } from "./trace.ts";

/** What is known of a request while it is answered: for the log, the metrics and the trace. */
export interface Call {
  readonly id: string;
  readonly trace: TraceContext | undefined;
  /** performance.now() */
  readonly began: number;
  /** The version of a model it ran on, or would have. */
  served?: ServedVersion;
  rows?: number;
  queueMs?: number;
  computeMs?: number;
  /** What went wrong, for those who run the server. */
  fault?: unknown;
}

/** What a caller may call a request. */
const REQUEST_ID = /^[\w.:+/=-]{1,128}$/;
const run = Math.random().toString(36).slice(2, 8);
let count = 0;

/**
 * Begins a call: its id and its place in a trace go back in the headers.
 *
 * @param traced - whether one that is in no trace begins its own.
 */
export function beginCall({ headers }: IncomingMessage, outgoing: ServerResponse, traced: boolean): Call {
  const asked = headers["x-request-id"];
  const id = typeof asked === "string" && REQUEST_ID.test(asked) ? asked : `${run}-${(count++).toString(36)}`;
  const { traceparent: parent } = headers;
  const trace = traceContext(typeof parent === "string" ? parent : undefined) ?? (traced ? newTrace() : undefined);
  outgoing.setHeader("x-request-id", id);
  if (trace !== undefined) outgoing.setHeader("traceparent", traceparent(trace));
  return { id, trace, began: performance.now() };
}
