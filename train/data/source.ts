import { stat } from "node:fs/promises";
import { basename, extname, resolve } from "node:path";
import { SubspanError } from "../../runtime/errors.ts";
import { didYouMean } from "../nearest-name.ts";
import { contentOf } from "./arrays.ts";
import { invalid, readBytes, unreadable } from "./bytes.ts";
import { loadCsv } from "./csv.ts";
import { type Content, type Dataset, dataset } from "./dataset.ts";
import { DIGITS, loadDigits } from "./digits.ts";
import { loadFolder } from "./folder.ts";
import { loadIdx, looksLikeIdx } from "./idx.ts";
import { decodeNpy } from "./npy.ts";
import { decodeNpz } from "./npz.ts";
import { loadParquet } from "./parquet.ts";

export interface SourceOptions {
  /** How many there will be; fewer samples than that are an error. */
  readonly clusters?: number;
  /** Whether image files of a folder that cannot be read are left out and told of, and the rest goes on. */
  readonly skip?: boolean;
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
export async function loadSource(source: string, { clusters = 1, skip = false }: SourceOptions = {}): Promise<Dataset> {
  const found = await load(source, skip);
  const n = found.samples.shape[0];
  if (n < clusters || n === 0) {
    throw new SubspanError("TOO_FEW_SAMPLES", `${source}: ${n} samples, expected at least ${clusters}, one a cluster`);
  }
  return found;
}

async function load(source: string, skip: boolean): Promise<Dataset> {
  if (isDigits(source)) return loadDigits(source);
  const comma = source.indexOf(",");
  const pair = comma > 0 && !(await kindAt(source));
  const [path, labels] = pair ? [source.slice(0, comma), source.slice(comma + 1)] : [source];
  const kind = await kindAt(path);
  if (kind === undefined) throw noSource(path);
  const file = () => (labels === undefined ? loadFile(path) : loadIdx(path, labels));
  const content = kind === "folder" ? loadFolder(path, undefined, skip) : file();
  return dataset(basename(resolve(path)), await content);
}

async function loadFile(path: string): Promise<Content> {
  const reader = READERS[extname(path).toLowerCase()];
  if (reader !== undefined) return reader(path);
  if (looksLikeIdx(await readBytes(path))) return loadIdx(path);
  throw invalid(path, `neither its name nor its first bytes say what it is. ${UNDERSTOOD}`);
}

const READERS: Readonly<Record<string, (path: string) => Promise<Content>>> = {
  ".npy": async (path) => contentOf(path, decodeNpy(await readBytes(path), path)),
  ".npz": async (path) => {
    const { x, y } = decodeNpz(await readBytes(path), path);
    return contentOf(path, x, y);
  },
  ".csv": loadCsv,
  ".parquet": loadParquet,
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
