import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

/** The suite as one file for Node. */
export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  build: {
    ssr: "main.ts",
    outDir: fileURLToPath(new URL("../../node_modules/.cache/oip", import.meta.url)),
    emptyOutDir: true,
    minify: false,
    reportCompressedSize: false,
  },
});
