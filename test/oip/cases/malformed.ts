import {
  assertRefused,
  binaryRequest,
  type Case,
  inferred,
  request,
  samples,
  type Target,
  withHeader,
} from "../suite.ts";
import { isNumeric, toBytes, type toJson } from "../tensors.ts";

type Json = Record<string, unknown>;

/** Requests that mean nothing: each is refused with a status of the client's and an error object, and the next one is served. */
export function malformedCases(target: Target): Case[] {
  const { paths, endpoint, extensions } = target;
  return paths.flatMap((path) => {
    const infer = `${path}/infer`;
    const refused = (level: Case["level"], name: string, send: () => ReturnType<typeof endpoint.ask>): Case => ({
      ...{ level, group: "malformed requests", name: `${infer}: ${name}` },
      run: async () => {
        assertRefused(await send());
        inferred(target, await endpoint.post(infer, request(target, 1)));
      },
    });
    const text = Object.entries(brokenTexts(target)).map(([name, body]) =>
      refused("protocol", name, () => endpoint.ask(infer, { headers: { "content-type": "application/json" }, body })),
    );
    const json = Object.entries(brokenRequests(target)).map(([name, body]) =>
      refused("protocol", name, () => endpoint.post(infer, body)),
    );
    const headers = Object.entries(brokenHeaders(target)).map(([name, question]) =>
      refused("robustness", name, () => endpoint.ask(infer, { method: "POST", ...question })),
    );
    const binary = !extensions.has("binary_tensor_data") ? [] : Object.entries(brokenBytes(target));
    return [
      ...[...text, ...json, ...headers],
      ...binary.map(([name, question]) => refused("extension", name, () => endpoint.ask(infer, question))),
    ];
  });
}

/** Bodies that are no JSON object. */
function brokenTexts(target: Target): Record<string, string> {
  const good = JSON.stringify(request(target, 1));
  const data = (text: string) => good.replace(/"data":\[[^\]]*\]/, `"data":[${text}]`);
  const numbers = /"data":\[([^\]]*)\]/.exec(good)?.[1]?.split(",") ?? [];
  const first = (text: string) => data([text, ...numbers.slice(1)].join(","));
  return {
    "an empty body": "",
    "a body of spaces": "  \n ",
    "text that is no JSON": "hello",
    "JSON that ends early": good.slice(0, -5),
    "JSON with something after it": `${good}}`,
    "a list": `[${good}]`,
    "a text": '"inputs"',
    "a number": "7",
    null: "null",
    "single quotes": good.replaceAll('"', "'"),
    "100,000 lists in each other": "[".repeat(100_000) + "]".repeat(100_000),
    "100,000 objects in each other": `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`,
    "data nested 1,000 deep": data("[".repeat(1000) + "]".repeat(1000)),
    "NaN, which is no JSON": first("NaN"),
    "Infinity, which is no JSON": first("Infinity"),
    "-Infinity, which is no JSON": first("-Infinity"),
    "1e400, which no number holds": first("1e400"),
    "-1e400, which no number holds": first("-1e400"),
    "half a UTF-8 sign": `${good.slice(0, -1)},"id":"\u{fffd}`,
  };
}

/** JSON objects that are no request of this model. */
function brokenRequests(target: Target): Record<string, Json> {
  const good = request(target, 2);
  const [input] = good.inputs as [ReturnType<typeof toJson>];
  const others = good.inputs.slice(1);
  const { shape, datatype } = input;
  const values = input.data as unknown[];
  const changed = (change: Json) => ({ inputs: [{ ...input, ...change }, ...others] });
  const without = (key: string) => ({
    inputs: [Object.fromEntries(Object.entries(input).filter(([name]) => name !== key)), ...others],
  });
  const dims = (...all: unknown[]) => changed({ shape: all });
  const item = (value: unknown) => changed({ data: [value, ...values.slice(1)] });
  const broken: Record<string, Json> = {
    "no inputs": {},
    "inputs null": { inputs: null },
    "inputs an object": { inputs: input },
    "inputs a text": { inputs: "x" },
    "inputs empty": { inputs: [] },
    "an input null": { inputs: [null] },
    "an input a list": { inputs: [[input]] },
    "an input twice": { inputs: [...good.inputs, input] },
    "an input that the model has not": { inputs: [...good.inputs, { ...input, name: "no-such-input" }] },
    "another input in place of the model's": changed({ name: "no-such-input" }),
    "an input without a name": without("name"),
    "a name that is a number": changed({ name: 7 }),
    "a name that is null": changed({ name: null }),
    "a name in other letters": changed({ name: input.name.toUpperCase() }),
    "no shape": without("shape"),
    "shape null": changed({ shape: null }),
    "shape a number": changed({ shape: values.length }),
    "shape a text": changed({ shape: shape.join() }),
    "shape of texts": dims(...shape.map(String)),
    "shape without sizes": dims(),
    "a size missing": dims(...shape.slice(0, -1)),
    "a size too many": dims(...shape, 1),
    "a negative size": dims(-1, ...shape.slice(1)),
    "two negative sizes": dims(-1, -shape[1]!, ...shape.slice(2)),
    "a fractional size": dims(1.5, ...shape.slice(1)),
    "a size null": dims(null, ...shape.slice(1)),
    "a size nested": dims([shape[0]], ...shape.slice(1)),
    "a size of 2^63": dims(2 ** 63, ...shape.slice(1)),
    "sizes whose product overflows 64 bits": dims(2 ** 62, ...shape.slice(1)),
    "sizes whose product wraps to the right number": dims(2 ** 53, ...shape.slice(1)),
    "more samples than data": dims(shape[0]! + 1, ...shape.slice(1)),
    "fewer samples than data": dims(shape[0]! - 1, ...shape.slice(1)),
    "no samples, and data": dims(0, ...shape.slice(1)),
    "no datatype": without("datatype"),
    "no data": without("data"),
    "data null": changed({ data: null }),
    "data a number": changed({ data: 1 }),
    "data a text": changed({ data: "AAAA" }),
    "data an object": changed({ data: { 0: 1 } }),
    "data empty": changed({ data: [] }),
    "one number too few": changed({ data: values.slice(1) }),
    "one number too many": changed({ data: [...values, values[0]] }),
    "data nested as no row-major tensor is": changed({ data: [values.slice(1), [values[0]]] }),
    "data flat after nested": changed({ data: [[values[0]], ...values.slice(1)] }),
    "a null among the data": item(null),
    "a text among the data": item("1"),
    "an object among the data": item({}),
    "a list among flat data": item([values[0]]),
    "outputs an object": { ...good, outputs: {} },
    "outputs a text": { ...good, outputs: "x" },
    "an output null": { ...good, outputs: [null] },
    "an output as text": { ...good, outputs: [target.outputs[0]?.name] },
    "an output without a name": { ...good, outputs: [{}] },
    "an output that the model has not": { ...good, outputs: [{ name: "no-such-output" }] },
    "an id that is a number": { ...good, id: 7 },
    "an id that is an object": { ...good, id: {} },
    "parameters a list": { ...good, parameters: [] },
    "parameters a text": { ...good, parameters: "x" },
    "a parameter that is an object": { ...good, parameters: { a: {} } },
    "a parameter that is a list": { ...good, parameters: { a: [1] } },
    "an input's parameters a text": changed({ parameters: "x" }),
    "bytes said, and none sent": changed({ data: undefined, parameters: { binary_data_size: 4 } }),
  };
  if (target.outputs[0]) {
    const { name } = target.outputs[0];
    broken["an output twice"] = { ...good, outputs: [{ name }, { name }] };
  }
  if (/^U?INT/.test(datatype)) {
    broken["a fraction for an integer"] = item(1.5);
    broken["a boolean for a number"] = item(true);
    const bits = Number(/\d+/.exec(datatype)?.[0]);
    if (bits <= 32) broken["a number above what the datatype holds"] = item(2 ** bits);
    broken["a number below what the datatype holds"] = item(datatype.startsWith("U") ? -1 : -(2 ** bits));
  } else if (datatype.startsWith("FP")) {
    broken["a boolean for a number"] = item(true);
    if (datatype === "FP32") broken["a number above what the datatype holds"] = item(1e39);
  }
  return broken;
}

/** Headers that do not fit the body. */
function brokenHeaders(target: Target) {
  const body = JSON.stringify(request(target, 1));
  const json = { "content-type": "application/json" };
  return {
    "a content type that is no JSON": { body, headers: { "content-type": "text/csv" } },
    "a picture's content type": { body, headers: { "content-type": "image/png" } },
    "a form": { body: "a=b", headers: { "content-type": "application/x-www-form-urlencoded" } },
    "an unknown encoding": { body, headers: { ...json, "content-encoding": "compress99" } },
    "gzip that is none": { body, headers: { ...json, "content-encoding": "gzip" } },
    "no body at all": { headers: json },
  };
}

/** Bytes that do not fit the JSON before them. */
function brokenBytes(target: Target): Record<string, { headers: Record<string, string | string[]>; body: Buffer }> {
  const tensors = samples(target, 2);
  const [tensor] = tensors;
  if (tensor === undefined || !isNumeric(tensor.datatype)) return {};
  const { headers, body } = binaryRequest(tensors);
  const length = Number(headers["inference-header-content-length"]);
  const said = (text: string | string[]) => ({
    headers: { ...headers, "inference-header-content-length": text },
    body,
  });
  const bytes = toBytes(tensor);
  const { name, datatype, shape } = tensor;
  const rest = tensors.slice(1).map(({ values: _, ...other }) => other);
  const sized = (size: unknown, sent: Uint8Array = bytes, extra: Json = {}) =>
    withHeader(
      JSON.stringify({
        inputs: [{ name, datatype, shape, parameters: { binary_data_size: size }, ...extra }, ...rest],
      }),
      sent,
    );
  const output = target.outputs[0]?.name;
  return {
    "header length negative": said("-1"),
    "header length no number": said("abc"),
    "header length fractional": said(`${length}.5`),
    "header length hexadecimal": said(`0x${length.toString(16)}`),
    "header length longer than the body": said(String(body.length + 1)),
    "header length of 2^64": said("18446744073709551616"),
    "header length one too short": said(String(length - 1)),
    "header length one too long": said(String(length + 1)),
    "two header lengths": said([String(length), String(length + 1)]),
    "bytes that end early": { headers, body: body.subarray(0, -1) },
    "no bytes": { headers, body: body.subarray(0, length) },
    "a byte too many": { headers, body: Buffer.concat([body, Buffer.of(0)]) },
    "a size one too small": sized(bytes.length - 1),
    "a size one too large": sized(bytes.length + 1),
    "a size of 0": sized(0),
    "a negative size": sized(-bytes.length),
    "a fractional size": sized(bytes.length + 0.5),
    "a size as text": sized(String(bytes.length)),
    "a size of 2^63": sized(2 ** 63),
    "a size null": sized(null),
    "bytes and data both": sized(bytes.length, bytes, { data: tensor.values }),
    "binary_data_output as text": binaryRequest(tensors, { parameters: { binary_data_output: "yes" } }),
    "binary_data as text": binaryRequest(tensors, { outputs: [{ name: output, parameters: { binary_data: "yes" } }] }),
    "an output that the model has not, in bytes": binaryRequest(tensors, {
      outputs: [{ name: "no-such-output", parameters: { binary_data: true } }],
    }),
    ...(datatype === "FP32" && {
      "a NaN in bytes": sized(bytes.length, withNumber(bytes, Number.NaN)),
      "an infinity in bytes": sized(bytes.length, withNumber(bytes, Number.POSITIVE_INFINITY)),
    }),
  };
}

function withNumber(bytes: Buffer, value: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeFloatLE(value, 0);
  return changed;
}
