import { type Agent, request as httpRequest } from "node:http";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly bytes: Buffer;
  readonly text: string;
  /** The body as JSON; a body that is none throws. */
  json(): Record<string, unknown>;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | readonly Uint8Array[];
  /** For connections that are kept; a new one each time unless said. */
  readonly agent?: Agent;
}

/** A request with its path exactly as given, which fetch would tidy up. A list of bodies goes in chunks. */
export function ask(port: number, path: string, { method, headers = {}, body, agent }: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path, headers, method: method ?? (body === undefined ? "GET" : "POST") };
    const request = httpRequest({ ...options, agent: agent ?? false }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => {
        const bytes = Buffer.concat(parts);
        const text = bytes.toString();
        resolve({ status: response.statusCode!, headers: response.headers, bytes, text, json: () => JSON.parse(text) });
      });
    });
    request.on("error", reject);
    if (Array.isArray(body)) for (const chunk of body) request.write(chunk);
    request.end(Array.isArray(body) ? undefined : body);
  });
}

/** Posts JSON. */
export function post(port: number, path: string, json: unknown, more: Omit<Ask, "body"> = {}): Promise<Answer> {
  const headers = { "content-type": "application/json", ...more.headers };
  return ask(port, path, { ...more, headers, body: JSON.stringify(json) });
}
