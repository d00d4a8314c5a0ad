import assert from "node:assert/strict";
import { Endpoint, type Reply } from "./http.ts";
import { fromBytes, sample, sizeOf, type Tensor, type TensorMetadata, toBytes, toJson } from "./tensors.ts";

/** What a case holds a server to: the protocol's text, an extension it says it has, or what a server on the open net must do. */
export type Level = "protocol" | "extension" | "robustness";

export interface Case {
  readonly level: Level;
  readonly group: string;
  readonly name: string;
  /** Throws what is wrong. */
  readonly run: () => Promise<void>;
}

/** A model of the server under test, as its metadata describe it. */
export interface Target {
  readonly endpoint: Endpoint;
  readonly model: string;
  /** Ways to name it: without and with a version. */
  readonly paths: readonly string[];
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
  readonly extensions: ReadonlySet<string>;
}

/** An output as it came back, in JSON or in bytes. */
export interface Output {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly values: readonly number[];
  readonly binary: boolean;
}

export interface Inferred {
  readonly json: Readonly<Record<string, unknown>>;
  readonly outputs: readonly Output[];
}

/** @throws where the server has no such model, or none ready. */
export async function findTarget(
  url: string,
  { model, token }: { model?: string | undefined; token?: string | undefined },
): Promise<Target> {
  const endpoint = new Endpoint(url, token);
  const server = parse(await endpoint.ask("/v2"));
  const name = model ?? (await firstModel(endpoint));
  const reply = await endpoint.ask(`/v2/models/${name}`);
  if (reply.status !== 200) throw new Error(`model ${name}: ${reply.status} ${reply.body}`);
  const metadata = parse(reply) as { versions?: string[]; inputs: TensorMetadata[]; outputs: TensorMetadata[] };
  const path = `/v2/models/${name}`;
  const version = metadata.versions?.at(-1);
  return {
    ...{ endpoint, model: name, inputs: metadata.inputs, outputs: metadata.outputs },
    paths: version === undefined ? [path] : [path, `${path}/versions/${version}`],
    extensions: new Set((server.extensions as string[] | undefined) ?? []),
  };
}

async function firstModel(endpoint: Endpoint): Promise<string> {
  const reply = await endpoint.post("/v2/repository/index", {});
  const index = reply.status === 200 ? (JSON.parse(reply.body.toString()) as { name: string; state?: string }[]) : [];
  const found = index.find(({ state }) => state === undefined || state === "" || state === "READY");
  if (found === undefined) throw new Error("no model is ready, or the server does not list them: say --model");
  return found.name;
}

export function parse({ body }: Reply): Record<string, unknown> {
  try {
    return JSON.parse(body.toString()) as Record<string, unknown>;
  } catch {
    throw new assert.AssertionError({ message: `expected JSON, got ${body.toString().slice(0, 200) || "nothing"}` });
  }
}

/** A sample of every input. */
export const samples = ({ inputs }: Target, batch: number): Tensor[] => inputs.map((input) => sample(input, batch));

/** A request in JSON for `batch` samples. */
export function request(target: Target, batch = 2, form: "flat" | "nested" = "flat") {
  return { inputs: samples(target, batch).map((tensor) => toJson(tensor, form)) };
}

/** The headers and the body of a request with its inputs in bytes; `change` alters the JSON before it is sent. */
export function binaryRequest(
  tensors: readonly Tensor[],
  extra: Readonly<Record<string, unknown>> = {},
): { readonly headers: Record<string, string>; readonly body: Buffer } {
  const inputs = tensors.map(({ name, datatype, shape, values }) => ({
    ...{ name, datatype, shape },
    parameters: { binary_data_size: toBytes({ name, datatype, shape, values }).length },
  }));
  return withHeader(JSON.stringify({ inputs, ...extra }), ...tensors.map(toBytes));
}

export function withHeader(json: string, ...bytes: readonly Uint8Array[]) {
  const header = Buffer.from(json);
  return {
    headers: { "content-type": "application/octet-stream", "inference-header-content-length": String(header.length) },
    body: Buffer.concat([header, ...bytes]),
  };
}

/** Reads an answer to `infer` and holds it to its own words: shapes, sizes, datatypes of the metadata. */
export function inferred(target: Target, reply: Reply): Inferred {
  assert.equal(reply.status, 200, `expected 200, got ${reply.status}: ${reply.body.toString().slice(0, 300)}`);
  const length = reply.headers["inference-header-content-length"];
  const end = length === undefined ? reply.body.length : Number(length);
  const json = parse({ ...reply, body: reply.body.subarray(0, end) });
  assert.equal(json.model_name, target.model, "model_name");
  assert.ok(Array.isArray(json.outputs), "outputs: expected a list");
  let at = end;
  const outputs = (json.outputs as Record<string, unknown>[]).map((output) => {
    const { name, datatype, shape, data, parameters } = output as unknown as {
      name: string;
      datatype: string;
      shape: number[];
      data?: unknown[];
      parameters?: { binary_data_size?: number };
    };
    const described = target.outputs.find((known) => known.name === name);
    assert.ok(described, `output ${name} is not in the model's metadata`);
    assert.equal(datatype, described.datatype, `datatype of ${name}`);
    assert.equal(shape.length, described.shape.length, `rank of ${name}`);
    for (const [axis, dim] of described.shape.entries())
      if (dim >= 0) assert.equal(shape[axis], dim, `shape of ${name}`);
    const size = parameters?.binary_data_size;
    if (size === undefined) {
      const values = (data as unknown[]).flat(Number.POSITIVE_INFINITY).map(Number);
      assert.equal(values.length, sizeOf(shape), `numbers of ${name}`);
      return { name, datatype, shape, values, binary: false };
    }
    const values = fromBytes(datatype, reply.body.subarray(at, at + size));
    at += size;
    assert.equal(data, undefined, `${name} came in bytes and in JSON`);
    assert.equal(values.length, sizeOf(shape), `numbers of ${name} in ${size} bytes`);
    return { name, datatype, shape, values, binary: true };
  });
  assert.equal(at, reply.body.length, "bytes of the answer");
  return { json, outputs };
}

/** Two answers to the same samples; other batches may round otherwise. */
export function assertSame(got: readonly Output[], expected: readonly Output[], what: string): void {
  const sorted = (outputs: readonly Output[]) => [...outputs].sort((a, b) => (a.name < b.name ? -1 : 1));
  const names = (outputs: readonly Output[]) => sorted(outputs).map(({ name }) => name);
  assert.deepEqual(names(got), names(expected), `outputs of ${what}`);
  const others = sorted(expected);
  sorted(got).forEach(({ name, shape, values }, i) => {
    const other = others[i] as Output;
    assert.deepEqual(shape, other.shape, `shape of ${name}, ${what}`);
    const at = values.findIndex((value, j) => {
      const wanted = other.values[j] as number;
      return Math.abs(value - wanted) > 1e-4 * Math.max(1, Math.abs(wanted));
    });
    assert.equal(at, -1, `${name}, ${what}: element ${at} is ${values[at]}, expected ${other.values[at]}`);
  });
}

/** A refusal: a status of the client's fault, and the protocol's error object. */
export function assertRefused(reply: Reply, statuses: readonly number[] = CLIENT_ERRORS): void {
  const told = `${reply.status}: ${reply.body.toString().slice(0, 200)}`;
  assert.ok(
    statuses.includes(reply.status),
    `expected ${statuses.length > 4 ? "4xx" : statuses.join(" or ")}, got ${told}`,
  );
  const { error } = parse(reply);
  assert.ok(typeof error === "string" && error.length > 0, `expected {"error": text}, got ${told}`);
}
const CLIENT_ERRORS = [400, 404, 405, 411, 413, 414, 415, 422, 431];
