import { execFile } from "node:child_process";
import { copyFile, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type * as Serve from "../../serve/index.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The server as it is built: its worker threads are files of their own, which Node runs as JavaScript. */
export interface Built {
  readonly serve: typeof Serve.serve;
  readonly modules: typeof Serve;
  /** The folder of the build. */
  readonly folder: string;
  remove(): Promise<void>;
}

export async function buildServer(folders = ["runtime", "serve"]): Promise<Built> {
  const folder = await mkdtemp(join(tmpdir(), "subspan-serve-build-"));
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  const compilerOptions = { rootDir: ROOT, outDir: join(folder, "dist"), types: [], noCheck: true }; // types are checked elsewhere
  const include = folders.map((name) => join(ROOT, name));
  const config = { extends: join(ROOT, "tsconfig.build.json"), compilerOptions, include };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
  await copyFile(join(ROOT, "package.json"), join(folder, "package.json"));
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  await promisify(execFile)(process.execPath, [compiler, "-p", folder]);
  const modules = (await import(pathToFileURL(join(folder, "dist/serve/index.js")).href)) as typeof Serve;
  return { serve: modules.serve, modules, folder, remove: () => rm(folder, { recursive: true }) };
}
