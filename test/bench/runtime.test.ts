import * as ort from "onnxruntime-node";
import { expect, test } from "vitest";
import { flopsOf } from "../../bench/runtime/flops.ts";
import { classifier, SIDE } from "../../bench/runtime/transformers.ts";

test("operations are two for each product of a convolution and a dense layer", async () => {
  const pixels = new ort.Tensor(new Float32Array(3 * SIDE * SIDE), [1, 3, SIDE, SIDE]);
  const convolution = (side: number, from: number, to: number) => side * side * to * 9 * from;
  const products =
    convolution(14, 3, 32) +
    convolution(14, 32, 32) +
    convolution(7, 32, 64) +
    convolution(7, 64, 64) +
    7 * 7 * 64 * 10;
  expect(await flopsOf(classifier(), { pixel_values: pixels })).toBe(2 * products);
});
