import { once } from "node:events";
import { stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
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
 * The thread's module, as text: the same for a program that is built and one that is not. GZIP and BROTLI are what Node
 * unpacks and hyparquet does not.
 */
const code = (hyparquet: string) => `
import { parentPort, workerData } from "node:worker_threads";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead } from ${JSON.stringify(hyparquet)};

const compressors = {
  GZIP: (bytes, size) => gunzipSync(bytes, { maxOutputLength: size }),
  BROTLI: (bytes, size) => brotliDecompressSync(bytes, { maxOutputLength: size }),
};
const file = await asyncBufferFromFile(workerData);
let metadata;

async function column({ name, ...rows }) {
  const chunks = [];
  const onChunk = ({ columnName, columnData, rowStart }) => {
    if (columnName === name) chunks.push({ at: rowStart, data: columnData });
  };
  await parquetRead({ file, metadata, columns: [name], ...rows, compressors, onChunk });
  return chunks;
}

parentPort.on("message", async (range) => {
  try {
    metadata ??= await parquetMetadataAsync(file);
    parentPort.postMessage({ value: range ? await column(range) : metadata });
  } catch (error) {
    parentPort.postMessage({ error: error.message });
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
 * hyparquet, in a thread that is ended when it takes too long or too much: on a damaged page (a run of 2^31 values, blocks of a
 * negative length) it loops for minutes or for ever, or fills the memory.
 */
export class ParquetThread {
  readonly #worker: Worker;
  readonly #size: number;
  readonly #patience: number;

  private constructor(path: string, size: number, patience: number) {
    const hyparquet = pathToFileURL(createRequire(import.meta.url).resolve("hyparquet")).href;
    const maxOldGenerationSizeMb = MEMORY.least + Math.ceil((MEMORY.each * size) / MEGABYTE);
    this.#worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code(hyparquet))}`), {
      workerData: path,
      resourceLimits: { maxOldGenerationSizeMb },
    });
    this.#worker.on("error", () => {}); // \`once\` tells the one who waits
    this.#size = size;
    this.#patience = patience;
  }

  /** @throws {SubspanError} SOURCE_MISSING, or SOURCE_INVALID if the file cannot be read. */
  static async open(path: string, patience = PATIENCE.milliseconds): Promise<ParquetThread> {
    const { size } = await stat(path).catch((error) => {
      throw unreadable(path, error);
    });
    return new ParquetThread(path, size, patience);
  }

  metadata(): Promise<FileMetaData> {
    return this.#ask(undefined, 0) as Promise<FileMetaData>;
  }

  /** A column's values in pieces. @param bytes - that they are said to take. */
  column(range: Range, bytes: number): Promise<Chunk[]> {
    return this.#ask(range, bytes) as Promise<Chunk[]>;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  async #ask(range: Range | undefined, bytes: number): Promise<unknown> {
    const most = Math.ceil(this.#patience + Math.min(bytes, PACKED * this.#size) / PATIENCE.bytes);
    this.#worker.postMessage(range);
    const answered = once(this.#worker, "message", { signal: AbortSignal.timeout(most) });
    const [{ value, error }] = await answered.catch((cause) => {
      if (cause.code === "ABORT_ERR")
        throw new Error(`not read within ${(most / 1000).toFixed(1)} s; a page is damaged`);
      throw cause;
    });
    if (error !== undefined) throw new Error(error);
    return value;
  }
}
