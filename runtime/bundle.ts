import { SubspanError } from "./errors.ts";
import { checkGraph, GRAPH_LIMITS, type GraphSummary, type GraphValue } from "./graph-check.ts";
import {
  type GraphManifest,
  graphManifest,
  type ManifestFile,
  parseJson,
  parseManifest,
  type Shape,
} from "./manifest.ts";
import { readZip } from "./zip.ts";

/** Where the files of a bundle come from: a folder, a zip, a URL. */
export interface BundleFiles {
  /** For messages: where this is. */
  readonly origin: string;
  /**
   * Reads one file whole. `path` is safe to append: parts of letters, digits and "._-" between "/".
   *
   * @throws {SubspanError} BUNDLE_MISSING if it is not there, BUNDLE_INVALID if it is longer than `maxBytes`.
   */
  read(path: string, maxBytes: number): Promise<Uint8Array>;
}

/** A checked bundle. What its `read` answers has the size and hash the manifest says. */
export interface Bundle {
  readonly manifest: GraphManifest;
  /** Empty for a bare graph. */
  readonly files: readonly ManifestFile[];
  readonly model: Uint8Array;
  readonly graph: GraphSummary;
  /** @throws {SubspanError} BUNDLE_MISSING for a file the manifest does not name, BUNDLE_INVALID for a changed one. */
  read(path: string): Promise<Uint8Array>;
}

export type Precision = "fp32" | "fp16" | "int8";

const MANIFEST_BYTES = 2 ** 26;
const ZIP_MAGIC = [0x50, 0x4b, 0x03, 0x04];

/**
 * Opens a bundle: parses its manifest, checks the model's hash, operators and bounds, and that graph and manifest say
 * the same. Other files are checked when they are read, so a browser fetches only what it uses. Runs nothing.
 *
 * @throws {SubspanError} BUNDLE_MISSING, BUNDLE_INVALID, GRAPH_INVALID or GRAPH_REFUSED.
 */
export async function openBundle(source: BundleFiles, precision: Precision = "fp32"): Promise<Bundle> {
  const where = `${source.origin}: manifest.json`;
  const text = decode(await source.read("manifest.json", MANIFEST_BYTES), where);
  const { files, ...manifest } = parseManifest(parseJson(text, where));
  const read = (path: string) => readChecked(source, files, path);
  const model = await read(precision === "fp32" ? "model.onnx" : `model.${precision}.onnx`);
  const graph = checkGraph(model);
  const inside = graphManifest(graph);
  const names = Object.keys({ ...inside, ...manifest }) as (keyof GraphManifest)[];
  const differs = names.find((name) => JSON.stringify(manifest[name]) !== JSON.stringify(inside[name]));
  if (differs !== undefined) throw invalid(`${where}: ${differs} is not what the graph's own manifest says`);
  checkSignature(graph, manifest);
  return { manifest, files, model, graph, read };
}

/** Opens a bare graph: its manifest is inside, and it has no other files. @throws {SubspanError} as openBundle. */
export function openModel(model: Uint8Array): Bundle {
  const graph = checkGraph(model);
  const manifest = graphManifest(graph);
  checkSignature(graph, manifest);
  const read = async (path: string) => missing(`${path}: a bare graph has no other files`);
  return { manifest, files: [], model, graph, read };
}

/**
 * Opens the bytes of a stored zip or of a bare graph, told apart by how they begin. @throws {SubspanError} as
 * openBundle.
 */
export async function openBytes(bytes: Uint8Array, origin: string, precision: Precision = "fp32"): Promise<Bundle> {
  if (!ZIP_MAGIC.every((byte, i) => bytes[i] === byte)) return openModel(bytes);
  const files = readZip(bytes);
  const read = async (path: string) => files.get(path) ?? missing(`${origin}: has no ${path}`);
  return openBundle({ origin, read }, precision);
}

/** Opens what a URL names: `*.onnx`, `*.subspan`, or the folder of a bundle. @throws {SubspanError} as openBundle. */
export async function openUrl(url: URL, precision: Precision = "fp32", fetcher = fetch): Promise<Bundle> {
  if (/\.(onnx|subspan)$/.test(url.pathname))
    return openBytes(await download(url, GRAPH_LIMITS.modelBytes, fetcher), url.href, precision);
  const folder = new URL(url);
  if (!folder.pathname.endsWith("/")) folder.pathname += "/";
  const read = (path: string, maxBytes: number) => {
    const file = new URL(path, folder);
    file.search = url.search;
    return download(file, maxBytes, fetcher);
  };
  return openBundle({ origin: url.href, read }, precision);
}

async function readChecked(source: BundleFiles, files: readonly ManifestFile[], path: string): Promise<Uint8Array> {
  const file = files.find((entry) => entry.path === path);
  if (file === undefined) return missing(`${source.origin}: the manifest names no ${path}`);
  const bytes = await source.read(path, file.size);
  const where = `${source.origin}: ${path}`;
  if (bytes.length !== file.size) throw invalid(`${where}: expected ${file.size} bytes, got ${bytes.length}`);
  const hash = await sha256(bytes);
  if (hash !== file.sha256) throw invalid(`${where}: expected sha256 ${file.sha256}, got ${hash}`);
  return bytes;
}

/** SHA-256 in lower-case hexadecimal, as the manifest writes it. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  if (globalThis.crypto?.subtle === undefined)
    throw new SubspanError("DEPENDENCY_MISSING", "checking hashes needs WebCrypto: in browsers, HTTPS or localhost");
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The graph's inputs and outputs are the manifest's, in name, type and shape. */
function checkSignature(graph: GraphSummary, { input, outputs }: GraphManifest): void {
  const describe = ({ name, dtype, shape }: Pick<GraphValue, "name" | "dtype"> & { readonly shape: Shape }) =>
    `${name} ${dtype} [${shape.join(", ")}]`;
  const compare = (what: string, expected: string[], got: string[]) => {
    if (expected.sort().join("; ") !== got.sort().join("; "))
      throw invalid(`the manifest's ${what} are ${expected.join("; ")}, the graph's ${got.join("; ")}`);
  };
  compare(
    "inputs",
    [input].map((value) => describe(value as GraphValue)),
    graph.inputs.map(describe),
  );
  compare(
    "outputs",
    outputs.map((value) => describe(value as GraphValue)),
    graph.outputs.map(describe),
  );
}

async function download(url: URL, maxBytes: number, fetcher: typeof fetch): Promise<Uint8Array> {
  try {
    const response = await fetcher(url);
    if (!response.ok || response.body === null) return missing(`${url.href}: HTTP ${response.status}`);
    return await readAll(response.body, maxBytes, url.href);
  } catch (cause) {
    if (cause instanceof SubspanError) throw cause;
    return missing(`${url.href}: ${String(cause)}`, cause);
  }
}

async function readAll(body: ReadableStream<Uint8Array>, maxBytes: number, origin: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = body.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    size += next.value.length;
    if (size > maxBytes) {
      await reader.cancel();
      throw invalid(`${origin}: longer than ${maxBytes} bytes`);
    }
    chunks.push(next.value);
  }
  const bytes = new Uint8Array(size);
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

function missing(message: string, cause?: unknown): never {
  throw new SubspanError("BUNDLE_MISSING", message, cause === undefined ? undefined : { cause });
}

function invalid(message: string): SubspanError {
  return new SubspanError("BUNDLE_INVALID", message);
}
