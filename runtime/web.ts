import { type Bundle, type ReadOptions as CommonReadOptions, type ListedBundle, openGraph } from "./bundle.ts";
import { type BundleInMemory, listInMemory } from "./bundle-bytes.ts";
import { listUrl } from "./bundle-url.ts";
import type { Clusterer } from "./clusterer.ts";
import type { Device } from "./devices.ts";
import { type CommonLoadOptions, type OpenedEngine, openClusterer } from "./load.ts";
import { type EngineSetup, RemoteEngine, type Thread, ThreadFailure } from "./remote.ts";
import { isPixels, type PixelInput, type Pixels } from "./samples.ts";
import type { PortableImage, WebImage } from "./web-bitmap.ts";
import { clearCache, webCache } from "./web-cache.ts";

export * from "./index.ts";
export { decodeImage } from "./web-image.ts";
export { clearCache, type WebImage };

export interface ReadOptions extends CommonReadOptions {
  /** Whether files are kept in the browser by their hash, and had from there: yes unless said. */
  readonly cache?: boolean;
}

export interface LoadOptions extends CommonLoadOptions, Omit<ReadOptions, "dtype"> {
  /**
   * Threads of WebAssembly: unless said, as many as cores, up to 4. 1 on a page that is not cross-origin isolated, and in
   * the page itself unless `wasmPaths` says where ONNX Runtime's own file is: a thread starts from it.
   */
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
 *   `readBundle` or `readManifest` answered. Samples never leave the page.
 * @throws {SubspanError} BUNDLE_MISSING, BUNDLE_INVALID, BUNDLE_VERSION, BUNDLE_TRUNCATED, GRAPH_INVALID,
 *   GRAPH_REFUSED, DEVICE_UNAVAILABLE or INTERRUPTED; USAGE for options and sources of another kind.
 */
export async function loadClusterer(
  source: string | URL | BundleInMemory,
  options: LoadOptions = {},
): Promise<Clusterer<WebImage>> {
  return openClusterer(await readManifest(source, options), options, {
    ladder: WEB_LADDER,
    probe: async (device) => device === "wasm" || probeAdapter(),
    open: (setup) => openOn(setup, options),
  });
}

/** Fetches and checks a bundle without opening it. @throws {SubspanError} as `loadClusterer`, but for devices. */
export async function readBundle(source: string | URL | BundleInMemory, options: ReadOptions = {}): Promise<Bundle> {
  return openGraph(await readManifest(source, options), options.dtype);
}

/**
 * Fetches and checks a bundle's manifest, and none of its graphs: `loadClusterer` fetches the one that it opens.
 *
 * @throws {SubspanError} as `readBundle`.
 */
export async function readManifest(
  source: string | URL | BundleInMemory,
  options: Omit<ReadOptions, "dtype"> = {},
): Promise<ListedBundle> {
  if (typeof source !== "string" && !(source instanceof URL)) return listInMemory(source, options);
  return listUrl(new URL(source, globalThis.location?.href), options, options.cache === false ? undefined : webCache);
}

async function openOn(
  asked: Pick<EngineSetup, "device" | "part" | "manifest">,
  options: LoadOptions,
): Promise<OpenedEngine<WebImage>> {
  const { device } = asked;
  const wasmPaths = options.wasmPaths === undefined ? undefined : folderUrl(options.wasmPaths);
  const setup = { ...asked, wasmPaths };
  const notes: string[] = [];
  if (options.worker !== false && (options.worker || "Worker" in globalThis)) {
    try {
      const threads = threadsOf(device, options, true, notes);
      return { ...(await openInWorker({ ...setup, threads })), threads, worker: true, notes };
    } catch (error) {
      if (options.worker || !(error instanceof ThreadFailure)) throw error;
      notes.splice(0, 1, `in the page: ${error.message}`);
    }
  }
  const threads = threadsOf(device, options, false, notes);
  const { openInPage } = await import("./web-page.ts");
  return { ...(await openInPage({ ...setup, threads })), threads, worker: false, notes };
}

/** How many threads there can be; a note says why they are fewer than was meant. A GPU needs none. */
function threadsOf(device: Device, { threads, wasmPaths }: LoadOptions, inWorker: boolean, notes: string[]): number {
  const meant = device === "webgpu" ? 1 : (threads ?? Math.min(4, globalThis.navigator?.hardwareConcurrency ?? 1));
  const isolated = globalThis.crossOriginIsolated;
  if (meant < 2 || (isolated && (inWorker || wasmPaths !== undefined))) return meant;
  const hindrance = isolated
    ? "without a worker, threads need wasmPaths"
    : "the page is not cross-origin isolated (COOP, COEP)";
  notes.push(`1 thread, not ${meant}: ${hindrance}`);
  return 1;
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
    const taken = isPixels(image) ? image : await (await import("./web-bitmap.ts")).portable(image);
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

interface Adapter {
  readonly features: ReadonlySet<string>;
}

/** `navigator.gpu` alone says nothing: machines without a usable GPU have it, and no adapter. */
async function probeAdapter(): Promise<boolean> {
  const { gpu } = (globalThis.navigator ?? {}) as { gpu?: { requestAdapter(): Promise<Adapter | null> } };
  if (gpu === undefined) throw new Error("the browser has no WebGPU, or the page is not secure (HTTPS or localhost)");
  const adapter = await gpu.requestAdapter();
  if (adapter === null) throw new Error("the browser found no GPU");
  return adapter.features.has("shader-f16");
}
