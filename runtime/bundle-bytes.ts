import { checkFile, type ListedBundle, listBundle, missing, openModel, type ReadOptions, within } from "./bundle.ts";

const ZIP_MAGIC = "PK\x03\x04";

/** The bundle in a stored zip, or a bare graph, told apart by how the bytes begin. @throws {SubspanError} as openBundle. */
export async function listBytes(
  bytes: Uint8Array,
  origin: string,
  options: Omit<ReadOptions, "dtype"> = {},
): Promise<ListedBundle> {
  const { sha256, ...rest } = options;
  await checkFile(bytes, { path: "the file", sha256 }, origin);
  if (String.fromCharCode(...bytes.subarray(0, 4)) !== ZIP_MAGIC) return openModel(bytes, origin);
  const { readZip } = await import("./zip.ts"); // a browser that opens a graph never loads it
  const files = within(origin, () => readZip(bytes));
  const read = async (path: string) => files.get(path) ?? missing(`${origin}: has no ${path}`);
  return listBundle({ origin, read }, rest);
}

/** What can be given in place of a path or URL. */
export type BundleInMemory = Uint8Array | ArrayBuffer | Blob | ListedBundle;

/** Bytes of a bundle, or what was listed before. @throws {SubspanError} as openBundle. */
export async function listInMemory(
  source: BundleInMemory,
  options: Omit<ReadOptions, "dtype"> = {},
): Promise<ListedBundle> {
  const given = source instanceof Blob ? await source.arrayBuffer() : source;
  const bytes = given instanceof ArrayBuffer ? new Uint8Array(given) : given;
  return bytes instanceof Uint8Array ? listBytes(bytes, (source as Partial<File>).name ?? "bundle", options) : bytes;
}
