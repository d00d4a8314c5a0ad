import * as tf from "@tensorflow/tfjs-core";
import { expect, test } from "vitest";
import {
  checkConversion,
  compareConversion,
  encodeModel,
  type ModelFunction,
  type Rows,
  trace,
} from "../../export/index.ts";

const inputs = { x: { type: "float32", shape: ["N", 2] } } as const;

/** A model that computes `said`, and a graph that computes `done`. */
async function compared(said: (x: tf.Tensor) => tf.Tensor, done: (x: tf.Tensor) => tf.Tensor, data: number[]) {
  const named = (fn: (x: tf.Tensor) => tf.Tensor): ModelFunction["run"] => {
    return ({ x }) => ({ y: fn(x as tf.Tensor) });
  };
  const model: ModelFunction = { name: "toy", inputs, outputs: ["y"], rows: {}, run: named(said) };
  const x: Rows = { data: Float32Array.from(data), shape: [data.length / 2, 2] };
  const found = await compareConversion(model, encodeModel(trace(named(done), { inputs })), { x });
  return { found: found.outputs.y!, check: () => checkConversion(found) };
}

test("a difference is told as it is, and as a share of the output's largest number", async () => {
  const { found, check } = await compared(
    (x) => x,
    (x) => tf.add(x, 0.5),
    [1, -4],
  );
  expect(found).toMatchObject({ shape: [1, 2], maxAbs: 0.5, maxRel: 0.125 });
  expect(check).toThrow(/^output y is 0\.125 of its scale \(0\.500\) from tfjs's; at most 0\.0001 may be/);
});

test("NaN and infinities are equal to themselves alone", async () => {
  const divided = (x: tf.Tensor) => tf.div(x, 0);
  expect((await compared(divided, divided, [1, -1])).found).toMatchObject({ maxAbs: 0, maxRel: 0 });
  const { found, check } = await compared(divided, tf.neg, [1, -1]);
  expect(found.maxRel).toBe(Number.POSITIVE_INFINITY);
  expect(check).toThrow();
});

test("another shape is infinitely far", async () => {
  const { found } = await compared(
    (x) => x,
    (x) => tf.reshape(x, [-1]),
    [1, 2],
  );
  expect(found.maxAbs).toBe(Number.POSITIVE_INFINITY);
});

test("what a network makes of rounding is no error of the graph", async () => {
  // One unit in the last place of 16,384 is 0.002.
  const steep = (x: tf.Tensor) => tf.sub(tf.mul(x, 16384), 16384);
  const off = (x: tf.Tensor) => tf.add(steep(x), 0.002);
  const { found, check } = await compared(steep, off, [1, 1]);
  expect(found.maxRel).toBeGreaterThan(1);
  expect(found.rounding).toBeGreaterThan(0.001);
  expect(check).not.toThrow();
  const far = await compared(steep, (x) => tf.add(steep(x), 0.02), [1, 1]);
  expect(far.check).toThrow(/rounding explains 0\.00195/);
});

test("tiny probabilities need not be exact", async () => {
  const { found, check } = await compared(
    (x) => tf.mul(x, 1e-9),
    (x) => tf.mul(x, 2e-9),
    [1, 1],
  );
  expect(found.maxRel).toBeCloseTo(1);
  expect(check).not.toThrow();
});

test("inputs that an engine does not take are told in its words", async () => {
  const refused = compared(
    (x) => tf.gather(tf.zeros([3]), tf.cast(x, "int32")),
    (x) => x,
    [5, 7],
  );
  await expect(refused).rejects.toMatchObject({
    code: "PARITY_FAILED",
    message: expect.stringMatching(/^tfjs cannot run/),
  });
});
