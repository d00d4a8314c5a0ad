import fc from "fast-check";
import { expect, test } from "vitest";
import { SubspanError } from "../../runtime/node.ts";
import { HttpProblem } from "../../serve/problem.ts";
import { parseAround } from "../../serve/protocol/json.ts";
import { isNested, readList } from "../../serve/protocol/json-list.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const around = (text: string) => parseAround(bytes(text), 16, "data", 3);

/** What JSON makes of a text, or nothing for what is none. */
const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const space = fc.constantFrom("", "", " ", "\n\t", "\r\n  ");
const digits = (minLength: number) => fc.string({ unit: fc.constantFrom(..."0123456789"), minLength, maxLength: 24 });
const number = fc.oneof(
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc
    .tuple(fc.constantFrom("", "-"), fc.nat().map(String), digits(1))
    .map(([sign, whole, part]) => `${sign}${whole}.${part}`),
  fc.tuple(fc.nat(99), fc.constantFrom("e", "E+", "e-"), fc.nat(400)).map((parts) => parts.join("")),
  fc.constantFrom("-0", "0.0", "9007199254740993", "9007199254740993.0", "0.1", "123456789012345678901234567890"),
);
/** A list of two by three, and its text. */
const matrix = fc.array(fc.tuple(space, number, space), { minLength: 6, maxLength: 6 }).map((items) => {
  const texts = items.map((parts) => parts.join(""));
  return `[ [${texts.slice(0, 3)}],\n[${texts.slice(3)}]\n]`;
});

test("numbers are those that JSON.parse reads, however they are written", () =>
  fc.assert(
    fc.property(matrix, (text) => {
      const values = new Float32Array(6);
      readList(bytes(text), [2, 3], values, "x");
      expect(values).toEqual(Float32Array.from((JSON.parse(text) as number[][]).flat()));
    }),
    { numRuns: 2000 },
  ));

test("a text that is changed anywhere is read as JSON.parse reads it, or refused", () => {
  const change = fc.tuple(
    matrix,
    fc.nat(),
    fc.nat(2),
    fc.string({ unit: fc.constantFrom(...'[]{},:"-+.eE01 \nntx\\'), maxLength: 2 }),
  );
  let same = 0;
  fc.assert(
    fc.property(change, ([whole, place, cut, put]) => {
      const at = place % whole.length;
      const text = whole.slice(0, at) + put + whole.slice(at + cut);
      const values = new Float32Array(6);
      try {
        readList(bytes(text), [2, 3], values, "x");
      } catch (error) {
        expect(error instanceof SubspanError || error instanceof HttpProblem, `${text}: ${error}`).toBe(true);
        const lists = parsed(text) as number[][];
        const right = lists?.length === 2 && lists.every((list) => list?.length === 3 && list.every(Number.isFinite));
        expect(right && Array.isArray(lists), text).toBe(false);
        return;
      }
      same++;
      expect(values).toEqual(Float32Array.from((JSON.parse(text) as number[][]).flat()));
    }),
    { numRuns: 5000 },
  );
  expect(same).toBeGreaterThan(100);
});

test("a request is read without its numbers, which stay where they stood", () => {
  const text =
    '{"inputs": [{"name": "data", "data" : [1, "]", {"data": [2]}]}, {"\\u0064ata":[[3]]}], "id": "\\"data\\": ["}';
  const { json, lists } = around(text);
  expect(json).toEqual({ inputs: [{ name: "data", data: [0] }, { data: [1] }], id: '"data": [' });
  expect(lists.map((list) => Buffer.from(list).toString())).toEqual(['[1, "]", {"data": [2]}]', "[[3]]"]);
});

test("JSON of any form, and lists elsewhere, are what JSON.parse makes of them", () =>
  fc.assert(
    fc.property(fc.json(), (text) => {
      const { json, lists } = around(text);
      expect(lists).toEqual([]);
      expect(json).toEqual(JSON.parse(text));
    }),
    { numRuns: 1000 },
  ));

test.each([
  ["text that breaks off", '{"inputs":[{"data":[1,2', 400, "it breaks off"],
  ["brackets of two kinds", '{"inputs":[{"data":[1}]}]}', 400, "expected JSON"],
  ["more than 16 levels", `{"inputs":[{"data":${"[".repeat(20)}`, 400, "up to 16 levels"],
  ["much besides the numbers", `{"inputs":[{"data":[1]}]}${" ".repeat(2 ** 18)}`, 413, "besides the data"],
])("%s: %i", (_, text, status, message) => {
  expect(() => around(text as string)).toThrow(
    expect.objectContaining({ status, message: expect.stringContaining(message as string) }),
  );
});

test("a list is nested if its first item is one", () => {
  expect(["[[1]]", " [1]", "[ \n[", "[1,[2]]", "[]"].map((text) => isNested(bytes(text)))).toEqual([
    true,
    false,
    true,
    false,
    false,
  ]);
});
