import { once } from "node:events";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { Agent, get } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { ServeOptions } from "../../serve/index.ts";
import { toyBundle, toyManifest, toyModel } from "../runtime/toy.ts";
import { type Built, buildServer } from "./built.ts";
import { type Answer, ask, post } from "./client.ts";

/** As they were before any server was opened. */
const own = [globalThis.Request, globalThis.Response];

let built: Built;
let folder: string;
beforeAll(async () => {
  built = await buildServer();
  folder = await mkdtemp(join(tmpdir(), "subspan-lifecycle-"));
}, 60_000);
afterAll(async () => {
  await rm(folder, { recursive: true });
  await built.remove();
});

const open = (options: Partial<ServeOptions> = {}) =>
  built.serve({ bundles: [toyModel()], port: 0, workers: 1, ...options });

/** Its labels are those of `labels`; a run of thousands of samples takes a while. */
const slow = () => toyModel("images", toyManifest(), 512);
const pixels = (n: number) => Array.from({ length: n * 4 }, (_, at) => (at % 4 === Math.floor(at / 4) % 3 ? 255 : 0));
const labels = (n: number) => Array.from({ length: n }, (_, i) => i % 3);
const request = (n: number) => ({
  inputs: [{ name: "images", shape: [n, 2, 2, 1], datatype: "UINT8", data: pixels(n) }],
  outputs: [{ name: "label" }],
});
const INFER = "/v2/models/toy/infer";
const infer = (port: number, n = 1) => post(port, INFER, request(n));
const metric = async (port: number, name: string) =>
  Number(new RegExp(`^${name} (.*)$`, "m").exec((await ask(port, "/metrics")).text)?.[1]);

/** The toy, made at another time: that is how its states are told apart. */
const bundleCalled = (created: string) => {
  const manifest = { ...toyManifest(), created };
  return toyBundle((same) => ({ ...same, created }), toyModel("images", manifest));
};
async function writeBundle(path: string, files = toyBundle()) {
  await mkdir(path, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(path, name), bytes);
}

describe("batches", () => {
  test("requests that wait together run together, each with its own answer", async () => {
    await using server = await open({ bundles: [slow()] });
    const long = Array.from({ length: 5 }, () => infer(server.port, 3000)); // while these run, the others come
    await vi.waitFor(async () => expect(await metric(server.port, "subspan_queue_requests")).toBeGreaterThan(2));
    const sizes = Array.from({ length: 60 }, (_, i) => i % 5);
    const answers = await Promise.all(sizes.map((n) => infer(server.port, n)));
    const got = answers.map((answer) => (answer.json().outputs as { data: number[] }[])[0]!.data);
    expect(got).toEqual(sizes.map(labels));
    for (const { status } of await Promise.all(long)) expect(status).toBe(200);
    const batches = await metric(server.port, 'subspan_batch_rows_count{model="toy",version="1"}');
    expect(batches).toBeLessThan(30);
  });

  test("a request waits for others as long as it was told", async () => {
    await using server = await open({ maxDelayMs: 1000 });
    const waited = ({ headers }: Answer) => Number(/queue;dur=([\d.]+)/.exec(headers["server-timing"] as string)?.[1]);
    const [first] = await Promise.all([infer(server.port), infer(server.port)]);
    expect(waited(first)).toBeGreaterThan(990);
    expect(await metric(server.port, 'subspan_batch_rows_count{model="toy",version="1"}')).toBe(1);
    expect(waited(await infer(server.port, 200))).toBeLessThan(990); // a full batch waits for nobody
  });

  test("one that is wrong harms none of those it runs with", async () => {
    await using server = await open({ maxDelayMs: 50 });
    const bad = { ...request(1), inputs: [{ ...request(1).inputs[0], data: [0, 300, 0, 0] }] };
    const answers = await Promise.all([infer(server.port), post(server.port, INFER, bad), infer(server.port)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 422, 200]);
  });
});

describe("too much", () => {
  test("a full queue answers 429 and says when to come again", async () => {
    await using server = await open({ bundles: [slow()], limits: { queueRequests: 2 } });
    const answers = await Promise.all(Array.from({ length: 12 }, () => infer(server.port, 2000)));
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]!.headers["retry-after"]).toBe("1");
    expect(answers.filter(({ status }) => status === 200).length + refused.length).toBe(12);
  });

  test("bodies beyond what may be held at once are refused, and what they held is given back", async () => {
    await using server = await open({ limits: { queueBytes: 4_000 } });
    expect((await infer(server.port, 500)).status).toBe(429);
    expect((await infer(server.port, 10)).status).toBe(200);
  });

  test("a body longer than the most samples take is refused, and not inflated first", async () => {
    await using server = await open({ limits: { rows: 10 } });
    const headers = { "content-type": "application/json", "content-encoding": "gzip" };
    const { status, text } = await ask(server.port, INFER, { headers, body: gzipSync(Buffer.alloc(2 ** 24, " ")) });
    expect([status, text]).toEqual([413, expect.stringContaining("expected up to 264704 bytes")]); // 2^18 + 10 x 4 x 64
  });

  test("answers that may not be held are refused, and what they held is given back", async () => {
    await using server = await open({ limits: { queueBytes: 4_000 } });
    const { inputs } = request(100);
    const asked = (outputs: readonly string[]) =>
      post(server.port, INFER, { inputs, outputs: outputs.map((name) => ({ name })) });
    expect((await asked(["label", "probabilities", "embedding", "latent"])).status).toBe(429);
    expect((await asked(["label"])).status).toBe(200);
    await vi.waitFor(async () => expect(await metric(server.port, "subspan_queue_bytes")).toBe(0));
  });

  test("what waits too long is told so", async () => {
    await using server = await open({ bundles: [slow()], limits: { queueMs: 1 } });
    const answers = await Promise.all(Array.from({ length: 4 }, () => infer(server.port, 4000)));
    const refused = answers.filter(({ status }) => status === 503);
    expect(refused.map((answer) => answer.json().error)).toContain("waited too long for a worker");
  });

  test("a worker that takes too long is replaced", async () => {
    await using server = await open({ bundles: [slow()], limits: { runMs: 1 } });
    const answer = await infer(server.port, 4000);
    expect([answer.status, answer.json().error]).toEqual([503, expect.stringContaining("took longer than 1 ms")]);
    await vi.waitFor(async () => expect((await ask(server.port, "/v2/health/ready")).status).toBe(200), 5000);
  });

  test("a client that leaves is not waited for: what it asked is dropped", async () => {
    await using server = await open({ bundles: [slow()] });
    const long = infer(server.port, 4000);
    const body = JSON.stringify(request(1));
    const socket = connect(server.port, "127.0.0.1");
    const head = `Host: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`;
    socket.write(`POST ${INFER} HTTP/1.1\r\n${head}\r\n\r\n${body}`);
    await vi.waitFor(async () => expect(await metric(server.port, "subspan_queue_requests")).toBe(1));
    socket.destroy();
    await vi.waitFor(async () => expect(await metric(server.port, "subspan_queue_requests")).toBe(0));
    await long;
    expect(await metric(server.port, 'subspan_batch_rows_count{model="toy",version="1"}')).toBe(1);
  });
});

describe("a worker that dies", () => {
  test("fails what it ran, and is replaced", async () => {
    const rows = 40_000; // some 300 ms
    await using server = await open({ bundles: [slow()], limits: { rows } });
    const lost = infer(server.port, rows);
    await vi.waitFor(async () => expect(await metric(server.port, "subspan_queue_bytes")).toBeGreaterThan(0));
    await new Promise((resolve) => setTimeout(resolve, 30));
    server.killWorker();
    const answer = await lost;
    expect([answer.status, answer.json().error, answer.headers["retry-after"]]).toEqual([
      503,
      expect.stringContaining("was lost"),
      "1",
    ]);
    expect((await ask(server.port, "/v2/health/live")).status).toBe(200);
    expect((await infer(server.port)).status).toBe(200); // it waited for the new worker
    expect(await metric(server.port, "subspan_workers_lost_total")).toBe(1);
  });

  test("leaves the others' requests alone", async () => {
    await using server = await open({ workers: 2 });
    const killing = (async () => {
      for (let i = 0; i < 3; i++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        server.killWorker();
      }
    })();
    const statuses: number[] = [];
    let stop = false;
    const client = async () => {
      while (!stop) statuses.push((await infer(server.port)).status);
    };
    const clients = [client(), client(), client()];
    await killing;
    stop = true;
    await Promise.all(clients);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(5);
    expect(statuses.filter((status) => status !== 200).length).toBeLessThanOrEqual(9);
  });
});

describe("a repository", () => {
  const get = async (port: number, path: string) => (await ask(port, path)).json();

  test("serves models and versions by their folders, the newest where none is said", async () => {
    const root = join(folder, "repository");
    await writeBundle(join(root, "alone"));
    await writeBundle(join(root, "many/2"));
    await writeBundle(join(root, "many/10"));
    await writeFile(join(root, "many/labels.json"), '{"stable": 2, "old": 1}');
    await writeFile(join(root, "notes.txt"), "no bundle");
    await using server = await open({ bundles: [root] });
    expect(server.models.map(({ name, version }) => `${name}/${version}`)).toEqual(["alone/1", "many/10", "many/2"]);
    expect(await get(server.port, "/v2/models/many")).toMatchObject({ name: "many", versions: ["2", "10"] });
    const version = async (way: string) => {
      const answer = await post(server.port, `/v2/models/many${way}/infer`, request(1));
      return answer.json().model_version;
    };
    expect(await Promise.all(["", "/versions/2", "/labels/stable"].map(version))).toEqual(["10", "2", "2"]);
    expect(await get(server.port, "/v2/models/many/labels/canary")).toEqual({
      error: 'model "many": no label "canary"; there is stable, old',
    });
    expect(await get(server.port, "/v2/models/many/labels/old")).toEqual({
      error: 'model "many": label "old" is of version 1; there is 10, 2',
    });
  });

  test("has models called by numbers beside others, and passes over links to nowhere", async () => {
    const root = join(folder, "mixed");
    await writeBundle(join(root, "2024"));
    await writeBundle(join(root, "toy"));
    await symlink(join(folder, "gone"), join(root, ".lock"));
    await symlink(join(folder, "gone"), join(root, "link"));
    await using server = await open({ bundles: [root] });
    expect(server.models.map(({ name }) => name).sort()).toEqual(["2024", "toy"]);
  });

  test("forgets what it refused once the files are gone", async () => {
    const root = join(folder, "repaired");
    await writeBundle(join(root, "toy/1"));
    await using server = await open({ bundles: [root] });
    const load = () => ask(server.port, "/v2/repository/models/toy/load", { method: "POST" });
    await writeBundle(join(root, "toy/2"), { ...toyBundle(), "model.onnx": Buffer.from("spoilt") });
    expect((await load()).status).toBe(400);
    await rm(join(root, "toy/2"), { recursive: true });
    expect((await load()).status).toBe(200);
    expect((await ask(server.port, "/v2/repository/index", { method: "POST" })).json()).toEqual([
      { name: "toy", version: "1", state: "READY", reason: "" },
    ]);
  });

  test("loads what is new, keeps what was good, and says why a version was refused", async () => {
    const root = join(folder, "changing");
    await writeBundle(join(root, "toy/1"), bundleCalled("2026-01-01T00:00:00Z"));
    await using server = await open({ bundles: [root] });
    const load = () => ask(server.port, "/v2/repository/models/toy/load", { method: "POST" });
    const index = async () => (await ask(server.port, "/v2/repository/index", { method: "POST" })).json();
    await writeBundle(join(root, "toy/2"), { ...toyBundle(), "model.onnx": Buffer.from("spoilt") });
    const refused = await load();
    expect([refused.status, refused.json().error]).toEqual([
      400,
      expect.stringMatching(/version 2 was not loaded: .*model.onnx: expected \d+ bytes/),
    ]);
    expect(await index()).toEqual([
      { name: "toy", version: "1", state: "READY", reason: "" },
      { name: "toy", version: "2", state: "UNAVAILABLE", reason: expect.stringContaining("expected") },
    ]);
    await writeBundle(join(root, "toy/2"));
    expect((await load()).status).toBe(200);
    expect((await infer(server.port)).json().model_version).toBe("2");
    await rm(join(root, "toy/2"), { recursive: true });
    expect((await load()).status).toBe(200);
    expect((await infer(server.port)).json().model_version).toBe("1");
    await writeBundle(join(root, "toy/1"), { ...toyBundle(), "model.onnx": Buffer.from("spoilt") });
    expect((await load()).json().error).toMatch(/what was loaded before goes on/);
    expect((await infer(server.port)).status).toBe(200);
  });

  test("unloads and loads again", async () => {
    await using server = await open();
    const call = (what: string) => ask(server.port, `/v2/repository/models/${what}`, { method: "POST" });
    expect((await call("toy/unload")).status).toBe(200);
    expect([(await infer(server.port)).status, (await ask(server.port, "/v2/models/toy/ready")).status]).toEqual([
      503, 503,
    ]);
    expect((await ask(server.port, "/v2/health/ready")).status).toBe(200);
    expect((await call("toy/load")).status).toBe(200);
    expect((await infer(server.port)).status).toBe(200);
    expect([(await call("tiger/load")).status, (await call("..%2ftoy/unload")).status]).toEqual([404, 404]);
  });

  test("swaps versions under load without a failed request, and each answer is of one version", async () => {
    const root = join(folder, "swapped");
    const next = (i: number) => bundleCalled(`2026-01-01T00:00:${String(i).padStart(2, "0")}Z`);
    await writeBundle(join(root, "toy"), next(0));
    await using server = await open({ bundles: [root], watchMs: 20 });
    const created = async () => (await get(server.port, "/bundles/toy/manifest.json")).created;
    const statuses = new Set<number>();
    let stop = false;
    const client = async () => {
      while (!stop) statuses.add((await infer(server.port, 3)).status);
    };
    const clients = [client(), client()];
    for (let i = 1; i <= 4; i++) {
      await writeBundle(join(folder, "staged"), i === 2 ? { ...next(2), "model.onnx": Buffer.from("x") } : next(i));
      await rm(join(root, "toy"), { recursive: true });
      await rename(join(folder, "staged"), join(root, "toy"));
      const expected = next(i === 2 ? 1 : i)["manifest.json"]!.toString();
      await vi.waitFor(async () => expect(expected).toContain((await created()) as string), 5000);
    }
    stop = true;
    await Promise.all(clients);
    expect([...statuses]).toEqual([200]);
  });
});

describe("closing", () => {
  test("does not wait for a connection kept alive, nor for one that asked nothing", async () => {
    const other = await open();
    const agent = new Agent({ keepAlive: true });
    const [response] = await once(get({ host: "127.0.0.1", port: other.port, path: "/v2", agent }), "response");
    response.resume();
    await once(response, "end");
    const quiet = connect(other.port, "127.0.0.1");
    await once(quiet, "connect");
    const began = performance.now();
    await Promise.all([other.close(), other.close(), once(quiet, "close")]);
    expect(performance.now() - began).toBeLessThan(2000);
    agent.destroy();
    await expect(ask(other.port, "/v2")).rejects.toThrow("ECONNREFUSED");
  });

  test("lets requests under way end", async () => {
    const other = await open({ bundles: [slow()] });
    const socket = connect(other.port, "127.0.0.1");
    const body = JSON.stringify(request(2000));
    const head = ["Host: a", "Content-Type: application/json", `Content-Length: ${body.length}`].join("\r\n");
    socket.write(`POST /v2/models/toy/infer HTTP/1.1\r\n${head}\r\n\r\n${body.slice(0, 100)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const closed = other.close();
    socket.write(body.slice(100));
    let answer = "";
    for await (const part of socket) answer += part;
    expect(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n"))).outputs[0].data).toEqual(labels(2000));
    await closed;
  });

  test("waits no longer than it was told", async () => {
    const other = await open({ graceMs: 50 });
    const socket = connect(other.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write("POST /v2/models/toy/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{");
    await new Promise((resolve) => setTimeout(resolve, 30));
    const began = performance.now();
    await Promise.all([other.close(), once(socket, "close")]);
    expect(performance.now() - began).toBeLessThan(2000);
  });
});

describe("opening", () => {
  test.each<[string, Partial<ServeOptions>, string, string]>([
    ["no bundle", { bundles: [] }, "USAGE", "expected at least one"],
    ["two bundles of one name", { bundles: [toyModel(), toyModel()] }, "USAGE", 'got two called "toy"'],
    ["a bundle that is not there", { bundles: [toyModel(), "no/such/bundle"] }, "BUNDLE_MISSING", "no/such/bundle"],
    ["a port that is none", { port: 65536 }, "USAGE", "port: expected up to 65535, got 65536"],
    ["a host that is not ours", { host: "192.0.2.1" }, "USAGE", "cannot listen on 192.0.2.1:0"],
  ])("refuses %s", (_, options, code, message) =>
    expect(open(options)).rejects.toMatchObject({ code, message: expect.stringContaining(message) }),
  );

  test("refuses a port that is taken", async () => {
    await using server = await open();
    const taken = { code: "USAGE", message: expect.stringContaining("EADDRINUSE") };
    await expect(open({ port: server.port })).rejects.toMatchObject(taken);
  });

  test("leaves this process's Request and Response as they were", () =>
    expect([globalThis.Request, globalThis.Response]).toEqual(own));
});
