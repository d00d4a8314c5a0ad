/**
 * Serves a bundle's graph by MLServer (bench/serve/environment.sh mlserver) until it is told to end, for `npm run test:oip`:
 * `node dist/bench/serve/mlserver.js bundles/digits`.
 */
import { resolve } from "node:path";
import { readBundle } from "../../runtime/node.ts";
import { mlserver } from "./contestants.ts";

const folder = process.argv[2] ?? "bundles/digits";
const { manifest } = await readBundle(folder);
const server = await mlserver(resolve(folder, "model.onnx"), manifest.name, 1);
console.log(`${server.url}, model ${manifest.name}`);
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void server.stop().then(() => process.exit()));
