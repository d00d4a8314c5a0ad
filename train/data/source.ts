import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename, extname, resolve } from "node:path";
import { checkAborted } from "../../runtime/abort.ts";
import { SubspanError } from "../../runtime/errors.ts";
import { kindOf } from "../../runtime/input-check.ts";
import type { Samples } from "../../runtime/samples.ts";
import { didYouMean } from "../nearest-name.ts";
import { contentOf, partsOf } from "./arrays.ts";
import { ByteReader, invalid, readBytes, streamed, unreadable } from "./bytes.ts";
import { csvParts, loadCsv } from "./csv.ts";
import { type Content, type Dataset, dataset, type Skipped } from "./dataset.ts";
import { DIGITS, loadDigits } from "./digits.ts";
import { type FolderImages, folderParts, loadFolder } from "./folder.ts";
import { idxParts, loadIdx, looksLikeIdx } from "./idx.ts";
import { decodeNpy, NpyRows } from "./npy.ts";
import { decodeNpz, openNpz } from "./npz.ts";
import { loadParquet, parquetParts } from "./parquet.ts";

export interface SourceOptions {
  /** How many there will be; fewer samples than that are an error. */
  readonly clusters?: number;
  /** What images of a folder are to be; unless given, one channel if all are grey, and of the first one's size. */
  readonly images?: Pick<StreamOptions, "size"> & Required<Pick<StreamOptions, "channels">>;
}

export interface StreamOptions {
  /** Of a folder's images: 3 unless said. Where it is 1, images that are not grey are files that are not read. */
  readonly channels?: 1 | 3;
  /** Whether image files of a folder that cannot be read are left out and told of, and the rest goes on. */
  readonly skip?: boolean;
  /** Height and width of all images of a folder; unless given, those of the first that can be read. */
  readonly size?: readonly [height: number, width: number];
}

/** A source that is read in parts, each time anew: memory is that of a part, of a Parquet file that of a row group. */
export interface SampleStream {
  readonly name: string;
  /** All samples in their order. @throws {SubspanError} as `loadSource`, when reading comes to the fault. */
  parts(): AsyncGenerator<Samples>;
  /** Files that were left out so far by the last reading, in their order. */
  readonly skipped: readonly Skipped[];
}

/** What is to be known of a source before a part of it is assigned. */
export interface Survey {
  readonly samples: number;
  /** sha256 of their data, and of the shape and kind of one. */
  readonly fingerprint: string;
  readonly skipped: readonly Skipped[];
}

const UNDERSTOOD = `A source is one of ${Object.keys(DIGITS).join(", ")}; or a path: .npz (x, optional y), .npy, .csv, .parquet, \
IDX (images[,labels], also .gz), or a folder of images (sub-folders are labels).`;

/**
 * Samples from a name (`digits`, `digits:train`, `digits:unseen`) or a path: .npz, .npy, .csv, .parquet, IDX `images[,labels]`,
 * a folder of images. Labels come apart from the samples and are for scoring alone.
 *
 * @throws {SubspanError} USAGE if this is no source, SOURCE_MISSING if nothing is at the path, TOO_FEW_SAMPLES, NOT_FINITE for
 *   features that are not, DEPENDENCY_MISSING with an install line, else SOURCE_INVALID naming file and place.
 */
export async function loadSource(source: string, { clusters = 1, images }: SourceOptions = {}): Promise<Dataset> {
  if (typeof source !== "string")
    throw new SubspanError("USAGE", `source: expected a name or a path, got ${kindOf(source)}`);
  const found = await load(source, images);
  const n = found.samples.shape[0];
  if (n < clusters || n === 0) {
    throw new SubspanError("TOO_FEW_SAMPLES", `${source}: ${n} samples, expected at least ${clusters}, one a cluster`);
  }
  return found;
}

/**
 * The samples of `loadSource` part after part, without labels.
 *
 * @throws {SubspanError} USAGE, SOURCE_MISSING or SOURCE_INVALID if this is no source.
 */
export async function openSource(
  source: string,
  { channels = 3, skip = false, size }: StreamOptions = {},
): Promise<SampleStream> {
  const skipped: Skipped[] = [];
  const { name, parts } = await opened(source, { channels, skipped: skip ? skipped : undefined, size });
  async function* counted() {
    skipped.length = 0;
    let n = 0;
    for await (const part of parts()) {
      n += part.shape[0];
      yield part;
    }
    if (n === 0) throw new SubspanError("TOO_FEW_SAMPLES", `${source}: 0 samples, expected at least 1`);
  }
  return { name, parts: counted, skipped };
}

async function opened(
  source: string,
  images: FolderImages,
): Promise<{ name: string; parts: () => AsyncIterable<Samples> | Iterable<Samples> }> {
  if (isDigits(source)) {
    const { name, samples } = await loadDigits(source);
    return { name, parts: () => [samples] };
  }
  const { path, labels, kind } = await found(source);
  const name = basename(resolve(path));
  if (kind === "folder") return { name, parts: () => folderParts(path, images) };
  const parts = labels === undefined ? (await readerOf(path)).parts : () => idxParts(path, labels);
  return { name, parts: () => parts(path) };
}

/** Reads a source through, once. @throws {SubspanError} as its parts do; INTERRUPTED. */
export async function survey(source: SampleStream, signal?: AbortSignal): Promise<Survey> {
  const hash = createHash("sha256");
  let samples = 0;
  let what = "";
  for await (const { kind, data, shape } of source.parts()) {
    checkAborted(signal);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    samples += shape[0];
    what = `${kind} [${shape.slice(1)}]`;
  }
  const skipped = [...source.skipped];
  hash.update(`${what} without ${skipped.map(({ index }) => index)}`); // samples go by their places among all files
  return { samples, fingerprint: hash.digest("hex"), skipped };
}

async function load(source: string, images: SourceOptions["images"]): Promise<Dataset> {
  if (isDigits(source)) return loadDigits(source);
  const { path, labels, kind } = await found(source);
  const file = async () => (labels === undefined ? (await readerOf(path)).load(path) : loadIdx(path, labels));
  const content = kind === "folder" ? loadFolder(path, images) : file();
  return dataset(basename(resolve(path)), await content);
}

/** What is at a path, or at the first of two with a comma between. */
async function found(source: string) {
  const comma = source.indexOf(",");
  const pair = comma > 0 && !(await kindAt(source));
  const [path = "", labels] = pair ? [source.slice(0, comma), source.slice(comma + 1)] : [source];
  const kind = await kindAt(path);
  if (kind === undefined) throw noSource(path);
  return { path, labels, kind };
}

/** How a kind of file is read, whole and part after part. */
interface Reader {
  load(path: string): Promise<Content>;
  parts(path: string): AsyncGenerator<Samples>;
}

async function readerOf(path: string): Promise<Reader> {
  const reader = READERS[extname(path).toLowerCase()];
  if (reader !== undefined) return reader;
  if (looksLikeIdx(await readBytes(path, 0, 4))) return { load: loadIdx, parts: idxParts };
  throw invalid(path, `neither its name nor its first bytes say what it is. ${UNDERSTOOD}`);
}

const READERS: Readonly<Record<string, Reader>> = {
  ".npy": {
    load: async (path) => contentOf(path, decodeNpy(await readBytes(path), path)),
    async *parts(path) {
      const { size } = await stat(path);
      yield* partsOf(path, await NpyRows.open(new ByteReader(streamed(path)), size, path));
    },
  },
  ".npz": {
    async load(path) {
      const { x, y } = decodeNpz(await readBytes(path), path);
      return contentOf(path, x, y);
    },
    async *parts(path) {
      const [x] = await openNpz(path, ["x"]);
      yield* partsOf(path, x as NpyRows);
    },
  },
  ".csv": { load: loadCsv, parts: csvParts },
  ".parquet": { load: loadParquet, parts: parquetParts },
};

const isDigits = (source: string): source is keyof typeof DIGITS => Object.hasOwn(DIGITS, source);

async function kindAt(path: string): Promise<"file" | "folder" | undefined> {
  return stat(path).then(
    (found) => (found.isDirectory() ? "folder" : "file"),
    (error) => {
      if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
      throw unreadable(path, error);
    },
  );
}

/** What looks like a path is a missing file, all else a misspelt name. */
function noSource(source: string): SubspanError {
  if (/[\\/.]/.test(source)) return new SubspanError("SOURCE_MISSING", `${source}: no such file or folder`);
  const hint = didYouMean(source, Object.keys(DIGITS));
  return new SubspanError("USAGE", `${source}: no such source, file or folder.${hint} ${UNDERSTOOD}`);
}
