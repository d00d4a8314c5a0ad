import type { OutgoingHttpHeaders, ServerResponse } from "node:http";

/** Up to so many bytes a body goes as text, a character a byte: Node writes it in one piece with the headers. */
const ONE_PIECE = 4096;
/** A client that takes nothing of its answer for so long, in milliseconds, is cut: its answer is held in memory. */
const STALLED = 30_000;

/** Sends an answer whole, past the web's Response and its streams, which cost more than all else here. */
export function send(
  outgoing: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: Uint8Array | string,
): void {
  if (outgoing.headersSent || outgoing.destroyed) return; // to somebody who left, nothing is sent
  outgoing.statusCode = status;
  for (const name in headers) outgoing.setHeader(name, headers[name]!);
  outgoing.setHeader("content-length", Buffer.byteLength(body));
  if (typeof body === "string" || body.length > ONE_PIECE) outgoing.end(body);
  else outgoing.end(Buffer.from(body.buffer, body.byteOffset, body.length).toString("latin1"), "latin1");
  if (outgoing.writableLength > 0) outgoing.setTimeout(STALLED);
}

export function sendJson(outgoing: ServerResponse, status: number, json: unknown, headers?: OutgoingHttpHeaders): void {
  send(outgoing, status, { ...headers, "content-type": "application/json" }, JSON.stringify(json));
}
