import { mkdir, readFile, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { toyBundle, toyModel } from "../runtime/toy.ts";
import { type Built, buildServer } from "../serve/built.ts";
import { ask, post } from "../serve/client.ts";
import { startServer, watchLive } from "./server.ts";
import { p99, sized } from "./sized.ts";

const INFER = "/v2/models/toy/infer";
const request = { inputs: [{ name: "images", shape: [1, 2, 2, 1], datatype: "UINT8", data: [0, 9, 0, 0] }] };
const BODY = JSON.stringify(request);
const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

let built: Built;
beforeAll(async () => {
  built = await buildServer();
  await writeFile(join(built.folder, "toy.onnx"), toyModel());
}, 60_000);
afterAll(() => built.remove());

/** What a client does to a connection: writes bytes, and then ends it, cuts it, or waits. */
interface Abuse {
  readonly bytes: Buffer;
  readonly then: "end" | "cut" | "wait";
}

/** All that came back until the server closed, or nothing more came for a while. */
function abuse(port: number, { bytes, then }: Abuse): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    let text = "";
    socket.on("data", (part) => {
      text += part.toString("latin1");
    });
    socket.setTimeout(sized(100, 200), () => socket.destroy());
    socket.on("error", () => {}); // cut by the server while we wrote: its right
    socket.on("end", () => socket.end());
    socket.on("close", () => resolve(text));
    socket.write(bytes, () => {
      if (then === "end") socket.end();
      if (then === "cut") socket.destroy();
    });
  });
}

const WHOLE = `POST ${INFER} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;
const head = (...lines: string[]) => [`POST ${INFER} HTTP/1.1`, "Host: a", ...lines, "", ""].join("\r\n");
const text = fc.oneof(
  fc.string({ maxLength: 40 }).map((method) => `${method} /v2 HTTP/1.1\r\nHost: a\r\n\r\n`),
  fc.string({ maxLength: 99 }).map((path) => `GET /${path} HTTP/1.1\r\nHost: a\r\n\r\n`),
  fc.string().map((value) => `GET /v2 HTTP/1.1\r\nHost: a\r\nX-A: ${value}\r\n\r\n`),
  fc
    .constantFrom("HTTP/9.9", "HTTP/1.0", "HTTP/0.9", "ICY", "HTTP/1.1 HTTP/1.1")
    .map((v) => `GET /v2 ${v}\r\nHost: a\r\n\r\n`),
  fc.constant(`${head("Content-Length: 5", "Transfer-Encoding: chunked")}0\r\n\r\nGET /v2 HTTP/1.1\r\nHost: a\r\n\r\n`),
  fc
    .constantFrom("-1", "1e3", "0x5", "99999999999999999999", "5, 6", "+5", "")
    .map((n) => head(`Content-Length: ${n}`) + BODY),
  fc
    .constantFrom("chunked, chunked", "identity, chunked", "gzip", "xchunked", "chunked\x0b")
    .map((c) => head(`Transfer-Encoding: ${c}`)),
  fc
    .constantFrom("g", "-1", "FFFFFFFFFFFFFFFFF", "5;".padEnd(70_000, "x"), "\0")
    .map((size) => `${head("Transfer-Encoding: chunked")}${size}\r\nhello\r\n0\r\n\r\n`),
  fc.constant(`${head("Transfer-Encoding: chunked")}${"1\r\n \r\n".repeat(65_537)}0\r\n\r\n`),
  fc.constant(`GET /v2 HTTP/1.1\r\nHost: a\r\nX-Long: ${"x".repeat(2 ** 20)}\r\n\r\n`),
  fc.constant(`GET /v2 HTTP/1.1\r\nHost: a\r\n${"X-Many: x\r\n".repeat(5000)}\r\n`),
  fc.constant(`GET /v2\0 HTTP/1.1\r\nHost: a\0b\r\n\r\n`),
  fc.constant("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  fc.constant("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".padEnd(300, "\x7f")), // TLS
  fc.constant(`CONNECT /v2 HTTP/1.1\r\nHost: a\r\n\r\n`),
  fc.constant(`GET /v2 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n`),
  fc.constant(WHOLE.repeat(50)),
  fc.nat(WHOLE.length).map((end) => WHOLE.slice(0, end)),
  fc.array(fc.tuple(fc.nat(WHOLE.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }).map((changes) => {
    const bytes = Buffer.from(WHOLE);
    for (const [at, byte] of changes) bytes[at] = byte;
    return bytes.toString("latin1");
  }),
);
const anything = fc.oneof(
  { weight: 6, arbitrary: text.map((of) => Buffer.from(of, "latin1")) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)) },
);

test(`${sized(400, 5000)} connections that speak no HTTP, or half of it: no crash, nothing answered with a server's fault`, async () => {
  const server = await startServer(built, { bundles: ["toy.onnx"], workers: 1 });
  const live = watchLive(server.port);
  const then = fc.constantFrom("end" as const, "cut" as const, "wait" as const);
  const all = fc.sample(fc.record({ bytes: anything, then }), { numRuns: sized(400, 5000), seed: 4 });
  const pending = [...all];
  const client = async () => {
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const got = await abuse(server.port, next);
      const statuses = Array.from(got.matchAll(/^HTTP\/1\.1 (\d+)/gm), ([, status]) => Number(status));
      const told = `${JSON.stringify(next.bytes.toString("latin1").slice(0, 300))}: ${got.slice(0, 300)}`;
      expect(
        statuses.filter((status) => status >= 500),
        told,
      ).toEqual([]);
    }
  };
  await Promise.all(Array.from({ length: 40 }, client));
  expect((await live.stop()).statuses).toEqual([200]);
  expect((await post(server.port, INFER, request)).status).toBe(200);
  expect([server.exit(), server.said()]).toEqual([undefined, `port ${server.port}\n`]);
  await server.close();
  expect(server.exit()).toBe(0);
}, 300_000);

test(`${sized(60, 700)} connections that trickle are closed in time, and others hardly notice`, async () => {
  const [headersMs, requestMs] = sized([400, 800], [10_000, 60_000]) as [number, number];
  const server = await startServer(built, { bundles: ["toy.onnx"], workers: 1, limits: { headersMs, requestMs } });
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const good = async (milliseconds: number) => {
    const times: number[] = [];
    const until = performance.now() + milliseconds;
    const client = async () => {
      while (performance.now() < until) {
        const began = performance.now();
        expect((await post(server.port, INFER, request, { agent })).status).toBe(200);
        times.push(performance.now() - began);
        await wait(10);
      }
    };
    await Promise.all([client(), client(), client(), client()]);
    return p99(times);
  };
  /** How long a connection lives that begins with `start` and then sends a byte each `every` milliseconds. */
  const trickle = (start: string) =>
    new Promise<number>((resolve) => {
      const began = performance.now();
      const socket = connect(server.port, "127.0.0.1", () => socket.write(start));
      const drip = setInterval(() => socket.write("a"), sized(50, 1000));
      socket.on("error", () => {});
      socket.resume().on("close", () => {
        clearInterval(drip);
        resolve(performance.now() - began);
      });
    });
  const alone = await good(sized(500, 10_000));
  const headers = Array.from({ length: sized(40, 500) }, () => trickle("GET /v2 HTTP/1.1\r\nHost: a\r\nX-Slow: "));
  const bodies = Array.from({ length: sized(20, 200) }, () =>
    trickle(head("Content-Type: application/json", "Content-Length: 999")),
  );
  const besides = await good(requestMs);
  const slack = sized(10_000, 5000);
  expect(Math.max(...(await Promise.all(headers)))).toBeLessThan(headersMs + slack);
  expect(Math.max(...(await Promise.all(bodies)))).toBeLessThan(requestMs + slack);
  expect(besides).toBeLessThan(sized(1000 + 2 * alone, 2 * Math.max(alone, 5)));
  agent.destroy();
  await server.close();
}, 200_000);

/** Writes the path of every file that is opened, read or looked at to the process's output. */
const SPY = `
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
const say = (path) => fs.writeSync(1, "touched " + path + "\\n");
for (const home of [fs, fs.promises])
  for (const name of ["open", "openSync", "readFile", "readFileSync", "createReadStream", "stat", "statSync", "lstat", "lstatSync",
    "readdir", "readdirSync", "opendir", "access", "accessSync", "realpath", "realpathSync", "existsSync", "copyFile"]) {
    const real = home[name];
    if (typeof real === "function") home[name] = Object.assign(function (path, ...rest) { say(path); return real.call(this, path, ...rest); }, real);
  }
syncBuiltinESMExports();
`;

test("names that are paths in disguise are 4xx, and no file is looked at for any", async () => {
  const repository = join(built.folder, "models");
  const decoy = join(built.folder, "decoy");
  for (const folder of [join(repository, "toy"), decoy]) {
    await mkdir(folder, { recursive: true });
    for (const [name, bytes] of Object.entries(toyBundle())) await writeFile(join(folder, name), bytes);
  }
  await writeFile(join(built.folder, "spy.mjs"), SPY);
  const server = await startServer(built, { bundles: ["models"], workers: 1 }, ["--import", "./spy.mjs"]);
  const touched = () => server.said().match(/^touched .*$/gm)?.length ?? 0;
  const before = touched();
  expect(before).toBeGreaterThan(0); // the spy sees what the server reads

  const ups = [
    "../",
    "..%2f",
    "%2e%2e/",
    "%2e%2e%2f",
    "..%5c",
    "..\\",
    "....//",
    "%252e%252e%252f",
    "..%c0%af",
    "..%ef%bc%8f",
  ];
  const starts = [
    "",
    "/",
    "%2f",
    "file:",
    "file://",
    "toy/",
    "toy%2f",
    "toy/versions/",
    "toy/versions/1%2f",
    "toy%00",
    "C:%5c",
    "~/",
  ];
  const names = [
    ...ups.flatMap((up) => starts.map((start) => `${start}${up}decoy`)),
    ...ups.map((up) => `${up.repeat(12)}etc%2fpasswd`),
    ...[
      "__proto__",
      "constructor",
      "toString",
      "%2e",
      "%2e%2e",
      "%00",
      "%",
      "%zz",
      "%ff",
      "toy%0d%0aX-A:1",
      "models",
      "decoy",
    ],
    ...["toy/versions/1.0", "toy/versions/01", "toy/versions/-1", "toy/versions/1e0", "toy/versions/%31%00"],
    ...[
      `${"a".repeat(129)}`,
      "t%6fy%2f",
      "TOY",
      "toy%20",
      ".toy",
      "-toy",
      "toy;x",
      `${decoy}`,
      encodeURIComponent(decoy),
    ],
  ];
  const tried = names.flatMap(
    (name) =>
      [
        ["GET", `/v2/models/${name}/ready`],
        ["GET", `/bundles/${name}/card.md`],
      ] as const,
  );
  expect(tried.length).toBeGreaterThan(200);
  for (const [method, path] of tried) {
    const { status, text } = await ask(server.port, path, { method });
    expect([Math.floor(status / 100), JSON.parse(text)], `${path}: ${status} ${text.slice(0, 100)}`).toEqual([
      4,
      { error: expect.stringMatching(/./) },
    ]);
  }
  for (const name of names) {
    const answer = await post(server.port, `/v2/models/${name}/infer`, request);
    expect(Math.floor(answer.status / 100), `${name}: ${answer.text}`).toBe(4);
  }
  expect(touched()).toBe(before);
  expect((await ask(server.port, "/bundles/toy/card.md")).bytes).toEqual(
    await readFile(join(repository, "toy/card.md")),
  );
  await server.close();
}, 120_000);
