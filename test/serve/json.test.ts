import { expect, test } from "vitest";
import { SubspanError } from "../../runtime/node.ts";
import { HttpProblem } from "../../serve/problem.ts";
import { parseInferRequest } from "../../serve/protocol/infer-request.ts";
import { parseAround } from "../../serve/protocol/json.ts";
import { Random } from "../../train/random.ts";
import { toyManifest } from "../runtime/toy.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
/** Longer than what is parsed whole. */
const LONG = 2 ** 18;
const ROWS = 12_000;
const random = new Random(1, "json");
const rows = Array.from({ length: ROWS }, () =>
  Array.from({ length: 4 }, (_, i) => (random.integer(2001) - 1000) / [1, 3, 1000, 7e20][i]!),
);
const request = (data: string) =>
  `{"inputs":[{"data":${data},"name":"features","shape":[${ROWS},4],"datatype":"FP32"}]}`;
const read = (text: string) =>
  parseInferRequest(bytes(text), undefined, toyManifest("features"), { rows: ROWS, jsonDepth: 16 }).data;
/** Whether the numbers are those, bit by bit. */
const are = (data: unknown, numbers: readonly number[]) =>
  Buffer.from((data as Float32Array<ArrayBuffer>).buffer).equals(Buffer.from(Float32Array.from(numbers).buffer));
const around = (text: string) => parseAround(bytes(text), 16, { key: "data", level: 3, itemBytes: 1000 });

test.each([
  ["nested", JSON.stringify(rows)],
  ["flat", JSON.stringify(rows.flat())],
  ["spread over lines", JSON.stringify(rows, null, 2)],
])("the numbers of a long request, %s, are what JSON.parse reads", (_, data) => {
  expect(data.length).toBeGreaterThan(LONG);
  expect(are(read(request(data)), rows.flat())).toBe(true);
});

test("a long request that is changed anywhere is read as JSON.parse reads it, or refused", () => {
  const whole = request(JSON.stringify(rows));
  const cut = whole.indexOf("],", LONG + whole.indexOf("[[")) + 1; // where a piece ends and the next begins
  let refused = 0;
  for (let i = 0; i < 120; i++) {
    const at = i % 2 === 0 ? cut - 8 + random.integer(16) : random.integer(whole.length);
    const put = ["", ",", "[", "]", "{", "}", '"', ":", "1", "-", ".", "e", " ", "],[", "null"][random.integer(15)];
    const text = whole.slice(0, at) + put + whole.slice(at + random.integer(3));
    let data: unknown;
    try {
      data = read(text);
    } catch (error) {
      refused++;
      expect(error instanceof SubspanError || error instanceof HttpProblem, `${error}`).toBe(true);
      continue;
    }
    expect(are(data, JSON.parse(text).inputs[0].data.flat()), text.slice(at - 20, at + 20)).toBe(true);
  }
  expect(refused).toBeGreaterThan(20);
  expect(refused).toBeLessThan(120);
});

test("a long request is read without its numbers, wherever they stand and however their key is written", () => {
  const space = " ".repeat(LONG);
  const text = `{"inputs": [{"name": "data", "data" :${space}[1, "]", {"data": [2]}]}, {"\\u0064ata":[[3]]}], "id": "\\"data\\": ["}`;
  const { json, items } = around(
    text
      .replace(space, "")
      .replace("[1,", `[1${space.slice(0, -1000)},`)
      .padEnd(LONG + 1),
  );
  const [first, second] = (json as { inputs: { name?: string; data: unknown[] }[] }).inputs;
  expect(json).toMatchObject({ inputs: [{ name: "data" }, {}], id: '"data": [' });
  expect([...items(first!.data)]).toEqual([[1, "]", { data: [2] }]]);
  expect([...items(second!.data)]).toEqual([[[3]]]);
});

const long = JSON.stringify(rows);
test.each([
  ["that breaks off", request(long).slice(0, -100), 400, "it breaks off"],
  ["with brackets of two kinds", request(`${long.slice(0, -1)}}`), 400, "expected JSON"],
  ["of more than 16 levels", request("[".repeat(LONG)), 400, "up to 16 levels"],
  ["with a comma at its end", request(`[${"1,".repeat(LONG / 2 + 1)}]`), 400, "expected JSON"],
  ["with an item no sample is as long as", request(`[[${"1,".repeat(LONG)}1]]`), 400, "items of up to"],
  ["with much besides its numbers", request("[]").padEnd(LONG + 1), 413, "besides the data"],
])("refuses a long request %s", (_, text, status, message) => {
  expect(() => read(text)).toThrow(expect.objectContaining({ status, message: expect.stringContaining(message) }));
});

/** What a request with images is read as, or how it is refused. */
const readImages = (text: string): unknown => {
  try {
    const { data, id } = parseInferRequest(bytes(text), undefined, toyManifest(), { rows: 9, jsonDepth: 16 });
    return { data, id };
  } catch (error) {
    if (error instanceof HttpProblem) return error.status;
    if (error instanceof SubspanError) return error.message;
    throw error;
  }
};
/** The same request, whose key nothing looks for in the text: JSON.parse reads all of it. */
const slowly = (text: string) => text.replaceAll('"data"', '"\\u0064ata"');
const images = (data: string, id = "an id") =>
  `{"id": ${JSON.stringify(id)}, "inputs":[{"data" : ${data},"name":"images","shape":[2,2,2,1],"datatype":"UINT8"}]}`;

test("bytes in a short request are read as JSON.parse reads them, however it is changed", () => {
  const whole = images("[0, 7,10, 255,99,  100,1,0]");
  const numbers = Uint8Array.of(0, 7, 10, 255, 99, 100, 1, 0);
  expect(readImages(whole)).toEqual({ data: numbers, id: "an id" });
  const [from, length] = [whole.indexOf("[0"), "[0, 7,10, 255,99,  100,1,0]".length];
  let accepted = 0;
  for (let i = 0; i < 4000; i++) {
    const at = i % 4 > 0 ? from + random.integer(length + 1) : random.integer(whole.length);
    const put = [
      "",
      ",",
      "[",
      "]",
      "}",
      '"',
      "\\",
      "1",
      "0",
      "-",
      ".",
      "e0",
      " ",
      "\n",
      "\u00a0",
      "null",
      '"data":[1]',
    ];
    const text = whole.slice(0, at) + put[random.integer(put.length)] + whole.slice(at + random.integer(3));
    const found = readImages(text);
    if (typeof found === "object") accepted++;
    expect(found, text).toEqual(readImages(slowly(text)));
  }
  expect(accepted).toBeGreaterThan(400);
  expect(accepted).toBeLessThan(3600);
});

test.each([
  ["a string that ends like the key", images("[1,2,3,4,5,6,7,8]", 'so: "data"')],
  ["a key that ends like it", images("[1,2,3,4,5,6,7,8]").replace('"id"', '"\\"data":[9],"id"')],
  ["a name like the key", images("[1,2,3,4,5,6,7,8]").replace('"an id"', '"data"')],
  ["two such keys", images("[1,2,3,4,5,6,7,8]").replace('"id"', '"other":{"data":[9]},"id"')],
  ["the key elsewhere", slowly(images("[1,2,3,4,5,6,7,8]")).replace('"id"', '"other":{"data":[9]},"id"')],
])("bytes in a short request with %s are the tensor's", (_, text) => {
  expect(readImages(text)).toMatchObject({ data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) });
});

test("bytes in a long request are read as numbers are", () => {
  const data = Array.from({ length: 2 ** 17 }, () => random.integer(256));
  const text = `{"inputs":[{"name":"images","shape":[${data.length / 4},2,2,1],"datatype":"UINT8","data":${JSON.stringify(data)}}]}`;
  expect(text.length).toBeGreaterThan(LONG);
  const limits = { rows: data.length, jsonDepth: 16 };
  const image = (text: string) => parseInferRequest(bytes(text), undefined, toyManifest(), limits).data;
  expect(Buffer.from(image(text)).equals(Buffer.from(data))).toBe(true);
  const refused = text.replace(/,\d+]}]}$/, ",256]}]}");
  expect(() => image(refused)).toThrow("expected integers 0..255, got 256");
});
