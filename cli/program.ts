import { basename, dirname, relative } from "node:path";

/** How this program was called, so that commands in messages can be pasted: "subspan", "npx subspan", "node dist/cli/main.js". */
export function programName(script: string | undefined, folder = process.cwd()): string {
  if (script === undefined) return "subspan";
  if (basename(script).replace(/\.(cmd|js)$/, "") !== "subspan") return `node ${relative(folder, script)}`;
  return basename(dirname(script)) === ".bin" ? "npx subspan" : "subspan";
}
