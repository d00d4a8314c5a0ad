/**
 * A client for any server of the Open Inference Protocol v2, in Node and in browsers: nothing but fetch. Tensors go and
 * come as bytes, where the server has the binary extension. `assign` is subspan's own.
 */

/** Arrays a tensor's numbers come in; FP16 and BF16 as the bits of each, BYTES as a list. */
export type TensorData =
  | Uint8Array
  | Uint8ClampedArray
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array
  | readonly (Uint8Array | string)[];

export interface InputTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: TensorData;
  /** What the array's type says, unless said: needed for BOOL, FP16 and BF16. */
  readonly datatype?: string;
}

export interface OutputTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  /** As `TensorData`; BYTES are Uint8Arrays. */
  readonly data: TensorData;
}

export interface TensorMetadata {
  readonly name: string;
  readonly datatype: string;
  /** -1 is any. */
  readonly shape: readonly number[];
}

export interface ModelMetadata {
  readonly name: string;
  readonly versions?: readonly string[];
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

export interface Inferred {
  readonly model: string;
  readonly version: string | undefined;
  readonly id: string | undefined;
  readonly outputs: Readonly<Record<string, OutputTensor>>;
}

/** What became of one sample: its cluster, or what was wrong with its file. */
export interface AssignResult {
  readonly file?: string;
  readonly label?: number;
  readonly name?: string;
  readonly confidence?: number;
  readonly novelty?: number;
  readonly error?: string;
}

export interface ClientOptions {
  /** Sent as a bearer token. */
  readonly token?: string;
  /** In place of the global fetch. */
  readonly fetch?: typeof fetch;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
}

export interface ModelOptions extends CallOptions {
  /** The server's choice, the newest, unless said. */
  readonly version?: string;
}

export interface InferOptions extends ModelOptions {
  readonly id?: string;
  /** Names of the outputs to compute; all unless said. */
  readonly outputs?: readonly string[];
}

/** An answer that says what went wrong. `status` is HTTP's. */
export class ServerError extends Error {
  readonly status: number;
  /** Seconds after which trying again may help, where the server says so. */
  readonly retryAfter: number | undefined;

  constructor(status: number, message: string, retryAfter?: number) {
    super(message);
    this.name = "ServerError";
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

const HEADER_LENGTH = "Inference-Header-Content-Length";

type ArrayOf = new (
  buffer: ArrayBuffer,
  byteOffset?: number,
  length?: number,
) => Exclude<TensorData, readonly unknown[]>;

const ARRAYS: Readonly<Record<string, ArrayOf & { readonly BYTES_PER_ELEMENT: number }>> = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  INT8: Int8Array,
  UINT16: Uint16Array,
  FP16: Uint16Array,
  BF16: Uint16Array,
  INT16: Int16Array,
  UINT32: Uint32Array,
  INT32: Int32Array,
  UINT64: BigUint64Array,
  INT64: BigInt64Array,
  FP32: Float32Array,
  FP64: Float64Array,
};
const DATATYPES: Readonly<Record<string, string>> = {
  Uint8Array: "UINT8",
  Uint8ClampedArray: "UINT8",
  Int8Array: "INT8",
  Uint16Array: "UINT16",
  Int16Array: "INT16",
  Uint32Array: "UINT32",
  Int32Array: "INT32",
  BigUint64Array: "UINT64",
  BigInt64Array: "INT64",
  Float32Array: "FP32",
  Float64Array: "FP64",
};

/** Calls one server. Every call throws a ServerError where the server refuses it, and what fetch throws. */
export class InferenceClient {
  readonly #url: string;
  readonly #fetch: typeof fetch;
  readonly #headers: Readonly<Record<string, string>>;

  /** @param url - where the server is: "http://127.0.0.1:8000". */
  constructor(url: string | URL, { token, fetch: fetcher }: ClientOptions = {}) {
    this.#url = String(url).replace(/\/+$/, "");
    this.#fetch = fetcher ?? ((input, init) => globalThis.fetch(input, init));
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  /** Whether the server runs, and whether it takes work; false where it cannot be reached. */
  async health({ signal }: CallOptions = {}): Promise<{ readonly live: boolean; readonly ready: boolean }> {
    const ok = async (path: string) => {
      const response = await this.#fetch(`${this.#url}${path}`, signal === undefined ? {} : { signal });
      await response.arrayBuffer();
      return response.ok;
    };
    const asked = (path: string) =>
      ok(path).catch((error: unknown) => {
        if (signal?.aborted) throw error;
        return false;
      });
    const [live, ready] = await Promise.all([asked("/v2/health/live"), asked("/v2/health/ready")]);
    return { live, ready };
  }

  async metadata(model: string, options: ModelOptions = {}): Promise<ModelMetadata> {
    const response = await this.#call(modelPath(model, options), {}, options);
    return (await response.json()) as ModelMetadata;
  }

  /** Runs a model. The arrays that come back are the caller's. */
  async infer(model: string, inputs: readonly InputTensor[], options: InferOptions = {}): Promise<Inferred> {
    const { body, headerLength } = inferBody(inputs, options);
    const headers = { "content-type": "application/octet-stream", [HEADER_LENGTH]: String(headerLength) };
    const response = await this.#call(`${modelPath(model, options)}/infer`, { method: "POST", headers, body }, options);
    const length = response.headers.get(HEADER_LENGTH);
    return inferred(await response.arrayBuffer(), length === null ? undefined : Number(length));
  }

  /**
   * Assigns samples, one result each, in their order.
   *
   * @param samples - image files, or rows of numbers nested as the model's samples are.
   */
  async assign(
    model: string,
    samples: readonly Blob[] | readonly (readonly unknown[])[],
    options: ModelOptions = {},
  ): Promise<readonly AssignResult[]> {
    const rows = { headers: { "content-type": "application/json" }, body: JSON.stringify({ rows: samples }) };
    const init = samples[0] instanceof Blob ? { body: formOf(samples as readonly Blob[]) } : rows;
    const response = await this.#call(`${modelPath(model, options)}/assign`, { method: "POST", ...init }, options);
    return ((await response.json()) as { readonly results: readonly AssignResult[] }).results;
  }

  async #call(path: string, init: RequestInit, { signal }: CallOptions): Promise<Response> {
    const headers = { ...this.#headers, ...(init.headers as Record<string, string>) };
    const stop = signal === undefined ? {} : { signal };
    const response = await this.#fetch(`${this.#url}${path}`, { ...init, ...stop, headers });
    if (response.ok) return response;
    const text = await response.text();
    const retryAfter = response.headers.get("retry-after");
    throw new ServerError(response.status, saidIn(text), retryAfter === null ? undefined : Number(retryAfter));
  }
}

function modelPath(model: string, { version }: ModelOptions): string {
  const at = version === undefined ? "" : `/versions/${encodeURIComponent(version)}`;
  return `/v2/models/${encodeURIComponent(model)}${at}`;
}

function saidIn(text: string): string {
  try {
    return (JSON.parse(text) as { readonly error: string }).error;
  } catch {
    return text.slice(0, 1000);
  }
}

function formOf(files: readonly Blob[]): FormData {
  const form = new FormData();
  for (const [i, file] of files.entries()) form.append("image", file, (file as Partial<File>).name ?? `image-${i}`);
  return form;
}

/** JSON, then the bytes of each tensor. */
function inferBody(inputs: readonly InputTensor[], { id, outputs }: InferOptions) {
  const tensors = inputs.map(({ data }) => bytesOf(data));
  const json = {
    ...(id === undefined ? {} : { id }),
    inputs: inputs.map(({ name, shape, datatype, data }, i) => ({
      name,
      shape,
      datatype: datatype ?? datatypeOf(data),
      parameters: { binary_data_size: tensors[i]!.byteLength },
    })),
    parameters: { binary_data_output: true },
    ...(outputs === undefined ? {} : { outputs: outputs.map((name) => ({ name, parameters: { binary_data: true } })) }),
  };
  const header = new TextEncoder().encode(JSON.stringify(json));
  return { body: joined([header, ...tensors]), headerLength: header.length };
}

function datatypeOf(data: TensorData): string {
  // Not its constructor's name: a Buffer of Node's is a Uint8Array too.
  return ArrayBuffer.isView(data) ? DATATYPES[data[Symbol.toStringTag]]! : "BYTES";
}

/** The bytes of an array; of a list, each item's length in 4 bytes before it. */
function bytesOf(data: TensorData): Uint8Array {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const items = data.map((item) => (typeof item === "string" ? new TextEncoder().encode(item) : item));
  return joined(items.flatMap((item) => [new Uint8Array(Uint32Array.of(item.length).buffer), item]));
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

interface ToldTensor extends TensorMetadata {
  readonly parameters?: { readonly binary_data_size?: number };
  readonly data?: readonly unknown[];
}

function inferred(bytes: ArrayBuffer, headerLength = bytes.byteLength): Inferred {
  const json = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 0, headerLength))) as {
    readonly model_name: string;
    readonly model_version?: string;
    readonly id?: string;
    readonly outputs: readonly ToldTensor[];
  };
  let at = headerLength;
  const outputs = json.outputs.map(({ name, datatype, shape, parameters, data }): [string, OutputTensor] => {
    const size = parameters?.binary_data_size;
    if (size === undefined) return [name, { name, datatype, shape, data: fromJson(datatype, data ?? []) }];
    at += size;
    return [name, { name, datatype, shape, data: fromBytes(datatype, bytes.slice(at - size, at)) }];
  });
  return {
    model: json.model_name,
    version: json.model_version,
    id: json.id,
    outputs: Object.fromEntries(outputs),
  };
}

function fromBytes(datatype: string, bytes: ArrayBuffer): TensorData {
  const Typed = ARRAYS[datatype];
  if (Typed !== undefined) return new Typed(bytes);
  const items: Uint8Array[] = [];
  for (let at = 0; at < bytes.byteLength; at += 4 + items.at(-1)!.length)
    items.push(new Uint8Array(bytes, at + 4, new DataView(bytes).getUint32(at, true)));
  return items;
}

/** Numbers of a server without the binary extension; what JSON had no number for, null, is NaN. */
function fromJson(datatype: string, data: readonly unknown[]): TensorData {
  const items = data.flat(Number.POSITIVE_INFINITY) as (number | string | boolean | null)[];
  const Typed = ARRAYS[datatype];
  if (Typed === undefined) return items.map(String);
  const array = new Typed(new ArrayBuffer(items.length * Typed.BYTES_PER_ELEMENT));
  const isBig = array instanceof BigInt64Array || array instanceof BigUint64Array;
  for (const [i, item] of items.entries())
    (array as { [i: number]: unknown })[i] = isBig ? BigInt(item as number) : (item ?? Number.NaN);
  return array;
}
