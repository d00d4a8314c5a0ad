import { readFile, realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { type Bundle, type ListedBundle, listBundle, openGraph, type ReadOptions } from "./bundle.ts";
import { type BundleInMemory, listBytes, listInMemory } from "./bundle-bytes.ts";
import { listUrl } from "./bundle-url.ts";
import type { Clusterer } from "./clusterer.ts";
import type { Device } from "./devices.ts";
import { SubspanError } from "./errors.ts";
import { GRAPH_LIMITS } from "./graph-check.ts";
import { kindOf } from "./input-check.ts";
import { type CommonLoadOptions, type OpenedEngine, openClusterer } from "./load.ts";
import { computesHalf, NODE_LADDER, whyNot } from "./node-devices.ts";
import { decodeImage, type EncodedImage } from "./node-image.ts";
import { nodeEngine } from "./node-session.ts";
import { type EngineSetup, RemoteEngine, type Thread } from "./remote.ts";

export * from "./index.ts";
export { decodeImage, type EncodedImage };

/** `device: "auto"` walks cuda, webgpu, cpu. */
export interface LoadOptions extends CommonLoadOptions {
  /** Threads of one run on the CPU; unless said, as many as there are cores. */
  readonly threads?: number;
  /** Runs, and decodes images, in a worker thread: a run blocks the thread it is in while it computes. */
  readonly worker?: boolean;
}

/**
 * Opens a clusterer with onnxruntime-node.
 *
 * @param source - a bundle's folder, `.subspan` or `.onnx`: a path, a file or http(s) URL, its bytes (also as a
 *   Blob or ArrayBuffer), or what `readBundle` or `readManifest` answered. Nothing of it runs, and nothing outside it is read.
 * @throws {SubspanError} BUNDLE_MISSING, BUNDLE_INVALID, BUNDLE_VERSION, BUNDLE_TRUNCATED, GRAPH_INVALID,
 *   GRAPH_REFUSED, DEVICE_UNAVAILABLE or INTERRUPTED; USAGE for options and sources of another kind.
 */
export async function loadClusterer(
  source: string | URL | BundleInMemory,
  options: LoadOptions = {},
): Promise<Clusterer<EncodedImage>> {
  checkOptions(options);
  return openClusterer(await readManifest(source, options), options, {
    ladder: NODE_LADDER,
    probe,
    open: (setup) => openOn({ ...setup, threads: options.threads }, options),
  });
}

/** Reads and checks a bundle without opening it. @throws {SubspanError} as `loadClusterer`, but for devices. */
export async function readBundle(source: string | URL | BundleInMemory, options: ReadOptions = {}): Promise<Bundle> {
  return openGraph(await readManifest(source, options), options.dtype);
}

/** Reads and checks a bundle's manifest, and none of its graphs. @throws {SubspanError} as `readBundle`. */
export async function readManifest(
  source: string | URL | BundleInMemory,
  options: Omit<ReadOptions, "dtype"> = {},
): Promise<ListedBundle> {
  if (typeof source !== "string" && !(source instanceof URL)) return listInMemory(checkedSource(source), options);
  const url = source instanceof URL || /^(https?|file):/.test(source) ? addressOf(source) : undefined;
  if (url !== undefined && url.protocol !== "file:") return listUrl(url, options);
  const path = url === undefined ? String(source) : fileURLToPath(url);
  const found = await stat(path).catch((cause) => missing(path, cause));
  if (!found.isDirectory()) return listBytes(await readFileOf(path, GRAPH_LIMITS.modelBytes), path, options);
  const read = (name: string, maxBytes: number) => readInside(path, name, maxBytes);
  return listBundle({ origin: path, read, onProgress: options.onProgress }, options);
}

const KNOWN = { device: "auto, cpu, cuda, webgpu, wasm", dtype: "auto, fp32, fp16, int8" };

/** What a device would be blamed for. @throws {SubspanError} USAGE. */
function checkOptions(options: LoadOptions): void {
  const check = (name: "device" | "dtype" | "threads", fits: boolean, expected: string) => {
    if (options[name] !== undefined && !fits)
      throw new SubspanError("USAGE", `${name}: expected ${expected}, got ${String(options[name])}`);
  };
  for (const name of ["device", "dtype"] as const)
    check(name, KNOWN[name].split(", ").includes(options[name] as string), KNOWN[name]);
  check("threads", Number.isInteger(options.threads) && (options.threads as number) > 0, "an integer from 1");
}

/** @throws {SubspanError} USAGE for what is no address. */
function addressOf(source: string | URL): URL {
  if (URL.canParse(source)) return new URL(source);
  throw new SubspanError("USAGE", `${source}: expected an address`);
}

/** @throws {SubspanError} USAGE. */
function checkedSource(source: BundleInMemory): BundleInMemory {
  const isBytes = [Uint8Array, ArrayBuffer, Blob].some((kind) => source instanceof kind);
  if (isBytes || typeof (source as ListedBundle | undefined)?.read === "function") return source;
  const expected = "the path or URL of a bundle, its bytes, or what readBundle answered";
  throw new SubspanError("USAGE", `expected ${expected}, got ${kindOf(source)}`);
}

async function probe(device: Device): Promise<boolean> {
  const reason = await whyNot(device);
  if (reason !== undefined) throw new Error(reason);
  return computesHalf(device);
}

async function openOn(setup: EngineSetup, { worker = false }: LoadOptions): Promise<OpenedEngine<EncodedImage>> {
  const { threads } = setup;
  const placement = { worker, notes: [], ...(threads === undefined ? {} : { threads }) };
  if (!worker) {
    const engine = await nodeEngine(setup);
    await engine.open(setup.part);
    return { engine, decode: decodeImage, ...placement };
  }
  return { ...(await openInWorker(setup)), ...placement };
}

async function openInWorker(setup: EngineSetup): Promise<Pick<OpenedEngine<EncodedImage>, "engine" | "decode">> {
  const engine = await RemoteEngine.open<Exclude<EncodedImage, URL>>(startWorker(), setup);
  return {
    engine,
    decode: (image, shape) => engine.decode(image instanceof URL ? image.href : image, shape),
  };
}

/** A worker that keeps the process alive while it has something to answer, and no longer. */
function startWorker(): Thread {
  const worker = new Worker(new URL("./node-worker.js", import.meta.url));
  let asked = 0;
  return {
    post: (message, transfer) => {
      worker.postMessage(message, transfer); // which throws for what cannot be copied: then nothing was asked
      if (asked++ === 0) worker.ref();
    },
    listen: (listener) =>
      worker.on("message", (message) => {
        if (--asked === 0) worker.unref();
        listener(message);
      }),
    onFailure: (listener) => {
      worker.on("error", ({ message }) => listener(message));
      worker.on("exit", (code) => listener(`it ended with ${code}`));
    },
    end: async () => {
      await worker.terminate();
    },
  };
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
