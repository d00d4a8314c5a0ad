import { readFile, realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Bundle, openBundle, openBytes, openUrl, type Precision } from "./bundle.ts";
import { Clusterer, Engine } from "./clusterer.ts";
import { type Device, type DeviceRequest, walkLadder } from "./devices.ts";
import { SubspanError } from "./errors.ts";
import { GRAPH_LIMITS } from "./graph-check.ts";
import { NODE_LADDER, whyNot } from "./node-devices.ts";
import { decodeImage } from "./node-image.ts";

export * from "./index.ts";
export { decodeImage };

/** What Node decodes: the path of an image file, or its bytes. */
export type EncodedImage = string | URL | Uint8Array;

export interface ReadOptions {
  /** Which of the bundle's graphs: model.onnx unless said. */
  readonly precision?: Precision;
  /** In place of the global fetch, for URLs. */
  readonly fetch?: typeof fetch;
}

export interface LoadOptions extends ReadOptions {
  /** `auto` (unless said) walks cuda, webgpu, cpu; a named device falls back to those after it. */
  readonly device?: DeviceRequest;
  /** A named device that fails is an error, not a fallback. */
  readonly strict?: boolean;
  /** Threads of one run on the CPU; unless said, as many as there are cores. */
  readonly threads?: number;
}

/**
 * Opens a clusterer with onnxruntime-node. A run blocks the thread while it computes: servers use worker threads.
 *
 * @param source - a bundle's folder, `.subspan` or `.onnx`: a path, a file or http(s) URL, its bytes, or what
 *   `readBundle` answered. Nothing of it runs, and nothing outside it is read.
 * @throws {SubspanError} BUNDLE_MISSING, BUNDLE_INVALID, GRAPH_INVALID, GRAPH_REFUSED, or DEVICE_UNAVAILABLE.
 */
export async function loadClusterer(
  source: string | URL | Uint8Array | Bundle,
  options: LoadOptions = {},
): Promise<Clusterer<EncodedImage>> {
  const { device: requested = "auto", strict = false, threads } = options;
  const isSource = typeof source === "string" || source instanceof URL || source instanceof Uint8Array;
  const bundle = isSource ? await readBundle(source, options) : source;
  const { device, opened, failures } = await walkLadder(requested, strict, NODE_LADDER, (rung) =>
    openOn(rung, bundle, threads),
  );
  return new Clusterer(
    opened,
    bundle,
    { device, requested, failures, ...(threads === undefined ? {} : { threads }) },
    decodeImage,
  );
}

/** Reads and checks a bundle without opening it. @throws {SubspanError} as `loadClusterer`, but for devices. */
export async function readBundle(source: string | URL | Uint8Array, options: ReadOptions = {}): Promise<Bundle> {
  const { precision = "fp32", fetch: fetcher = fetch } = options;
  if (source instanceof Uint8Array) return openBytes(source, "bundle", precision);
  const url = source instanceof URL || /^(https?|file):/.test(source) ? new URL(source) : undefined;
  if (url !== undefined && url.protocol !== "file:") return openUrl(url, precision, fetcher);
  const path = url === undefined ? String(source) : fileURLToPath(url);
  const found = await stat(path).catch((cause) => missing(path, cause));
  if (!found.isDirectory()) return openBytes(await readFileOf(path, GRAPH_LIMITS.modelBytes), path, precision);
  return openBundle({ origin: path, read: (name, maxBytes) => readInside(path, name, maxBytes) }, precision);
}

async function openOn(device: Device, bundle: Bundle, threads: number | undefined): Promise<Engine> {
  const reason = await whyNot(device);
  if (reason !== undefined) throw new Error(reason);
  const executionProviders = [device];
  const intraOp = threads === undefined ? {} : { intraOpNumThreads: threads };
  return Engine.open(await import("onnxruntime-node"), bundle, { executionProviders, logSeverityLevel: 3, ...intraOp });
}

/** Reads a file of a folder, which may be a link itself, while nothing in it may be. */
async function readInside(folder: string, name: string, maxBytes: number): Promise<Uint8Array> {
  const path = join(folder, name);
  const real = await realpath(path).catch((cause) => missing(path, cause));
  if (real !== join(await realpath(folder), name))
    throw new SubspanError("BUNDLE_INVALID", `${path}: is a link, to ${basename(real)}`);
  return readFileOf(path, maxBytes);
}

async function readFileOf(path: string, maxBytes: number): Promise<Uint8Array> {
  const found = await stat(path).catch((cause) => missing(path, cause));
  if (!found.isFile()) throw new SubspanError("BUNDLE_INVALID", `${path}: expected a file`);
  if (found.size > maxBytes)
    throw new SubspanError("BUNDLE_INVALID", `${path}: ${found.size} bytes, expected up to ${maxBytes}`);
  return readFile(path).catch((cause) => missing(path, cause));
}

function missing(path: string, cause: unknown): never {
  throw new SubspanError("BUNDLE_MISSING", `${path}: ${(cause as Error).message}`, { cause: cause as Error });
}
