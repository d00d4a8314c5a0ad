import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { toyModel } from "../runtime/toy.ts";
import { sized } from "../soak/sized.ts";
import { type Built, buildServer } from "./built.ts";
import { ask, post } from "./client.ts";

let built: Built;
beforeAll(async () => {
  built = await buildServer(["runtime", "models", "export", "train", "serve", "cli"]);
  await writeFile(join(built.folder, "toy.onnx"), toyModel());
}, 60_000);
afterAll(() => built.remove());

interface Program {
  readonly child: ChildProcess;
  readonly said: { stdout: string; stderr: string };
  /** Its exit code, or the signal it died of. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

const subspan = (...argv: string[]) => program(["dist/cli/main.js", "serve", ...argv]);

function program(argv: readonly string[]): Program {
  const child = spawn(process.execPath, argv, { cwd: built.folder });
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (text) => {
    said.stdout += text;
  });
  child.stderr.on("data", (text) => {
    said.stderr += text;
  });
  return { child, said, ended: once(child, "close").then(([code, signal]) => code ?? signal) };
}

/** The port of a server that says it listens. */
async function listening({ child, said }: Program): Promise<number> {
  while (!/http:\/\/127\.0\.0\.1:\d+/.test(said.stdout)) await once(child.stdout!, "data");
  return Number(/http:\/\/127\.0\.0\.1:(\d+)/.exec(said.stdout)![1]);
}

const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const request = { inputs: [{ name: "images", shape: [1, 2, 2, 1], datatype: "UINT8", data: [0, 9, 0, 0] }] };
const INFER = "/v2/models/toy/infer";

test("says where it listens, what it serves and how to ask it", async () => {
  const program = subspan("toy.onnx", "--port", "0", "--workers", "1");
  const port = await listening(program);
  program.child.kill("SIGINT");
  expect(await program.ended).toBe(0);
  expect(program.said.stdout).toBe(`toy  version 1  3 clusters  on cpu

http://127.0.0.1:${port}       with one worker; Ctrl-C ends it
http://127.0.0.1:${port}/docs  how to ask it

Try:
  curl -F image=@picture.png http://127.0.0.1:${port}/v2/models/toy/assign
`);
});

/** Tells at the end which packages it loaded. */
const SPY = `process.on("exit", () => {
  const paths = Object.keys(require("node:module")._cache);
  console.error("loaded:", [...new Set(paths.flatMap((path) => /node_modules.((?:@[^\\/]+.)?[^\\/]+)/.exec(path)?.[1] ?? []))].join(" "));
});`;

test("loads what its command needs: tfjs for training, not for serving", async () => {
  await writeFile(join(built.folder, "spy.cjs"), SPY);
  const spied = (...argv: string[]) => program(["--require", "./spy.cjs", "dist/cli/main.js", ...argv]);
  const loaded = async ({ ended, said }: Program) => {
    expect(await ended).toBe(0);
    return said.stderr;
  };
  const server = spied("serve", "toy.onnx", "--port", "0", "--workers", "1");
  await listening(server);
  server.child.kill("SIGTERM");
  const serving = await loaded(server);
  expect(serving).toMatch(/loaded: .*pino/);
  for (const told of [serving, await loaded(spied("--version"))]) expect(told).not.toMatch(/tfjs/);
  expect(await loaded(spied("train", "--help"))).toMatch(/tfjs-core/);
});

const times = Array.from({ length: sized(1, 50) }, (_, i) => i + 1);
test.each(times)("SIGTERM under load: what was accepted is answered, and it exits 0 (%i)", async () => {
  const program = subspan("toy.onnx", "--port", "0", "--workers", "1", "--json");
  const port = await listening(program);
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const statuses = new Map<string, number>();
  const failed: string[] = [];
  let refused = false;
  const client = async (name: string) => {
    for (let i = 0; !refused; i++) {
      const id = `${name}-${i}`;
      const answer = await post(port, INFER, request, { agent, headers: { "x-request-id": id } }).catch((error) => {
        refused = error.code === "ECONNREFUSED";
        failed.push(id);
      });
      if (answer) statuses.set(id, answer.status);
    }
  };
  const clients = ["a", "b", "c", "d"].map(client);
  while (statuses.size < 20) await wait(10);
  program.child.kill("SIGTERM");
  await wait(100);
  const ready = await ask(port, "/v2/health/ready");
  expect([ready.status, ready.json()]).toEqual([503, { error: "not ready: the server closes" }]);
  await Promise.all(clients);
  agent.destroy();
  expect(await program.ended).toBe(0);
  expect(new Set(statuses.values())).toEqual(new Set([200]));
  const lines = program.said.stdout.trim().split("\n");
  const logged = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(logged.map(({ msg }) => msg)).toEqual(
    expect.arrayContaining(["model loaded", "listening", "closing", "closed"]),
  );
  const accepted = new Set(logged.map(({ request }) => request));
  expect(failed.filter((id) => accepted.has(id))).toEqual([]); // they never got in
  expect(logged.find(({ msg, status }) => msg === "request" && status === 200)).toMatchObject({
    level: 30,
    request: expect.any(String),
    method: "POST",
    path: INFER,
    model: "toy",
    version: "1",
    rows: 1,
    queue_ms: expect.any(Number),
  });
});

/** Models enough that most of a start is opening them. */
const MODELS = 12;
const moments = sized(4, 60);
test(`${moments} moments of a start at which one signal comes, or two: exit code 0 or the signal's own death, and no other`, async () => {
  const repository = join(built.folder, "repository");
  await mkdir(repository);
  for (let i = 0; i < MODELS; i++) await writeFile(join(repository, `toy-${i}.onnx`), toyModel());
  const start = () => subspan("repository", "--port", "0", "--workers", "2");
  const began = performance.now();
  const whole = start();
  await listening(whole);
  const took = performance.now() - began;
  whole.child.kill("SIGTERM");
  expect(await whole.ended).toBe(0);
  const ends = [];
  for (let i = 0; i < moments; i++) {
    for (const signals of [1, 2]) {
      const { child, said, ended } = start();
      await wait((took * (i + 0.5)) / moments);
      for (let left = signals; left > 0 && child.exitCode === null; left--) {
        child.kill("SIGTERM");
        await wait(20);
      }
      const code = await ended;
      const handled = said.stderr !== "";
      expect(said.stderr).toBe(handled ? "stopping; once more stops at once\n" : "");
      if (signals === 1)
        expect(code, `signal ${i}`).toBe(handled ? 0 : "SIGTERM"); // it comes before the program listens to signals
      else expect([0, "SIGTERM"]).toContain(code);
      ends.push(`${code} of ${signals}`);
    }
  }
  if (moments > 4) expect(ends).toEqual(expect.arrayContaining(["0 of 1", "SIGTERM of 1", "SIGTERM of 2"]));
}, 600_000);

test.each([
  [["toy.onnx", "--token-file", "none.txt"], 2, "token file: ENOENT"],
  [["nothing.onnx"], 1, "nothing.onnx: ENOENT"],
])("%j ends with %i", async (argv, code, message) => {
  const program = subspan(...argv);
  expect([await program.ended, program.said.stderr]).toEqual([code, expect.stringContaining(message)]);
});
