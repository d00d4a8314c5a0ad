import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** A server that answers for the model at `url`, until stopped. */
export interface Contestant {
  readonly name: string;
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Servers of the bundle at `folder` called `model`, a process or a thread a core each; those that are not installed are left out,
 * and all but ours and `only`, if that is said.
 */
export async function contestants(folder: string, model: string, cores: number, only?: string): Promise<Contestant[]> {
  const graph = resolve(folder, "model.onnx");
  const wanted = (name: string) => (only === undefined || only === name) && existsSync(`.venv/${name.toLowerCase()}`);
  const starting = [
    ours(folder),
    ...(wanted("FastAPI") ? [fastapi(graph, cores)] : []),
    ...(wanted("MLServer") ? [mlserver(graph, model, cores)] : []),
  ];
  const started = await Promise.allSettled(starting);
  const failed = started.find((one) => one.status === "rejected");
  const there = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  if (failed === undefined) return there;
  await Promise.all(there.map((one) => one.stop()));
  throw failed.reason;
}

async function ours(folder: string): Promise<Contestant> {
  const port = await freePort();
  return started(
    "subspan",
    port,
    spawn(process.execPath, ["dist/cli/main.js", "serve", folder, "--port", String(port)], QUIET),
  );
}

async function fastapi(graph: string, cores: number): Promise<Contestant> {
  const port = await freePort();
  const argv = ["bench/peers/onnx_server.py", graph, String(port), String(cores)];
  return started("FastAPI", port, spawn(".venv/fastapi/bin/python", argv, QUIET));
}

/** MLServer reads its settings from a folder. */
export async function mlserver(graph: string, model: string, cores: number): Promise<Contestant> {
  const folder = await mkdtemp(join(tmpdir(), "subspan-mlserver-"));
  const [port, grpc, metrics] = [await freePort(), await freePort(), await freePort()];
  const settings = { http_port: port, grpc_port: grpc, metrics_port: metrics, parallel_workers: cores, debug: false };
  const parameters = { uri: graph, version: "1" };
  await writeFile(join(folder, "settings.json"), JSON.stringify({ ...settings, use_structured_logging: false }));
  const implementation = { name: model, implementation: "mlserver_onnx.OnnxModel", parameters };
  await writeFile(join(folder, "model-settings.json"), JSON.stringify(implementation));
  const env = { ...process.env, PYTHONPATH: resolve("bench/peers"), PYTHONWARNINGS: "ignore" };
  const child = spawn(resolve(".venv/mlserver/bin/mlserver"), ["start", folder], { ...QUIET, env, cwd: folder });
  const server = await started("MLServer", port, child, `/v2/models/${model}/ready`);
  const stop = async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { ...server, stop };
}

const QUIET = { stdio: "ignore" as const };
const START_MS = 120_000;

/** Waits until it answers. */
async function started(name: string, port: number, child: ChildProcess, path = "/v2/health/live"): Promise<Contestant> {
  const url = `http://127.0.0.1:${port}`;
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = async () => {
    child.kill("SIGTERM");
    const slow = setTimeout(() => child.kill("SIGKILL"), 15_000);
    await ended;
    clearTimeout(slow);
  };
  const until = performance.now() + START_MS;
  for (;;) {
    const answer = await fetch(url + path).catch(() => undefined);
    if (answer?.ok) return { name, url, stop };
    if (child.exitCode !== null || performance.now() > until) {
      if (child.exitCode === null) await stop();
      throw new Error(`${name} did not start`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
