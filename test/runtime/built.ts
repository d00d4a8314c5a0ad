import { execFile } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);

/** The runtime as JavaScript, beside this project's modules: worker threads of Node 20 run no TypeScript. */
export async function buildRuntime() {
  const folder = await mkdtemp(join(tmpdir(), "subspan-runtime-"));
  const compilerOptions = { outDir: join(folder, "dist"), rootDir: ROOT, noEmitOnError: false };
  const config = { extends: join(ROOT, "tsconfig.build.json"), include: [join(ROOT, "runtime")], compilerOptions };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  await run(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", folder]).catch(() => {}); // types are checked elsewhere
  return {
    folder,
    /** Runs a script that may import "./dist/runtime/node.js". @returns the JSON it prints last. */
    async script(text: string, ...flags: string[]): Promise<unknown> {
      const path = join(folder, `${Math.random().toString(36).slice(2)}.mjs`);
      await writeFile(path, text);
      const { stdout } = await run(process.execPath, [...flags, path], { cwd: folder });
      return JSON.parse(stdout.trim().split("\n").at(-1) as string);
    },
    remove: () => rm(folder, { recursive: true }),
  };
}
