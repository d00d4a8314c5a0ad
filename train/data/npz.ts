import { zipSync } from "fflate";
import { writeFileAtomic } from "../../export/files.ts";
import { invalid, readBytes, UNPACKED_LIMIT } from "./bytes.ts";
import { decodeNpy, encodeNpy, type NpyArray } from "./npy.ts";
import { unzipMember, zipMembers } from "./zip.ts";

/**
 * The arrays `x` and, where there is one, `y` of a .npz archive. Other members are left alone.
 *
 * @throws {SubspanError} SOURCE_INVALID naming the member.
 */
export function decodeNpz(bytes: Uint8Array, file: string, limit = UNPACKED_LIMIT): { x: NpyArray; y?: NpyArray } {
  const { x, y } = decodeArrays(bytes, file, limit, (name) => name === "x" || name === "y");
  if (x !== undefined) return y === undefined ? { x } : { x, y };
  const names = zipMembers(bytes, file).map(({ name }) => name.replace(/\.npy$/, ""));
  throw invalid(file, `no array "x"; it holds ${names.join(", ") || "nothing"}`);
}

/** All arrays of a .npz archive. @throws {SubspanError} SOURCE_MISSING, or SOURCE_INVALID naming the member. */
export async function readNpz(path: string): Promise<Partial<Record<string, NpyArray>>> {
  return decodeArrays(await readBytes(path), path, UNPACKED_LIMIT, () => true);
}

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
  const firstDayOfZip = new Date(1980, 0, 1);
  await writeFileAtomic(path, zipSync(Object.fromEntries(members), { mtime: firstDayOfZip }));
}
