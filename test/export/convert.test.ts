import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { describe, expect, test } from "vitest";
import {
  type ConvertOptions,
  compareConversion,
  convertModel,
  encodeModel,
  type Feeds,
  modelFunction,
  type TfjsModel,
} from "../../export/index.ts";
import { draws, runModel } from "./run-model.ts";

const { layers } = tfl;

/** Weights that were not made for anything: all drawn, variances positive. */
function drawn<T extends tfl.LayersModel>(model: T): T {
  model.weights.forEach((weight, i) => {
    const isVariance = weight.originalName.endsWith("moving_variance");
    const values = draws(
      tf.util.sizeFromShape(weight.shape as number[]),
      isVariance ? 0.5 : -0.5,
      isVariance ? 1.5 : 0.5,
      i,
    );
    weight.write(tf.tensor(values, weight.shape as number[]));
  });
  return model;
}

/** Drawn inputs at a batch; picks of rows are whole numbers. */
function feedsAt(model: TfjsModel, batch: number, options: ConvertOptions = {}): Feeds {
  const { inputs, rows } = modelFunction(model, options);
  const entries = Object.entries(inputs).map(([name, { shape }], i) => {
    const sizes = shape.map((dim) => (typeof dim === "string" ? batch : dim));
    const values = draws(tf.util.sizeFromShape(sizes), 0, rows[name] ?? 1, 7 + i);
    return [name, { data: rows[name] === undefined ? values : values.map(Math.floor), shape: sizes }] as const;
  });
  return Object.fromEntries(entries);
}

/** The largest difference from tfjs, relative to an output's scale. */
async function difference(model: TfjsModel, batch: number, options: ConvertOptions = {}): Promise<number> {
  const graph = encodeModel(convertModel(model, options));
  const { outputs } = await compareConversion(modelFunction(model, options), graph, feedsAt(model, batch, options));
  return Math.max(...Object.values(outputs).map(({ maxRel }) => maxRel));
}

const refusal = (model: TfjsModel, options: ConvertOptions = {}) => {
  try {
    convertModel(model, options);
  } catch (error) {
    return error as Error & { code: string };
  }
  throw new Error("it was converted");
};

const rnn = (units: number, more: object = {}) => ({ units, recurrentInitializer: "glorotUniform" as const, ...more });

function multiPort(): tfl.LayersModel {
  const left = tfl.input({ shape: [4], name: "left" });
  const right = tfl.input({ shape: [4], name: "right" });
  const shared = layers.dense({ units: 3, activation: "tanh", name: "shared" });
  const inner = tfl.sequential({ layers: [layers.dense({ units: 3, inputShape: [3], activation: "elu" })] });
  const [a, b] = [shared.apply(left), inner.apply(shared.apply(right))] as tfl.SymbolicTensor[];
  const sum = layers.add({ name: "sum" }).apply([a!, b!]) as tfl.SymbolicTensor;
  const side = layers.concatenate({ name: "side" }).apply([a!, b!]) as tfl.SymbolicTensor;
  return tfl.model({ inputs: [left, right], outputs: [sum, side] });
}

const MODELS: Readonly<Record<string, () => tfl.LayersModel>> = {
  "dense layers": () =>
    tfl.sequential({
      layers: [
        layers.dense({ units: 16, inputShape: [10], activation: "relu" }),
        layers.dropout({ rate: 0.5 }),
        layers.dense({ units: 4, activation: "softmax" }),
      ],
    }),
  "a convolutional network with frozen batch norm": () =>
    tfl.sequential({
      layers: [
        layers.conv2d({ filters: 6, kernelSize: 3, strides: 2, padding: "same", inputShape: [13, 12, 3] }),
        layers.batchNormalization(),
        layers.reLU({ maxValue: 6 }),
        layers.depthwiseConv2d({ kernelSize: 3, padding: "same" }),
        layers.batchNormalization({ scale: false }),
        layers.maxPooling2d({ poolSize: 2 }),
        layers.separableConv2d({ filters: 5, kernelSize: 2, activation: "sigmoid" }),
        layers.globalAveragePooling2d({}),
        layers.dense({ units: 2 }),
      ],
    }),
  "an LSTM": () =>
    tfl.sequential({ layers: [layers.lstm(rnn(6, { inputShape: [5, 3] })), layers.dense({ units: 2 })] }),
  "two GRUs, one in both directions": () =>
    tfl.sequential({
      layers: [
        layers.gru(rnn(4, { inputShape: [5, 3], returnSequences: true })),
        layers.bidirectional({ layer: layers.gru(rnn(3)) as tfl.RNN, mergeMode: "concat" }),
      ],
    }),
  "embeddings, masked, then an LSTM": () =>
    tfl.sequential({
      layers: [
        layers.embedding({ inputDim: 9, outputDim: 4, inputLength: 6, maskZero: true }),
        layers.lstm(rnn(5)),
        layers.dense({ units: 3, activation: "softmax" }),
      ],
    }),
  "a dense layer at every time step": () =>
    tfl.sequential({
      layers: [
        layers.timeDistributed({ layer: layers.dense({ units: 4, activation: "selu" }), inputShape: [5, 3] }),
        layers.simpleRNN(rnn(3, { returnSequences: true })),
        layers.flatten(),
      ],
    }),
  "two inputs, two outputs, a shared layer and a model within": multiPort,
};

describe("a Layers model gives what tfjs gives", () => {
  test.each(Object.entries(MODELS))("%s", async (_, make) => {
    const model = drawn(make());
    for (const batch of [1, 3]) expect(await difference(model, batch)).toBeLessThanOrEqual(1e-5);
  });
});

describe("ports", () => {
  test("have the model's names, with an open batch", () => {
    const { inputs, outputs } = convertModel(multiPort());
    expect(inputs).toEqual([
      { name: "left", type: "float32", shape: ["N", 4] },
      { name: "right", type: "float32", shape: ["N", 4] },
    ]);
    expect(outputs).toEqual([
      { name: "sum", type: "float32", shape: ["N", 3] },
      { name: "side", type: "float32", shape: ["N", 6] },
    ]);
  });

  test("a batch that the model fixes stays fixed", () => {
    const model = tfl.sequential({ layers: [layers.dense({ units: 2, batchInputShape: [3, 4] })] });
    expect(convertModel(model).inputs[0]?.shape).toEqual([3, 4]);
  });

  test("other open sizes are given: as a number, or as the dynamic axis", async () => {
    const model = drawn(
      tfl.sequential({ layers: [layers.conv1d({ filters: 2, kernelSize: 3, inputShape: [null, 4] })] }),
    );
    const name = model.inputs[0]?.name as string;
    expect(refusal(model).message).toBe(
      `input ${name}: shape [?, ?, 4] leaves sizes open; give it whole, such as ${name}=N,64,4 (--shape, or shapes in convertModel)`,
    );
    expect(await difference(model, 2, { shapes: { [name]: ["N", 9, 4] } })).toBeLessThanOrEqual(1e-5);
    const anyLength = { shapes: { [name]: [1, "T", 4] } };
    expect(convertModel(model, anyLength).outputs[0]?.shape).toEqual([1, "T-2", 2]);
    expect(await difference(model, 11, anyLength)).toBeLessThanOrEqual(1e-5);
  });

  test.each<[Record<string, (string | number)[]>, string]>([
    [{ left: ["N", 5] }, "input left: expected shape [?, 4], got [N, 5]"],
    [{ left: ["N", 4, 1] }, "input left: expected shape [?, 4], got [N, 4, 1]"],
    [{ left: [0, 4] }, "input left: expected shape [?, 4], got [0, 4]"],
    [{ middle: ["N", 4] }, "shape for middle: no input has this name; there are left, right"],
  ])("shapes that do not fit are refused: %j", (shapes, message) => {
    expect(refusal(multiPort(), { shapes })).toMatchObject({ code: "USAGE", message });
  });

  test("named as a trace names its own values keep their names", async () => {
    const input = tfl.input({ shape: [2], name: "Add_3" });
    const hidden = layers
      .dense({ units: 2, activation: "relu", name: "constant_0" })
      .apply(input) as tfl.SymbolicTensor;
    const output = layers.add({ name: "MatMul_0" }).apply([hidden, hidden]) as tfl.SymbolicTensor;
    const model = drawn(tfl.model({ inputs: input, outputs: [hidden, output] }));
    const graph = convertModel(model);
    expect(graph.inputs.concat(graph.outputs).map(({ name }) => name)).toEqual(["Add_3", "constant_0", "MatMul_0"]);
    expect(await difference(model, 2)).toBeLessThanOrEqual(1e-6);
  });
});

test("weights are initializers, and the model works on afterwards", async () => {
  const model = drawn(MODELS["dense layers"]!());
  const before = (model.predict(tf.ones([1, 10])) as tf.Tensor).arraySync();
  const graph = convertModel(model);
  const sizes = graph.initializers.map(({ shape }) => String(shape));
  expect(sizes).toEqual(expect.arrayContaining(["10,16", "16,4"]));
  expect((model.predict(tf.ones([1, 10])) as tf.Tensor).arraySync()).toEqual(before);
  const [input, output] = [graph.inputs[0]?.name as string, graph.outputs[0]?.name as string];
  const fetches = await runModel(graph, { [input]: { data: new Float32Array(0), shape: [0, 10] } });
  expect(fetches[output]).toMatchObject({ shape: [0, 4], data: [] });
});

describe("what a graph cannot hold is refused", () => {
  test("NaN and infinite weights, by name", () => {
    const model = drawn(MODELS["dense layers"]!());
    const bias = model.weights[1]!;
    bias.write(tf.tensor1d([0, 0, Number.NaN, ...new Array(13).fill(0)]));
    expect(refusal(model)).toMatchObject({
      code: "NOT_FINITE",
      message: `weight ${bias.originalName}: value 2 of [16] is NaN`,
    });
    bias.write(tf.fill([16], Number.NEGATIVE_INFINITY));
    expect(refusal(model).message).toBe(`weight ${bias.originalName}: value 0 of [16] is -Infinity`);
  });

  test("state that layers keep from batch to batch", () => {
    const config = rnn(2, { batchInputShape: [1, 3, 2], stateful: true, name: "memory" });
    const model = tfl.sequential({ layers: [layers.lstm(config)] });
    expect(refusal(model)).toMatchObject({
      code: "TRACE_REFUSED",
      message: expect.stringMatching(/^layer memory keeps/),
    });
  });

  test("more time steps than anybody wants to unroll", () => {
    const model = tfl.sequential({ layers: [layers.gru(rnn(2, { inputShape: [20_000, 1], name: "long" }))] });
    expect(refusal(model).message).toBe("layer long would be unrolled over 20000 time steps, more than 10000");
  });

  test("signatures of Layers models, which have none", () => {
    expect(refusal(multiPort(), { signature: true })).toMatchObject({ code: "USAGE" });
  });

  test("a batch of any size where the model takes one alone: the error says how to fix it", async () => {
    class Halved extends tfl.layers.Layer {
      static className = "Halved";
      override computeOutputShape(shape: tfl.Shape): tfl.Shape {
        return shape;
      }
      override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
        const [x] = [inputs].flat() as [tf.Tensor];
        return tf.div(x, x.shape[0] ** 2 + 1);
      }
    }
    const input = tfl.input({ shape: [2], name: "x" });
    const model = tfl.model({ inputs: input, outputs: new Halved({}).apply(input) as tfl.SymbolicTensor });
    expect(refusal(model).message).toMatch(
      /depends on the batch size.*; it takes no batch of any size, but a fixed one: --shape x=1,2 /,
    );
    expect(await difference(model, 1, { shapes: { x: [1, 2] } })).toBeLessThanOrEqual(1e-6);
  });
});
