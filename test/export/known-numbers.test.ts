import * as tf from "@tensorflow/tfjs-core";
import { expect, test } from "vitest";
import { type TraceFunction, trace } from "../../export/index.ts";
import { draws, runModel } from "./run-model.ts";

const signature = { inputs: { x: { type: "float32", shape: ["N", 2, 3] } } } as const;
const operators = (fn: TraceFunction) => trace(fn, signature).nodes.map(({ op }) => op);

/** As Flatten in a TensorFlow graph: sizes are tensors, and kernels compute with them. */
const flattened: TraceFunction = ({ x }) => {
  const shape = tf.tensor1d((x as tf.Tensor).shape, "int32");
  const batch = tf.mul(tf.slice(shape, 0, 1), tf.prod(tf.slice(shape, 1)));
  return { y: tf.reshape(x as tf.Tensor, Array.from(batch.dataSync())) };
};

test("sizes that kernels compute can be read, and leave no nodes behind", async () => {
  expect(operators(flattened)).toEqual(["Reshape", "Identity"]);
  const x = draws(12);
  const { y } = await runModel(trace(flattened, signature), { x: { data: x, shape: [2, 2, 3] } });
  expect(y).toMatchObject({ data: Array.from(x), shape: [12] });
});

test("numbers are known behind several outputs, and after their tensors are gone", () => {
  const fn: TraceFunction = ({ x }) => {
    const parts = tf.tidy(() => tf.split(tf.add([1, 2, 3, 4], 1), 2));
    const last = tf.tidy(() => tf.mul(parts[1] as tf.Tensor, 10));
    tf.dispose(parts);
    expect(Array.from(last.dataSync())).toEqual([40, 50]);
    return { y: tf.neg(x as tf.Tensor) };
  };
  expect(operators(fn)).toEqual(["Neg", "Identity"]);
});

test("a kernel without a lowering makes a constant of known numbers", async () => {
  const fn: TraceFunction = ({ x }) => ({ y: tf.mul(x as tf.Tensor, tf.unique([3, 1, 3, 2]).values) });
  expect(operators(fn)).not.toContain("Unique");
  const { y } = await runModel(trace(fn, signature), { x: { data: new Float32Array(6).fill(2), shape: [1, 2, 3] } });
  expect(y?.data).toEqual([6, 2, 4, 6, 2, 4]);
});

test("a number that depends on an input cannot be read, however far behind", () => {
  const fn: TraceFunction = ({ x }) => {
    const count = tf.add(tf.mul(tf.sum(x as tf.Tensor), 0), 2);
    return { y: tf.tile(x as tf.Tensor, [count.dataSync()[0] as number, 1, 1]) };
  };
  expect(() => trace(fn, signature)).toThrow(/^the value of a traced tensor .* was read/);
});
