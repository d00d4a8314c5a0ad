import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import type { FileMetaData } from "hyparquet";
import { unreadable } from "./bytes.ts";

/** Values of a column from row `at` on. */
export interface Chunk {
  readonly at: number;
  readonly data: ArrayLike<unknown>;
}

/** Rows of a column. */
interface Range {
  readonly name: string;
  readonly rowStart: number;
  readonly rowEnd: number;
}

/**
 * The process's module, as text: the same for a program that is built and one that is not. GZIP and BROTLI are what Node
 * unpacks and hyparquet does not.
 */
const code = (hyparquet: string) => `
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead } from ${JSON.stringify(hyparquet)};

const compressors = {
  GZIP: (bytes, size) => gunzipSync(bytes, { maxOutputLength: size }),
  BROTLI: (bytes, size) => brotliDecompressSync(bytes, { maxOutputLength: size }),
};
const file = await asyncBufferFromFile(process.argv.at(-1));
let metadata;

async function column({ name, ...rows }) {
  const chunks = [];
  const onChunk = ({ columnName, columnData, rowStart }) => {
    if (columnName === name) chunks.push({ at: rowStart, data: columnData });
  };
  await parquetRead({ file, metadata, columns: [name], ...rows, compressors, onChunk });
  return chunks;
}

process.on("message", async ({ range }) => {
  try {
    metadata ??= await parquetMetadataAsync(file);
    process.send({ value: range ? await column(range) : metadata });
  } catch (error) {
    process.send({ error: error.message });
  }
});
`;

const MEGABYTE = 2 ** 20;
/** Milliseconds that every answer may take, and one more for so many bytes of what is read. */
const PATIENCE = { milliseconds: 10_000, bytes: 1000 };
/** Megabytes of memory, and more for each of the file. */
const MEMORY = { least: 512, each: 32 };
/** How much smaller than its content a file can honestly be; what it says of itself beyond is not waited for. */
const PACKED = 100;

/**
 * hyparquet, in a process that may end, and is ended when it takes too long: on a damaged page (a run of 2^31 values, blocks of a
 * negative length) it loops for minutes or for ever, or fills the memory, of which V8 ends no thread but the whole process.
 */
export class ParquetProcess {
  readonly #child: ChildProcess;
  readonly #size: number;
  readonly #patience: number;
  readonly #ended = new AbortController();

  private constructor(path: string, size: number, patience: number) {
    const hyparquet = pathToFileURL(createRequire(import.meta.url).resolve("hyparquet")).href;
    const memory = MEMORY.least + Math.ceil((MEMORY.each * size) / MEGABYTE);
    const argv = ["--input-type=module", `--max-old-space-size=${memory}`, "--eval", code(hyparquet), "--", path];
    this.#child = spawn(process.execPath, argv, {
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      serialization: "advanced",
      detached: true, // Ctrl-C is for us alone
      windowsHide: true,
    });
    this.#size = size;
    this.#patience = patience;
    const why = `its reader ended, as for want of memory (${memory} MB); a page is damaged`;
    this.#child.on("exit", () => this.#ended.abort(new Error(why))).on("error", (error) => this.#ended.abort(error));
    process.on("exit", this.#end);
  }

  /** @throws {SubspanError} SOURCE_MISSING, or SOURCE_INVALID if the file cannot be read. */
  static async open(path: string, patience = PATIENCE.milliseconds): Promise<ParquetProcess> {
    const { size } = await stat(path).catch((error) => {
      throw unreadable(path, error);
    });
    return new ParquetProcess(path, size, patience);
  }

  metadata(): Promise<FileMetaData> {
    return this.#ask(undefined, 0) as Promise<FileMetaData>;
  }

  /** A column's values in pieces. @param bytes - that they are said to take. */
  column(range: Range, bytes: number): Promise<Chunk[]> {
    return this.#ask(range, bytes) as Promise<Chunk[]>;
  }

  end(): void {
    process.off("exit", this.#end);
    this.#end();
  }

  readonly #end = () => {
    this.#child.kill("SIGKILL");
  };

  async #ask(range: Range | undefined, bytes: number): Promise<unknown> {
    const most = Math.ceil(this.#patience + Math.min(bytes, PACKED * this.#size) / PATIENCE.bytes);
    const late = AbortSignal.timeout(most);
    const signal = AbortSignal.any([late, this.#ended.signal]);
    this.#child.send({ range }, () => {}); // that it could not be sent is told by its end
    const [{ value, error }] = await once(this.#child, "message", { signal }).catch((cause) => {
      if (late.aborted) throw new Error(`not read within ${(most / 1000).toFixed(1)} s; a page is damaged`);
      throw this.#ended.signal.aborted ? this.#ended.signal.reason : cause;
    });
    if (error !== undefined) throw new Error(error);
    return value;
  }
}
