import type { IncomingMessage, ServerResponse } from "node:http";
import { SubspanError } from "../../runtime/errors.ts";

/** Origins whose pages may ask, such as "https://example.org"; "*" for all. */
export type CorsOrigins = readonly string[];

/** An origin as browsers send it. @throws {SubspanError} USAGE for what no page's origin is. */
export function checkedOrigin(text: string): string {
  if (text === "*" || text === "null" || /^(?!https?:)[a-z][a-z0-9+.-]*:\/\/[^/?#]+$/.test(text)) return text;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.href === `${url.origin}/`) return url.origin;
  throw new SubspanError("USAGE", `cors: expected an origin such as https://example.org, or *, got ${text}`);
}

const METHODS = "GET, HEAD, POST";
const ASKED =
  "authorization, content-encoding, content-type, inference-header-content-length, traceparent, x-request-id, x-request-timeout-ms";
const TOLD = "inference-header-content-length, retry-after, server-timing, traceparent, x-request-id";
const DAY = 86_400;

/** Lets pages of these origins read the answer. @returns whether it was a preflight, and is answered. */
export function crossOrigin(
  { method, headers }: IncomingMessage,
  outgoing: ServerResponse,
  origins: CorsOrigins,
): boolean {
  const { origin } = headers;
  outgoing.setHeader("vary", "origin");
  if (origin === undefined || !(origins.includes("*") || origins.includes(origin))) return false;
  outgoing.setHeader("access-control-allow-origin", origin);
  outgoing.setHeader("access-control-expose-headers", TOLD);
  if (method !== "OPTIONS" || headers["access-control-request-method"] === undefined) return false;
  outgoing.setHeader("access-control-allow-methods", METHODS);
  outgoing.setHeader("access-control-allow-headers", ASKED);
  outgoing.setHeader("access-control-max-age", DAY);
  outgoing.writeHead(204).end();
  return true;
}
