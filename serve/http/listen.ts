import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { SubspanError } from "../../runtime/node.ts";
import type { Limits } from "../limits.ts";
import { HttpProblem, problemAnswer } from "../problem.ts";

/** A server that listens. */
export interface Listening {
  readonly host: string;
  readonly port: number;
  /** Takes no more connections, lets requests under way end for up to `graceMs` milliseconds, then cuts them. */
  close(graceMs: number): Promise<void>;
}

/** How often connections are looked at: for their time limits, and while the server closes; in milliseconds. */
const CHECK = 500;
const SWEEP = 20;
/** A connection that asked nothing for so long, in milliseconds, is none that is about to ask. */
const SILENT = 250;
/** Longer than load balancers keep theirs, so that they close first and no request meets a closed door. */
const KEEP_ALIVE = 75_000;

/**
 * Answers HTTP requests with `answer`.
 *
 * @param port - 0 for any free one.
 * @throws {SubspanError} USAGE if there is no listening there.
 */
export async function listen(
  answer: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
  host: string,
  port: number,
  { headersMs, requestMs, sockets }: Pick<Limits, "headersMs" | "requestMs" | "sockets">,
): Promise<Listening> {
  const times = { headersTimeout: headersMs, requestTimeout: requestMs, connectionsCheckingInterval: CHECK };
  // A missing host is answered with the others, in JSON.
  const options = { ...times, keepAliveTimeout: KEEP_ALIVE, noDelay: true, requireHostHeader: false };
  const server = createServer(options, answer);
  server.maxConnections = sockets;
  server.on("clientError", answerMalformed);
  server.on("connect", (_, socket) =>
    refuse(socket, new HttpProblem(405, "CONNECT: no proxy", { allow: "GET, HEAD, POST" })),
  );
  server.on("checkExpectation", ({ headers }, { socket }) => {
    if (socket !== null) refuse(socket, new HttpProblem(417, `expect: ${JSON.stringify(headers.expect)} is not met`));
  });
  const silent = silentSockets(server);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) =>
      reject(new SubspanError("USAGE", `cannot listen on ${host}:${port}: ${cause.message}`, { cause })),
    );
    server.listen(port, host, resolve);
  });
  return {
    host,
    port: (server.address() as AddressInfo).port,
    close: (graceMs) => close(server, silent, graceMs),
  };
}
function close(server: Server, silent: ReadonlyMap<Socket, number>, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const sweep = () => {
      server.closeIdleConnections();
      const before = performance.now() - SILENT;
      for (const [socket, since] of silent) if (socket.bytesRead === 0 && since < before) socket.destroy();
    };
    const sweeping = setInterval(sweep, SWEEP);
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearInterval(sweeping);
      clearTimeout(cut);
      resolve();
    });
    sweep();
  });
}

/** Connections that have asked nothing yet, and since when. Browsers open some ahead; Node does not count them as idle. */
function silentSockets(server: Server): ReadonlyMap<Socket, number> {
  const sockets = new Map<Socket, number>();
  server.on("connection", (socket) => {
    sockets.set(socket, performance.now());
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("request", ({ socket }) => sockets.delete(socket));
  return sockets;
}

/** What is not HTTP gets its `{"error"}` too, where there is somebody to read it. */
function answerMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) socket.destroy();
  else refuse(socket, malformed(error));
}

function refuse(socket: Duplex, problem: HttpProblem): void {
  const { status, headers, body } = problemAnswer(problem);
  const text = JSON.stringify(body);
  const told = { "content-type": "application/json", "content-length": Buffer.byteLength(text), connection: "close" };
  const head = Object.entries({ ...headers, ...told }).map(([name, value]) => `${name}: ${value}`);
  socket.end([`HTTP/1.1 ${status} ${STATUS_CODES[status]}`, ...head, "", text].join("\r\n"));
}

function malformed({ code, message }: NodeJS.ErrnoException): HttpProblem {
  if (code === "HPE_HEADER_OVERFLOW") return new HttpProblem(431, "headers: too long");
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return new HttpProblem(408, "request: took too long");
  return new HttpProblem(400, `request: not HTTP: ${message}`);
}
