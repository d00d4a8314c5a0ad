import { open, readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { SubspanError } from "../runtime/errors.ts";

const NAME = "lock.json";

/** Who trains a run. */
interface Owner {
  readonly pid: number;
  readonly host: string;
}

/** What this process trains: two trainings in it are kept apart as those of two processes are. */
const held = new Set<string>();

/**
 * Keeps a run's folder to one training until the returned function is called. What a process that is no more left is taken over.
 *
 * @param prepare - makes the folder, once nobody else of this process can.
 * @throws {SubspanError} RUN_INVALID while another training, here or in another process, has the run; what `prepare` throws.
 */
export async function lockRun(folder: string, prepare = async () => {}): Promise<() => Promise<void>> {
  const root = resolve(folder);
  await refuseLocked(folder);
  if (held.has(root)) throw locked(folder, "this process"); // since that was asked
  held.add(root);
  try {
    await prepare();
    await writeLock(folder, join(root, NAME));
  } catch (error) {
    held.delete(root);
    throw error;
  }
  return async () => {
    held.delete(root);
    await rm(join(root, NAME), { force: true });
  };
}

async function writeLock(folder: string, path: string): Promise<void> {
  await rm(path, { force: true });
  const owner: Owner = { pid: process.pid, host: hostname() };
  const file = await open(path, "wx").catch((error: NodeJS.ErrnoException) => {
    throw error.code === "EEXIST" ? locked(folder, "another process") : error;
  });
  try {
    await file.writeFile(`${JSON.stringify(owner)}\n`);
  } finally {
    await file.close();
  }
}

/** @throws {SubspanError} RUN_INVALID while another training has the run. */
export async function refuseLocked(folder: string): Promise<void> {
  if (held.has(resolve(folder))) throw locked(folder, "this process");
  const text = await readFile(join(folder, NAME), "utf8").catch(() => undefined);
  if (text === undefined) return;
  const { pid, host } = ownerOf(text);
  if (host !== hostname()) throw locked(folder, `process ${pid} on ${host}`);
  if (pid !== process.pid && isAlive(pid)) throw locked(folder, `process ${pid}`); // a container has the same one again
}

function locked(folder: string, by: string): SubspanError {
  const hint = by === "this process" ? "" : `; if that is not so, remove ${join(folder, NAME)}`;
  const message = `${folder}: is being trained by ${by}${hint}`;
  return new SubspanError("RUN_INVALID", message);
}

/** A file that a crash left empty is nobody's. */
function ownerOf(text: string): Owner {
  try {
    return JSON.parse(text) as Owner;
  } catch {
    return { pid: -1, host: hostname() };
  }
}

function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
