import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import type { ServeOptions } from "../../serve/index.ts";
import type { Built } from "../serve/built.ts";
import { ask } from "../serve/client.ts";

/** A server in a process of its own: what it uses and whether it lives is then not the test's. */
export interface Process {
  readonly port: number;
  /** All it wrote, to either stream. */
  readonly said: () => string;
  /** Undefined while it runs; then its exit code, null after a signal. */
  readonly exit: () => number | null | undefined;
  /** Bytes of memory it has, as its metrics tell. */
  readonly memory: () => Promise<number>;
  readonly close: () => Promise<void>;
}

const PROGRAM = `
import { serve } from "./dist/serve/index.js";
const server = await serve(JSON.parse(process.argv[2]));
process.once("SIGTERM", () => server.close().then(() => process.exit(0)));
process.stdin.resume().once("end", () => process.exit(1)); // a test that fails leaves nothing behind
console.log("port " + server.port);
`;

/** @param flags - of Node. */
export async function startServer(
  { folder }: Built,
  options: Partial<ServeOptions> & { readonly bundles: readonly string[] },
  flags: readonly string[] = [],
): Promise<Process> {
  const program = join(folder, "soak.mjs");
  await writeFile(program, PROGRAM);
  const child = spawn(process.execPath, [...flags, program, JSON.stringify({ port: 0, ...options })], { cwd: folder });
  let said = "";
  let exit: number | null | undefined;
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text) => {
      said += text;
    });
  const ended = once(child, "close").then(([code]) => {
    exit = code;
  });
  while (!/^port \d+$/m.test(said)) {
    await Promise.race([once(child.stdout, "data"), ended]);
    if (exit !== undefined) throw new Error(`the server did not start: ${said}`);
  }
  const port = Number(/^port (\d+)$/m.exec(said)![1]);
  const memory = async () =>
    Number(/^process_resident_memory_bytes (\S+)$/m.exec((await ask(port, "/metrics")).text)![1]);
  const close = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  return { port, said: () => said, exit: () => exit, memory, close };
}

/** Asks every 20 ms whether the server lives, on a connection that is kept, until stopped. */
export function watchLive(port: number): { readonly stop: () => Promise<{ longest: number; statuses: number[] }> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const statuses = new Set<number>();
  let longest = 0;
  let stopped = false;
  const watching = (async () => {
    while (!stopped) {
      const began = performance.now();
      statuses.add((await ask(port, "/v2/health/live", { agent })).status);
      longest = Math.max(longest, performance.now() - began);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  const stop = async () => {
    stopped = true;
    await watching;
    agent.destroy();
    return { longest, statuses: [...statuses] };
  };
  return { stop };
}
