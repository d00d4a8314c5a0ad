import { lstat, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { zipSync } from "fflate";
import { openBundle, type Precision, sha256 } from "../runtime/bundle.ts";
import { SubspanError } from "../runtime/errors.ts";
import { type GraphManifest, type Manifest, METADATA_KEY, parseJson, parseManifest } from "../runtime/manifest.ts";
import { readZip } from "../runtime/zip.ts";
import { writeFileAtomic, writeFolderAtomic } from "./files.ts";
import type { ParityReport } from "./parity.ts";
import type { Preview } from "./preview.ts";
import { encodeModel, type Model } from "./proto.ts";

/** What a bundle is made of. */
export interface BundleContent {
  readonly manifest: GraphManifest;
  readonly model: Model;
  /** The same in lower precision, by its name: `fp16` becomes model.fp16.onnx. */
  readonly variants?: Readonly<Partial<Record<Precision, Model>>>;
  /** Beside the whole, by name: `encoder` becomes encoder.onnx. */
  readonly parts?: Readonly<Record<string, Model>>;
  readonly parity: ParityReport;
  readonly card: string;
  readonly preview: Preview;
}

/** The file a bundle can be, in place of a folder. */
const ARCHIVE = /\.subspan$/;
const MANIFEST = "manifest.json";
/** The earliest time a zip can tell, in every time zone: archives of equal content are equal. */
const ZIP_TIME = new Date(1980, 0, 1);

/** A clusterer's graph as bytes, with its manifest inside, so that it is enough by itself. */
export function modelWithManifest(model: Model, manifest: GraphManifest): Uint8Array<ArrayBuffer> {
  return encodeModel({ ...model, metadata: { ...model.metadata, [METADATA_KEY]: JSON.stringify(manifest) } });
}

/**
 * The files of a bundle by path, manifest.json first: equal content, equal bytes. What loads bundles has checked them.
 *
 * @throws {SubspanError} BUNDLE_INVALID, GRAPH_INVALID or GRAPH_REFUSED if the content makes no bundle that loads.
 */
export async function bundleFiles(content: BundleContent): Promise<ReadonlyMap<string, Uint8Array>> {
  const { model, variants = {}, parts = {}, parity, card, preview } = content;
  const whole = Object.entries(variants).map(([name, variant]): [string, Uint8Array] => [
    `model.${name}.onnx`,
    modelWithManifest(variant, content.manifest),
  ]);
  const graphs = Object.entries(parts).map(([name, part]): [string, Uint8Array] => [`${name}.onnx`, encodeModel(part)]);
  const files = new Map<string, Uint8Array>([
    ["model.onnx", modelWithManifest(model, content.manifest)],
    ...whole,
    ...graphs,
    ["parity.json", text(`${JSON.stringify(parity, null, 2)}\n`)],
    ["card.md", text(card)],
    ["preview.json", text(`${JSON.stringify(preview)}\n`)],
  ]);
  const listed = [...files].map(async ([path, bytes]) => ({ path, size: bytes.length, sha256: await sha256(bytes) }));
  const manifest: Manifest = { ...content.manifest, files: await Promise.all(listed) };
  const all = new Map([[MANIFEST, text(`${JSON.stringify(manifest, null, 2)}\n`)], ...files]);
  const written = { origin: "the new bundle", read: async (path: string) => all.get(path) as Uint8Array };
  const bundle = await openBundle(written);
  for (const name of Object.keys(variants)) await openBundle(written, { dtype: name as Precision });
  for (const { path } of bundle.files) await bundle.read(path);
  return all;
}

/**
 * Writes a bundle: a folder, or one file where `out` ends with .subspan. It appears whole or not at all.
 *
 * @param overwrite - whether a bundle that is there is replaced.
 * @returns its size in bytes.
 * @throws {SubspanError} USAGE if something else is there, or a bundle and not `overwrite`; see `bundleFiles`.
 */
export async function writeBundle(out: string, content: BundleContent, { overwrite = false } = {}): Promise<number> {
  await checkDestination(out, overwrite);
  const files = await bundleFiles(content);
  const sizes = [...files.values()].map((bytes) => bytes.length);
  if (ARCHIVE.test(out)) {
    const archive = storedZip(files);
    await writeFileAtomic(out, archive);
    return archive.length;
  }
  await writeFolderAtomic(out, async (folder) => {
    for (const [path, bytes] of files) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), bytes);
    }
  });
  return sizes.reduce((a, b) => a + b, 0);
}

/**
 * Refuses a destination that would destroy something: what is there must be nothing, an empty folder, or a bundle.
 *
 * @throws {SubspanError} USAGE.
 */
export async function checkDestination(out: string, overwrite: boolean): Promise<void> {
  if (/\.(onnx|zip)$/.test(out)) throw refused(out, "expected a folder, or a file that ends with .subspan");
  const found = await lstat(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw refused(out, `cannot be written: ${error.message}`);
  });
  if (found === undefined || (found.isDirectory() && !ARCHIVE.test(out) && (await readdir(out)).length === 0)) return;
  if (found.isDirectory() === ARCHIVE.test(out)) throw refused(out, `there is a ${kind(found)} of this name`);
  const problem = found.isDirectory() ? await notABundle(out) : found.isFile() ? await notAnArchive(out) : kind(found);
  if (problem !== undefined) throw refused(out, `is not a bundle (${problem}) and stays; choose another place`);
  if (!overwrite)
    throw refused(
      out,
      "there is a bundle already; overwrite it by --overwrite (overwrite: true), or choose another place",
    );
}

const kind = (found: { isDirectory(): boolean; isFile(): boolean }) =>
  found.isDirectory() ? "folder" : found.isFile() ? "file" : "link or device";

/** Why a folder is no bundle: it has no manifest, or files that its manifest does not name. */
async function notABundle(folder: string): Promise<string | undefined> {
  const paths = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = paths
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(folder, "/").length).replaceAll("\\", "/"));
  if (!names.includes(MANIFEST)) return `it has no ${MANIFEST}`;
  return problemOf(await readFile(join(folder, MANIFEST)), names);
}

async function notAnArchive(path: string): Promise<string | undefined> {
  try {
    const files = readZip(await readFile(path));
    return problemOf(files.get(MANIFEST) ?? text("no manifest"), [...files.keys()]);
  } catch (error) {
    return (error as Error).message;
  }
}

function problemOf(manifest: Uint8Array, names: readonly string[]): string | undefined {
  try {
    const { files } = parseManifest(parseJson(manifest, MANIFEST));
    const stray = names.find((name) => name !== MANIFEST && !files.some(({ path }) => path === name));
    return stray === undefined ? undefined : `it holds ${stray}`;
  } catch (error) {
    return (error as Error).message;
  }
}

/** A stored zip, entries in the order of the files. */
function storedZip(files: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const entries = [...files].map(([path, bytes]) => [path, [bytes, { level: 0, mtime: ZIP_TIME }]] as const);
  return zipSync(Object.fromEntries(entries) as Parameters<typeof zipSync>[0]);
}

function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function refused(path: string, why: string): SubspanError {
  return new SubspanError("USAGE", `${path}: ${why}`);
}
