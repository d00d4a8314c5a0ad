import { readFile } from "node:fs/promises";
import * as tf from "@tensorflow/tfjs-core";
import "../../models/gradients.ts";
import * as ort from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { LOWERINGS } from "../../export/backend.ts";
import { encodeModel, type PortType, type Signature, type TraceFunction, trace } from "../../export/index.ts";
import { checkGraph } from "../../runtime/graph-check.ts";
import { adam } from "../../train/optimizers.ts";
import { compare, draws, type Feeds, maxAbsDifference, runEager, runModel } from "./run-model.ts";

const float32 = (...shape: (number | string)[]): PortType => ({ type: "float32", shape });
const vectors = (width: number): Signature => ({ inputs: { x: float32("N", width) } });
/** A traced function of one tensor x, [N, width]. */
const of =
  (fn: (x: tf.Tensor2D) => tf.Tensor): TraceFunction =>
  ({ x }) => ({ y: fn(x as tf.Tensor2D) });
const refusal = (fn: TraceFunction, signature: Signature = vectors(4)): string => {
  try {
    trace(fn, signature);
  } catch (error) {
    expect(error).toMatchObject({ name: "SubspanError", code: "TRACE_REFUSED" });
    return (error as Error).message;
  }
  throw new Error("expected the trace to be refused");
};

describe("one graph for every batch size: eager results at 0, 1, 2, 7 and 64", () => {
  const sizes = [0, 1, 2, 7, 64];

  /** Traces once, then compares at each size. */
  async function agrees(fn: TraceFunction, signature: Signature, feedsOf: (n: number) => Feeds, tolerance = 1e-5) {
    const model = trace(fn, signature);
    for (const n of sizes) {
      const feeds = feedsOf(n);
      const traced = await runModel(model, feeds);
      for (const [name, eager] of Object.entries(runEager(fn, feeds, {}))) {
        expect([n, name, traced[name]?.shape]).toEqual([n, name, eager.shape]);
        expect(maxAbsDifference(eager.data, traced[name]?.data ?? [])).toBeLessThanOrEqual(tolerance);
      }
    }
    return model;
  }
  const rows = (width: number) => (n: number) => ({ x: { data: draws(n * width), shape: [n, width] } });

  test("a convolutional network, its probabilities and their mean over the batch", async () => {
    const [filter, bias] = [draws(3 * 3 * 2 * 3, -1, 1, 1), draws(3, -1, 1, 2)];
    const [weights, offset] = [draws(4 * 3 * 3 * 5, -0.3, 0.3, 3), draws(5, -1, 1, 4)];
    const network: TraceFunction = ({ images }) => {
      const x = tf.conv2d(images as tf.Tensor4D, tf.tensor4d(filter, [3, 3, 2, 3]), [1, 2], "same");
      const active = tf.leakyRelu(tf.add(x, tf.tensor1d(bias)), 0.2);
      // Spelt out: tfjs cannot infer a -1 for no elements.
      const flat = tf.reshape(active, [active.shape[0], 36]) as tf.Tensor2D;
      const logits = tf.add(tf.matMul(flat, tf.tensor2d(weights, [36, 5])), tf.tensor1d(offset));
      const probabilities = tf.softmax(logits);
      return { probabilities, mean: tf.mean(probabilities, 0), features: active };
    };
    const model = await agrees(network, { inputs: { images: float32("N", 4, 6, 2) } }, (n) => ({
      images: { data: draws(n * 48), shape: [n, 4, 6, 2] },
    }));
    expect(Object.fromEntries(model.outputs.map(({ name, shape }) => [name, shape]))).toEqual({
      probabilities: ["N", 5],
      mean: [5],
      features: ["N", 4, 3, 3],
    });
  });

  test("masks over pairs of samples, made from a range", async () => {
    const farthest = of((x) => {
      const index = tf.range(0, x.shape[0], 1, "int32");
      const other = tf.notEqual(tf.reshape(index, [-1, 1]), tf.reshape(index, [1, -1]));
      const upper = tf.cast(tf.greater(tf.reshape(index, [1, -1]), tf.reshape(index, [-1, 1])), "float32");
      const similar = tf.matMul(x, x, false, true);
      return tf.add(tf.where(other, similar, tf.zerosLike(similar)), upper);
    });
    const model = await agrees(farthest, vectors(3), rows(3));
    expect(model.outputs[0]?.shape).toEqual(["N", "N"]);
  });

  test("a mixture of reshapes, tiles, slices, paddings and concatenations", async () => {
    const mixture: TraceFunction = ({ x }) => {
      const [n] = x!.shape as [number];
      const pairs = tf.reshape(tf.tile(x!, [2, 1]), [2, n, 2, 3]);
      const longer = tf.concat(
        [
          tf.pad(x!, [
            [1, 0],
            [0, 0],
          ]),
          tf.ones([2, 6]),
        ],
        0,
      );
      return {
        pairs: tf.slice(tf.transpose(pairs, [1, 3, 0, 2]), [0, 1, 0, 0], [-1, 2, -1, -1]),
        longer,
        last: tf.slice(longer, [3, 0], [n, 2]),
        middle: tf.reshape(x!, [3, n, 2]),
        flat: tf.reshape(x!, [-1]),
        counted: tf.add(tf.fill([n, 1], n), tf.sum(tf.ones([n]))),
      };
    };
    const model = await agrees(mixture, vectors(6), rows(6));
    expect(Object.fromEntries(model.outputs.map(({ name, shape }) => [name, shape]))).toEqual({
      pairs: ["N", 2, 2, 2],
      longer: ["N+3", 6],
      last: ["N", 2],
      middle: [3, "N", 2],
      flat: ["6N"],
      counted: ["N", 1],
    });
  });

  // Two axes that move are computed, and a computed 0 must not mean "as the input has it there".
  test("a reshape in which two axes are the batch's", async () => {
    const model = await agrees(
      of((x) => tf.reshape(tf.matMul(x, x, false, true), [x.shape[0], 1, x.shape[0]])),
      vectors(3),
      rows(3),
    );
    expect(model.outputs[0]?.shape).toEqual(["N", 1, "N"]);
  });

  test("the gradient of a mean over the batch", async () => {
    await agrees(
      of((x) => tf.grad((v: tf.Tensor) => tf.mean(tf.square(tf.sub(v, tf.mean(v, 0)))))(x)),
      vectors(3),
      rows(3),
    );
  });
});

describe("what depends on the batch in another way is refused", () => {
  test("other operations: the node is named", () => {
    const message = refusal(of((x) => (x.shape[0] > 3000 ? tf.sin(x) : tf.cos(x))));
    expect(message).toMatch(/node Cos_\d+ \(Cos\) depends on the batch size/);
  });

  test("the same operations of other tensors", () => {
    const [sines, cosines] = [(x: tf.Tensor) => tf.sin(x), (x: tf.Tensor) => tf.cos(x)];
    const fn = of((x) => {
      const [a, b] = [sines(x), cosines(x)];
      return tf.add(tf.add(a, b), tf.neg(x.shape[0] > 3000 ? a : b));
    });
    expect(refusal(fn)).toMatch(/node Neg_\d+ \(Neg\) depends on the batch size/);
  });

  test("other outputs", () => {
    expect(refusal(({ x }) => ({ [x!.shape[0]! > 3000 ? "many" : "few"]: tf.neg(x!) }))).toMatch(/few.*many/);
  });

  test("numbers of batch length that JavaScript made", () => {
    const ramp = (n: number) =>
      tf.tensor2d(
        Array.from({ length: n }, (_, i) => i),
        [n, 1],
      );
    expect(refusal(of((x) => tf.add(x, ramp(x.shape[0]))))).toMatch(/node Add_\d+ .*constant of shape \[2003,1\]/);
  });

  test("a number that is not linear in the batch", () => {
    expect(refusal(of((x) => tf.mul(x, 1 / x.shape[0])))).toMatch(/node Mul_\d+ .*not linear/);
    expect(refusal(of((x) => tf.mul(x, x.shape[0] + 0.5)))).toMatch(/node Mul_\d+ .*not linear/);
    // Two points always lie on a line, a square's too.
    expect(refusal(of((x) => tf.mul(x, x.shape[0] ** 2)))).toMatch(/node Mul_\d+ .*not linear/);
    expect(refusal(of((x) => tf.reshape(tf.matMul(x, x, false, true), [x.shape[0] ** 2, 1, 1])))).toMatch(/not linear/);
  });

  test.each([2, 3, 4, 5, 7, 8, 16])('padding "same" with a stride of %i over a side of any size', (stride) => {
    const image: Signature = { inputs: { x: float32(1, "H", 8, 1) } };
    const filter = tf.ones<tf.Rank.R4>([3, 1, 1, 1]);
    const convolution: TraceFunction = ({ x }) => ({
      y: tf.mean(tf.conv2d(x as tf.Tensor4D, filter, [stride, 1], "same")),
    });
    const pooling: TraceFunction = ({ x }) => ({
      y: tf.mean(tf.maxPool(x as tf.Tensor4D, [2, 1], [stride, 1], "same")),
    });
    for (const fn of [convolution, pooling]) expect(refusal(fn, image)).toMatch(/depends on H, axis 1 of x: /);
    filter.dispose();
  });

  test("a remainder of the batch", () => {
    for (const divisor of [2, 7]) {
      const padded = of((x) =>
        tf.pad(x, [
          [0, x.shape[0] % divisor],
          [0, 0],
        ]),
      );
      expect(refusal(padded)).toMatch(/depends on the batch size/);
    }
  });

  test("a tensor kept from the trace before", () => {
    let kept: tf.Tensor | undefined;
    const message = refusal(
      of((x) => {
        kept ??= tf.keep(tf.neg(x));
        return tf.add(tf.sum(kept), x);
      }),
    );
    kept?.dispose();
    expect(message).toMatch(/another trace/);
  });

  test("two symbols", () => {
    const signature = { inputs: { a: float32("N", 3), b: float32("M", 3) } };
    expect(refusal(({ a, b }) => ({ y: tf.matMul(a as tf.Tensor2D, b!, false, true) }), signature)).toBe(
      "expected one dynamic axis, got 2: N, M",
    );
  });
});

describe("element types", () => {
  test("bytes in, 64-bit labels out", async () => {
    const images = { data: Uint8Array.of(0, 255, 7, 200, 9, 8), shape: [2, 3] };
    const label: TraceFunction = ({ images }) => ({ label: tf.argMax(images!, 1), scaled: tf.div(images!, 255) });
    const signature: Signature = {
      inputs: { images: { type: "uint8", shape: ["N", 3] } },
      outputs: { label: "int64" },
    };
    const { traced, difference } = await compare(label, signature, { images });
    expect(traced.label).toMatchObject({ type: "int64", data: [1, 0], shape: [2] });
    // 255 divided by 255 in float32.
    expect(difference).toBeLessThanOrEqual(1e-6);
    const { inputs, outputs } = checkGraph(encodeModel(trace(label, signature)));
    expect(inputs).toEqual([{ name: "images", dtype: "uint8", shape: ["N", 3] }]);
    expect(outputs).toContainEqual({ name: "label", dtype: "int64", shape: ["N"] });
  });

  test("what tfjs has no tensors of is refused", () => {
    const signature: Signature = { inputs: { x: { type: "float64", shape: [2] } } };
    expect(refusal(({ x }) => ({ y: x! }), signature)).toBe("tfjs has no tensors of float64");
  });

  test("means and floored quotients have the dtype tfjs gives them, whatever goes in", async () => {
    const run: TraceFunction = ({ i, f }) => ({
      mean: tf.mean(i!),
      floorDiv: tf.floorDiv(f!, tf.scalar(0.3)),
    });
    const inputs: Record<string, PortType> = { i: { type: "int32", shape: [3] }, f: float32(3) };
    const feeds = { i: { data: Int32Array.of(1, 2, 4), shape: [3] }, f: { data: draws(3, -2, 2), shape: [3] } };
    const { traced, eager, difference } = await compare(run, { inputs }, feeds);
    expect(difference).toBeLessThanOrEqual(1e-6);
    for (const name of ["mean", "floorDiv"]) expect(traced[name]?.type).toBe(eager[name]?.type);
  });
});

describe("names", () => {
  test("an output may not be named as an input", () => {
    expect(refusal(({ x }) => ({ x: tf.neg(x!) }))).toBe("two values of the graph would be named x");
  });

  test("with commas in them are told apart", async () => {
    const names = ["a,b", "c", "a", "b,c"];
    const model = trace((x) => ({ first: tf.sub(x["a,b"]!, x.c!), second: tf.sub(x.a!, x["b,c"]!) }), {
      inputs: Object.fromEntries(names.map((name) => [name, float32(1)])),
    });
    const feeds = Object.fromEntries(names.map((name, i) => [name, { data: Float32Array.of(10 ** i), shape: [1] }]));
    const { first, second } = await runModel(model, feeds);
    expect([first?.data[0], second?.data[0]]).toEqual([-9, -900]);
  });

  test("an input may not be named as a node", () => {
    const message = refusal(({ Neg_0 }) => ({ y: tf.neg(Neg_0!) }), { inputs: { Neg_0: float32(2) } });
    expect(message).toBe("two values of the graph would be named Neg_0");
  });
});

describe("what a trace cannot hold is refused", () => {
  test.each<[string, (x: tf.Tensor2D) => tf.Tensor]>([
    ["randomNormal", (x) => tf.add(x, tf.randomNormal([4]))],
    ["randomUniform", (x) => tf.add(x, tf.randomUniform([4]))],
    ["truncatedNormal", (x) => tf.add(x, tf.truncatedNormal([4]))],
    ["rand", (x) => tf.add(x, tf.rand([4], Math.random))],
    ["dropout", (x) => tf.dropout(x, 0.5)],
    ["multinomial", (x) => tf.multinomial(x, 2)],
  ])("tf.%s, by name", (name, fn) => {
    const message = `tf.${name} inside a trace would freeze its draw into the graph: pass random numbers as an input`;
    expect(refusal(of(fn))).toBe(message);
  });

  test("reading the value of a traced tensor", () => {
    const fn = of((x) => tf.mul(x, tf.sum(x).dataSync()[0] as number));
    expect(refusal(fn)).toMatch(/^the value of a traced tensor .* was read: a trace has shapes, no data$/);
  });

  test("kernels that ONNX cannot express, by name and with the reason", () => {
    const pairs = of((x) => tf.complex(x, x));
    expect(refusal(pairs)).toBe("no lowering for kernel Complex (ONNX has no complex numbers)");
    const unique = of((x) => tf.unique(tf.reshape(x, [-1])).values);
    expect(refusal(unique)).toBe("no lowering for kernel Unique (the size of its result depends on data)");
  });

  test("kernels that tfjs's CPU backend does not have either", () => {
    const band = of((x) => tf.engine().runKernel("MatrixBandPart", { input: tf.acos(x) }, {}) as tf.Tensor);
    expect(refusal(band)).toBe("no lowering for kernel MatrixBandPart");
  });

  test("what a lowering cannot lower, by the kernel's name", () => {
    const sum = of((x) => tf.add(tf.greater(x, 0), tf.greater(x, 1)));
    expect(refusal(sum)).toMatch(/^kernel Add cannot be traced: /);
  });
});

describe("what is no function of named tensors is refused", () => {
  const signature: Signature = { inputs: { x: float32(2) } };
  test.each<[string, unknown, string]>([
    [
      "a tensor alone",
      (x: tf.Tensor) => tf.neg(x),
      "expected named tensors from the function, such as { y }, got a tensor",
    ],
    ["nothing", () => undefined, "expected named tensors from the function, such as { y }, got undefined"],
    ["no outputs", () => ({}), "expected at least one output from the function, got none"],
    ["an output that is a number", () => ({ y: 3 }), "output y: expected a tensor, got number"],
    ["an output without a name", (x: tf.Tensor) => ({ "": tf.neg(x) }), "an output has an empty name"],
    [
      "a trace in a trace",
      (x: tf.Tensor) => trace(({ z }) => ({ y: tf.neg(z!) }), { inputs: { z: float32(2) } }) && { y: x },
      "a trace inside a traced function",
    ],
  ])("%s", (_, fn, message) => {
    expect(refusal(({ x }) => (fn as (x: tf.Tensor) => never)(x!), signature)).toBe(message);
  });

  test.each<[string, Signature, string]>([
    ["a size below 0", { inputs: { x: float32(-1) } }, "input x: expected sizes from 0 and one symbol, got -1 in [-1]"],
    ["half a size", { inputs: { x: float32(2.5) } }, "input x: expected sizes from 0 and one symbol, got 2.5 in [2.5]"],
    [
      "a symbol without a name",
      { inputs: { x: float32("") } },
      'input x: expected sizes from 0 and one symbol, got "" in []',
    ],
    ["an input without a name", { inputs: { "": float32(2) } }, "an input has an empty name"],
    [
      "a type that no tensor has",
      { ...signature, outputs: { y: "string" as "int64" } },
      "output y: expected one of float32, uint8, int8, int32, int64, bool, float16, float64, got string",
    ],
  ])("%s", (_, given, message) => {
    expect(refusal((inputs) => ({ y: tf.neg(Object.values(inputs)[0]!) }), given)).toBe(message);
  });

  test("activations that differ in an infinity, or in the sign of 0, stay two", () => {
    const alphas = [Number.POSITIVE_INFINITY, Number.NaN, 0, -0];
    const fn: TraceFunction = ({ x }) =>
      Object.fromEntries(alphas.map((alpha, i) => [`y${i}`, tf.leakyRelu(x!, alpha)]));
    const { nodes } = trace(fn, signature);
    expect(nodes.filter(({ op }) => op === "LeakyRelu")).toHaveLength(alphas.length);
  });
});

describe("tfjs is left as it was", () => {
  const state = () => [tf.getBackend(), tf.memory().numTensors, tf.memory().numDataBuffers];

  test("the backend is put back and no tensor leaks, after success and after an error", () => {
    tf.setBackend("cpu");
    const before = state();
    trace(
      of((x) => tf.grad((v: tf.Tensor) => tf.sum(tf.softmax(v)))(x)),
      vectors(4),
    );
    expect(state()).toEqual(before);
    refusal(of((x) => tf.add(x, tf.randomNormal([4]))));
    expect(state()).toEqual(before);
    refusal(of((x) => tf.grad((v: tf.Tensor) => tf.sum(tf.mul(v, v.dataSync()[0] as number)))(x)));
    expect(state()).toEqual(before);
    refusal(of((x) => tf.unique(tf.reshape(tf.atan2(x, x), [-1])).values));
    expect(state()).toEqual(before);
    expect(tf.engine().state.gradientDepth).toBe(0);
  });

  test("what is worked out of known numbers leaves nothing on the CPU backend", () => {
    const cpu = tf.findBackend("cpu");
    const before = cpu.numDataIds();
    trace(
      of((x) => tf.add(x, tf.unique(tf.tensor1d([3, 3])).values)),
      vectors(4),
    );
    expect(cpu.numDataIds()).toBe(before);
  });

  test("tensors from outside can be used in the trace and after it", () => {
    tf.setBackend("cpu");
    const weights = tf.tensor2d(draws(8), [4, 2]);
    const values = Array.from(weights.dataSync());
    const model = trace(
      of((x) => tf.matMul(x, weights)),
      vectors(4),
    );
    expect(model.initializers.map(({ shape }) => shape)).toEqual([[4, 2]]);
    expect(Array.from(weights.dataSync())).toEqual(values);
    expect(Array.from(tf.add(weights, 0).dataSync())).toEqual(values);
    weights.dispose();
  });

  // tf.reshape gives tensors that share their numbers: each has its own shape in the graph.
  test("tensors from outside that share their numbers keep their shapes", async () => {
    tf.setBackend("cpu");
    const row = tf.tensor1d(draws(4, -1, 1, 9));
    const column = tf.reshape(row, [4, 1]);
    const fn = of((x) => tf.add(tf.mul(x, row), tf.matMul(x, column as tf.Tensor2D)));
    const { difference } = await compare(fn, vectors(4), { x: { data: draws(8), shape: [2, 4] } });
    expect(difference).toBeLessThanOrEqual(1e-6);
    tf.dispose([row, column]);
  });
});

describe("the model's bytes", () => {
  test("hold a tensor that is one number everywhere as one number", () => {
    const fn = of((x) => {
      const images = tf.add(tf.reshape(x, [-1, 28, 28, 1]), tf.ones([2003, 28, 28, 1]));
      return tf.add(tf.mul(images, tf.fill([28, 28, 1], 0.5)), tf.tensor1d(new Float32Array(28).fill(3)));
    });
    const model = trace(fn, { inputs: { x: float32(2003, 784) } });
    expect(encodeModel(model).length).toBeLessThan(1000);
  });

  test("do not grow with the batch", () => {
    const step = (n: number | string) =>
      encodeModel(
        trace(
          of((x) => tf.grad((v: tf.Tensor) => tf.mean(tf.softmax(tf.mul(v, tf.ones(v.shape)))))(x)),
          {
            inputs: { x: float32(n, 4) },
          },
        ),
      ).length;
    expect(step(100_000) - step(100)).toBeLessThan(50);
    expect(step("N")).toBeLessThan(step(100) + 1000);
  });

  test("are the same for two traces of one function", () => {
    const bytes = () =>
      encodeModel(
        trace(
          of((x) => tf.grad((v: tf.Tensor) => tf.sum(tf.softmax(v)))(x)),
          vectors(4),
        ),
      );
    expect(bytes()).toEqual(bytes());
  });
});

/** Classifies 4x4 images: convolution, leaky ReLU, dense layer, squared error. */
const CLASSIFIER = { filter: [3, 3, 1, 2], bias: [2], weights: [8, 3] };
function classifierLoss(p: Record<string, tf.Tensor>, images: tf.Tensor, targets: tf.Tensor): tf.Scalar {
  const x = tf.leakyRelu(
    tf.add(tf.conv2d(images as tf.Tensor4D, p.filter as tf.Tensor4D, 2, "same"), p.bias as tf.Tensor),
    0.2,
  );
  const logits = tf.matMul(tf.reshape(x, [-1, 8]), p.weights as tf.Tensor2D);
  return tf.mean(tf.squaredDifference(tf.softmax(logits as tf.Tensor2D), targets));
}

test("three traced Adam updates equal tfjs's own Adam", async () => {
  const names = Object.keys(CLASSIFIER) as (keyof typeof CLASSIFIER)[];
  const start = names.map((name, i) => ({
    data: draws(tf.util.sizeFromShape(CLASSIFIER[name]), -1, 1, i),
    shape: CLASSIFIER[name],
  }));
  const batch = {
    images: { data: draws(5 * 16), shape: [5, 4, 4, 1] },
    targets: { data: draws(15, 0, 1), shape: [5, 3] },
  };

  const step: TraceFunction = (inputs) => {
    const pick = (prefix: string) => Object.fromEntries(names.map((n) => [n, inputs[`${prefix}/${n}`] as tf.Tensor]));
    const [p, images, targets] = [pick("p"), inputs.images!, inputs.targets!];
    const { value, grads } = tf.valueAndGrads((...list: tf.Tensor[]) =>
      classifierLoss(Object.fromEntries(names.map((name, i) => [name, list[i] as tf.Tensor])), images, targets),
    )(Object.values(p));
    const gradients = Object.fromEntries(names.map((name, i) => [name, grads[i] as tf.Tensor]));
    const state = { m: pick("m"), v: pick("v"), t: inputs.t as tf.Scalar };
    const next = adam(p, gradients, state, inputs.rate as tf.Scalar, { epsilon: 1e-7 });
    const named = (prefix: string, tensors: Readonly<Record<string, tf.Tensor>>) =>
      Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [`next/${prefix}/${name}`, tensor]));
    return {
      ...named("p", next.parameters),
      ...named("m", next.state.m),
      ...named("v", next.state.v),
      "next/t": next.state.t,
      loss: value,
    };
  };
  const inputs: Record<string, PortType> = {
    images: float32(5, 4, 4, 1),
    targets: float32(5, 3),
    t: float32(),
    rate: float32(),
  };
  for (const name of names) for (const of of ["p", "m", "v"]) inputs[`${of}/${name}`] = float32(...CLASSIFIER[name]);
  const model = trace(step, { inputs });

  let state: Feeds = { t: { data: Float32Array.of(0), shape: [] } };
  names.forEach((name, i) => {
    state[`p/${name}`] = start[i]!;
    for (const of of ["m", "v"])
      state[`${of}/${name}`] = { ...start[i]!, data: new Float32Array(start[i]!.data.length) };
  });
  const losses: number[] = [];
  for (let i = 0; i < 3; i++) {
    const fetches = await runModel(model, { ...batch, ...state, rate: { data: Float32Array.of(0.05), shape: [] } });
    losses.push(fetches.loss!.data[0]!);
    state = Object.fromEntries(
      Object.keys(state).map((name) => {
        const { data, shape } = fetches[`next/${name}`]!;
        return [name, { data: Float32Array.from(data), shape: [...shape] }];
      }),
    );
  }

  tf.setBackend("cpu");
  const variables = Object.fromEntries(
    names.map((name, i) => [name, tf.variable(tf.tensor(start[i]!.data, start[i]!.shape))]),
  );
  const [images, targets] = [tf.tensor(batch.images.data, [5, 4, 4, 1]), tf.tensor(batch.targets.data, [5, 3])];
  const optimizer = tf.train.adam(0.05);
  for (const loss of losses) {
    const own = optimizer.minimize(() => classifierLoss(variables, images, targets), true, Object.values(variables));
    expect(own!.dataSync()[0]).toBeCloseTo(loss, 5);
  }
  for (const name of names) {
    const moved = maxAbsDifference(state[`p/${name}`]!.data, start[names.indexOf(name)]!.data);
    expect(moved).toBeGreaterThan(0.05);
    expect(maxAbsDifference(state[`p/${name}`]!.data, variables[name]!.dataSync())).toBeLessThanOrEqual(1e-5);
  }
  tf.disposeVariables();
});

describe("docs/compiler.md", async () => {
  const document = await readFile(new URL("../../docs/compiler.md", import.meta.url), "utf8");

  test("lists the kernels of the lowering table, all and no others", () => {
    const list = /<!-- kernels -->([\s\S]*?)<!-- \/kernels -->/.exec(document)?.[1] ?? "";
    expect(list.match(/\w+/g)).toEqual([...LOWERINGS.keys()].sort());
  });

  test("lists the kernels of tfjs's CPU backend that have none", () => {
    const table = /<!-- refused -->([\s\S]*?)<!-- \/refused -->/.exec(document)?.[1] ?? "";
    const listed = table.split("\n").flatMap((line) => /^\| ([A-Z][\w ]+) \|/.exec(line)?.[1]?.split(" ") ?? []);
    const kernels = tf.getKernelsForBackend("cpu").map(({ kernelName }) => kernelName);
    expect(listed.sort()).toEqual(kernels.filter((name) => !LOWERINGS.has(name)).sort());
  });

  test("has an example that prints what it says", async () => {
    const code = /```ts\n([\s\S]*?)```/.exec(document)?.[1] as string;
    const packages: Record<string, unknown> = {
      "@tensorflow/tfjs-core": tf,
      "onnxruntime-node": ort,
      "subspan/export": { encodeModel, trace },
    };
    const body = code.replace(/^import (?:\* as )?(.+) from ("[^"]+");$/gm, "const $1 = packages[$2];");
    const printed: unknown[] = [];
    const run = new Function("packages", "console", `return (async () => {${body}})();`);
    await run(packages, { log: (value: unknown) => printed.push(value) });
    expect(printed).toEqual([BigInt64Array.of(0n, 1n)]);
  });
});
