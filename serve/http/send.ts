import type { OutgoingHttpHeaders, ServerResponse } from "node:http";

/** Sends an answer whole, past the web's Response and its streams, which cost more than all else here. */
export function send(
  outgoing: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: Uint8Array | string,
): void {
  if (outgoing.headersSent || outgoing.destroyed) return; // to somebody who left, nothing is sent
  outgoing.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) });
  outgoing.end(body);
}

export function sendJson(outgoing: ServerResponse, status: number, json: unknown, headers?: OutgoingHttpHeaders): void {
  send(outgoing, status, { ...headers, "content-type": "application/json" }, JSON.stringify(json));
}
