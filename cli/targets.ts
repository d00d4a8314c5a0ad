import { mkdir, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeFolderAtomic } from "../export/files.ts";
import { TARGETS, type Target } from "../export/targets/index.ts";
import type { TargetOptions } from "../export/targets/target.ts";
import { SubspanError } from "../runtime/errors.ts";
import { readBundle } from "../runtime/node.ts";

export const TARGET_NAMES = Object.keys(TARGETS) as Target[];

/**
 * Writes what another engine needs to run a bundle's graph.
 *
 * @returns the files' paths in the folder.
 * @throws {SubspanError} USAGE for a folder that is not empty; as `readBundle`.
 */
export async function writeTarget(
  target: Target,
  path: string,
  out: string,
  options: TargetOptions,
): Promise<string[]> {
  const bundle = await readBundle(path);
  const there = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new SubspanError("USAGE", `${out}: cannot be written: ${error.message}`);
  });
  if (there.length > 0) throw new SubspanError("USAGE", `${out}: holds ${there[0]}; choose an empty folder`);
  const files = Object.entries(TARGETS[target](bundle, options));
  await writeFolderAtomic(out, async (folder) => {
    for (const [name, content] of files) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), content);
    }
  });
  return files.map(([name]) => name);
}
