import { writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Clusterer, loadClusterer } from "../../runtime/node.ts";
import { toyManifest, toyModel } from "../runtime/toy.ts";
import { type Built, buildServer } from "../serve/built.ts";
import { type Ask, ask } from "../serve/client.ts";
import { type Process, startServer, watchLive } from "./server.ts";
import { sized, within } from "./sized.ts";

const MODELS = {
  toy: { model: toyModel(), name: "images", sample: [2, 2, 1], datatype: "UINT8", bytes: 1 },
  vectors: {
    model: toyModel("features", { ...toyManifest("features"), name: "vectors" }),
    ...{ name: "features", sample: [4], datatype: "FP32", bytes: 4 },
  },
} as const;
type Model = keyof typeof MODELS;

let built: Built;
let server: Process;
const clusterers = {} as Record<Model, Clusterer>;
const agent = new Agent({ keepAlive: true, maxSockets: 8 });
beforeAll(async () => {
  built = await buildServer();
  for (const name of ["toy", "vectors"] as const) {
    await writeFile(join(built.folder, `${name}.onnx`), MODELS[name].model);
    clusterers[name] = await loadClusterer(MODELS[name].model, { device: "cpu" });
  }
  server = await startServer(built, { bundles: ["toy.onnx", "vectors.onnx"], workers: 2, limits: { rows: 256 } });
}, 60_000);
afterAll(async () => {
  agent.destroy();
  await server.close();
  for (const clusterer of Object.values(clusterers)) await clusterer.dispose();
  await built.remove();
});

const infer = (model: Model, { headers = {}, ...more }: Ask) =>
  ask(server.port, `/v2/models/${model}/infer`, {
    agent,
    headers: { "content-type": "application/json", ...headers },
    ...more,
  });

/** JSON, then bytes. */
function binary(json: string, bytes: Uint8Array, length: string = String(Buffer.byteLength(json))): Ask {
  const headers = { "content-type": "application/octet-stream", "inference-header-content-length": length };
  return { headers, body: Buffer.concat([Buffer.from(json), bytes]) };
}

const nested = (values: readonly number[], [size, ...rest]: readonly number[]): unknown[] => {
  const step = values.length / (size || 1);
  return Array.from({ length: size! }, (_, i) => {
    const part = values.slice(i * step, (i + 1) * step);
    return rest.length === 0 ? part[0] : nested(part, rest);
  });
};

const outputNames = toyManifest().outputs.map(({ name }) => name);

/** A request that is right: the model, its numbers, and the form they travel in. */
const valid = fc
  .record({
    model: fc.constantFrom<Model>("toy", "vectors"),
    rows: fc.nat(40),
    form: fc.constantFrom("flat", "nested", "bytes"),
    back: fc.boolean(),
    id: fc.option(fc.string(), { nil: undefined }),
    others: fc.subarray(outputNames.filter((name) => name !== "label")),
  })
  .chain((chosen) => {
    const size = chosen.rows * 4;
    const one = chosen.model === "toy" ? fc.nat(255) : fc.float({ min: -100, max: 100, noNaN: true });
    return fc.record({ ...mapped(chosen), values: fc.array(one, { minLength: size, maxLength: size }) });
  });
const mapped = <T extends object>(of: T) =>
  Object.fromEntries(Object.entries(of).map(([key, value]) => [key, fc.constant(value)])) as {
    [K in keyof T]: fc.Arbitrary<T[K]>;
  };

test(
  `${sized(200, 2000)} requests in every form: the server's labels are those of this process`,
  async () => {
    const holds = fc.asyncProperty(valid, async ({ model, rows, form, back, id, others, values }) => {
      const { name, sample, datatype, bytes } = MODELS[model];
      const shape = [rows, ...sample];
      const data = bytes === 1 ? Uint8Array.from(values) : Float32Array.from(values);
      const raw = new Uint8Array(data.buffer);
      const own =
        form === "bytes"
          ? { parameters: { binary_data_size: raw.length } }
          : { data: form === "flat" ? values : nested(values, shape) };
      const outputs = [...others, "label"].map((name) => ({ name, parameters: { binary_data: back } }));
      const json = JSON.stringify({ id, inputs: [{ name, shape, datatype, ...own }], outputs });
      const answer = await infer(model, form === "bytes" ? binary(json, raw) : { body: json });
      expect(answer.status, answer.text).toBe(200);
      const end = back ? Number(answer.headers["inference-header-content-length"]) : answer.bytes.length;
      const told = JSON.parse(answer.bytes.subarray(0, end).toString());
      const labels = back
        ? Array.from(
            new BigInt64Array(Uint8Array.from(answer.bytes.subarray(answer.bytes.length - rows * 8)).buffer),
            Number,
          )
        : told.outputs.at(-1).data;
      expect([told.id, told.outputs.map((output: { name: string }) => output.name)]).toEqual([
        id,
        [...others, "label"],
      ]);
      expect(labels).toEqual([...(await clusterers[model].assign({ data: data as Uint8Array, shape })).label]);
    });
    await fc.assert(holds, { numRuns: sized(200, 2000), seed: 2 });
  },
  within(15_000),
);

const TENSOR = { name: "images", shape: [1, 2, 2, 1], datatype: "UINT8" };
const GOOD = { ...TENSOR, data: [0, 9, 0, 0] };
const json = (value: unknown): Ask => ({ body: JSON.stringify(value) });
const inputs = (...tensors: unknown[]) => json({ inputs: tensors });
const other = (...right: readonly string[]) => fc.string().filter((text) => !right.includes(text));
const TEXT = JSON.stringify({ inputs: [GOOD] });
const BOMB = gzipSync(Buffer.alloc(sized(2 ** 22, 2 ** 26), " "), { level: 9 }); // about 1000 : 1
const features = { name: "features", shape: [1, 4], datatype: "FP32", parameters: { binary_data_size: 16 } };

/** Sizes that no axis has, or that no product of them may reach. */
const size = fc.oneof(
  fc.constantFrom<unknown>(-1, 0, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 63, 1e308, null, "2", true, [], {}),
  fc.integer(),
);
const number = fc.constantFrom(
  ...["256", "-1", "0.5", "1e400", "-1e400", "9223372036854775808", "NaN", "Infinity", "null", '"1"', "{}", "[1,2]"],
  ...["0x10", "+1", "1e", ".5", "--1"],
);
const notFinite = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);

/** What no model here takes, each kind with what to send. */
const WRONG: Readonly<Record<string, fc.Arbitrary<Ask & { readonly model?: Model }>>> = {
  shape: fc
    .array(size, { maxLength: 7 })
    .filter((shape) => JSON.stringify(shape) !== "[1,2,2,1]")
    .map((shape) => inputs({ ...GOOD, shape })),
  "a product of sizes past 2^64": fc.nat(3).map((axis) => {
    const shape = [1, 2, 2, 1].map((size, i) => (i === axis ? 2 ** 33 : 2 ** 32 * size));
    return binary(
      JSON.stringify({ inputs: [{ ...TENSOR, shape, parameters: { binary_data_size: 4 } }] }),
      new Uint8Array(4),
    );
  }),
  "count of numbers": fc.nat(300).map((n) => inputs({ ...GOOD, data: Array(n === 4 ? 5 : n).fill(1) })),
  "a number": fc.tuple(number, fc.nat(3)).map(([text, at]) => {
    const data = ["0", "9", "0", "0"].with(at, text).join();
    return { body: `{"inputs":[${JSON.stringify(TENSOR).slice(0, -1)},"data":[${data}]}]}` };
  }),
  "ragged lists": fc
    .nat(3)
    .map((n) => inputs({ ...GOOD, data: [[[[0], [9]], [...Array(n === 2 ? 3 : n).fill([0])]]] })),
  data: fc
    .anything()
    .filter((data) => !Array.isArray(data))
    .map((data) => inputs({ ...GOOD, data: plain(data) })),
  "a name": other("images").map((name) => inputs({ ...GOOD, name })),
  "a datatype": other("UINT8").map((datatype) => inputs({ ...GOOD, datatype })),
  "too few inputs, or too many": fc
    .integer({ min: 2, max: 100 })
    .map((n) => inputs(...Array(n % 7 ? n : 0).fill(GOOD))),
  "an input nobody knows": other("images").map((name) => inputs(GOOD, { ...GOOD, name })),
  "an output nobody knows": other(...outputNames).map((name) => json({ inputs: [GOOD], outputs: [{ name }] })),
  parameters: fc.array(fc.jsonValue()).map((value) => json({ inputs: [GOOD], parameters: { value } })),
  "JSON, in the wrong form": fc.jsonValue().map(json),
  "JSON, cut off": fc.nat(TEXT.length - 1).map((end) => ({ body: TEXT.slice(0, end) })),
  "no JSON": fc.uint8Array({ minLength: 1 }).map((bytes) => ({ body: Buffer.concat([bytes, Buffer.from("\xff")]) })),
  "deep JSON": fc.constantFrom("[", '{"a":', '{"inputs":[', "[[[[{}],").map((text) => ({ body: text.repeat(1e5) })),
  "a prototype": fc.constantFrom("__proto__", "constructor", "prototype").map((key) => ({
    body: `{"${key}":${TEXT},"inputs":[{"${key}":${JSON.stringify(GOOD)}}]}`,
  })),
  "a length of the JSON": fc
    .constantFrom("-1", "x", "1e1", "0x10", "1 2", "1.5", "99999999", "18446744073709551616", "9".repeat(400))
    .map((length) => binary(TEXT, new Uint8Array(4), length)),
  "a length inside the JSON": fc
    .integer({ min: 1, max: TEXT.length - 1 })
    .map((at) => binary(TEXT, new Uint8Array(0), String(at))),
  "bytes cut off, or too many": fc.tuple(fc.nat(64), fc.integer()).map(([count, claimed]) => {
    const bytes = count === 4 ? 3 : count;
    const tensor = { ...TENSOR, parameters: { binary_data_size: claimed === bytes ? 4 : claimed } };
    return binary(JSON.stringify({ inputs: [tensor] }), new Uint8Array(bytes));
  }),
  "floats that are none": fc.tuple(notFinite, fc.nat(3)).map(([value, at]) => ({
    ...binary(
      JSON.stringify({ inputs: [features] }),
      new Uint8Array(new Float32Array(4).fill(value, at, at + 1).buffer),
    ),
    model: "vectors",
  })),
  "a content type": fc
    .constantFrom(
      "text/plain",
      "application/xml",
      "image/png",
      "application/x-www-form-urlencoded",
      "multipart/form-data",
    )
    .map((type) => ({ body: TEXT, headers: { "content-type": type } })),
  "a compressed body": fc
    .constantFrom("gzip", "deflate", "br", "zstd")
    .map((encoding) => ({ body: BOMB, headers: { "content-encoding": encoding } })),
};
/** Bodies as long as may be, that a reader of JSON would make many times as much of, and their lengths as a header. */
const BODY = sized(2 ** 22, 2 ** 26);
const repeated = (text: string) => text.repeat(Math.ceil(BODY / text.length)).slice(0, BODY - 100);
const HEAVY: readonly string[] = [
  repeated(" "),
  repeated("["),
  `[${repeated("[],")}1]`,
  `{"inputs":[{"data":[${repeated("[0],")}`,
  `{"inputs":[{"data":[${repeated("0,")}0]}]}`,
  `{"x":[${repeated("{},")}0]}`,
  `{"inputs":[${repeated('{"data":[]},')}0]}`,
];

test("memory is bounded, however many send as much as they may as gzip", async () => {
  const limits = { bodyBytes: BODY, queueBytes: 4 * BODY, rows: 2 ** 20 };
  const server = await startServer(built, { bundles: ["toy.onnx"], workers: 2, limits });
  await ask(server.port, "/v2/models/toy/infer", json({ inputs: [GOOD] }));
  const before = await server.memory();
  let most = 0;
  let over = false;
  const watching = (async () => {
    for (; !over; await new Promise((resolve) => setTimeout(resolve, 10))) most = Math.max(most, await server.memory());
  })();
  const headers = { "content-type": "application/json", "content-encoding": "gzip" };
  const bodies = HEAVY.map((text) => gzipSync(text, { level: 1 }));
  const statuses = new Set<number>();
  const CLIENTS = 24;
  const kept = new Agent({ keepAlive: true });
  const client = async (_: unknown, first: number) => {
    for (let i = 0; i < sized(6, 12); i++) {
      const sent = { headers, body: bodies[(first + i) % bodies.length]!, agent: kept };
      // One who goes on sending for long after a refusal is cut, and may not read it.
      const status = await ask(server.port, "/v2/models/toy/infer", sent)
        .then(({ status }) => status)
        .catch(() => 0);
      statuses.add(status);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  over = true;
  await watching;
  kept.destroy();
  for (const status of [400, 413, 429]) expect(statuses).toContain(status);
  expect([...statuses].filter((status) => ![0, 400, 413, 429].includes(status))).toEqual([]);
  // What bodies may hold; of two workers each a copy of a body, and the last with its copy; what waits to be collected.
  expect((most - before) / 2 ** 20).toBeLessThan((4 * BODY + 2 * 3 * BODY) / 2 ** 20 + 256);
  expect((await ask(server.port, "/v2/models/toy/infer", json({ inputs: [GOOD] }))).status).toBe(200);
  await server.close();
}, 240_000);

/** As JSON writes it; what it cannot write is left out. */
const plain = (value: unknown) => {
  try {
    return JSON.parse(JSON.stringify(value) ?? "null");
  } catch {
    return null;
  }
};

test(`${sized(1200, 10_000)} requests that are wrong: 4xx with a reason, and the server lives on as if nothing were`, async () => {
  const send = (wrong: Ask & { readonly model?: Model }) => infer(wrong.model ?? "toy", wrong);
  await send(json({}));
  const before = await server.memory();
  const live = watchLive(server.port);
  for (const [kind, wrong] of Object.entries(WRONG)) {
    const holds = fc.asyncProperty(wrong, async (sent) => {
      const { status, text } = await send(sent);
      expect([Math.floor(status / 100), JSON.parse(text)], `${kind}: ${status} ${text.slice(0, 200)}`).toEqual([
        4,
        { error: expect.stringMatching(/./) },
      ]);
    });
    await fc.assert(holds, { numRuns: Math.ceil(sized(1200, 10_000) / Object.keys(WRONG).length), seed: 3 });
  }
  const { longest, statuses } = await live.stop();
  expect(statuses).toEqual([200]);
  expect(longest).toBeLessThan(within(50));
  expect((await server.memory()) - before).toBeLessThan(sized(256, 64) * 2 ** 20);
  expect([server.exit(), (await infer("toy", { body: TEXT })).status]).toEqual([undefined, 200]);
}, 240_000);
