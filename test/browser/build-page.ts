import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, defaultClientConditions, type InlineConfig } from "vite";

const PAGE = fileURLToPath(new URL("page", import.meta.url));

/** docs/runtime.md's two recipes: what each adds to a Vite project that has none. */
const RECIPES = {
  /** Vite puts ONNX Runtime's .wasm files among the page's assets. */
  bundled: {},
  /** They are copied by `subspan wasm`, and `wasmPaths` says where to. */
  copied: { resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] } },
} satisfies Record<string, InlineConfig>;

/** Builds the tests' page with Vite, as its users would. @returns the folder to serve, to be removed after. */
export async function buildPage(recipe: keyof typeof RECIPES): Promise<{ folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "subspan-page-"));
  await build({
    root: PAGE,
    configFile: false,
    logLevel: "error",
    build: { outDir: folder, emptyOutDir: false, reportCompressedSize: false },
    ...RECIPES[recipe],
  });
  return { folder, remove: () => rm(folder, { recursive: true }) };
}
