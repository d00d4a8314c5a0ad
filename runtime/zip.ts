import { SubspanError } from "./errors.ts";
import { isSafePath } from "./safe-path.ts";

/**
 * Reads a stored zip (method 0, no encryption, no zip64, no comment): a bundle in one file. Nothing in it is
 * compressed, so nothing in it grows. The directory at its end is the only one believed, and it must agree with every
 * entry's own header.
 *
 * @returns each file's bytes, not copied, by path. Folder entries are left out.
 * @throws {SubspanError} BUNDLE_INVALID, naming the entry.
 */
export function readZip(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - END_BYTES;
  if (end < 0 || view.getUint32(end, true) !== END) throw invalid("expected a zip's directory at the end of the file");
  const count = view.getUint16(end + 10, true);
  const directory = view.getUint32(end + 16, true);
  if (
    view.getUint32(end + 4, true) !== 0 ||
    view.getUint16(end + 8, true) !== count ||
    view.getUint16(end + 20, true) !== 0
  )
    throw invalid("expected one zip without comment");
  if (directory + view.getUint32(end + 12, true) !== end) throw invalid("the directory is not where the file says");
  const files = new Map<string, Uint8Array>();
  let at = directory;
  for (let i = 0; i < count; i++) at = readEntry({ bytes, view, at, directory, end, files });
  if (at !== end) throw invalid("the directory does not end where the file says");
  return files;
}

const END = 0x06054b50;
const END_BYTES = 22;
const ENTRY = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL = 0x04034b50;
const LOCAL_BYTES = 30;
const SYMBOLIC_LINK = 0xa000;

interface Position {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly at: number;
  readonly directory: number;
  readonly end: number;
  readonly files: Map<string, Uint8Array>;
}

/** Reads one entry of the directory; the next one's offset comes back. */
function readEntry({ bytes, view, at, directory, end, files }: Position): number {
  if (at + ENTRY_BYTES > end || view.getUint32(at, true) !== ENTRY) throw invalid(`expected an entry at byte ${at}`);
  const nameBytes = view.getUint16(at + 28, true);
  const next = at + ENTRY_BYTES + nameBytes + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  if (next > end) throw invalid(`an entry runs out of the directory at byte ${at}`);
  const name = latin1(bytes.subarray(at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes));
  const folder = name.endsWith("/");
  if (!isSafePath(folder ? name.slice(0, -1) : name))
    throw invalid(`${JSON.stringify(name)}: not a path inside the bundle`);
  if (files.has(name)) throw invalid(`${name}: stands twice`);
  if (view.getUint32(at + 38, true) >>> 16 >= SYMBOLIC_LINK) throw invalid(`${name}: is a link`);
  const method = view.getUint16(at + 10, true);
  const size = view.getUint32(at + 24, true);
  if (method !== 0 || (view.getUint16(at + 8, true) & 1) !== 0 || size !== view.getUint32(at + 20, true))
    throw invalid(`${name}: expected stored bytes, got compression method ${method}; zip with -0`);
  const local = view.getUint32(at + 42, true);
  if (local + LOCAL_BYTES > directory || view.getUint32(local, true) !== LOCAL) throw invalid(`${name}: has no header`);
  const localName = local + LOCAL_BYTES;
  const start = localName + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
  if (start + size > directory) throw invalid(`${name}: ends outside the file`);
  if (latin1(bytes.subarray(localName, localName + view.getUint16(local + 26, true))) !== name)
    throw invalid(`${name}: goes by another name in its header`);
  const content = bytes.subarray(start, start + size);
  if (crc32(content) !== view.getUint32(at + 16, true)) throw invalid(`${name}: its checksum is wrong`);
  if (!folder) files.set(name, content);
  return next;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let c = byte;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c;
});

function crc32(bytes: Uint8Array): number {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) c = TABLE[(c ^ bytes[i]!) & 0xff]! ^ (c >>> 8);
  return ~c >>> 0;
}

const latin1 = (bytes: Uint8Array) => String.fromCharCode(...bytes);
const invalid = (message: string) => new SubspanError("BUNDLE_INVALID", `zip: ${message}`);
