import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadClusterer } from "../../runtime/node.ts";
import type { RunningServer, ServeOptions } from "../../serve/index.ts";
import { readTokens } from "../../serve/index.ts";
import { toyManifest, toyModel } from "../runtime/toy.ts";
import { type Built, buildServer } from "./built.ts";
import { type Answer, ask, post } from "./client.ts";

const INFER = "/v2/models/toy/infer";
const vectors = { ...toyManifest("features"), name: "vectors" };
let built: Built;
let server: RunningServer;
let port: number;
const open = (options: Partial<ServeOptions> = {}) =>
  built.serve({ bundles: [toyModel()], port: 0, workers: 1, ...options });
beforeAll(async () => {
  built = await buildServer();
  server = await open({ bundles: [toyModel(), toyModel("features", vectors)], limits: { rows: 100 } });
  port = server.port;
}, 60_000);
afterAll(async () => {
  await server.close();
  await built.remove();
});

const image = { name: "images", shape: [2, 2, 2, 1], datatype: "UINT8" };
const bytes = Uint8Array.of(255, 0, 0, 0, 0, 255, 0, 0);

/** A request whose tensors follow its JSON. */
function binary(json: unknown, tensors: Uint8Array, length?: number | string, path = INFER): Promise<Answer> {
  const header = Buffer.from(JSON.stringify(json));
  const headers = { "inference-header-content-length": String(length ?? header.length) };
  return ask(port, path, { headers, body: Buffer.concat([header, tensors]) });
}
const sized = (size: unknown, rest: object = {}) => ({
  inputs: [{ ...image, parameters: { binary_data_size: size } }],
  ...rest,
});

describe("binary tensors", () => {
  test("come in, and go out where they are asked for", async () => {
    const outputs = [{ name: "label", parameters: { binary_data: true } }, { name: "embedding" }];
    const answer = await binary(sized(8, { outputs }), bytes);
    const length = Number(answer.headers["inference-header-content-length"]);
    expect(answer.headers["content-type"]).toBe("application/octet-stream");
    expect(JSON.parse(answer.bytes.subarray(0, length).toString())).toEqual({
      model_name: "toy",
      model_version: "1",
      outputs: [
        { name: "label", datatype: "INT64", shape: [2], parameters: { binary_data_size: 16 } },
        { name: "embedding", datatype: "FP32", shape: [2, 3], data: [1, 0, 0, 0, 1, 0] },
      ],
    });
    expect(new BigInt64Array(new Uint8Array(answer.bytes.subarray(length)).buffer)).toEqual(BigInt64Array.of(0n, 1n));
  });

  test("go out for a request in JSON, in the order asked for, all of them or all but one", async () => {
    const outputs = [{ name: "latent", parameters: { binary_data: false } }, { name: "confidence" }, { name: "label" }];
    const request = { inputs: [{ ...image, data: [...bytes] }], parameters: { binary_data_output: true }, outputs };
    const answer = await post(port, INFER, request);
    const length = Number(answer.headers["inference-header-content-length"]);
    expect(answer.bytes.length - length).toBe(2 * 4 + 2 * 8);
    const told = JSON.parse(answer.bytes.subarray(0, length).toString()).outputs;
    expect(told.map(({ data, parameters }: Record<string, unknown>) => data ?? parameters)).toEqual([
      [1, 0, 0, 0, 0, 1, 0, 0],
      { binary_data_size: 8 },
      { binary_data_size: 16 },
    ]);
  });

  test("a body that is one tensor is answered by tensors", async () => {
    const answer = await ask(port, INFER, { headers: { "inference-header-content-length": "0" }, body: bytes });
    const length = Number(answer.headers["inference-header-content-length"]);
    const { outputs } = JSON.parse(answer.bytes.subarray(0, length).toString());
    expect(outputs).toHaveLength(6);
    expect(answer.bytes.length - length).toBe(2 * (8 + 4 + 4 + 12 + 12 + 16));
  });

  test("floats are read wherever the JSON ends", async () => {
    const data = Float32Array.of(0, 2.5, 1, -9);
    const tensor = { name: "features", shape: [1, 4], datatype: "FP32", parameters: { binary_data_size: 16 } };
    for (const id of ["", "1", "12", "123"]) {
      const request = { id, inputs: [tensor], outputs: [{ name: "latent" }] };
      const answer = await binary(request, new Uint8Array(data.buffer), undefined, "/v2/models/vectors/infer");
      expect(answer.json().outputs).toMatchObject([{ data: [...data] }]);
    }
  });

  test("a body that was compressed is what it was", async () => {
    const header = Buffer.from(JSON.stringify(sized(8, { outputs: [{ name: "latent" }] })));
    const bodies = [Buffer.concat([header, bytes]), JSON.stringify({ inputs: [{ ...image, data: [...bytes] }] })];
    for (const [i, body] of bodies.entries()) {
      const length = i === 0 ? { "inference-header-content-length": String(header.length) } : {};
      const plain = await ask(port, INFER, { headers: length, body });
      const zipped = await ask(port, INFER, {
        headers: { ...length, "content-encoding": "GZIP" },
        body: gzipSync(body),
      });
      expect([zipped.status, zipped.text]).toEqual([200, plain.text]);
    }
  });

  test("a large body, in many pieces, is what it was", async () => {
    await using other = await open({ limits: { rows: 1_000_000 } });
    const many = Uint8Array.from({ length: 400_000 }, (_, at) => (at % 4 === Math.floor(at / 4) % 3 ? 255 : 0));
    const chunks = Array.from({ length: 40 }, (_, i) => many.subarray(i * 10_000, (i + 1) * 10_000));
    const headers = { "inference-header-content-length": "0" };
    const answer = await ask(other.port, INFER, { headers, body: chunks });
    const length = Number(answer.headers["inference-header-content-length"]);
    const labels = new BigInt64Array(new Uint8Array(answer.bytes.subarray(length, length + 800_000)).buffer);
    expect(labels.findIndex((label, i) => Number(label) !== i % 3)).toBe(-1);
  });

  const whole = { inputs: [{ ...image, data: [...bytes] }] };
  test.each<[string, number, () => Promise<Answer>, string]>([
    ["a size that is not the shape's", 400, () => binary(sized(7), bytes), "expected 8 bytes, got 7"],
    ["a size below 0", 400, () => binary(sized(-1), bytes), "expected 8 bytes, got -1"],
    ["a size that is none", 400, () => binary(sized("8"), bytes), "expected 8 bytes, got 8"],
    ["too few bytes", 400, () => binary(sized(8), bytes.subarray(1)), "expected 8 bytes after the JSON, got 7"],
    ["too many bytes", 400, () => binary(sized(8), new Uint8Array(9)), "expected 8 bytes after the JSON, got 9"],
    ["bytes nobody claims", 400, () => binary(whole, bytes), "8 bytes after the JSON"],
    ["both kinds of data", 400, () => binary({ inputs: [{ ...sized(8).inputs[0], data: [] }] }, bytes), "got both"],
    ["a size without the header", 400, () => post(port, INFER, sized(8)), "needs the header"],
    ["a header length past the end", 400, () => binary(sized(8), bytes, 999), "999, and the body has"],
    ["a header length that is none", 400, () => binary(sized(8), bytes, "x"), "expected a number of bytes"],
    ["a header length below 0", 400, () => binary(sized(8), bytes, -1), "expected a number of bytes"],
    ["a header length amid the JSON", 400, () => binary(sized(8), bytes, 9), "expected JSON"],
    ["half a sample", 400, () => binary("", bytes.subarray(1), 0), "expected a multiple of 4 bytes, got 9"],
    [
      "shared memory",
      400,
      () => post(port, INFER, { inputs: [{ ...image, parameters: { shared_memory_region: "a" } }] }),
      "shared memory",
    ],
    [
      "classification",
      400,
      () => post(port, INFER, { ...whole, outputs: [{ name: "label", parameters: { classification: 2 } }] }),
      "classification",
    ],
    ["a parameter that is a list", 400, () => post(port, INFER, { ...whole, parameters: { a: [] } }), "parameters.a"],
    [
      "binary_data that is no flag",
      400,
      () => post(port, INFER, { ...whole, parameters: { binary_data_output: 1 } }),
      "true or false",
    ],
    [
      "JSON nested too deep",
      400,
      () => post(port, INFER, { ...whole, a: JSON.parse("[".repeat(16) + "]".repeat(16)) }),
      "up to 16 levels",
    ],
  ])("refuses %s: %i", async (_, status, send, message) => {
    const answer = await send();
    expect([answer.status, answer.json()]).toEqual([status, { error: expect.stringContaining(message) }]);
  });

  test("NaN in floats: 422", async () => {
    const tensor = { name: "features", shape: [1, 4], datatype: "FP32", parameters: { binary_data_size: 16 } };
    const data = new Uint8Array(Float32Array.of(0, Number.NaN, 0, 0).buffer);
    const answer = await binary({ inputs: [tensor] }, data, undefined, "/v2/models/vectors/infer");
    expect([answer.status, answer.json().error]).toEqual([422, expect.stringContaining("expected finite float32")]);
  });
});

describe("extensions", () => {
  test("a model's configuration, its shapes without the batch", async () => {
    const config = (await ask(port, "/v2/models/toy/versions/1/config")).json();
    expect(config).toMatchObject({
      name: "toy",
      backend: "onnxruntime",
      max_batch_size: 64,
      input: [{ name: "images", data_type: "TYPE_UINT8", dims: [2, 2, 1] }],
      version_policy: { specific: { versions: [1] } },
    });
    expect((config.output as unknown[])[0]).toEqual({ name: "label", data_type: "TYPE_INT64", dims: [] });
  });

  test("statistics count samples, runs, and what failed", async () => {
    await using other = await open();
    await post(other.port, INFER, { inputs: [{ ...image, data: [...bytes] }] });
    await post(other.port, INFER, { inputs: [] });
    const { model_stats: all } = (await ask(other.port, "/v2/models/stats")).json();
    expect((await ask(other.port, "/v2/models/toy/stats")).json().model_stats).toEqual(all);
    const [stats] = all as { last_inference: number; inference_stats: Record<string, { count: number; ns: number }> }[];
    expect(stats).toMatchObject({ name: "toy", version: "1", inference_count: 2, execution_count: 2 });
    expect(Date.now() - stats!.last_inference).toBeLessThan(60_000);
    const { success, fail, queue, compute_infer } = stats!.inference_stats;
    expect([success!.count, fail!.count, queue!.count]).toEqual([1, 1, 2]);
    expect(compute_infer!.ns).toBeGreaterThan(0);
  });

  test("metrics say what ran, how long and where", async () => {
    await post(port, INFER, { inputs: [{ ...image, data: [...bytes] }] });
    const { text, headers } = await ask(port, "/metrics");
    expect(headers["content-type"]).toMatch(/^text\/plain/);
    expect(text).toMatch(/^subspan_inference_requests_total\{model="toy",version="1",code="200"\} [1-9]/m);
    expect(text).toMatch(/^subspan_model_info\{model="vectors",version="1",provider="cpu"\} 1$/m);
    for (const name of ["queue_seconds", "compute_seconds", "batch_rows"])
      expect(text).toMatch(new RegExp(`^subspan_${name}_count\\{model="toy",version="1"\\} [1-9]`, "m"));
    expect(text).toContain("nodejs_eventloop_lag_seconds");
  });
});

describe("for people and browsers", () => {
  test("OpenAPI names each model's own tensors", async () => {
    const { openapi, paths } = (await ask(port, "/openapi.json")).json() as {
      openapi: string;
      paths: Record<string, { post?: { requestBody: { content: Record<string, { schema: { properties: never } }> } } }>;
    };
    expect(openapi).toBe("3.1.0");
    const { inputs } = paths["/v2/models/vectors/infer"]!.post!.requestBody.content["application/json"]!.schema
      .properties as { inputs: { items: { properties: object } } };
    expect(inputs.items.properties).toMatchObject({ name: { enum: ["features"] }, datatype: { enum: ["FP32"] } });
    expect(Object.keys(paths["/v2/models/toy/assign"]!.post!.requestBody.content)).toContain("multipart/form-data");
  });

  test("the documentation's page loads nothing from elsewhere", async () => {
    const { text, headers } = await ask(port, "/docs");
    expect(headers["content-security-policy"]).toBe("default-src 'self'");
    const names = Array.from(text.matchAll(/(?:src|href)="([^"]+)"/g), ([, name]) => name!);
    expect(names.every((name) => name.startsWith("/"))).toBe(true);
    for (const name of names) expect((await ask(port, name)).status).toBe(200);
  });

  test("the page opens the one bundle there is, isolated so that WebAssembly may use threads", async () => {
    const plain = await ask(port, "/");
    expect([plain.status, plain.text]).toEqual([200, expect.stringContaining("<li>toy</li><li>vectors</li>")]);
    const web = join(built.folder, "dist/web");
    await mkdir(join(web, "assets"), { recursive: true });
    await writeFile(join(web, "index.html"), "<!doctype html><head><title>page</title></head>");
    await writeFile(join(web, "assets/ort.wasm"), "wasm");
    await using other = await open();
    const { headers, text } = await ask(other.port, "/");
    expect(text).toContain('<head>\n<meta name="subspan-bundle" content="/bundles/toy">');
    const isolated = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
    expect(headers).toMatchObject({ ...isolated, "content-type": expect.stringMatching(/^text\/html/) });
    const wasm = await ask(other.port, "/assets/ort.wasm");
    expect([wasm.text, wasm.headers]).toEqual([
      "wasm",
      expect.objectContaining({ ...isolated, "content-type": "application/wasm", "content-length": "4" }),
    ]);
    const again = { headers: { "if-none-match": wasm.headers.etag as string } };
    expect((await ask(other.port, "/assets/ort.wasm", again)).status).toBe(304);
    expect((await ask(other.port, "/assets/..%2findex.html")).status).toBe(404);
    await rm(web, { recursive: true });
  });

  test("a bundle is served as it was checked, and a loader takes it", async () => {
    expect((await ask(port, "/bundles")).json()).toEqual({
      bundles: [
        { name: "toy", version: "1", url: "/bundles/toy", clusters: 3 },
        { name: "vectors", version: "1", url: "/bundles/vectors", clusters: 3 },
      ],
    });
    const clusterer = await loadClusterer(`${server.url}/bundles/toy`, { device: "cpu" });
    const { label } = await clusterer.assign({ data: bytes, shape: [2, 2, 2, 1] });
    expect(label).toEqual(Int32Array.of(0, 1));
    await clusterer.dispose();
    const { headers } = await ask(port, "/bundles/toy/model.onnx");
    const again = { headers: { "if-none-match": headers.etag as string } };
    expect((await ask(port, "/bundles/toy/model.onnx", again)).status).toBe(304);
    expect((await ask(port, "/bundles/toy/..%2f..%2fpackage.json")).status).toBe(404);
  });

  test("requests have ids and stay in their trace", async () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const answer = await ask(port, "/v2", { headers: { "x-request-id": "mine/1", traceparent } });
    expect(answer.headers["x-request-id"]).toBe("mine/1");
    expect(answer.headers.traceparent).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/);
    const other = await ask(port, "/v2", { headers: { "x-request-id": "no\tid", traceparent: "00-0-0-0" } });
    expect(other.headers["x-request-id"]).toMatch(/^\w+-\w+$/);
    expect(other.headers).not.toHaveProperty("traceparent");
  });
});

test("traces go to a collector, those begun elsewhere under their parent", async () => {
  const bodies: string[] = [];
  const collector = createServer(async (incoming, outgoing) => {
    let body = "";
    for await (const chunk of incoming) body += chunk;
    bodies.push(body);
    outgoing.end("{}");
  });
  await once(collector.listen(0, "127.0.0.1"), "listening");
  const other = await open({ otlp: `http://127.0.0.1:${(collector.address() as AddressInfo).port}/` });
  const headers = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };
  const one = { inputs: [{ ...image, data: [...bytes] }] };
  await post(other.port, INFER, one, { headers });
  const begun = await post(other.port, INFER, one);
  await post(other.port, INFER, one, { headers: { traceparent: headers.traceparent.replace(/01$/, "00") } });
  await other.close();
  collector.close();
  const { spans } = JSON.parse(bodies.join("")).resourceSpans[0].scopeSpans[0];
  expect(spans).toMatchObject([
    { traceId: "0af7651916cd43dd8448eb211c80319c", parentSpanId: "b7ad6b7169203331", name: "POST toy" },
    { traceId: (begun.headers.traceparent as string).split("-")[1], name: "POST toy" },
  ]);
  expect(spans[0].attributes).toContainEqual({ key: "subspan.rows", value: { intValue: 2 } });
  expect(BigInt(spans[0].endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(spans[0].startTimeUnixNano));
});

describe("access", () => {
  const [user, operator] = ["a-token-for-inference", "a-token-for-operators"];
  const index = (port: number, headers: Record<string, string> = {}) =>
    ask(port, "/v2/repository/index", { method: "POST", headers });
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

  test("tokens open what they are for", async () => {
    await using other = await open({ tokens: { inference: [user], admin: [operator] } });
    const metadata = (headers = {}) => ask(other.port, "/v2/models/toy", { headers });
    const statuses = await Promise.all([
      metadata(),
      metadata(bearer("a-token-nobody-gave")),
      metadata(bearer(user)),
      metadata(bearer(operator)),
      index(other.port),
      index(other.port, bearer(user)),
      index(other.port, bearer(operator)),
      ask(other.port, "/v2/health/ready"),
      ask(other.port, "/metrics"),
      post(other.port, INFER, {}),
    ]);
    expect(statuses.map(({ status }) => status)).toEqual([401, 401, 200, 200, 401, 403, 200, 200, 401, 401]);
    expect(statuses[0]!.headers["www-authenticate"]).toMatch(/^Bearer/);
    expect(statuses[0]!.json()).toEqual({ error: "authorization: expected a bearer token" });
  });

  test("without tokens, programs on this machine may load models and pages may not", async () => {
    expect((await index(port)).status).toBe(200);
    expect((await index(port, { origin: "http://localhost:3000" })).status).toBe(403);
  });

  test("without an admin token, a server that others reach loads nothing for them", async () => {
    await using other = await open({ host: "0.0.0.0" });
    expect((await index(other.port)).status).toBe(403);
    expect((await ask(other.port, "/v2")).status).toBe(200);
  });

  test("tokens are read from a file and the environment", async () => {
    const folder = await mkdtemp(join(tmpdir(), "subspan-tokens-"));
    const file = join(folder, "tokens");
    await writeFile(file, `# who may what\ninference ${user}\n\nadmin ${operator}\n`);
    const env = { SUBSPAN_INFERENCE_TOKENS: "one-more-for-inference,and-another-for-it" };
    expect(await readTokens(file, env)).toEqual({
      inference: ["one-more-for-inference", "and-another-for-it", user],
      admin: [operator],
    });
    await writeFile(file, `root ${user}`);
    await expect(readTokens(file, {})).rejects.toThrow(`${file}, line 1: expected "inference TOKEN" or "admin TOKEN"`);
    await expect(readTokens(undefined, { SUBSPAN_ADMIN_TOKENS: "short" })).rejects.toThrow("16 characters");
    await rm(folder, { recursive: true });
  });

  test("pages of other origins may ask where they are let", async () => {
    const origin = "https://example.org";
    expect((await ask(port, "/v2", { headers: { origin } })).headers).not.toHaveProperty("access-control-allow-origin");
    await using other = await open({ cors: ["https://Example.org/"] });
    const asked = await ask(other.port, "/v2", { headers: { origin } });
    expect(asked.headers["access-control-allow-origin"]).toBe(origin);
    const preflight = await ask(other.port, INFER, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST" },
    });
    expect([preflight.status, preflight.headers["access-control-allow-methods"]]).toEqual([204, "GET, HEAD, POST"]);
    const stranger = await ask(other.port, "/v2", { headers: { origin: "https://example.com" } });
    expect(stranger.headers).not.toHaveProperty("access-control-allow-origin");
  });

  test.each(["foo", "https://example.org/page", "example.org", ""])("%j is no origin", async (origin) => {
    await expect(open({ cors: [origin] })).rejects.toMatchObject({
      code: "USAGE",
      message: `cors: expected an origin such as https://example.org, or *, got ${origin}`,
    });
  });
});

describe("time", () => {
  const talk = async (port: number, text: string) => {
    const socket = connect(port, "127.0.0.1");
    socket.write(text);
    let answer = "";
    for await (const part of socket) answer += part;
    return answer;
  };

  test("headers and bodies that never end are cut off with 408", async () => {
    await using other = await open({ limits: { headersMs: 100, requestMs: 200 } });
    const began = performance.now();
    const answers = await Promise.all([
      talk(other.port, "GET /v2 HTTP/1.1\r\nHost: a\r\nX-Slow: "),
      talk(other.port, `POST ${INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{`),
    ]);
    expect(performance.now() - began).toBeLessThan(5000);
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1.1 408 [\s\S]*\{"error":"request: took too long"\}$/);
  });

  test("a client's own deadline holds in the queue", async () => {
    await using other = await open({ maxDelayMs: 400 });
    const headers = { "content-type": "application/json", "x-request-timeout-ms": "50" };
    const body = JSON.stringify({ inputs: [{ ...image, data: [...bytes] }] });
    const answer = await ask(other.port, INFER, { headers, body });
    expect([answer.status, answer.headers["retry-after"]]).toEqual([503, "1"]);
  });
});
