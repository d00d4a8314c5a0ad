import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, type InlineConfig } from "vite";
import { expect, test } from "vitest";

const PAGE = fileURLToPath(new URL("page/minimal.ts", import.meta.url));

/** A file of a build; chunks name those they cannot start without. */
interface BuiltFile {
  readonly fileName: string;
  readonly code?: string;
  readonly source?: string | Uint8Array;
  readonly imports?: readonly string[];
}

/** What a page loads that calls `loadClusterer`, but for ONNX Runtime and for Vite's own preloading. */
async function builtFiles(): Promise<readonly BuiltFile[]> {
  const external = [/^onnxruntime-web/];
  const options: InlineConfig = {
    configFile: false,
    logLevel: "error",
    plugins: [
      {
        name: "no-preloading",
        enforce: "pre",
        load: (id) =>
          id.includes("vite/preload-helper") ? "export const __vitePreload = (load) => load()" : undefined,
      },
    ],
    build: { write: false, modulePreload: false, rolldownOptions: { input: PAGE, external } },
    worker: { format: "es", rolldownOptions: { external } },
  };
  const [built] = [await build(options)].flat();
  return (built as { readonly output: readonly BuiltFile[] }).output;
}

test("our own code in a page and its worker is at most 15 kB", async () => {
  const files = await builtFiles();
  const named = (name: string) => files.find(({ fileName }) => fileName.startsWith(name)) as BuiltFile;
  const loaded = new Set([named("assets/minimal"), named("assets/web-worker-wasm")]);
  for (const { imports = [] } of loaded) // grows meanwhile
    for (const name of imports.filter((name) => !name.startsWith("onnxruntime-web"))) loaded.add(named(name));
  const text = ({ code, source }: BuiltFile) => code ?? source ?? "";
  expect(Array.from(loaded, text).join()).not.toContain("modulepreload");
  const sizes = Array.from(loaded, (file) => gzipSync(text(file)).length);
  expect(sizes.reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(15_000);
});
