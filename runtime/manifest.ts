import { type ErrorCode, SubspanError } from "./errors.ts";
import { GRAPH_LIMITS, type GraphSummary } from "./graph-check.ts";
import { isSafePath } from "./safe-path.ts";

/** Where a graph's metadata_props hold its own manifest, so that `model.onnx` alone is enough. */
export const METADATA_KEY = "subspan.manifest";
/** The one format version there is. */
export const FORMAT_VERSION = 1;

/** A tensor's shape; the first dimension is the batch and goes by a name ("N"). */
export type Shape = readonly (number | string)[];

export interface ManifestInput {
  readonly name: string;
  readonly kind: "images" | "features";
  /** ["N", h, w, c] for images, ["N", d] for features. */
  readonly shape: Shape;
  readonly dtype: "uint8" | "float32";
  /** What the graph does to a sample first, in words: every place that runs it feeds the raw samples. */
  readonly preprocessing: string;
}

export interface ManifestOutput {
  readonly name: string;
  readonly dtype: "int64" | "float32";
  readonly shape: Shape;
}

export interface ManifestFile {
  readonly path: string;
  readonly size: number;
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string;
}

/** What a graph says about itself. */
export interface GraphManifest {
  readonly formatVersion: typeof FORMAT_VERSION;
  readonly name: string;
  readonly method: string;
  readonly readout: string;
  /** K; labels are 0..K-1. */
  readonly clusters: number;
  readonly input: ManifestInput;
  readonly outputs: readonly ManifestOutput[];
  /** Training samples in each cluster, K numbers. */
  readonly clusterSizes: readonly number[];
  readonly clusterNames?: readonly string[];
  /** Seen in training; never with labels the clusterer had. */
  readonly metrics?: Readonly<Record<string, number>>;
  readonly seed: number;
  readonly data: { readonly name: string; readonly samples: number; readonly fingerprint: string };
  readonly versions: Readonly<Record<string, string>>;
  readonly licence: string;
  /** ISO 8601. */
  readonly created: string;
}

/** What a bundle says about itself: its graph's manifest and every file but manifest.json. */
export interface Manifest extends GraphManifest {
  readonly files: readonly ManifestFile[];
}

/**
 * Parses a bundle's manifest.json. Fields it does not know are left out of the answer.
 *
 * @throws {SubspanError} BUNDLE_VERSION for another format version; BUNDLE_INVALID, naming the field, what was
 *   expected and what came.
 */
export function parseManifest(json: unknown): Manifest {
  const root = field(json, "manifest");
  checkVersion(root);
  const files = root.get("files").items(fileOf);
  const paths = files.map(({ path }) => path.toLowerCase());
  const twice = paths.findIndex((path, i) => paths.indexOf(path) !== i);
  if (twice >= 0) root.get("files").fail("every path once", `${files[twice]!.path} twice`);
  return { ...parseGraphManifest(root), files };
}

/**
 * Parses the manifest inside a graph.
 *
 * @throws {SubspanError} BUNDLE_INVALID if there is none, or one that is wrong; BUNDLE_VERSION.
 */
export function graphManifest(graph: GraphSummary): GraphManifest {
  const text = graph.metadata[METADATA_KEY];
  if (text === undefined) throw new SubspanError("BUNDLE_INVALID", `no clusterer: no metadata "${METADATA_KEY}"`);
  const root = field(parseJson(text, "the graph's manifest"), "the graph's manifest");
  checkVersion(root);
  return parseGraphManifest(root);
}

/** First of all: what another version means by a field is not known here. @throws {SubspanError} BUNDLE_VERSION. */
function checkVersion(root: Field): void {
  const version = root.get("formatVersion");
  if (version.optional((field) => field.integer(1)) !== FORMAT_VERSION)
    version.fail(`${FORMAT_VERSION}, the format of this version of subspan`, undefined, "BUNDLE_VERSION");
}

/** JSON, as text or in UTF-8, or BUNDLE_INVALID, naming `what`. */
export function parseJson(json: string | Uint8Array, what: string): unknown {
  try {
    return JSON.parse(typeof json === "string" ? json : new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch (cause) {
    throw new SubspanError("BUNDLE_INVALID", `${what}: expected JSON, got ${(cause as Error).message}`, { cause });
  }
}

/** A value at the edge, with the path that messages name it by. */
class Field {
  readonly #value: unknown;
  readonly #path: string;

  constructor(value: unknown, path: string) {
    this.#value = value;
    this.#path = path;
  }

  fail(expected: string, got = show(this.#value), code: ErrorCode = "BUNDLE_INVALID"): never {
    throw new SubspanError(code, `${this.#path}: expected ${expected}, got ${got}`);
  }

  get(name: string): Field {
    return new Field(Object.hasOwn(this.#object(), name) ? this.#object()[name] : undefined, `${this.#path}.${name}`);
  }

  optional<T>(parse: (field: Field) => T): T | undefined {
    return this.#value === undefined ? undefined : parse(this);
  }

  text(pattern = /^/, expected = "text"): string {
    const value = this.#value;
    return typeof value === "string" && pattern.test(value) ? value : this.fail(expected);
  }

  integer(min: number, max = Number.MAX_SAFE_INTEGER): number {
    const value = this.#value;
    const fits = typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max;
    return fits ? value : this.fail(`an integer from ${min} to ${max}`);
  }

  number(): number {
    return typeof this.#value === "number" && Number.isFinite(this.#value) ? this.#value : this.fail("a number");
  }

  one<T extends string | number>(...choices: readonly T[]): T {
    return choices.find((choice) => choice === this.#value) ?? this.fail(choices.map(show).join(" or "));
  }

  items<T>(parse: (field: Field) => T): readonly T[] {
    if (!Array.isArray(this.#value)) return this.fail("a list");
    return this.#value.map((item, i) => parse(new Field(item, `${this.#path}[${i}]`)));
  }

  /** Entries in the order of their names, so that equal records are equal as JSON. */
  record<T>(parse: (field: Field) => T): Readonly<Record<string, T>> {
    const names = Object.keys(this.#object()).sort();
    return Object.fromEntries(names.map((name) => [name, parse(this.get(name))]));
  }

  #object(): Record<string, unknown> {
    const value = this.#value;
    const is = typeof value === "object" && value !== null && !Array.isArray(value);
    return is ? (value as Record<string, unknown>) : this.fail("an object");
  }
}

const field = (value: unknown, path: string) => new Field(value, path);

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value);
  if (typeof value !== "object" || value === null) return value === undefined ? "nothing" : String(value);
  return Array.isArray(value) ? `a list of ${value.length}` : "an object";
}

function parseGraphManifest(root: Field): GraphManifest {
  const clusters = root.get("clusters").integer(1, 2 ** 20);
  const perCluster = <T>(name: string, items: readonly T[]) =>
    items.length === clusters ? items : root.get(name).fail(`${clusters} items, one a cluster`);
  const names = root.get("clusterNames").optional((list) =>
    perCluster(
      "clusterNames",
      list.items((name) => name.text()),
    ),
  );
  const metrics = root.get("metrics").optional((record) => record.record((metric) => metric.number()));
  const data = root.get("data");
  return {
    formatVersion: FORMAT_VERSION,
    name: root.get("name").text(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, "a name of letters, digits, '.', '_' and '-'"),
    method: root.get("method").text(),
    readout: root.get("readout").text(),
    clusters,
    input: inputOf(root.get("input")),
    outputs: outputsOf(root.get("outputs"), clusters),
    clusterSizes: perCluster(
      "clusterSizes",
      root.get("clusterSizes").items((size) => size.integer(0)),
    ),
    ...(names === undefined ? {} : { clusterNames: names }),
    ...(metrics === undefined ? {} : { metrics }),
    seed: root.get("seed").integer(0),
    data: {
      name: data.get("name").text(),
      samples: data.get("samples").integer(0),
      fingerprint: data.get("fingerprint").text(),
    },
    versions: root.get("versions").record((version) => version.text()),
    licence: root.get("licence").text(),
    created: root.get("created").text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/, "an ISO 8601 time"),
  };
}

function inputOf(input: Field): ManifestInput {
  const kind = input.get("kind").one("images", "features");
  return {
    name: input.get("name").text(/./, "a name"),
    kind,
    shape: shapeOf(input.get("shape"), kind === "images" ? 4 : 2),
    dtype: input.get("dtype").one(kind === "images" ? "uint8" : "float32"),
    preprocessing: input.get("preprocessing").text(),
  };
}

/** Output names once each, and the three every clusterer has, of the shapes they have. */
function outputsOf(field: Field, clusters: number): readonly ManifestOutput[] {
  const outputs = field.items((output) => ({
    name: output.get("name").text(/./, "a name"),
    dtype: output.get("dtype").one("int64", "float32"),
    shape: shapeOf(output.get("shape")),
  }));
  const described = outputs.map(
    ({ name, dtype, shape }) => `${name} ${dtype} [${["N", ...shape.slice(1)].join(", ")}]`,
  );
  const expected = ["label int64 [N]", "confidence float32 [N]", "novelty float32 [N]"];
  const probabilities = outputs.some(({ name }) => name === "probabilities");
  if (probabilities) expected.push(`probabilities float32 [N, ${clusters}]`);
  const missing = expected.find((output) => !described.includes(output));
  if (missing !== undefined) field.fail(missing, described.join(", ") || "none");
  if (new Set(outputs.map(({ name }) => name)).size !== outputs.length)
    field.fail("every name once", described.join(", "));
  return outputs;
}

function shapeOf(field: Field, rank?: number): Shape {
  const shape = field
    .items((dim) => dim)
    .map((dim, i) => (i === 0 ? dim.text(/./, "a name") : dim.integer(1, 2 ** 28)));
  if (shape.length === 0 || (rank !== undefined && shape.length !== rank)) field.fail(`${rank ?? "some"} dimensions`);
  const elements = shape.slice(1).reduce<number>((a, b) => a * Number(b), 1);
  if (elements > GRAPH_LIMITS.constantElements) field.fail(`up to ${GRAPH_LIMITS.constantElements} elements a sample`);
  return shape;
}

function fileOf(file: Field): ManifestFile {
  const path = file.get("path").text();
  if (!isSafePath(path) || path.toLowerCase() === "manifest.json") file.get("path").fail("a path inside the bundle");
  return {
    path,
    size: file.get("size").integer(0, GRAPH_LIMITS.modelBytes),
    sha256: file.get("sha256").text(/^[0-9a-f]{64}$/, "64 hexadecimal digits"),
  };
}
