import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

/** Has each of tfjs's test files say which one it is before it describes its specs. */
const namesTestFiles: Plugin = {
  name: "names-test-files",
  transform(code, id) {
    const file = /tfjs-core\/dist\/(.*)_test\.js$/.exec(id)?.[1];
    return file === undefined ? null : { code: `testFile(${JSON.stringify(file)});${code}`, map: null };
  },
};

/** tfjs's own tests, tfjs and our backend in one file for Node: the tests import tfjs's sources, of which there must be one copy. */
export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  plugins: [namesTestFiles],
  resolve: { mainFields: ["module", "main"] },
  ssr: { noExternal: true, external: ["onnxruntime-node", "jasmine-core"] },
  build: {
    ssr: "main.ts",
    rolldownOptions: { treeshake: false },
    outDir: fileURLToPath(new URL("../../node_modules/.cache/conformance", import.meta.url)),
    emptyOutDir: true,
    minify: false,
    reportCompressedSize: false,
  },
});
