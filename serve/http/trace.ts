import { randomBytes } from "node:crypto";

/** Where a request stands in somebody's trace. */
export interface TraceContext {
  /** 32 and 16 hexadecimal digits; no parent for a trace that begins here. */
  readonly traceId: string;
  readonly parentId?: string;
  readonly flags: string;
  /** Ours. */
  readonly spanId: string;
}

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * Reads a traceparent header, with a span of our own in it. One that is not valid is as none.
 *
 * @see https://www.w3.org/TR/trace-context/#traceparent-header
 */
export function traceContext(header: string | undefined): TraceContext | undefined {
  const [, traceId, parentId, flags, rest] = TRACEPARENT.exec(header ?? "") ?? [];
  if (traceId === undefined || parentId === undefined || flags === undefined) return undefined;
  const version = header!.slice(0, 2);
  if (version === "ff" || (version === "00" && rest !== undefined) || /^0+$/.test(traceId) || /^0+$/.test(parentId))
    return undefined;
  return { traceId, parentId, flags, spanId: randomBytes(8).toString("hex") };
}

/** A trace that begins here, to be recorded. */
export function newTrace(): TraceContext {
  return { traceId: randomBytes(16).toString("hex"), flags: "01", spanId: randomBytes(8).toString("hex") };
}

export function traceparent({ traceId, spanId, flags }: TraceContext): string {
  return `00-${traceId}-${spanId}-${flags}`;
}
