import { copyFile, mkdir, rename, rm, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { SubspanError } from "../../runtime/errors.ts";
import type { Command, CommandContext } from "../command.ts";
import { table } from "../text.ts";

export const wasm: Command = {
  usage: "wasm <folder>",
  description: "Copy what browsers need of ONNX Runtime, to be served with a page",
  options: [["--device <name>", "wasm or webgpu: one of its two builds; both unless said"]],
  examples: ["wasm public/ort", "wasm public/ort --device wasm"],
  run,
};

/** The builds that onnxruntime-web's entries /wasm and /webgpu load, each a script and a binary. */
const BUILDS = { wasm: "ort-wasm-simd-threaded", webgpu: "ort-wasm-simd-threaded.asyncify" } as const;
const DEVICES = ["wasm", "webgpu"] as const;

async function run({ args, options, io }: CommandContext): Promise<void> {
  const [folder = ""] = args;
  const device = options.choice("device", DEVICES);
  const source = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/wasm"));
  const files = (device === undefined ? DEVICES : [device]).flatMap((name) => [
    `${BUILDS[name]}.mjs`,
    `${BUILDS[name]}.wasm`,
  ]);
  try {
    await mkdir(folder, { recursive: true });
    for (const file of files) await copyWhole(join(source, file), join(folder, file));
    const sizes = await Promise.all(files.map((file) => stat(join(folder, file))));
    io.stdout.write(
      table(files.map((file, i) => [join(folder, file), `${((sizes[i]?.size ?? 0) / 1e6).toFixed(1)} MB`])),
    );
  } catch (cause) {
    throw new SubspanError("USAGE", `${folder}: cannot be written: ${(cause as Error).message}`, { cause });
  }
  io.stderr.write("Where a page finds them: loadClusterer(source, { wasmPaths }), the URL of that folder\n");
}

/** Copies a file under another name first: one that is there is whole. */
async function copyWhole(from: string, to: string): Promise<void> {
  try {
    await copyFile(from, `${to}.part`);
    await rename(`${to}.part`, to);
  } finally {
    await rm(`${to}.part`, { force: true });
  }
}
