import assert from "node:assert/strict";
import { assertRefused, type Case, inferred, parse, request, type Target } from "../suite.ts";

const words = (text: string) => text.trim().split(/\s+/);
const NO_NAMES = [
  ...words(
    "no-such-model ... ..%2f..%2fetc%2fpasswd %2e%2e%2f%2e%2e ..%5c..%5cwindows %00 a%00b %2f %5c ~ * $HOME con",
  ),
  ...words(
    "__proto__ constructor toString hasOwnProperty %ff%fe % %zz a%20b a%0d%0ab %e2%80%ae %252e%252e%252f ..; .hidden",
  ),
  ...["a/../../b", "a".repeat(300)],
];
const NO_VERSIONS = [...words("999999 0 01 -1 1.0 abc __proto__ ..%2f1 %00"), "9".repeat(60)];
const NO_PATHS = [
  ...words(
    "/v1/models /v3 /v2/health /v2/health/ /v2/health/live/x /v2/nothing /v2/models/ /nothing //v2//health//live",
  ),
  ...words("/.git/config /package.json /etc/passwd /..%2f..%2fetc%2fpasswd"),
];

/** Names that lead nowhere: 404 or 400 with an error object, whatever they are spelled like. */
export function pathCases(target: Target): Case[] {
  const { endpoint, paths, extensions } = target;
  const [model] = paths as [string];
  const body = JSON.stringify(request(target, 1));
  const headers = { "content-type": "application/json" };
  const missing = (group: string, path: string, post = false, level: Case["level"] = "robustness"): Case => ({
    ...{ level, group, name: `${post ? "POST" : "GET"} ${path.length > 60 ? `${path.slice(0, 60)}...` : path}` },
    run: async () => assertRefused(await endpoint.ask(path, post ? { headers, body } : {}), [400, 404, 414]),
  });
  const tails = ["", "/ready", ...(extensions.has("model_configuration") ? ["/config"] : [])];
  return [
    ...NO_NAMES.flatMap((name) => [
      missing("unknown models", `/v2/models/${name}`, false, name === "no-such-model" ? "protocol" : "robustness"),
      missing("unknown models", `/v2/models/${name}/infer`, true, name === "no-such-model" ? "protocol" : "robustness"),
    ]),
    ...tails.slice(1).map((tail) => missing("unknown models", `/v2/models/no-such-model${tail}`, false, "protocol")),
    ...NO_VERSIONS.flatMap((version) => [
      missing("unknown versions", `${model}/versions/${version}`),
      missing("unknown versions", `${model}/versions/${version}/infer`, true),
    ]),
    ...NO_PATHS.map((path) => missing("unknown paths", path)),
  ];
}

/** Repository, configuration and statistics, where the server says it has them. */
export function extensionCases(target: Target): Case[] {
  const { endpoint, extensions, model, paths, inputs, outputs } = target;
  const cases: Case[] = [];
  const add = (extension: string, name: string, run: Case["run"]) => {
    if (extensions.has(extension)) cases.push({ level: "extension", group: extension, name, run });
  };
  const index = async (json: unknown = {}) => {
    const reply = await endpoint.post("/v2/repository/index", json);
    assert.equal(reply.status, 200, reply.body.toString());
    return parse(reply) as unknown as { name: string; version?: string; state: string; reason: string }[];
  };
  const repository = "model_repository";
  const change = (name: string, what: "load" | "unload") => endpoint.post(`/v2/repository/models/${name}/${what}`, {});
  add(repository, "the index lists the model as ready", async () => {
    const found = (await index()).find(({ name }) => name === model);
    assert.equal(found?.state, "READY");
  });
  add(repository, "an index of what is ready", async () => {
    assert.ok((await index({ ready: true })).every(({ state }) => state === "READY"));
  });
  add(repository, "an index without a body", async () => {
    const reply = await endpoint.ask("/v2/repository/index", { method: "POST" });
    assert.equal(reply.status, 200);
  });
  add(repository, "a model that is not there is not loaded", async () => {
    assertRefused(await change("no-such-model", "load"), [400, 404]);
  });
  add(repository, "a model that is not there is not unloaded", async () => {
    assertRefused(await change("no-such-model", "unload"), [400, 404]);
  });
  add(repository, "what is loaded again serves on", async () => {
    assert.equal((await change(model, "load")).status, 200);
    inferred(target, await endpoint.post(`${paths[0]}/infer`, request(target, 1)));
  });
  add(repository, "what is unloaded is not ready and not served until it is loaded", async () => {
    assert.equal((await change(model, "unload")).status, 200);
    try {
      const ready = await endpoint.ask(`${paths[0]}/ready`);
      assert.ok(ready.status >= 400, `ready answered ${ready.status} for an unloaded model`);
      assertRefused(await endpoint.post(`${paths[0]}/infer`, request(target, 1)), [400, 404, 503]);
      const state = (await index()).find(({ name }) => name === model)?.state;
      assert.notEqual(state, "READY");
    } finally {
      assert.equal((await change(model, "load")).status, 200);
    }
    inferred(target, await endpoint.post(`${paths[0]}/infer`, request(target, 1)));
  });
  for (const path of paths) {
    add("model_configuration", `GET ${path}/config`, async () => {
      const reply = await endpoint.ask(`${path}/config`);
      assert.equal(reply.status, 200);
      const config = parse(reply) as { name: string; max_batch_size: number; input: unknown; output: unknown };
      assert.equal(config.name, model);
      assert.ok(Number.isInteger(config.max_batch_size), "max_batch_size");
      const batched = config.max_batch_size > 0;
      const expected = (tensors: Target["inputs"]) =>
        tensors.map(({ name, datatype, shape }) => ({
          ...{ name, data_type: `TYPE_${datatype === "BYTES" ? "STRING" : datatype}` },
          dims: batched ? shape.slice(1) : shape,
        }));
      const told = (tensors: unknown) =>
        (tensors as { name: string; data_type: string; dims: (number | string)[] }[]).map(
          ({ name, data_type, dims }) => {
            return { name, data_type, dims: dims.map(Number) };
          },
        );
      assert.deepEqual(told(config.input), expected(inputs));
      assert.deepEqual(told(config.output), expected(outputs));
    });
    add("statistics", `GET ${path}/stats counts what is inferred, and what fails`, async () => {
      const counts = async () => {
        const reply = await endpoint.ask(`${path}/stats`);
        assert.equal(reply.status, 200);
        const [stats] = (parse(reply) as { model_stats: Statistics[] }).model_stats;
        assert.ok(stats);
        assert.equal(stats.name, model);
        return stats;
      };
      const before = await counts();
      for (const batch of [1, 2]) inferred(target, await endpoint.post(`${path}/infer`, request(target, batch)));
      const after = await counts();
      assert.equal(Number(after.inference_count) - Number(before.inference_count), 3, "inference_count is of samples");
      const runs = Number(after.execution_count) - Number(before.execution_count);
      assert.ok(runs >= 1 && runs <= 2, `execution_count rose by ${runs} for two requests`);
      const answered = Number(after.inference_stats.success.count) - Number(before.inference_stats.success.count);
      assert.equal(answered, 2, "success counts requests");
      assert.ok(
        Number(after.inference_stats.success.ns) > Number(before.inference_stats.success.ns),
        "success.ns rises",
      );
      assert.ok(Number(after.last_inference) >= Number(before.last_inference), "last_inference");
    });
  }
  add("statistics", "GET /v2/models/stats has the model", async () => {
    const reply = await endpoint.ask("/v2/models/stats");
    assert.equal(reply.status, 200);
    assert.ok((parse(reply) as { model_stats: Statistics[] }).model_stats.some(({ name }) => name === model));
  });
  return cases;
}

interface Statistics {
  readonly name: string;
  readonly inference_count: number;
  readonly execution_count: number;
  readonly last_inference: number;
  readonly inference_stats: Readonly<Record<"success" | "fail", { readonly count: number; readonly ns: number }>>;
}

/** Bytes that are no HTTP, or that two readers would understand differently: refused or hung up on, and the server lives. */
export function wireCases({ endpoint, paths }: Target): Case[] {
  const host = "Host: x\r\n";
  const infer = `POST ${paths[0]}/infer HTTP/1.1\r\n${host}Content-Type: application/json\r\n`;
  const broken: Record<string, string> = {
    "no HTTP at all": "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "a method that there is not": `BREW /v2 HTTP/1.1\r\n${host}\r\n`,
    "a version that there is not": `GET /v2 HTTP/9.9\r\n${host}\r\n`,
    "no path": `GET HTTP/1.1\r\n${host}\r\n`,
    "no Host": "GET /v2/health/live HTTP/1.1\r\n\r\n",
    "a header without a colon": `GET /v2 HTTP/1.1\r\n${host}Broken\r\n\r\n`,
    "a NUL in a header": `GET /v2 HTTP/1.1\r\n${host}X: a\0b\r\n\r\n`,
    "a megabyte of headers": `GET /v2 HTTP/1.1\r\n${host}X: ${"a".repeat(2 ** 20)}\r\n\r\n`,
    "Content-Length and chunks": `${infer}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    "two Content-Lengths": `${infer}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef`,
    "a negative Content-Length": `${infer}Content-Length: -5\r\n\r\n`,
    "a Content-Length that is no number": `${infer}Content-Length: five\r\n\r\n`,
    "a chunk size that is no number": `${infer}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n`,
    "a chunk of 2^64 bytes": `${infer}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nabc\r\n`,
    "an unknown transfer coding": `${infer}Transfer-Encoding: rot13\r\n\r\nabc`,
  };
  return Object.entries(broken).map(([name, bytes]) => ({
    ...{ level: "robustness", group: "malformed HTTP", name },
    run: async () => {
      const answer = await endpoint.wire(bytes);
      if (answer !== "") assert.match(answer, /^HTTP\/1\.[01] (4\d\d|501|505) /, `got ${answer.slice(0, 100)}`);
      assert.equal((await endpoint.ask("/v2/health/live")).status, 200, "the server is gone");
    },
  }));
}
