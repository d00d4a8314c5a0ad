import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const WORKER = "service-worker.js";

/** Tells the service worker which files are the page's; WebAssembly is stored when it is used. */
const listsShell: Plugin = {
  name: "lists-shell",
  generateBundle: {
    order: "post",
    handler(_, output) {
      const built = Object.keys(output).filter((name) => name !== WORKER && !/\.(wasm|map)$/.test(name));
      const shell = [...built.filter((name) => name !== "index.html"), "icon.svg", "page.webmanifest"].sort();
      const version = createHash("sha256").update(shell.join("\n"));
      const page = output["index.html"];
      if (page?.type === "asset") version.update(page.source);
      const worker = output[WORKER];
      if (worker?.type !== "chunk") throw new Error(`expected ${WORKER} among the built files`);
      worker.code = worker.code
        .replaceAll("__SHELL__", JSON.stringify(shell))
        .replaceAll("__VERSION__", JSON.stringify(version.digest("hex").slice(0, 12)));
    },
  },
};

/** The page as static files that work from any folder of any host. */
export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "./",
  plugins: [listsShell],
  worker: { format: "es" },
  build: {
    outDir: "../dist/web",
    emptyOutDir: true,
    target: "es2022",
    reportCompressedSize: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: ["index.html", "service-worker.ts"].map((name) => fileURLToPath(new URL(name, import.meta.url))),
      output: { entryFileNames: ({ name }) => (name === "service-worker" ? WORKER : "assets/[name]-[hash].js") },
    },
  },
});
