/** Where models come from: what the paths given to the server mean. */
import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type Bundle, SubspanError } from "../../runtime/node.ts";

/** What can be served: a path (see `findVersions`), a URL, a bundle's bytes, or what `readBundle` answered. */
export type Source = string | URL | Uint8Array | Bundle;

/** One version of one model, found and not read yet. */
export interface FoundVersion {
  /** Undefined where the bundle's own manifest says it. */
  readonly name: string | undefined;
  readonly version: string;
  readonly source: string | Uint8Array | Bundle;
  /** Differs whenever the files do; undefined for what cannot be watched. */
  readonly fingerprint: string | undefined;
}

export interface Found {
  readonly versions: readonly FoundVersion[];
  /** Model -> label -> version, from `labels.json` beside the versions. */
  readonly labels: ReadonlyMap<string, ReadonlyMap<string, string>>;
}

/** What may name a model or a label in a path, and what may name a version. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
export const VERSION = /^[1-9][0-9]{0,17}$/;

/** The version of a bundle that stands alone. */
const ONLY = "1";
const LABELS = "labels.json";
const MANIFEST = "manifest.json";
/** A bundle in one file. */
const FILE = /\.(subspan|onnx)$/;

/**
 * Finds what a source has to serve. A path is one of
 *
 * - a bundle: a folder with manifest.json, or a `.subspan` or `.onnx` file. It is version 1 of the name it gives itself;
 * - a model: a folder of bundles called by their version numbers, and maybe labels.json: `{"stable": 1, "canary": 2}`;
 * - a repository: a folder of bundles and models. There each goes by the name of its folder or file.
 *
 * @throws {SubspanError} BUNDLE_MISSING for a path that is not there, USAGE for a folder with nothing to serve.
 */
export async function findVersions(source: Source): Promise<Found> {
  const path = pathOf(source);
  if (path === undefined) {
    const bundle = source instanceof URL ? source.href : (source as string | Uint8Array | Bundle);
    return {
      versions: [{ name: undefined, version: ONLY, source: bundle, fingerprint: undefined }],
      labels: new Map(),
    };
  }
  const root = resolve(path);
  const listed = await entries(root);
  if (listed === undefined || listed.includes(MANIFEST)) {
    const version = { name: undefined, version: ONLY, source: root, fingerprint: await fingerprint(root) };
    return { versions: [version], labels: new Map() };
  }
  const others = listed.filter((name) => !VERSION.test(name));
  if (others.length < listed.length && !(await holdBundles(root, others))) return modelAt(root, basename(root), listed);
  return repositoryAt(root, listed);
}

/** Whether any of a folder's entries is a bundle or a model: then it is a repository, whatever its other entries are called. */
async function holdBundles(root: string, names: readonly string[]): Promise<boolean> {
  for (const name of names) {
    const inside = await entries(join(root, name)).catch((): readonly string[] => []);
    const isBundle = inside === undefined ? FILE.test(name) : inside.includes(MANIFEST);
    if (isBundle || inside?.some((entry) => VERSION.test(entry))) return true;
  }
  return false;
}

function pathOf(source: Source): string | undefined {
  if (source instanceof URL) return source.protocol === "file:" ? fileURLToPath(source) : undefined;
  if (typeof source !== "string") return undefined;
  if (source.startsWith("file:")) return fileURLToPath(source);
  return /^https?:/.test(source) ? undefined : source;
}

async function repositoryAt(root: string, listed: readonly string[]): Promise<Found> {
  const versions: FoundVersion[] = [];
  const labels = new Map<string, ReadonlyMap<string, string>>();
  for (const entry of listed) {
    const path = join(root, entry);
    const inside = await entries(path).catch(() => undefined); // a link to nowhere is a file that is not read
    if (inside?.some((name) => VERSION.test(name)) && !inside.includes(MANIFEST)) {
      const model = await modelAt(path, entry, inside);
      versions.push(...model.versions);
      for (const [name, own] of model.labels) labels.set(name, own);
    } else if (inside === undefined ? FILE.test(entry) : inside.includes(MANIFEST)) {
      const name = inside === undefined ? basename(entry, extname(entry)) : entry;
      versions.push({ name, version: ONLY, source: path, fingerprint: await fingerprint(path) });
    }
  }
  if (versions.length === 0) throw new SubspanError("USAGE", `${root}: expected bundles to serve, found none`);
  return { versions, labels };
}

async function modelAt(folder: string, name: string, listed: readonly string[]): Promise<Found> {
  const versions: FoundVersion[] = [];
  for (const version of listed.filter((entry) => VERSION.test(entry))) {
    const path = join(folder, version);
    const inside = (await entries(path)) ?? [];
    const bare = inside.includes("model.onnx") && !inside.includes(MANIFEST);
    const source = bare ? join(path, "model.onnx") : path;
    versions.push({ name, version, source, fingerprint: await fingerprint(path) });
  }
  const labels = listed.includes(LABELS) ? await readLabels(join(folder, LABELS)) : new Map<string, string>();
  return { versions, labels: new Map([[name, labels]]) };
}

/** @throws {SubspanError} USAGE for another form. */
async function readLabels(path: string): Promise<ReadonlyMap<string, string>> {
  const json: unknown = await readFile(path, "utf8")
    .then(JSON.parse)
    .catch(() => undefined);
  const pairs = Object.entries(typeof json === "object" && json !== null ? json : { "": "" });
  if (!pairs.every(([label, version]) => NAME.test(label) && VERSION.test(String(version))))
    throw new SubspanError("USAGE", `${path}: expected labels and their versions, such as {"stable": 1}`);
  return new Map(pairs.map(([label, version]) => [label, String(version)]));
}

/** What is in a folder, sorted; undefined for a file. @throws {SubspanError} BUNDLE_MISSING. */
async function entries(path: string): Promise<readonly string[] | undefined> {
  try {
    return (await readdir(path)).sort();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOTDIR") return undefined;
    throw new SubspanError("BUNDLE_MISSING", `${path}: ${(cause as Error).message}`, { cause });
  }
}

/** Names, sizes and times of a bundle's files: cheap to ask for every second. */
async function fingerprint(path: string): Promise<string> {
  const files = (await entries(path).catch(() => [])) ?? [""];
  const parts = await Promise.all(
    files.map(async (name) => {
      const found = await stat(join(path, name)).catch(() => undefined);
      return [name, found?.size, found?.mtimeMs, found?.ino].join();
    }),
  );
  return createHash("sha256").update(parts.join("\n")).digest("hex");
}
