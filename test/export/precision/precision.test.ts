import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import { encodeModel, graphOutputs, type Model, type Outputs, trace } from "../../../export/index.ts";
import { lowerPrecision, withTolerance } from "../../../export/precision/index.ts";
import { checkGraph } from "../../../runtime/graph-check.ts";
import { Random } from "../../../train/random.ts";

const N = 40;
const random = new Random(5, "precision");
const normal = (shape: number[], scale = 1) => {
  const data = Float32Array.from({ length: tf.util.sizeFromShape(shape) }, () => scale * (random.uniform() - 0.5));
  return () => tf.tensor(data, shape);
};
const [filter, dense, table] = [normal([3, 3, 1, 32], 0.5), normal([32 * 36, 24], 0.1), normal([3000, 24])];
const images = { data: Uint8Array.from({ length: N * 36 }, () => random.integer(256)), shape: [N, 6, 6, 1] };

/** A convolution and a dense layer, then the nearest row of a table: an encoder and what a clusterer puts behind it. */
const model: Model = trace(
  (inputs) => {
    const x = tf.div(tf.cast(inputs.images as tf.Tensor, "float32"), 255) as tf.Tensor4D;
    const hidden = tf.relu(tf.conv2d(x, filter() as tf.Tensor4D, 1, "same"));
    const latent = tf.matMul(tf.reshape(hidden, [-1, 32 * 36]), dense() as tf.Tensor2D);
    const unit = tf.div(latent, tf.sqrt(tf.sum(tf.square(latent), 1, true)));
    const similarity = tf.matMul(unit as tf.Tensor2D, table() as tf.Tensor2D, false, true);
    const rows = tf.gather(table() as tf.Tensor<tf.Rank>, tf.argMax(similarity, 1));
    const isSame = tf.cast(tf.less(tf.sum(tf.square(tf.sub(rows, 0.5)), 1), 1e-9), "float32");
    return { similarity, latent, isSame };
  },
  { inputs: { images: { type: "uint8", shape: ["N", 6, 6, 1] } } },
);
const expected = await graphOutputs(encodeModel(model), "images", images);

/** The largest difference of an output, as a share of its largest number. */
function distance(got: Outputs, name: string): number {
  const [a, b] = [got, expected].map((outputs) => Array.from(outputs[name]?.data ?? [])) as [number[], number[]];
  const largest = b.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0) / largest;
}

const bytesOf = (graph: Model) => graph.initializers.reduce((sum, { bytes }) => sum + bytes.length, 0);
const operators = (graph: Model) => checkGraph(encodeModel(graph)).operators;

describe.each([
  // Names, largest differences of latent and similarity (rounding of 11 and 8 digits, added up), bytes of fp32.
  ["fp16", false, 2e-3, 0.51],
  ["int8", false, 2e-2, 0.3],
  ["int8", true, 4e-2, 0.3],
] as const)("%s, activations %s", (precision, activations, tolerance, size) => {
  const lower = lowerPrecision(model, precision, { activations });

  test("is allowed, has the same ports, and computes the same but for rounding", async () => {
    const bytes = encodeModel(lower);
    const { inputs, outputs } = checkGraph(bytes);
    expect({ inputs, outputs }).toEqual(
      (({ inputs, outputs }) => ({ inputs, outputs }))(checkGraph(encodeModel(model))),
    );
    const got = await graphOutputs(bytes, "images", images);
    expect(distance(got, "latent")).toBeLessThan(tolerance);
    expect(distance(got, "similarity")).toBeLessThan(tolerance);
  });

  test("stores large arrays in fewer bytes", () => expect(bytesOf(lower) / bytesOf(model)).toBeLessThan(size));

  test("takes no samples as well as any", async () => {
    const none = await graphOutputs(encodeModel(lower), "images", { data: new Uint8Array(0), shape: [0, 6, 6, 1] });
    expect(none.latent?.shape).toEqual([0, 24]);
  });
});

test("fp16 computes the network in float16, and all behind it in float32", () => {
  const { nodes } = lowerPrecision(model, "fp16", { activations: false });
  const reads = (op: string) =>
    nodes.filter((node) => node.op === op).map(({ inputs }) => inputs.map((name) => name.endsWith("/float16")));
  expect(reads("Conv")).toEqual([[true, true]]);
  expect(reads("Relu")).toEqual([[true]]);
  expect(reads("MatMul")).toEqual([[true, true]]);
  expect(reads("Gemm")).toEqual([[false, false]]);
  expect(reads("ReduceSum").flat()).not.toContain(true);
  expect(reads("Gather")).toEqual([[true, false]]);
});

test("an array that float16 cannot hold stays float32", async () => {
  const large = trace(({ x }) => ({ y: tf.matMul(x as tf.Tensor2D, tf.mul(dense(), 1e7) as tf.Tensor2D) }), {
    inputs: { x: { type: "float32", shape: ["N", 32 * 36] } },
  });
  expect(operators(lowerPrecision(large, "fp16", { activations: false }))).toEqual(operators(large));
});

test("int8 weights are made floats as they are read, the rows of a table when they are looked up", () => {
  const { nodes } = lowerPrecision(model, "int8", { activations: false });
  const gather = nodes.find(({ op }) => op === "Gather");
  expect(gather?.inputs[0]).toMatch(/int8$/);
  expect(nodes.find(({ inputs }) => inputs[0] === gather?.outputs[0])).toMatchObject({
    op: "DequantizeLinear",
    attributes: { axis: -1 },
  });
});

test("int8 activations are quantised once, where they come in", () => {
  const found = operators(lowerPrecision(model, "int8", { activations: true }));
  expect(found).toMatchObject({ DynamicQuantizeLinear: 1, MatMulInteger: 1, Conv: 1 });
});

test("a tolerance replaces what is compared with, and nothing else", async () => {
  const isSame = async (graph: Model) =>
    (await graphOutputs(encodeModel(graph), "images", images)).isSame?.data.includes(1);
  expect(await isSame(model)).toBe(false);
  expect(await isSame(withTolerance(model, 1e-9, 100))).toBe(true);
  expect(withTolerance(model, 1e-8, 100)).toEqual(model);
});
