import { open, readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { SubspanError } from "../runtime/errors.ts";

const NAME = "lock.json";

/** Who trains a run. */
interface Owner {
  readonly pid: number;
  readonly host: string;
}

/**
 * Keeps a run's folder to this process until the returned function is called. What a process that is no more left is taken over.
 *
 * @throws {SubspanError} RUN_INVALID while another process trains the run.
 */
export async function lockRun(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, NAME);
  await refuseLocked(folder);
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
  return () => rm(path, { force: true });
}

/** @throws {SubspanError} RUN_INVALID while another process trains the run. */
export async function refuseLocked(folder: string): Promise<void> {
  const text = await readFile(join(folder, NAME), "utf8").catch(() => undefined);
  if (text === undefined) return;
  const { pid, host } = ownerOf(text);
  if (host !== hostname()) throw locked(folder, `process ${pid} on ${host}`);
  if (pid !== process.pid && isAlive(pid)) throw locked(folder, `process ${pid}`);
}

function locked(folder: string, by: string): SubspanError {
  const message = `${folder}: is being trained by ${by}; if that is not so, remove ${join(folder, NAME)}`;
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
