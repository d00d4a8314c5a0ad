import { type Bundle, openBytes, openUrl, type Precision } from "./bundle.ts";
import { Clusterer, Engine } from "./clusterer.ts";
import { type Device, type DeviceRequest, walkLadder } from "./devices.ts";
import { decodeImage, type WebImage } from "./web-image.ts";

export * from "./index.ts";
export { decodeImage, type WebImage };

export interface ReadOptions {
  /** Which of the bundle's graphs: model.onnx unless said. */
  readonly precision?: Precision;
  /** In place of the global fetch: for a cache, or progress. */
  readonly fetch?: typeof fetch;
}

export interface LoadOptions extends ReadOptions {
  /** `auto` (unless said) walks webgpu, wasm. */
  readonly device?: DeviceRequest;
  /** A named device that fails is an error, not a fallback. */
  readonly strict?: boolean;
  /**
   * WebAssembly threads; unless said, up to 4 on a cross-origin isolated page, else 1. The first load of a page
   * decides.
   */
  readonly threads?: number;
  /** The folder onnxruntime-web's .wasm files are served from; unless said, where the bundler put them. */
  readonly wasmPaths?: string;
}

/** Best first. */
const WEB_LADDER: readonly Device[] = ["webgpu", "wasm"];

/**
 * Opens a clusterer with onnxruntime-web. Only the build that will run is fetched: WebGPU's is 12 MB larger than
 * wasm's, and is asked for once there is an adapter.
 *
 * @param source - a bundle's folder, `.subspan` or `.onnx`: a URL (relative to the page), a File, bytes, or what
 *   `readBundle` answered. Samples never leave the page.
 * @throws {SubspanError} BUNDLE_MISSING, BUNDLE_INVALID, GRAPH_INVALID, GRAPH_REFUSED, or DEVICE_UNAVAILABLE.
 */
export async function loadClusterer(
  source: string | URL | Blob | Uint8Array | Bundle,
  options: LoadOptions = {},
): Promise<Clusterer<WebImage>> {
  const { device: requested = "auto", strict = false } = options;
  const threads = options.threads ?? defaultThreads();
  const bundle = isSource(source) ? await readBundle(source, options) : source;
  const { device, opened, failures } = await walkLadder(requested, strict, WEB_LADDER, (rung) =>
    openOn(rung, bundle, threads, options.wasmPaths),
  );
  return new Clusterer(opened, bundle, { device, requested, failures, threads }, decodeImage);
}

/** Fetches and checks a bundle without opening it. @throws {SubspanError} as `loadClusterer`, but for devices. */
export async function readBundle(source: string | URL | Blob | Uint8Array, options: ReadOptions = {}): Promise<Bundle> {
  const { precision = "fp32", fetch: fetcher = (...request) => fetch(...request) } = options;
  if (source instanceof Uint8Array) return openBytes(source, "bundle", precision);
  if (source instanceof Blob) return openBytes(new Uint8Array(await source.arrayBuffer()), "file", precision);
  return openUrl(new URL(source, globalThis.location?.href), precision, fetcher);
}

function isSource(source: string | URL | Blob | Uint8Array | Bundle): source is string | URL | Blob | Uint8Array {
  return typeof source === "string" || [URL, Blob, Uint8Array].some((type) => source instanceof type);
}

function defaultThreads(): number {
  return globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
}

async function openOn(device: Device, bundle: Bundle, threads: number, wasmPaths: string | undefined): Promise<Engine> {
  if (device === "webgpu") await checkAdapter();
  const runtime = await (device === "webgpu" ? import("onnxruntime-web/webgpu") : import("onnxruntime-web/wasm"));
  runtime.env.wasm.numThreads = threads;
  if (wasmPaths !== undefined) runtime.env.wasm.wasmPaths = wasmPaths;
  return Engine.open(runtime, bundle, { executionProviders: [device], logSeverityLevel: 3 });
}

/** `navigator.gpu` alone says nothing: machines without a usable GPU have it, and no adapter. */
async function checkAdapter(): Promise<void> {
  const { gpu } = (globalThis.navigator ?? {}) as { gpu?: { requestAdapter(): Promise<unknown> } };
  if (gpu === undefined) throw new Error("the browser has no WebGPU, or the page is not secure (HTTPS or localhost)");
  if ((await gpu.requestAdapter()) === null) throw new Error("WebGPU found no adapter");
}
