import * as tf from "@tensorflow/tfjs-core";
import "../../models/gradients.ts";
import { describe, expect, test } from "vitest";
import { trace } from "../../export/index.ts";
import { encode } from "../../models/autoencoder.ts";
import { type Encoder, encoderFor, encoderParameters, encodeSamples } from "../../models/encoders.ts";
import { groupNorm } from "../../models/group-norm.ts";
import type { SampleType } from "../../models/method.ts";
import { convolutionLayout } from "../../train/executors/onnx.ts";
import { Random } from "../../train/random.ts";
import { compare, draws, type Feeds, runEager, runModel } from "../export/run-model.ts";
import { gradientError, type ScalarFunction, withGradients } from "./gradient-check.ts";

/** The forms of a graph's convolutions; the last is the one that steps train with on this CPU. */
const LAYOUTS = ["channels-first", "channels-batch", await convolutionLayout({})] as const;

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const ports = (feeds: Feeds) =>
  Object.fromEntries(Object.entries(feeds).map(([name, { shape }]) => [name, { type: "float32", shape } as const]));
/** A number that hangs on every entry, each in its own way. */
const weighed = (x: tf.Tensor) =>
  tf.sum(tf.mul(x, tf.reshape(tf.sin(tf.add(tf.range(0, x.size), 1)), x.shape))) as tf.Scalar;

describe.each([
  { shape: [2, 3, 2, 4], groups: 2 },
  { shape: [2, 1, 3, 3], groups: 1 },
  { shape: [1, 2, 2, 4], groups: 4 },
])("groupNorm of $shape in $groups groups", ({ shape, groups }) => {
  const c = shape.at(-1) as number;
  const feeds: Feeds = {
    x: { data: draws(size(shape), -1, 2), shape },
    "norm.gain": { data: draws(c, -0.5, 0.5, 1), shape: [c] },
    "norm.shift": { data: draws(c, -1, 1, 2), shape: [c] },
  };
  const fn: ScalarFunction = (x) => weighed(groupNorm(x, "norm", x.x as tf.Tensor4D, groups));

  test("is the definition", () => {
    const { y } = runEager((x) => ({ y: groupNorm(x, "norm", x.x as tf.Tensor4D, groups) }), feeds, {});
    const values = feeds.x!.data;
    const inGroup = (i: number, j: number) =>
      Math.floor(i / (size(shape) / shape[0]!)) === Math.floor(j / (size(shape) / shape[0]!)) &&
      Math.floor(((i % c) * groups) / c) === Math.floor(((j % c) * groups) / c);
    for (const [i, value] of values.entries()) {
      const group = Array.from(values.filter((_, j) => inGroup(i, j)));
      const mean = group.reduce((a, b) => a + b) / group.length;
      const variance = group.reduce((sum, v) => sum + (v - mean) ** 2, 0) / group.length;
      const unit = (value - mean) / Math.sqrt(variance + 1e-5);
      const expected = unit * (1 + feeds["norm.gain"]!.data[i % c]!) + feeds["norm.shift"]!.data[i % c]!;
      expect(y!.data[i]).toBeCloseTo(expected, 5);
    }
  });

  test.each(Object.keys(feeds))("its gradient by %s agrees with finite differences", (name) => {
    expect(gradientError(fn, feeds, name)).toBeLessThan(1e-2);
  });

  test.each(LAYOUTS)("is the same traced as eager, %s", async (convolutions) => {
    const signature = { inputs: ports(feeds), convolutions };
    const { difference } = await compare(withGradients(fn, Object.keys(feeds)), signature, feeds);
    expect(difference).toBeLessThanOrEqual(1e-5);
  });
});

test("groupNorm of equal values is its shift, with a finite gradient", () => {
  const parameters = { "norm.gain": { data: draws(4), shape: [4] }, "norm.shift": { data: draws(4), shape: [4] } };
  const feeds = { x: { data: new Float32Array(16).fill(3), shape: [1, 2, 2, 4] }, ...parameters };
  const fn: ScalarFunction = (x) => weighed(groupNorm(x, "norm", x.x as tf.Tensor4D, 4));
  const { y } = runEager((x) => ({ y: groupNorm(x, "norm", x.x as tf.Tensor4D, 4) }), feeds, {});
  expect(Array.from(y!.data)).toEqual([...draws(4), ...draws(4), ...draws(4), ...draws(4)]);
  const gradient = runEager(withGradients(fn, ["x"]), feeds, {})["gradient/x"]!;
  expect(Array.from(gradient.data).every(Number.isFinite)).toBe(true);
});

test("between convolutions groupNorm transposes averages of [b, c] alone", () => {
  const shape = [4, 6, 6, 8];
  const inputs = {
    x: { type: "float32", shape },
    filter: { type: "float32", shape: [3, 3, 8, 8] },
    "norm.gain": { type: "float32", shape: [8] },
    "norm.shift": { type: "float32", shape: [8] },
  } as const;
  const between =
    (fn: (y: tf.Tensor4D, x: Record<string, tf.Tensor>) => tf.Tensor4D) => (x: Record<string, tf.Tensor>) => {
      const convolved = (y: tf.Tensor) => tf.conv2d(y as tf.Tensor4D, x.filter as tf.Tensor4D, 1, "same");
      return { y: convolved(fn(convolved(x.x as tf.Tensor), x)) };
    };
  for (const convolutions of ["channels-first", "channels-batch"] as const) {
    const signature = { inputs, convolutions };
    const nodes = trace(
      between((y, x) => groupNorm(x, "norm", y, 2)),
      signature,
    ).nodes;
    const without = trace(
      between((y) => y),
      signature,
    ).nodes;
    expect(nodes.length - without.length).toBeLessThan(40);
    const turned = (list: typeof nodes) =>
      list.filter(({ op }) => op === "Transpose").map(({ attributes }) => attributes.perm);
    const moved = turned(nodes).filter((perm) => String(perm) !== "1,0");
    expect(moved).toEqual(turned(without).filter((perm) => String(perm) !== "1,0"));
  }
});

/** First values of an encoder's parameters. */
function initial(encoder: Encoder): Feeds {
  return Object.fromEntries(
    Object.entries(encoderParameters(encoder)).map(([name, { shape, limit }]) => {
      const random = new Random(7, name);
      return [
        name,
        { data: Float32Array.from({ length: size(shape) }, () => random.uniform(-limit, limit)), shape: [...shape] },
      ];
    }),
  );
}

const colour: SampleType = { kind: "images", shape: [8, 8, 3] };
const grey: SampleType = { kind: "images", shape: [8, 8, 1] };
const vectors: SampleType = { kind: "features", shape: [7] };
const settings = { latent: 5, width: 8, hidden: [12, 6] };

describe.each([
  { kind: "convolutional", sample: grey },
  { kind: "resnet18", sample: colour },
  { kind: "mlp", sample: vectors },
] as const)("the $kind encoder", ({ kind, sample }) => {
  const encoder = encoderFor({ kind, ...settings }, sample);
  const parameters = initial(encoder);
  const b = 3;
  const high = sample.kind === "images" ? 256 : 1;
  const samples = {
    data: draws(b * size(sample.shape), 0, high).map((v) => (high > 1 ? Math.floor(v) : v)),
    shape: [b, ...sample.shape],
  };

  test("has the same latent and gradients traced as eager", async () => {
    const fn = withGradients((x) => weighed(encodeSamples(encoder, x, x.samples!)), Object.keys(parameters));
    const feeds: Feeds = { ...parameters, samples };
    const signature = { inputs: ports(feeds), convolutions: LAYOUTS[2] };
    const { difference, eager } = await compare(fn, signature, feeds);
    expect(difference).toBeLessThanOrEqual(kind === "resnet18" ? 1e-4 : 1e-5);
    for (const name of Object.keys(parameters))
      expect(Math.max(...Array.from(eager[`gradient/${name}`]!.data, Math.abs))).toBeGreaterThan(0);
  });

  test("gives any number of samples a latent that does not depend on the others", async () => {
    const type = sample.kind === "images" ? "uint8" : "float32";
    const model = trace(
      (x) => ({
        z: encodeSamples(
          encoder,
          Object.fromEntries(
            Object.entries(parameters).map(([name, { data, shape }]) => [name, tf.tensor(data, shape)]),
          ),
          x.samples!,
        ),
      }),
      { inputs: { samples: { type, shape: ["N", ...sample.shape] } } },
    );
    const run = async (count: number) => {
      const values = samples.data.slice(0, count * size(sample.shape));
      const data = type === "uint8" ? Uint8Array.from(values) : values;
      return (await runModel(model, { samples: { data, shape: [count, ...sample.shape] } })).z!;
    };
    const [all, one] = [await run(b), await run(1)];
    expect([all.shape, one.shape]).toEqual([
      [b, 5],
      [1, 5],
    ]);
    for (const [i, value] of Array.from(one.data).entries()) expect(value).toBeCloseTo(all.data[i]!, 5);
  });
});

test("a ResNet-18 has 11 million parameters at width 64", () => {
  const encoder = encoderFor(
    { kind: "resnet18", latent: 10, width: 64, hidden: [] },
    { kind: "images", shape: [32, 32, 3] },
  );
  const count = Object.values(encoderParameters(encoder)).reduce((sum, { shape }) => sum + size(shape), 0);
  // That of PyTorch CIFAR networks with ten outputs, whose batch normalisations have a weight and a bias a channel too.
  expect(count).toBe(11_173_962);
});

test("the convolutional encoder is the dual autoencoder's, on bytes", () => {
  const encoder = encoderFor({ kind: "convolutional", ...settings }, grey);
  const feeds: Feeds = { ...initial(encoder), samples: { data: draws(128, 0, 255), shape: [2, 8, 8, 1] } };
  const { z, mean } = runEager(
    (x) => ({
      z: encodeSamples(encoder, x, x.samples!),
      mean: encode(x, tf.div(x.samples as tf.Tensor4D, 255)).mean,
    }),
    feeds,
    {},
  );
  expect(z!.data).toEqual(mean!.data);
});

test("features are brought to the scale that is set", () => {
  const encoder = encoderFor({ kind: "mlp", ...settings }, vectors);
  const feeds = initial(encoder);
  const data = draws(14);
  const at = (change: Feeds, samples: Float32Array) =>
    runEager(
      (x) => ({ z: encodeSamples(encoder, x, x.samples!) }),
      { ...feeds, ...change, samples: { data: samples, shape: [2, 7] } },
      {},
    ).z!.data;
  const scale = {
    "features.mean": { data: new Float32Array(7).fill(5), shape: [7] },
    "features.logDeviation": { data: new Float32Array(7).fill(Math.log(10)), shape: [7] },
  };
  const [plain, scaled] = [
    at({}, data),
    at(
      scale,
      data.map((value) => 10 * value + 5),
    ),
  ];
  for (const [i, value] of Array.from(plain).entries()) expect(scaled[i]).toBeCloseTo(value, 5);
});

test.each([
  ["mlp", colour, "encoder mlp: expected features [d], got images [8, 8, 3]"],
  ["resnet18", vectors, "encoder resnet18: expected images [h, w, c], got features [7]"],
  [
    "convolutional",
    { kind: "images", shape: [9, 8, 1] },
    "encoder convolutional: expected images whose height and width are multiples of 4, got images [9, 8, 1]",
  ],
] as const)("%s refuses samples it is not made for", (kind, sample, message) => {
  expect(() => encoderFor({ kind, ...settings }, sample)).toThrow(
    expect.objectContaining({ code: "SHAPE_MISMATCH", message }),
  );
});
