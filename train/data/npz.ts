import { appendFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Zip, ZipPassThrough, zipSync } from "fflate";
import { writeFileAtomic } from "../../export/files.ts";
import { SubspanError } from "../../runtime/errors.ts";
import { ByteReader, invalid, readBytes, streamed, UNPACKED_LIMIT } from "./bytes.ts";
import { decodeNpy, encodeNpy, type NpyArray, NpyRows } from "./npy.ts";
import { memberBytes, unzipMember, type ZipMember, zipMembers, zipMembersAt } from "./zip.ts";

/**
 * The arrays `x` and, where there is one, `y` of a .npz archive. Other members are left alone.
 *
 * @throws {SubspanError} SOURCE_INVALID naming the member.
 */
export function decodeNpz(bytes: Uint8Array, file: string, limit = UNPACKED_LIMIT): { x: NpyArray; y?: NpyArray } {
  const { x, y } = decodeArrays(bytes, file, limit, (name) => name === "x" || name === "y");
  if (x !== undefined) return y === undefined ? { x } : { x, y };
  throw missing(file, "x", zipMembers(bytes, file));
}

function missing(file: string, array: string, members: readonly ZipMember[]) {
  const names = members.map(({ name }) => name.replace(/\.npy$/, ""));
  return invalid(file, `no array "${array}"; it holds ${names.join(", ") || "nothing"}`);
}

/** Arrays of a .npz archive, each read from front to back. @throws {SubspanError} as `decodeNpz`, when reading comes to the fault. */
export async function openNpz(path: string, names: readonly string[]): Promise<readonly NpyRows[]> {
  const members = await zipMembersAt(path);
  const wanted = names.map((array) => {
    const member = members.find(({ name }) => name === `${array}.npy`);
    if (member === undefined) throw missing(path, array, members);
    return member;
  });
  return Promise.all(
    wanted.map((member) =>
      NpyRows.open(new ByteReader(memberBytes(path, member)), member.size, `${path}:${member.name}`),
    ),
  );
}

/** All arrays of a .npz archive. @throws {SubspanError} SOURCE_MISSING, or SOURCE_INVALID naming the member. */
export async function readNpz(path: string): Promise<Partial<Record<string, NpyArray>>> {
  return decodeArrays(await readBytes(path), path, UNPACKED_LIMIT, () => true);
}

/** Arrays of one axis of a .npz archive, in parts of as many numbers of each. @throws {SubspanError} as `openNpz`. */
export async function* npzColumns(path: string, names: readonly string[]) {
  const columns = await openNpz(path, names);
  try {
    for (;;) {
      const part = new Map<string, NpyArray["data"]>();
      for (const [i, column] of columns.entries()) part.set(names[i] as string, (await column.take(PART)).data);
      const lengths = [...part.values()].map(({ length }) => length);
      if (new Set(lengths).size > 1) throw invalid(path, `${names.join(", ")}: expected arrays of one length`);
      if (lengths[0] === 0) return;
      yield part;
    }
  } finally {
    await Promise.all(columns.map((column) => column.close()));
  }
}

/** Numbers of an array in a part. */
const PART = 2 ** 16;

/** @param limit - the most bytes they may unpack to, by the archive's own word, which is checked before unpacking and kept. */
function decodeArrays(bytes: Uint8Array, file: string, limit: number, wants: (name: string) => boolean) {
  const members = zipMembers(bytes, file).filter(({ name }) => name.endsWith(".npy") && wants(name.slice(0, -4)));
  const total = members.reduce((sum, { size }) => sum + size, 0);
  if (total > limit) throw invalid(file, `unpacks to ${total} bytes, more than the ${limit} that are allowed`);
  const arrays = members.map((member) => {
    const array = decodeNpy(unzipMember(bytes, member, file), `${file}:${member.name}`);
    return [member.name.slice(0, -4), array] as const;
  });
  return Object.fromEntries(arrays) as Partial<Record<string, NpyArray>>;
}

/** Writes arrays as a .npz archive that numpy.load reads, atomically. Equal arrays give equal bytes. */
export async function writeNpz(path: string, arrays: Readonly<Record<string, Pick<NpyArray, "data" | "shape">>>) {
  const members = Object.entries(arrays).map(([name, array]) => [`${name}.npy`, encodeNpy(array)] as const);
  await writeFileAtomic(path, zipSync(Object.fromEntries(members), { mtime: FIRST_DAY_OF_ZIP }));
}

const FIRST_DAY_OF_ZIP = new Date(1980, 0, 1);

/** What a zip archive without 64-bit sizes may hold. */
const ZIP_LIMIT = 2 ** 32 - 1;

type ColumnTypes = Readonly<Record<string, Int32ArrayConstructor | Float32ArrayConstructor>>;
type ColumnPart<T> = Readonly<Record<keyof T, Int32Array | Float32Array>>;

/**
 * Writes arrays of one axis whose numbers come in parts, as NumPy's savez does (not packed), atomically. Equal numbers give
 * equal bytes, in whatever parts they come. An array's length stands before it, so until all are there they wait in files
 * beside the archive; no more than a part is in memory.
 *
 * @throws {SubspanError} USAGE for more than an archive may hold, 4 GiB.
 */
export async function writeNpzColumns<T extends ColumnTypes>(
  path: string,
  types: T,
  parts: Iterable<ColumnPart<T>> | AsyncIterable<ColumnPart<T>>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const folder = await mkdtemp(join(dirname(path), `.${basename(path)}.`));
  const columns = Object.entries(types).map(([name, Type]) => ({ name, Type, file: join(folder, name), length: 0 }));
  try {
    for (const { file } of columns) await appendFile(file, "");
    let bytes = 0;
    for await (const part of parts) {
      for (const column of columns) {
        const { buffer, byteOffset, byteLength, length } = part[column.name as keyof T];
        await appendFile(column.file, new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength));
        column.length += length;
        bytes += byteLength;
      }
      if (bytes > ZIP_LIMIT - 2 ** 16)
        throw new SubspanError("USAGE", `${path}: a .npz archive holds up to 4 GiB; write .parquet`);
    }
    const members = columns.map(({ name, Type, file, length }) => {
      const head = encodeNpy({ data: new Type(0), shape: [length] });
      return { name: `${name}.npy`, head, file };
    });
    await writeFileAtomic(path, stored(members));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A zip archive of members that are a head and a file, as they are. */
async function* stored(
  members: readonly { readonly name: string; readonly head: Uint8Array; readonly file: string }[],
): AsyncGenerator<Uint8Array> {
  const ready: Uint8Array[] = [];
  const zip = new Zip((_, bytes) => ready.push(bytes));
  for (const { name, head, file } of members) {
    const member = Object.assign(new ZipPassThrough(name), { mtime: FIRST_DAY_OF_ZIP });
    zip.add(member);
    member.push(head);
    for await (const bytes of streamed(file)) {
      member.push(bytes);
      yield* ready.splice(0);
    }
    member.push(new Uint8Array(0), true);
  }
  zip.end();
  yield* ready.splice(0);
}
