import { Agent, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

export interface Question {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: string | Uint8Array;
}

const SECONDS = 30;

/** A server that speaks the Open Inference Protocol, by its address. */
export class Endpoint {
  readonly #url: URL;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #authorization: Readonly<Record<string, string>>;

  /** @param url - of the server's root. @param token - sent as a bearer token. */
  constructor(url: string, token?: string) {
    this.#url = new URL(url);
    this.#authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  /** Sends a request whose path and headers stay as they are given: fetch would tidy them up. */
  ask(path: string, { method, headers, body }: Question = {}): Promise<Reply> {
    const { protocol, hostname, port, pathname } = this.#url;
    const secure = protocol === "https:";
    const options = {
      ...{ hostname, port, path: pathname.replace(/\/$/, "") + path },
      ...{ method: method ?? (body === undefined ? "GET" : "POST"), timeout: SECONDS * 1000 },
      headers: { ...this.#authorization, ...headers } as Record<string, string | string[]>,
    };
    return new Promise((resolve, reject) => {
      const sent = (secure ? httpsRequest : httpRequest)(
        secure ? options : { ...options, agent: this.#agent },
        (response) => {
          const parts: Buffer[] = [];
          response.on("data", (part: Buffer) => parts.push(part));
          response.on("error", reject);
          response.on("end", () =>
            resolve({ status: response.statusCode as number, headers: response.headers, body: Buffer.concat(parts) }),
          );
        },
      );
      sent.on("timeout", () => sent.destroy(new Error(`no answer in ${SECONDS} s`)));
      sent.on("error", reject);
      sent.end(body);
    });
  }

  /** Posts JSON. */
  post(path: string, json: unknown): Promise<Reply> {
    return this.ask(path, { headers: { "content-type": "application/json" }, body: JSON.stringify(json) });
  }

  /** Writes bytes on a socket of its own: all that comes back until the server closes it, or `milliseconds` have passed. */
  wire(bytes: string | Uint8Array, milliseconds = 1500): Promise<string> {
    const { hostname, port } = this.#url;
    return new Promise((resolve) => {
      const socket = connect(Number(port || 80), hostname);
      let text = "";
      const done = () => {
        socket.destroy();
        resolve(text);
      };
      socket.setTimeout(milliseconds, done);
      socket.on("data", (part) => {
        text += part.toString("latin1");
      });
      socket.on("error", done);
      socket.on("close", done);
      socket.write(bytes);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
