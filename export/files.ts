import { randomUUID } from "node:crypto";
import { lstat, mkdir, open, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** What a file is written from: bytes, text (UTF-8), or parts one after the other. */
export type FileContent = Uint8Array | string | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/**
 * Writes a file so that at any moment, a crash included, `path` holds the whole old content or the whole new one. Missing
 * folders on the way are made. On failure the old content stays and no temporary file is left.
 *
 * @param keep - where the file that is replaced goes; without it that file is gone. Between the two renames only `keep` exists.
 */
export async function writeFileAtomic(path: string, content: FileContent, { keep }: { keep?: string } = {}) {
  const temporary = hidden(path, "tmp");
  await mkdir(dirname(path), { recursive: true });
  try {
    const file = await open(temporary, "wx");
    try {
      await writeFile(file, content);
      await file.sync();
    } finally {
      await file.close();
    }
    if (keep !== undefined) await renameIfThere(path, keep);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw withPath(path, error as NodeJS.ErrnoException);
  }
  await syncFolder(dirname(path));
}

/** An error of the file system that says which file it was: a write that fails does not (a full disk). */
export function withPath(path: string, error: NodeJS.ErrnoException): Error {
  if (error.code === undefined || error.path !== undefined || error.syscall === undefined) return error;
  return Object.assign(new Error(`${path}: ${error.message}`, { cause: error }), { code: error.code });
}

/**
 * Builds a whole folder beside `path`, then swaps it into place. Whatever was at `path` is removed after that: the caller has
 * made sure that it may go. On failure the old folder stays and nothing else is left.
 *
 * Renaming a folder over another is not possible, so for a moment the old one is `.NAME.old` alone; a process that is killed
 * in that moment leaves it there, and the next call puts it back first.
 */
export async function writeFolderAtomic(path: string, build: (temporaryFolder: string) => Promise<void>) {
  const temporary = hidden(path, "tmp");
  const old = join(dirname(path), `.${basename(path)}.old`);
  await mkdir(temporary, { recursive: true });
  try {
    if (await exists(path)) await rm(old, { recursive: true, force: true });
    else await renameIfThere(old, path);
    await build(temporary);
    await syncTree(temporary);
    await renameIfThere(path, old);
    await rename(temporary, path).catch(async (error) => {
      await renameIfThere(old, path);
      throw error;
    });
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
  await syncFolder(dirname(path));
  await rm(old, { recursive: true, force: true });
}

/** A name in the folder of `path` that nobody else uses. */
const hidden = (path: string, ending: string) => join(dirname(path), `.${basename(path)}.${randomUUID()}.${ending}`);

const exists = (path: string) =>
  lstat(path).then(
    () => true,
    () => false,
  );

async function renameIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) await sync(path, "r+");
    else if (entry.isDirectory()) await syncFolder(path);
  }
  await syncFolder(folder);
}

/** Makes renames in a folder last through a power cut. Windows cannot open folders and needs no such call. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform !== "win32") await sync(folder, "r");
}

async function sync(path: string, flags: string): Promise<void> {
  const file = await open(path, flags);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
