import { checkAborted } from "./abort.ts";
import { SubspanError, throwAt } from "./errors.ts";
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
interface ExpectedFile {
  readonly path: string;
  readonly size?: number | undefined;
  readonly sha256?: string | undefined;
}

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
  const bytes = await readChecked(source, { path: "manifest.json", sha256 });
  checkAborted(signal);
  const { files, ...manifest } = within(source.origin, () => parseManifest(parseJson(bytes, "manifest.json")));
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
  const { graph } = checkedGraph(model, `${origin}: ${path}`, manifest);
  return { ...bundle, model, graph, dtype };
}

/** Opens a bare graph: its manifest is inside, and it has no other files. @throws {SubspanError} as openBundle. */
export function openModel(model: Uint8Array, origin = "the graph"): Bundle {
  const { graph, manifest } = checkedGraph(model, origin);
  const read = async (path: string) => missing(`${origin}: has no ${path}`);
  return { origin, manifest, files: [], model, graph, read };
}

/** Reads a file from the cache, or where it comes from, and checks it against what is known of it. */
export async function readChecked(source: BundleFiles, file: ExpectedFile): Promise<Uint8Array> {
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

/** Size and hash are those expected. @throws {SubspanError} BUNDLE_TRUNCATED, BUNDLE_INVALID. */
export async function checkFile(
  bytes: Uint8Array,
  { path, size = bytes.length, sha256: expected }: ExpectedFile,
  origin: string,
): Promise<void> {
  const where = `${origin}: ${path}`;
  if (bytes.length < size) throw truncated(where, size, bytes.length);
  if (bytes.length > size) throw invalid(`${where}: expected ${size} bytes, got ${bytes.length}`);
  const hash = expected && (await sha256(bytes));
  if (hash !== expected) throw invalid(`${where}: expected sha256 ${expected}, got ${hash}`);
}

/** SHA-256 in lower-case hexadecimal, as the manifest writes it. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  if (globalThis.crypto?.subtle === undefined)
    throw new SubspanError(
      "DEPENDENCY_MISSING",
      "no WebCrypto for hashes, or the page is not secure (HTTPS or localhost)",
    );
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * A graph with the manifest inside it.
 *
 * @param said - what the bundle's manifest says; the graph's own says the same.
 * @throws {SubspanError} as openBundle, beginning with the place.
 */
export function checkedGraph(model: Uint8Array, where: string, said?: GraphManifest) {
  return within(where, () => {
    const graph = checkGraph(model);
    const manifest = graphManifest(graph);
    const names = Object.keys({ ...manifest, ...said }) as (keyof GraphManifest)[];
    const differs = said && names.find((name) => JSON.stringify(said[name]) !== JSON.stringify(manifest[name]));
    if (differs !== undefined) throw invalid(`${differs} is not what the graph's own manifest says`);
    checkSignature(graph, manifest);
    return { graph, manifest };
  });
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

export function missing(message: string, options?: ErrorOptions): never {
  throw new SubspanError("BUNDLE_MISSING", message, options);
}

export function invalid(message: string): SubspanError {
  return new SubspanError("BUNDLE_INVALID", message);
}

export function truncated(where: string, expected: number | string, got: number, options?: ErrorOptions): SubspanError {
  return new SubspanError("BUNDLE_TRUNCATED", `${where}: expected ${expected} bytes, got ${got}: cut short`, options);
}

/** What `read` answers; what it refuses begins with the place. @throws {SubspanError} as `read`. */
export function within<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    return throwAt(place, error);
  }
}
