import { checkAborted } from "./abort.ts";
import { kindOf, SubspanError, within } from "./errors.ts";
import { checkGraph, GRAPH_LIMITS, type GraphSummary, type GraphValue } from "./graph-check.ts";
import { type GraphManifest, graphManifest, type ManifestFile, parseJson, parseManifest } from "./manifest.ts";

/** What loading tells on its way, in the words and order of transformers.js; `file` is a path in the bundle. */
export type LoadProgress = { readonly name: string } & (
  | { readonly status: "initiate" | "download" | "done"; readonly file: string }
  | {
      readonly status: "progress";
      readonly file: string;
      /** Bytes. */
      readonly loaded: number;
      readonly total: number;
      /** In percent. */
      readonly progress: number;
    }
  | { readonly status: "ready" }
);

export interface ReadOptions {
  /** Which of the bundle's graphs: fp32, which is model.onnx, unless said. */
  readonly dtype?: Precision;
  /** In place of the global fetch, for URLs. */
  readonly fetch?: typeof fetch;
  /** Stops reading and loading, with INTERRUPTED. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: LoadProgress) => void;
  /**
   * SHA-256 of what the source names first: of manifest.json where it names a bundle's folder, else of the file. Anything
   * else is refused, and a cache has it without asking the network.
   */
  readonly sha256?: string;
}

/** Files by their SHA-256, kept from one load to the next. What it answers may be spoilt: readers check. */
export interface FileCache {
  get(sha256: string): Promise<Uint8Array | undefined>;
  put(sha256: string, bytes: Uint8Array): Promise<void>;
}

/** Where the files of a bundle come from: a folder, a zip, a URL. */
export interface BundleFiles {
  /** For messages: where this is. */
  readonly origin: string;
  /**
   * Reads one file whole. `path` is safe to append: parts of letters, digits and "._-" between "/".
   *
   * @param size - its bytes where they are known, for progress.
   * @throws {SubspanError} BUNDLE_MISSING if it is not there, BUNDLE_INVALID if it is longer than `maxBytes`,
   *   BUNDLE_TRUNCATED if it stops coming.
   */
  read(path: string, maxBytes: number, size?: number): Promise<Uint8Array>;
  readonly cache?: FileCache | undefined;
  readonly onProgress?: ReadOptions["onProgress"];
}

/** What is known of a file before it is read. */
type ExpectedFile = Pick<ManifestFile, "path"> & Partial<ManifestFile>;

/** A bundle with a checked manifest. What its `read` answers has the size and hash the manifest says. */
export interface ListedBundle {
  /** For messages: where it came from. */
  readonly origin: string;
  readonly manifest: GraphManifest;
  /** Empty for a bare graph. */
  readonly files: readonly ManifestFile[];
  /** @throws {SubspanError} BUNDLE_MISSING for a file the manifest does not name, BUNDLE_INVALID for a changed one. */
  read(path: string): Promise<Uint8Array>;
}

/** A bundle with one of its graphs, checked. */
export interface Bundle extends ListedBundle {
  readonly model: Uint8Array;
  readonly graph: GraphSummary;
  /** Which of the bundle's graphs it is; absent for a bare graph, which does not say. */
  readonly dtype?: Precision;
}

export type Precision = "fp32" | "fp16" | "int8";

const MANIFEST_BYTES = 2 ** 26;
const ZIP_MAGIC = [0x50, 0x4b, 0x03, 0x04];

/**
 * Opens a bundle: parses its manifest, checks the model's hash, operators and bounds, and that graph and manifest say
 * the same. Other files are checked when they are read, so a browser fetches only what it uses. Runs nothing.
 *
 * @throws {SubspanError} BUNDLE_MISSING, BUNDLE_INVALID, BUNDLE_VERSION, BUNDLE_TRUNCATED, GRAPH_INVALID,
 *   GRAPH_REFUSED or INTERRUPTED.
 */
export async function openBundle(source: BundleFiles, options: ReadOptions = {}): Promise<Bundle> {
  return openGraph(await listBundle(source, options), options.dtype);
}

/** Reads and checks a bundle's manifest, and none of its graphs. @throws {SubspanError} as openBundle. */
export async function listBundle(
  source: BundleFiles,
  { sha256, signal }: Omit<ReadOptions, "dtype"> = {},
): Promise<ListedBundle> {
  const where = `${source.origin}: manifest.json`;
  const text = decode(await readChecked(source, { path: "manifest.json", ...(sha256 && { sha256 }) }), where);
  checkAborted(signal);
  const json = parseJson(text, where);
  const { files, ...manifest } = within(source.origin, () => parseManifest(json));
  const read = async (path: string) => {
    const file = files.find((entry) => entry.path === path);
    return file === undefined ? missing(`${source.origin}: the manifest names no ${path}`) : readChecked(source, file);
  };
  return { origin: source.origin, manifest, files, read };
}

/** Reads and checks a graph of a bundle, unless it is there already. @throws {SubspanError} as openBundle. */
export async function openGraph(bundle: ListedBundle & Partial<Bundle>, asked?: Precision): Promise<Bundle> {
  const { origin, manifest, dtype: there = "fp32" } = bundle;
  const dtype = asked ?? there;
  if (bundle.model && dtype === there) return bundle as Bundle;
  const path = dtype === "fp32" ? "model.onnx" : `model.${dtype}.onnx`;
  const model = await bundle.read(path);
  const graph = within(`${origin}: ${path}`, () => {
    const graph = checkGraph(model);
    const inside = graphManifest(graph);
    const names = Object.keys({ ...inside, ...manifest }) as (keyof GraphManifest)[];
    const differs = names.find((name) => JSON.stringify(manifest[name]) !== JSON.stringify(inside[name]));
    if (differs !== undefined) throw invalid(`${differs} is not what the graph's own manifest says`);
    checkSignature(graph, manifest);
    return graph;
  });
  return { ...bundle, model, graph, dtype };
}

/** Opens a bare graph: its manifest is inside, and it has no other files. @throws {SubspanError} as openBundle. */
export function openModel(model: Uint8Array, origin = "the graph"): Bundle {
  const { graph, manifest } = within(origin, () => {
    const graph = checkGraph(model);
    const manifest = graphManifest(graph);
    checkSignature(graph, manifest);
    return { graph, manifest };
  });
  const read = async (path: string) => missing(`${origin}: a bare graph has no other files, asked for ${path}`);
  return { origin, manifest, files: [], model, graph, read };
}

/** The bundle in a stored zip, or a bare graph, told apart by how the bytes begin. @throws {SubspanError} as openBundle. */
export async function listBytes(
  bytes: Uint8Array,
  origin: string,
  options: Omit<ReadOptions, "dtype"> = {},
): Promise<ListedBundle> {
  const { sha256, ...rest } = options;
  await checkFile(bytes, { path: "the file", ...(sha256 && { sha256 }) }, origin);
  if (bytes.length === 0) throw truncated(origin, "some", 0);
  if (/^\s*</.test(new TextDecoder().decode(bytes.subarray(0, 64))))
    throw invalid(`${origin}: expected a bundle or a graph, got HTML or XML: its address may be another`);
  if (!ZIP_MAGIC.every((byte, i) => bytes[i] === byte)) return openModel(bytes, origin);
  const { readZip } = await import("./zip.ts"); // a browser that opens a folder never loads it
  const files = within(origin, () => readZip(bytes));
  const read = async (path: string) => files.get(path) ?? missing(`${origin}: has no ${path}`);
  return listBundle({ origin, read }, rest);
}

/** What can be given in place of a path or URL. */
export type BundleInMemory = Uint8Array | ArrayBuffer | Blob | ListedBundle;

/** Bytes of a bundle, or what was listed before. @throws {SubspanError} USAGE for anything else; as openBundle. */
export async function listInMemory(
  source: BundleInMemory,
  options: Omit<ReadOptions, "dtype"> = {},
): Promise<ListedBundle> {
  if (source instanceof Blob)
    return listBytes(new Uint8Array(await source.arrayBuffer()), (source as Partial<File>).name || "file", options);
  if (source instanceof ArrayBuffer) return listBytes(new Uint8Array(source), "bundle", options);
  if (source instanceof Uint8Array) return listBytes(source, "bundle", options);
  if (typeof source?.read === "function" && typeof source.manifest === "object") return source;
  const expected = "the path or URL of a bundle, its bytes, or what readBundle answered";
  throw new SubspanError("USAGE", `expected ${expected}, got ${kindOf(source)}`);
}

/** @throws {SubspanError} USAGE for what is no address. */
export function addressOf(source: string | URL, base?: string): URL {
  if (URL.canParse(source, base)) return new URL(source, base);
  throw new SubspanError("USAGE", `${source}: expected an address`);
}

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
  const bytes = await readChecked(source, { path: file, ...(sha256 && { sha256 }) });
  return listBytes(bytes, url.href, rest);
}

/** Reads a file from the cache, or where it comes from, and checks it against what is known of it. */
async function readChecked(source: BundleFiles, file: ExpectedFile): Promise<Uint8Array> {
  const { origin, cache, onProgress } = source;
  onProgress?.({ status: "initiate", name: origin, file: file.path });
  const bytes = (await kept(cache, file)) ?? (await readFresh(source, file));
  onProgress?.({ status: "done", name: origin, file: file.path });
  return bytes;
}

async function readFresh({ origin, cache, read }: BundleFiles, file: ExpectedFile): Promise<Uint8Array> {
  const { path, size, sha256 } = file;
  const bytes = await read(path, size ?? (path === "manifest.json" ? MANIFEST_BYTES : GRAPH_LIMITS.modelBytes), size);
  await checkFile(bytes, file, origin);
  if (sha256 !== undefined) await cache?.put(sha256, bytes);
  return bytes;
}

/** What the cache has of a file, unless it is spoilt. */
async function kept(cache: FileCache | undefined, { sha256: expected }: ExpectedFile): Promise<Uint8Array | undefined> {
  const bytes = expected === undefined ? undefined : await cache?.get(expected);
  return bytes !== undefined && (await sha256(bytes)) === expected ? bytes : undefined;
}

async function checkFile(bytes: Uint8Array, file: ExpectedFile, origin: string): Promise<void> {
  const where = `${origin}: ${file.path}`;
  if (file.size !== undefined && bytes.length < file.size) throw truncated(where, file.size, bytes.length);
  if (file.size !== undefined && bytes.length > file.size)
    throw invalid(`${where}: expected ${file.size} bytes, got ${bytes.length}`);
  if (file.sha256 === undefined) return;
  const hash = await sha256(bytes);
  if (hash !== file.sha256) throw invalid(`${where}: expected sha256 ${file.sha256}, got ${hash}`);
}

/** SHA-256 in lower-case hexadecimal, as the manifest writes it. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  if (globalThis.crypto?.subtle === undefined)
    throw new SubspanError("DEPENDENCY_MISSING", "checking hashes needs WebCrypto: in browsers, HTTPS or localhost");
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The graph's inputs and outputs are the manifest's, in name, type and shape. */
function checkSignature({ inputs, outputs }: GraphSummary, manifest: GraphManifest): void {
  type Value = Pick<GraphValue, "name" | "shape"> & { readonly dtype: string };
  const described = (values: readonly Value[]) =>
    values
      .map(({ name, dtype, shape }) => `${name} ${dtype} [${shape.join(", ")}]`)
      .sort()
      .join("; ");
  for (const [what, said, found] of [
    ["inputs", described([manifest.input]), described(inputs)],
    ["outputs", described(manifest.outputs), described(outputs)],
  ])
    if (said !== found) throw invalid(`the manifest's ${what} are ${said}, the graph's ${found}`);
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
    const response = await fetcher(url, { cache: "no-cache", ...(signal && { signal }) });
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

function decode(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SubspanError("BUNDLE_INVALID", `${what}: expected UTF-8`, { cause });
  }
}

function missing(message: string, options?: ErrorOptions): never {
  throw new SubspanError("BUNDLE_MISSING", message, options);
}

function invalid(message: string): SubspanError {
  return new SubspanError("BUNDLE_INVALID", message);
}

function truncated(where: string, expected: number | string, got: number, options?: ErrorOptions): SubspanError {
  return new SubspanError("BUNDLE_TRUNCATED", `${where}: expected ${expected} bytes, got ${got}: cut short`, options);
}
