import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunningServer, ServeOptions } from "../../serve/index.ts";
import { toyBundle, toyManifest, toyModel } from "../runtime/toy.ts";
import { type Built, buildServer } from "./built.ts";
import { type Ask, ask, post } from "./client.ts";

const vectors = { ...toyManifest("features"), name: "vectors" };
const open = (options: Partial<ServeOptions> = {}) =>
  built.serve({ bundles: [toyModel()], port: 0, workers: 2, ...options });

let built: Built;
let folder: string;
let server: RunningServer;
let port: number;
beforeAll(async () => {
  built = await buildServer();
  folder = await mkdtemp(join(tmpdir(), "subspan-serve-"));
  for (const [name, bytes] of Object.entries(toyBundle())) await writeFile(join(folder, name), bytes);
  server = await open({ bundles: [folder, toyModel("features", vectors)], limits: { bodyBytes: 100_000, rows: 300 } });
  port = server.port;
}, 60_000);
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
  await built.remove();
});

/** n images of 4 pixels whose brightest says the label: i mod 3. */
const pixels = (n: number) => Array.from({ length: n * 4 }, (_, at) => (at % 4 === Math.floor(at / 4) % 3 ? 255 : 0));
const labels = (n: number) => Array.from({ length: n }, (_, i) => i % 3);
const tensor = (n: number, data: unknown = pixels(n)) => ({
  name: "images",
  shape: [n, 2, 2, 1],
  datatype: "UINT8",
  data,
});
const nested = [
  [
    [[255], [0]],
    [[0], [0]],
  ],
  [
    [[0], [255]],
    [[0], [0]],
  ],
];
const top = Math.E / (Math.E + 2);
const infer = (json: unknown, model = "toy") => post(port, `/v2/models/${model}/infer`, json);
const assignJson = (json: unknown, model = "toy") => post(port, `/v2/models/${model}/assign`, json);
const png = (grey: readonly number[], side = 2) =>
  sharp(Uint8Array.from(grey), { raw: { width: side, height: grey.length / side, channels: 1 } })
    .png()
    .toBuffer();

describe.each(["", "/versions/1"])("a model's routes with %j", (version) => {
  const toy = `/v2/models/toy${version}`;

  test("say what it takes and gives", async () => {
    const answer = await ask(port, toy);
    expect([answer.status, answer.headers["content-type"]]).toEqual([200, "application/json"]);
    expect(answer.json()).toEqual({
      name: "toy",
      versions: ["1"],
      platform: "onnx_onnxv1",
      inputs: [{ name: "images", datatype: "UINT8", shape: [-1, 2, 2, 1] }],
      outputs: [
        { name: "label", datatype: "INT64", shape: [-1] },
        { name: "confidence", datatype: "FP32", shape: [-1] },
        { name: "novelty", datatype: "FP32", shape: [-1] },
        { name: "probabilities", datatype: "FP32", shape: [-1, 3] },
        { name: "embedding", datatype: "FP32", shape: [-1, 3] },
        { name: "latent", datatype: "FP32", shape: [-1, 4] },
      ],
    });
  });

  test("say it is ready", async () =>
    expect((await ask(port, `${toy}/ready`)).json()).toEqual({ name: "toy", ready: true }));

  test("infer, and give the id back", async () => {
    const request = { id: "a 1", inputs: [tensor(4)], outputs: [{ name: "label" }, { name: "embedding" }] };
    expect((await post(port, `${toy}/infer`, request)).json()).toEqual({
      model_name: "toy",
      model_version: "1",
      id: "a 1",
      outputs: [
        { name: "label", datatype: "INT64", shape: [4], data: [0, 1, 2, 0] },
        { name: "embedding", datatype: "FP32", shape: [4, 3], data: [1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0] },
      ],
    });
  });

  test("assign", async () => {
    const answer = (await post(port, `${toy}/assign`, { rows: nested })).json();
    const numbers = { confidence: expect.closeTo(top, 6), novelty: expect.closeTo((1 - top) / 2, 6) };
    const results = [
      { label: 0, name: "first", ...numbers },
      { label: 1, name: "second", ...numbers },
    ];
    expect(answer).toEqual({ model_name: "toy", model_version: "1", results });
  });
});

describe("the server", () => {
  test.each(["/v2", "/v2/"])("says what it is at %s", async (path) => {
    const version = expect.stringMatching(/^\d+\.\d+\.\d+/);
    const extensions = ["binary_tensor_data", "model_repository", "model_configuration", "statistics"];
    expect((await ask(port, path)).json()).toEqual({ name: "subspan", version, extensions });
  });

  test("is live and ready", async () => {
    expect((await ask(port, "/v2/health/live")).json()).toEqual({ live: true });
    expect((await ask(port, "/v2/health/ready")).json()).toEqual({ ready: true });
    expect(await ask(port, "/v2/health/live", { method: "HEAD" })).toMatchObject({ status: 200, text: "" });
  });

  test("says where it listens, what it serves and on which device", () => {
    expect(server.url).toBe(`http://127.0.0.1:${port}`);
    expect(server.models.map(({ name, device }) => [name, device])).toEqual([
      ["toy", "cpu"],
      ["vectors", "cpu"],
    ]);
  });

  test("answers 200 requests at once, each with its own labels", async () => {
    const sizes = Array.from({ length: 200 }, (_, i) => i % 7);
    const answers = await Promise.all(sizes.map((n) => infer({ id: `${n}`, inputs: [tensor(n)] })));
    const got = answers.map((answer) => answer.json() as { id: string; outputs: { data: number[] }[] });
    expect(got.map(({ id, outputs }) => [id, outputs[0]!.data])).toEqual(sizes.map((n) => [`${n}`, labels(n)]));
  });
});

describe("infer", () => {
  const all = ["label", "confidence", "novelty", "probabilities", "embedding", "latent"];

  test.each([
    ["flat", pixels(2)],
    ["nested", nested],
  ])("takes %s data and gives all outputs unless asked", async (_, data) => {
    const { outputs, ...rest } = (await infer({ inputs: [tensor(2, data)] })).json() as { outputs: { name: string }[] };
    expect(rest).toEqual({ model_name: "toy", model_version: "1" });
    expect(outputs.map(({ name }) => name)).toEqual(all);
    expect(outputs[0]).toMatchObject({ data: [0, 1] });
  });

  test("takes features, FP32", async () => {
    const features = { name: "features", shape: [2, 4], datatype: "FP32", data: [0, 2.5, 1, 9, -1, -2, -0.5, 0] };
    const answer = await infer({ inputs: [features], outputs: [{ name: "label" }, { name: "latent" }] }, "vectors");
    expect(answer.json().outputs).toMatchObject([{ data: [1, 2] }, { shape: [2, 4], data: features.data }]);
  });

  test("no samples are no mistake, of either type", async () => {
    const none = { name: "features", shape: [0, 4], datatype: "FP32", data: [] };
    expect((await infer({ inputs: [none] }, "vectors")).status).toBe(200);
    const answer = await infer({ inputs: [tensor(0)], outputs: [{ name: "probabilities" }] });
    expect(answer.json().outputs).toMatchObject([{ shape: [0, 3], data: [] }]);
  });

  test("reads past parameters it does not know", async () => {
    const parameters = { priority: 1, sequence_id: "a", last: true };
    expect((await infer({ parameters, inputs: [{ ...tensor(1), parameters: {} }] })).status).toBe(200);
  });

  const image = tensor(1);
  test.each<[string, number, unknown, string]>([
    ["a list", 400, [], "body: Invalid input"],
    ["null", 400, null, "body: Invalid input"],
    ["no inputs", 400, {}, "inputs: Invalid input"],
    ["an empty list of inputs", 400, { inputs: [] }, 'inputs: expected one, "images", got none'],
    ["another input", 400, { inputs: [{ ...image, name: "x" }] }, 'inputs: expected one, "images", got x'],
    ["an input twice", 400, { inputs: [image, image] }, "got images, images"],
    ["a number as id", 400, { id: 7, inputs: [image] }, "id: Invalid input"],
    ["another datatype", 400, { inputs: [{ ...image, datatype: "FP32" }] }, "images: expected UINT8, got FP32"],
    ["a datatype in lower case", 400, { inputs: [{ ...image, datatype: "uint8" }] }, "expected UINT8, got uint8"],
    ["another shape", 400, { inputs: [{ ...image, shape: [1, 4] }] }, "images: expected [N, 2, 2, 1], got [1, 4]"],
    ["a negative dimension", 400, { inputs: [{ ...image, shape: [-1, 2, 2, 1] }] }, "inputs.0.shape.0: Too small"],
    ["half a dimension", 400, { inputs: [{ ...image, shape: [1.5, 2, 2, 1] }] }, "inputs.0.shape.0: Invalid input"],
    ["a dimension past 2^53", 400, { inputs: [{ ...image, shape: [2 ** 60, 2, 2, 1] }] }, "inputs.0.shape.0: Too big"],
    ["a huge batch", 413, { inputs: [{ ...image, shape: [2 ** 52, 2, 2, 1] }] }, "expected up to 300 samples"],
    ["one sample too many", 413, { inputs: [tensor(301)] }, "expected up to 300 samples a request, got 301"],
    ["no data", 400, { inputs: [{ ...image, data: undefined }] }, "images: data: expected a list, got none in JSON"],
    ["too little data", 400, { inputs: [tensor(2, pixels(1))] }, "images: data: expected 8 items, got 4"],
    ["too much data", 400, { inputs: [tensor(1, pixels(2))] }, "images: data: expected 4 items, got 8"],
    ["ragged data", 400, { inputs: [tensor(2, [nested[0], [[[0], [0]], [[0]]]])] }, "expected 2 items, got 1"],
    [
      "data nested too deep",
      400,
      {
        inputs: [
          tensor(1, [
            [
              [[[0]], [0]],
              [[0], [0]],
            ],
          ]),
        ],
      },
      "expected numbers, got object",
    ],
    [
      "text as data",
      400,
      { inputs: [tensor(1, ["/etc/passwd", 0, 0, 0])] },
      "expected numbers, got string as element 0",
    ],
    ["null as data", 400, { inputs: [tensor(1, [0, null, 0, 0])] }, "expected numbers, got object as element 1"],
    ["256", 422, { inputs: [tensor(1, [0, 0, 256, 0])] }, "expected integers 0..255, got 256 as element 2"],
    ["0.5", 422, { inputs: [tensor(1, [0.5, 0, 0, 0])] }, "expected integers 0..255, got 0.5 as element 0"],
    ["an unknown output", 400, { inputs: [image], outputs: [{ name: "logits" }] }, "got logits"],
    ["an output twice", 400, { inputs: [image], outputs: [{ name: "label" }, { name: "label" }] }, "at most once"],
  ])("refuses %s: %i", async (_, status, json, message) => {
    const answer = await infer(json);
    expect([answer.status, answer.json()]).toEqual([status, { error: expect.stringContaining(message) }]);
  });

  test("refuses a number that is infinite as float32: 422", async () => {
    const data = [0, 1e39, 0, 0];
    const answer = await infer({ inputs: [{ name: "features", shape: [1, 4], datatype: "FP32", data }] }, "vectors");
    expect([answer.status, answer.json().error]).toEqual([422, expect.stringContaining("expected finite float32")]);
  });
});

describe("assign", () => {
  const send = (body: Uint8Array, type: string, model = "toy") =>
    ask(port, `/v2/models/${model}/assign`, { headers: { "content-type": type }, body });
  const form = async (fields: readonly (readonly [string, string | Blob, string?])[]) => {
    const data = new FormData();
    for (const [name, value, file] of fields)
      if (typeof value === "string") data.append(name, value);
      else data.append(name, value, file);
    const request = new Request("http://localhost", { method: "POST", body: data });
    return [new Uint8Array(await request.arrayBuffer()), request.headers.get("content-type")!] as const;
  };

  test("takes an image file", async () =>
    expect((await send(await png([0, 0, 200, 0]), "image/png")).json()).toMatchObject({
      results: [{ label: 2, name: "third" }],
    }));

  test("takes the files of a form, in their order", async () => {
    const files = await Promise.all(
      [
        [0, 9, 0, 0],
        [9, 0, 0, 0],
        [0, 0, 9, 0],
      ].map((grey) => png(grey)),
    );
    const body = await form(files.map((file, i) => [`file${i}`, new Blob([new Uint8Array(file)])]));
    expect((await send(...body)).json()).toMatchObject({ results: [{ label: 1 }, { label: 0 }, { label: 2 }] });
  });

  test("takes rows of features", async () =>
    expect(
      (
        await assignJson(
          {
            rows: [
              [0, 1, 0, 0],
              [1, 0, 0, 0],
            ],
          },
          "vectors",
        )
      ).json(),
    ).toMatchObject({ results: [{ label: 1 }, { label: 0 }] }));

  test("no rows are no mistake", async () =>
    expect((await assignJson({ rows: [] })).json()).toMatchObject({ results: [] }));

  test.each<[string, number, unknown, string]>([
    ["no rows", 400, {}, '{"rows": [...]}'],
    ["null", 400, null, '{"rows": [...]}'],
    ["the path of a file as rows", 400, { rows: "/etc/passwd" }, '{"rows": [...]}'],
    ["the path of a file as a row", 400, { rows: ["/etc/passwd"] }, '{"rows": [...]}'],
    ["a path after a row", 400, { rows: [nested[0], "/etc/passwd"] }, '{"rows": [...]}'],
    ["a path in a row", 400, { rows: [[[["/etc/passwd"]]]] }, "expected [N, 2, 2, 1]"],
    ["an object as a row", 400, { rows: [{ data: [1] }] }, '{"rows": [...]}'],
    ["numbers as rows", 400, { rows: [0, 255, 0, 0] }, '{"rows": [...]}'],
    ["one sample as rows", 400, { rows: nested[0] }, "expected a list of samples, got one"],
    ["another shape", 400, { rows: [[0, 255]] }, "expected [N, 2, 2, 1] uint8"],
    ["a row of other length", 400, { rows: [nested[0], []] }, "rows of different lengths"],
    [
      "300 in a pixel",
      422,
      {
        rows: [
          [
            [[300], [0]],
            [[0], [0]],
          ],
        ],
      },
      "expected integers 0..255, got 300",
    ],
    ["one sample too many", 413, { rows: Array(301).fill(nested[0]) }, "expected up to 300 samples"],
  ])("refuses %s: %i", async (_, status, json, message) => {
    const answer = await assignJson(json);
    expect([answer.status, answer.json()]).toEqual([status, { error: expect.stringContaining(message) }]);
  });

  test("fits an image of another size", async () =>
    expect((await send(await png(pixels(4), 4), "image/png")).status).toBe(200));

  test("refuses what is no image", async () => {
    const answers = await Promise.all([
      send(Buffer.from("no image"), "image/png"),
      send(new Uint8Array(0), "image/png"),
      send(await png([1, 2, 3, 4]), "image/png", "vectors"),
    ]);
    const errors = ["not an image", "got no bytes", "expected [N, 4]"];
    expect(answers.map((answer) => [answer.status, answer.json().error])).toEqual(
      errors.map((message) => [400, expect.stringContaining(message)]),
    );
  });

  test("takes a TIFF, and refuses by its header one of too many pixels, and an SVG, which has no such header", async () => {
    const tiff = await sharp(Uint8Array.of(0, 9, 0, 0), { raw: { width: 2, height: 2, channels: 1 } })
      .tiff({ compression: "lzw" })
      .toBuffer();
    const field = (tag: number, type: number, value: number) => [
      tag,
      0x01,
      type,
      0,
      1,
      0,
      0,
      0,
      value & 255,
      value >> 8,
      0,
      0,
    ];
    const large = [0x49, 0x49, 42, 0, 8, 0, 0, 0, 2, 0, ...field(0, 3, 5000), ...field(1, 4, 5000), 0, 0, 0, 0];
    const answers = [
      await send(tiff, "image/tiff"),
      await send(Uint8Array.from(large), "image/tiff"),
      await send(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="2" height="2"/>'), "image/svg+xml"),
    ];
    expect(answers.map(({ status, text }) => [status, text])).toEqual([
      [200, expect.stringContaining('"label":1')],
      [413, expect.stringContaining("expected up to 16777216 pixels, got 5000 x 5000")],
      [400, expect.stringContaining("expected PNG, JPEG, GIF, WebP, TIFF or AVIF")],
    ]);
  });

  test("lists a file that is no image, and goes on with the others", async () => {
    const good = new Blob([new Uint8Array(await png([0, 9, 0, 0]))]);
    const data: [string, Blob, string][] = [
      ["a", good, "a.png"],
      ["b", new Blob(["text"]), "b.txt"],
      ["c", good, "c.png"],
    ];
    const answer = await send(...(await form(data)));
    expect([answer.status, answer.json().results]).toEqual([
      200,
      [
        expect.objectContaining({ file: "a.png", label: 1 }),
        { file: "b.txt", error: expect.stringContaining("not an image") },
        expect.objectContaining({ file: "c.png", label: 1 }),
      ],
    ]);
  });

  test("refuses a form with text, one without files, and one that is none", async () => {
    const answers = await Promise.all([
      send(...(await form([["path", "/etc/passwd"]]))),
      send(...(await form([]))),
      send(Buffer.from("--x"), "multipart/form-data; boundary=x"),
    ]);
    expect(answers.map((answer) => [answer.status, typeof answer.json().error])).toEqual(
      answers.map(() => [400, "string"]),
    );
    expect(answers[0]!.json().error).toBe('"path": expected a file, got text');
  });
});

describe("what HTTP can get wrong", () => {
  const json = { "content-type": "application/json" };
  const infer = "/v2/models/toy/infer";
  const long = new Uint8Array(100_001);
  const zipped = { ...json, "content-encoding": "gzip" };
  const bomb = gzipSync(new Uint8Array(2 ** 26));
  const cases: [string, number, string, Ask, string][] = [
    ["an unknown path", 404, "/v3", {}, "nothing at /v3"],
    ["an unknown route of a model", 404, "/v2/models/toy/explain", {}, "nothing at"],
    ["an unknown model", 404, "/v2/models/tiger", {}, 'no model "tiger"; there is toy, vectors'],
    ["an unknown model to infer", 404, "/v2/models/tiger/infer", { headers: json, body: "{}" }, "no model"],
    ["an unknown version", 404, "/v2/models/toy/versions/2", {}, 'model "toy": no version "2"; there is 1'],
    ["a version that says 1 otherwise", 404, "/v2/models/toy/versions/01/ready", {}, "no version"],
    ["DELETE of a model", 405, "/v2/models/toy", { method: "DELETE" }, "expected GET, HEAD"],
    ["POST to health", 405, "/v2/health/live", { method: "POST" }, "expected GET, HEAD"],
    ["OPTIONS", 405, infer, { method: "OPTIONS" }, "expected POST"],
    ["GET of infer", 405, infer, {}, "GET /v2/models/toy/infer: expected POST"],
    ["wrong JSON", 400, infer, { headers: json, body: '{"inputs": [' }, "body: expected JSON"],
    ["no body", 400, infer, { headers: json, method: "POST" }, "body: expected JSON"],
    ["NaN in JSON", 400, infer, { headers: json, body: '{"inputs": NaN}' }, "body: expected JSON"],
    ["what is not UTF-8", 400, infer, { headers: json, body: Uint8Array.of(34, 255, 34) }, "body: expected JSON"],
    ["brackets without end", 400, infer, { headers: json, body: "[".repeat(99_000) }, "body: expected JSON"],
    ["text", 415, infer, { headers: { "content-type": "text/plain" }, body: "{}" }, "expected application/json"],
    ["rows as text", 415, "/v2/models/toy/assign", { headers: { "content-type": "text/csv" }, body: "1" }, "text/csv"],
    ["rows of no type", 415, "/v2/models/toy/assign", { body: "{}" }, 'got "none"'],
    ["brotli", 415, infer, { headers: { ...json, "content-encoding": "br" }, body: "{}" }, "expected gzip or none"],
    ["gzip that is none", 400, infer, { headers: zipped, body: "{}" }, "body: expected gzip"],
    ["gzip cut off", 400, infer, { headers: zipped, body: gzipSync("{}").subarray(0, -9) }, "body: expected gzip"],
    ["gzip a thousand times as long", 413, infer, { headers: zipped, body: bomb }, "up to 100000 bytes"],
    ["a body too long", 413, infer, { headers: json, body: long }, "expected up to 100000 bytes"],
    ["a body too long, in chunks", 413, infer, { headers: json, body: [long.subarray(1), long] }, "up to 100000 bytes"],
  ];
  test.each(cases)("%s: %i", async (_, status, path, request, message) => {
    const answer = await ask(port, path, request);
    expect([answer.status, answer.json()]).toEqual([status, { error: expect.stringContaining(message) }]);
    expect(answer.headers["content-type"]).toBe("application/json");
  });

  test("405 says what is allowed", async () => {
    expect((await ask(port, infer)).headers.allow).toBe("POST");
    expect((await ask(port, "/v2/models/toy", { method: "PUT" })).headers.allow).toBe("GET, HEAD");
  });

  test.each([
    "/v2/models/..%2f..%2fetc%2fpasswd",
    "/v2/models/..%2ftoy",
    "/v2/models/../../package.json",
    "/v2/models/%2e%2e/%2e%2e/package.json",
    "/v2/models/..%5ctoy/ready",
    "/v2/models/__proto__",
    "/v2/models/constructor",
    "/v2/models/toy%00",
    "/v2/models/%00",
    "/v2/models/toy%2f",
    "/v2/models/%20toy",
    "/v2/models/%ff%fe",
    "/v2/models/toy/versions/..%2f1",
    "/v2/models/toy/versions/__proto__/ready",
    "/v2//models/toy",
  ])("no way round: %s is not found", async (path) => {
    const answer = await ask(port, path);
    expect([answer.status, answer.json()]).toEqual([404, { error: expect.any(String) }]);
  });

  test("a long name is not found, and not sent back whole", async () => {
    const answer = await ask(port, `/v2/models/${"a".repeat(8000)}`);
    expect([answer.status, answer.text.length]).toEqual([404, expect.closeTo(1020, -2)]);
  });

  test.each([
    ["no HTTP", "nonsense\r\n\r\n", 400],
    ["a backslash in the path", "GET /v2\\x HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["no host", "GET /v2 HTTP/1.1\r\n\r\n", 400],
    ["a proxy's method", "CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405],
    ["an expectation", "GET /v2 HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nConnection: close\r\n\r\n", 417],
    ["a host that is none", "GET /v2 HTTP/1.1\r\nHost: a b\r\n\r\n", 400],
    ["endless headers", `GET /v2 HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(20_000)}\r\n\r\n`, 431],
    ["two lengths", `POST ${infer} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n`, 400],
  ])("%s gets an error in JSON too", async (_, text, status) => {
    const socket = connect(port, "127.0.0.1");
    socket.end(text);
    let answer = "";
    for await (const part of socket) answer += part;
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n")))).toEqual({ error: expect.any(String) });
  });

  test.each(["identity", "gzip"])("a client that goes away half way harms nobody (%s)", async (encoding) => {
    const socket = connect(port, "127.0.0.1");
    const half = gzipSync(long).subarray(0, 50);
    socket.write(`POST ${infer} HTTP/1.1\r\nHost: a\r\nContent-Encoding: ${encoding}\r\nContent-Length: 99\r\n\r\n`);
    socket.write(half);
    await new Promise((resolve) => setTimeout(resolve, 30));
    socket.destroy();
    expect((await post(port, infer, { inputs: [tensor(1)] })).status).toBe(200);
    expect((await ask(port, "/metrics")).text).toMatch(/^subspan_queue_bytes 0$/m);
  });
});
