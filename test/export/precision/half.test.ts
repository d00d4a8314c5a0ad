import { describe, expect, test } from "vitest";
import { fromHalfBits, halfBits, halves } from "../../../export/precision/half.ts";

describe("float16", () => {
  test("every one of its numbers is itself again", () => {
    const all = Array.from({ length: 2 ** 16 }, (_, bits) => bits);
    expect(all.filter((bits) => !Number.isNaN(fromHalfBits(bits)) && halfBits(fromHalfBits(bits)) !== bits)).toEqual(
      [],
    );
  });

  test.each([
    ["halfway, below an even one", 1 + 2 ** -11, 1],
    ["halfway, above an odd one", 1 + 3 * 2 ** -11, 1 + 2 ** -9],
    ["just more than halfway", 1 + 2 ** -11 + 2 ** -20, 1 + 2 ** -10],
    ["carried to the next power of two", 2 - 2 ** -12, 2],
    ["carried out of the subnormals", 2 ** -14 - 2 ** -26, 2 ** -14],
    ["half of the smallest", 2 ** -25, 0],
    ["more than half of the smallest", -1.5 * 2 ** -25, -(2 ** -24)],
    ["the largest", 65519, 65504],
    ["too large", 65520, Number.POSITIVE_INFINITY],
    ["infinite", Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY],
  ])("rounds to the nearest, ties to even: %s", (_, value, expected) => {
    expect(fromHalfBits(halfBits(value))).toBe(expected);
  });

  test("NaN stays NaN", () => expect(fromHalfBits(halfBits(Number.NaN))).toBeNaN());

  test("arrays beyond its range or below its digits are left to float32", () => {
    expect(halves(Float32Array.of(1, 70_000))).toBeUndefined();
    expect(halves(Float32Array.of(1e-7, 2e-7))).toBeUndefined();
    expect(halves(Float32Array.of(1, 1e-7))).toEqual(Uint16Array.of(0x3c00, 2));
  });
});
