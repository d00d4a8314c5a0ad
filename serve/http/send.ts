import type { OutgoingHttpHeaders, ServerResponse } from "node:http";

/** Sends an answer whole. To somebody who left, nothing is sent. */
export function send(outgoing: ServerResponse, status: number, headers: OutgoingHttpHeaders, body: Uint8Array): void {
  if (outgoing.headersSent || outgoing.destroyed) return;
  outgoing.writeHead(status, { ...headers, "content-length": body.length });
  outgoing.end(body);
}
