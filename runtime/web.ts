import { type Bundle, type ReadOptions as CommonReadOptions, openBytes, openUrl } from "./bundle.ts";
import type { Clusterer } from "./clusterer.ts";
import type { Device } from "./devices.ts";
import { type CommonLoadOptions, type OpenedEngine, openClusterer } from "./load.ts";
import { type EngineSetup, RemoteEngine, type Thread, ThreadFailure } from "./remote.ts";
import { isPixels, type PixelInput, type Pixels } from "./samples.ts";
import { type PortableImage, portable, type WebImage } from "./web-bitmap.ts";
import { clearCache, webCache } from "./web-cache.ts";

export * from "./index.ts";
export { decodeImage } from "./web-image.ts";
export { clearCache, type WebImage };

export interface ReadOptions extends CommonReadOptions {
  /** Whether files are kept in the browser by their hash, and had from there: yes unless said. */
  readonly cache?: boolean;
}

export interface LoadOptions extends CommonLoadOptions, ReadOptions {
  /** WebAssembly threads: up to 4 on a cross-origin isolated page unless said, and always 1 on others. */
  readonly threads?: number;
  /**
   * The folder that onnxruntime-web's .wasm and .mjs files are served from, as `subspan wasm` fills it, relative to the
   * page; unless said, where the bundler put them. Never another host unless it is said.
   */
  readonly wasmPaths?: string | URL;
  /**
   * Unless said, a Web Worker if one starts, else the page. `true`: a worker or an error. `false`: the page, which stands
   * still while a run computes; there the first load decides how many threads there are.
   */
  readonly worker?: boolean;
}

/** Best first. */
const WEB_LADDER: readonly Device[] = ["webgpu", "wasm"];

/**
 * Opens a clusterer with onnxruntime-web. Only the build that will run is fetched: WebGPU's is 12 MB larger than
 * wasm's, and is asked for once there is an adapter.
 *
 * @param source - a bundle's folder, `.subspan` or `.onnx`: a URL (relative to the page), a File, bytes, or what
 *   `readBundle` answered. Samples never leave the page.
 * @throws {SubspanError} BUNDLE_MISSING, BUNDLE_INVALID, BUNDLE_VERSION, BUNDLE_TRUNCATED, GRAPH_INVALID,
 *   GRAPH_REFUSED, DEVICE_UNAVAILABLE or INTERRUPTED.
 */
export async function loadClusterer(
  source: string | URL | Blob | Uint8Array | Bundle,
  options: LoadOptions = {},
): Promise<Clusterer<WebImage>> {
  const bundle = isSource(source) ? await readBundle(source, options) : source;
  return openClusterer(bundle, options, WEB_LADDER, (device) => openOn(device, bundle, options));
}

/** Fetches and checks a bundle without opening it. @throws {SubspanError} as `loadClusterer`, but for devices. */
export async function readBundle(source: string | URL | Blob | Uint8Array, options: ReadOptions = {}): Promise<Bundle> {
  if (source instanceof Uint8Array) return openBytes(source, "bundle", options);
  if (source instanceof Blob) return openBytes(new Uint8Array(await source.arrayBuffer()), "file", options);
  return openUrl(new URL(source, globalThis.location?.href), options, options.cache === false ? undefined : webCache);
}

function isSource(source: string | URL | Blob | Uint8Array | Bundle): source is string | URL | Blob | Uint8Array {
  return typeof source === "string" || [URL, Blob, Uint8Array].some((type) => source instanceof type);
}

async function openOn(device: Device, bundle: Bundle, options: LoadOptions): Promise<OpenedEngine<WebImage>> {
  if (device === "webgpu") await checkAdapter();
  const { threads, notes } = threadsOf(options.threads);
  const wasmPaths = options.wasmPaths === undefined ? undefined : folderUrl(options.wasmPaths);
  const setup = { model: bundle.model, manifest: bundle.manifest, device, threads, wasmPaths };
  if (options.worker !== false && (options.worker || "Worker" in globalThis)) {
    try {
      return { ...(await openInWorker(setup)), threads, worker: true, notes };
    } catch (error) {
      if (options.worker || !(error instanceof ThreadFailure)) throw error;
      notes.push(`in the page: ${error.message}`);
    }
  }
  const { openInPage } = await import("./web-page.ts");
  return { ...(await openInPage(setup)), threads, worker: false, notes };
}

function threadsOf(asked: number | undefined): { threads: number; notes: string[] } {
  const isolated = globalThis.crossOriginIsolated;
  const threads = asked ?? Math.min(4, globalThis.navigator?.hardwareConcurrency ?? 1);
  if (isolated || threads === 1) return { threads, notes: [] };
  const note = `1 thread, not ${threads}: the page is not cross-origin isolated by COOP and COEP headers`;
  return { threads: 1, notes: [note] };
}

function folderUrl(folder: string | URL): string {
  const { href } = new URL(folder, globalThis.document?.baseURI ?? globalThis.location?.href);
  return href.endsWith("/") ? href : `${href}/`;
}

/** Bundlers find workers by these very words. Each joins our code with one build of onnxruntime-web. */
function startWorker(device: Device): Worker {
  return device === "webgpu"
    ? new Worker(new URL("./web-worker-webgpu.js", import.meta.url), { type: "module" })
    : new Worker(new URL("./web-worker-wasm.js", import.meta.url), { type: "module" });
}

async function openInWorker(setup: EngineSetup): Promise<Pick<OpenedEngine<WebImage>, "engine" | "decode">> {
  const engine = await RemoteEngine.open<PortableImage>(threadOf(setup.device), setup);
  const decode = async (image: WebImage | PixelInput, shape: Pixels["shape"]) => {
    const taken = isPixels(image) ? image : await portable(image);
    const pixels = engine.decode(taken, shape);
    return taken instanceof ImageBitmap && taken !== image ? pixels.finally(() => taken.close()) : pixels;
  };
  return { engine, decode };
}

function threadOf(device: Device): Thread {
  let worker: Worker;
  try {
    worker = startWorker(device);
  } catch (cause) {
    throw new ThreadFailure(`no worker: ${(cause as Error).message}`, { cause });
  }
  return {
    post: (message, transfer) => worker.postMessage(message, [...transfer]),
    listen: (listener) => worker.addEventListener("message", ({ data }) => listener(data)),
    onFailure: (listener) =>
      worker.addEventListener("error", ({ message }) => listener(message ?? "its script does not load")),
    end: async () => worker.terminate(),
  };
}

/** `navigator.gpu` alone says nothing: machines without a usable GPU have it, and no adapter. */
async function checkAdapter(): Promise<void> {
  const { gpu } = (globalThis.navigator ?? {}) as { gpu?: { requestAdapter(): Promise<unknown> } };
  if (gpu === undefined) throw new Error("the browser has no WebGPU, or the page is not secure (HTTPS or localhost)");
  if ((await gpu.requestAdapter()) === null) throw new Error("WebGPU found no adapter");
}
