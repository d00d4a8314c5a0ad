/**
 * Serving clusterers over HTTP: the Open Inference Protocol v2 in JSON, and `POST /v2/models/{m}/assign` for people.
 *
 * Not there yet: a run computes on the main thread, so while one computes nothing else is answered, health included;
 * requests are run as they come, not joined into batches, and none is turned away for a long queue; tensors travel as
 * JSON, not in the protocol's binary form; no metrics, no OpenAPI description, no reload, no access control.
 */
import { type Bundle, type LoadOptions, loadClusterer, SubspanError } from "../runtime/node.ts";
import { type AppOptions, createApp } from "./app.ts";
import { listen } from "./listen.ts";
import type { ServedClusterer } from "./registry.ts";

export { type AppOptions, createApp } from "./app.ts";
export type { AssignAnswer } from "./assign.ts";
export type { ResponseTensor } from "./inference-protocol.ts";
export { STATUS } from "./problem.ts";
export type { ServedClusterer } from "./registry.ts";

export interface ServeOptions extends LoadOptions, Omit<AppOptions, "clusterers"> {
  /** What `loadClusterer` opens: folders, `.subspan` or `.onnx` files, URLs, bytes. */
  readonly bundles: readonly (string | URL | Uint8Array | Bundle)[];
  /** This machine alone, 127.0.0.1, unless said. */
  readonly host?: string;
  /** 0 for any free one. */
  readonly port: number;
  /** How long `close` waits for requests under way, in milliseconds; 10,000 unless said. */
  readonly graceMs?: number;
}

/** A server that listens. */
export interface RunningServer {
  /** Where it is: "http://127.0.0.1:8000". */
  readonly url: string;
  readonly port: number;
  /** What it serves, and on which device each runs. */
  readonly models: readonly ServedClusterer["info"][];
  /** Takes no more connections, lets requests under way end, then disposes the clusterers. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens bundles and serves them over HTTP until closed. Signals are the caller's.
 *
 * @throws {SubspanError} USAGE for no bundle, two of one name, or an address that cannot be listened on; what
 *   `loadClusterer` throws. Then nothing is left open.
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const { bundles, host = "127.0.0.1", port, graceMs = 10_000, ...rest } = options;
  const clusterers: ServedClusterer[] = [];
  const dispose = async () => void (await Promise.all(clusterers.map((clusterer) => clusterer.dispose())));
  try {
    checkPort(port);
    for (const bundle of bundles) clusterers.push(await loadClusterer(bundle, rest));
    const app = createApp({ ...rest, clusterers });
    const listening = await listen((request) => app.fetch(request), host, port);
    let closing: Promise<void> | undefined;
    const close = () => {
      closing ??= listening.close(graceMs).then(dispose);
      return closing;
    };
    const models = clusterers.map(({ info }) => info);
    const url = `http://${host.includes(":") ? `[${host}]` : host}:${listening.port}`;
    return { url, port: listening.port, models, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await dispose();
    throw error;
  }
}

function checkPort(port: number): void {
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new SubspanError("USAGE", `port: expected an integer from 0 to 65535, got ${port}`);
}
