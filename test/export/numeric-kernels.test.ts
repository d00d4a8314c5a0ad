import * as tf from "@tensorflow/tfjs-core";
import "../../models/gradients.ts";
import { describe, expect, test } from "vitest";
import { trace } from "../../export/index.ts";
import { draws, maxAbsDifference, runEager, runModel } from "./run-model.ts";

type Call = (x: tf.Tensor2D) => tf.Tensor;

const image = (x: tf.Tensor) => tf.reshape(x, [-1, 2, 2, 6]) as tf.Tensor4D;
const whole = (x: tf.Tensor) => tf.cast(tf.floor(tf.mul(tf.add(x, 1), 3)), "int32");
const vector = (x: tf.Tensor) => tf.reshape(tf.slice(x, [0, 0], [-1, 1]), [x.shape[0] as number]) as tf.Tensor1D;
const per = (value: number) => tf.fill([24], value);

describe("arithmetic, sums, products, counts and norms hold for every batch size", () => {
  const calls: Record<string, Call> = {
    mod: (x) => tf.mod(x, 0.3),
    atan2: (x) => tf.atan2(x, tf.neg(x)),
    "floorDiv of integers": (x) => tf.floorDiv(whole(x), tf.scalar(2, "int32")),
    bitwiseAnd: (x) => tf.bitwiseAnd(whole(x), tf.reverse(whole(x))),
    cumprod: (x) => tf.cumprod(x, 1),
    "cumsum of the batch": (x) => tf.cumsum(x, 0),
    "all of the batch": (x) => tf.any(tf.greater(x, 0), 0),
    linspace: (x) => tf.mul(vector(x), tf.linspace(2, -1, x.shape[0])),
    range: (x) => tf.mul(vector(x), tf.range(x.shape[0], 0, -1)),
    diag: (x) => tf.diag(vector(x)),
    einsum: (x) => tf.einsum("ij,kj->ik", x, x),
    "a Dense layer": (x) =>
      tf.fused.matMul({ a: x, b: tf.ones([24, 3]), bias: tf.tensor1d([1, 2, 3]), activation: "elu" }),
    batchNorm: (x) => tf.batchNorm(x, per(1), per(2), per(3), per(4)),
    localResponseNormalization: (x) => tf.localResponseNormalization(image(x), 1),
    "its gradient": (x) => tf.grad((v: tf.Tensor) => tf.localResponseNormalization(image(v), 1))(x),
    bincount: (x) => tf.bincount(whole(vector(x)) as tf.Tensor1D, tf.tensor1d([]), 5),
    denseBincount: (x) => tf.denseBincount(whole(x) as tf.Tensor2D, tf.tensor([], [0, 0]) as tf.Tensor2D, 5),
    prelu: (x) => tf.prelu(x, per(0.2)),
    logSoftmax: (x) => tf.logSoftmax(x),
  };

  test.each(Object.entries(calls))("%s", async (name, call) => {
    const model = trace(({ x }) => ({ y: call(x as tf.Tensor2D) }), {
      inputs: { x: { type: "float32", shape: ["N", 24] } },
    });
    // tfjs has no linspace of no numbers.
    for (const n of name === "linspace" ? [1, 7] : [0, 1, 7]) {
      const feeds = { x: { data: draws(n * 24), shape: [n, 24] } };
      const eager = runEager(({ x }) => ({ y: call(x as tf.Tensor2D) }), feeds, {});
      const traced = await runModel(model, feeds);
      expect(traced.y?.shape).toEqual(eager.y?.shape);
      expect(maxAbsDifference(traced.y?.data ?? [], eager.y?.data ?? [])).toBeLessThanOrEqual(1e-5);
    }
  });
});

describe("what has no exact form is refused", () => {
  test.each<[string, Call, string]>([
    [
      "1 + 1 of bools, which is 2 in tfjs",
      (x) => tf.add(tf.greater(x, 0), tf.less(x, 0)),
      "dtype bool: expected float32 or int32",
    ],
    ["an angle cut down to an integer", (x) => tf.acos(whole(x)), "dtype int32: expected float32"],
    ["clipped bools", (x) => tf.clipByValue(tf.greater(x, 0), 0, 1), "dtype bool: expected float32 or int32"],
    [
      "integers by half steps",
      (x) => tf.add(x, tf.range(0, 12, 0.5, "int32")),
      "int32 numbers from 0 in steps of 0.5: expected integers",
    ],
    [
      "the largest of no numbers",
      (x) => tf.max(tf.slice(x, [0, 0], [-1, 0]), 1),
      "shape [3,0] along 1: expected numbers to choose from",
    ],
    [
      "the running product of a scalar",
      (x) => tf.cumprod(tf.sum(x)),
      "All values in axis param must be in range [-0, 0) but got axis 0",
    ],
    ["matrices that do not fit", (x) => tf.matMul(x, x), "[3,24] times [3,24]: expected matrices with one inner size"],
    [
      "a sigmoid of integers",
      (x) => tf.fused.matMul({ a: whole(x), b: whole(x), transposeB: true, activation: "sigmoid" }),
      "dtype int32: expected float32",
    ],
    [
      "counts of bools",
      (x) => tf.bincount(whole(vector(x)) as tf.Tensor1D, tf.greater(vector(x), 0) as tf.Tensor1D, 3),
      "dtype bool: expected float32 or int32",
    ],
  ])("%s", (_, call, why) => {
    const run = () =>
      trace(({ x }) => ({ y: call(x as tf.Tensor2D) }), { inputs: { x: { type: "float32", shape: [3, 24] } } });
    expect(run).toThrow(
      expect.objectContaining({ code: "TRACE_REFUSED", message: expect.stringContaining(`: ${why}`) }),
    );
  });

  test("a running product of the batch, whose steps depend on its size", () => {
    const run = () =>
      trace(({ x }) => ({ y: tf.cumprod(x as tf.Tensor) }), { inputs: { x: { type: "float32", shape: ["N", 2] } } });
    expect(run).toThrow(/depends on the batch size/);
  });
});

test("shapes that do not broadcast are an error when the graph runs", async () => {
  const args = { s0: [1, 2], s1: [1, 3] };
  const model = trace(({ s0, s1 }) => ({ shape: tf.broadcastArgs(s0 as tf.Tensor1D, s1 as tf.Tensor1D) }), {
    inputs: { s0: { type: "int32", shape: [2] }, s1: { type: "int32", shape: [2] } },
  });
  const feeds = Object.fromEntries(Object.entries(args).map(([k, v]) => [k, { data: Int32Array.from(v), shape: [2] }]));
  await expect(runModel(model, feeds)).rejects.toThrow(/Gather/);
});
