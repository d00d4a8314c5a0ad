import { extname } from "node:path";
import { writeFileAtomic } from "../export/files.ts";
import { SubspanError } from "../runtime/errors.ts";
import { writeNpz } from "../train/index.ts";

/** What is written of n assigned samples, column by column. */
export interface Columns {
  /** Of the sample in its source. */
  readonly index: Int32Array<ArrayBuffer>;
  readonly label: Int32Array<ArrayBuffer>;
  readonly confidence: Float32Array<ArrayBuffer>;
  readonly novelty: Float32Array<ArrayBuffer>;
}

type Writer = (path: string, columns: Columns) => Promise<void>;

const NAMES = ["index", "label", "confidence", "novelty"] as const;

const WRITERS: Readonly<Record<string, Writer>> = {
  ".csv": (path, columns) => writeRows(path, columns, (row) => row.join(","), `${NAMES.join(",")}\n`),
  ".jsonl": (path, columns) =>
    writeRows(path, columns, (row) => `{${row.map((v, i) => `"${NAMES[i]}":${v}`).join(",")}}`),
  ".npz": (path, columns) => {
    const arrays = NAMES.map((name) => [name, { data: columns[name], shape: [columns[name].length] }] as const);
    return writeNpz(path, Object.fromEntries(arrays));
  },
};

/** What writes a file of that name, atomically. @throws {SubspanError} USAGE for an ending that is not written. */
export function labelWriter(path: string): Writer {
  const ending = extname(path).toLowerCase();
  const writer = WRITERS[ending];
  if (writer !== undefined) return writer;
  const why = ending === ".parquet" ? "Parquet is not written in this version; " : "";
  throw new SubspanError(
    "USAGE",
    `--out ${path}: ${why}expected a name that ends with ${Object.keys(WRITERS).join(", ")}`,
  );
}

async function writeRows(path: string, columns: Columns, line: (row: string[]) => string, head = ""): Promise<void> {
  const encoder = new TextEncoder();
  const { index, label, confidence, novelty } = columns;
  function* blocks() {
    if (head !== "") yield encoder.encode(head);
    for (let from = 0; from < index.length; from += 4096) {
      let text = "";
      for (let i = from; i < Math.min(from + 4096, index.length); i++) {
        const row = [
          String(index[i]),
          String(label[i]),
          float32(confidence[i] as number),
          float32(novelty[i] as number),
        ];
        text += `${line(row)}\n`;
      }
      yield encoder.encode(text);
    }
  }
  await writeFileAtomic(path, blocks());
}

/** The shortest decimal that is this float32 again. */
function float32(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return String(short);
  }
  return String(Number(value.toPrecision(9)));
}
