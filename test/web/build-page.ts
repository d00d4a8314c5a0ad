import { fileURLToPath } from "node:url";
import { build } from "vite";

/** Builds the page as `npm run build` does, to a folder of its own. */
export async function buildPage(outDir: string): Promise<void> {
  const configFile = fileURLToPath(new URL("../../web/vite.config.ts", import.meta.url));
  await build({ configFile, logLevel: "error", build: { outDir, emptyOutDir: true } });
}
