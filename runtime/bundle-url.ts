import { checkAborted } from "./abort.ts";
import {
  type FileCache,
  invalid,
  type ListedBundle,
  listBundle,
  missing,
  type ReadOptions,
  readChecked,
  truncated,
} from "./bundle.ts";
import { listBytes } from "./bundle-bytes.ts";
import { SubspanError } from "./errors.ts";

/** What a URL names: `*.onnx`, `*.subspan`, or the folder of a bundle. @throws {SubspanError} as openBundle. */
export async function listUrl(
  url: URL,
  options: Omit<ReadOptions, "dtype"> = {},
  cache?: FileCache,
): Promise<ListedBundle> {
  const { sha256, ...rest } = options;
  const [, file] = /([^/]+\.(?:onnx|subspan))$/.exec(url.pathname) ?? [];
  const folder = new URL(url);
  if (file === undefined && !folder.pathname.endsWith("/")) folder.pathname += "/";
  const read = (path: string, maxBytes: number, size?: number) => {
    const address = new URL(path, folder);
    address.search = url.search;
    return download(address, { path, maxBytes, size, name: url.href }, options);
  };
  const source = { origin: url.href, read, cache, onProgress: options.onProgress };
  if (file === undefined) return listBundle(source, options);
  const bytes = await readChecked(source, { path: file, sha256 });
  return listBytes(bytes, url.href, rest);
}

interface Wanted {
  readonly path: string;
  readonly maxBytes: number;
  readonly size: number | undefined;
  /** Of the bundle, for progress. */
  readonly name: string;
}

async function download(url: URL, wanted: Wanted, options: ReadOptions): Promise<Uint8Array> {
  const { fetch: fetcher = globalThis.fetch, signal } = options;
  try {
    // What browsers keep of HTTP may be of the bundle that was there before.
    const response = await fetcher(url, { cache: "no-cache", signal: signal ?? null });
    if (!response.ok || response.body === null) return missing(`${url.href}: HTTP ${response.status}`);
    options.onProgress?.({ status: "download", name: wanted.name, file: wanted.path });
    return await readBody(response, response.body, url.href, wanted, options);
  } catch (cause) {
    checkAborted(signal);
    if (cause instanceof SubspanError) throw cause;
    return missing(`${url.href}: ${String(cause)}`, { cause });
  }
}

async function readBody(
  { headers }: Response,
  body: ReadableStream<Uint8Array>,
  origin: string,
  { path, maxBytes, size, name }: Wanted,
  { onProgress, signal }: ReadOptions,
): Promise<Uint8Array> {
  const length = headers.has("content-encoding")
    ? Number.NaN
    : Number.parseInt(headers.get("content-length") ?? "", 10);
  const chunks: Uint8Array[] = [];
  let loaded = 0;
  const reader = body.getReader();
  const next = () =>
    reader.read().catch((cause) => {
      checkAborted(signal);
      throw truncated(origin, length || size || "more", loaded, { cause });
    });
  for (let part = await next(); !part.done; part = await next()) {
    loaded += part.value.length;
    if (loaded > maxBytes) {
      await reader.cancel();
      throw invalid(`${origin}: longer than ${maxBytes} bytes`);
    }
    chunks.push(part.value);
    const total = Math.max(length || size || 0, loaded);
    onProgress?.({ status: "progress", name, file: path, loaded, total, progress: (100 * loaded) / total });
  }
  if (loaded < length) throw truncated(origin, length, loaded);
  const bytes = new Uint8Array(loaded);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
