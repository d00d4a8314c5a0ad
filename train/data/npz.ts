import { zipSync } from "fflate";
import { writeFileAtomic } from "../../export/files.ts";
import { invalid, UNPACKED_LIMIT } from "./bytes.ts";
import { decodeNpy, encodeNpy, type NpyArray } from "./npy.ts";
import { unzipMember, zipMembers } from "./zip.ts";

/**
 * The arrays `x` and, where there is one, `y` of a .npz archive. Other members are left alone.
 *
 * @param limit - the most bytes both may unpack to, by the archive's own word, which is checked before unpacking and kept.
 * @throws {SubspanError} SOURCE_INVALID naming the member.
 */
export function decodeNpz(bytes: Uint8Array, file: string, limit = UNPACKED_LIMIT): { x: NpyArray; y?: NpyArray } {
  const members = zipMembers(bytes, file);
  const found = (name: string) => members.find((member) => member.name === `${name}.npy`);
  const [x, y] = [found("x"), found("y")];
  if (x === undefined) {
    const names = members.map(({ name }) => name.replace(/\.npy$/, "")).join(", ");
    throw invalid(file, `no array "x"; it holds ${names || "nothing"}`);
  }
  const total = x.size + (y?.size ?? 0);
  if (total > limit) throw invalid(file, `unpacks to ${total} bytes, more than the ${limit} that are allowed`);
  const array = (member: typeof x) => decodeNpy(unzipMember(bytes, member, file), `${file}:${member.name}`);
  return y === undefined ? { x: array(x) } : { x: array(x), y: array(y) };
}

/** Writes arrays as a .npz archive that numpy.load reads, atomically. Equal arrays give equal bytes. */
export async function writeNpz(path: string, arrays: Readonly<Record<string, Pick<NpyArray, "data" | "shape">>>) {
  const members = Object.entries(arrays).map(([name, array]) => [`${name}.npy`, encodeNpy(array)] as const);
  const firstDayOfZip = new Date(1980, 0, 1);
  await writeFileAtomic(path, zipSync(Object.fromEntries(members), { mtime: firstDayOfZip }));
}
