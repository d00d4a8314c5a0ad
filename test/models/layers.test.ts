import * as tf from "@tensorflow/tfjs-core";
import "../../models/gradients.ts";
import { describe, expect, test } from "vitest";
import { type AutoencoderShape, decode, decoderSpec, encode, encoderSpec } from "../../models/autoencoder.ts";
import { convolution, dense, enlargingConvolution, pixelShuffle, stopGradient, unitRows } from "../../models/layers.ts";
import { relativeReconstruction } from "../../models/losses.ts";
import type { ParameterSpecs, Parameters } from "../../models/parameters.ts";
import { Random } from "../../train/random.ts";
import { compare, draws, type Feeds, maxAbsDifference, runEager } from "../export/run-model.ts";
import { gradientError, type ScalarFunction, withGradients } from "./gradient-check.ts";

const numbers = (fn: () => tf.Tensor): number[] => {
  tf.setBackend("cpu");
  return tf.tidy(() => Array.from(fn().dataSync()));
};

describe("pixelShuffle", () => {
  test("lays four channels out as two by two pixels", () => {
    const shuffled = numbers(() => pixelShuffle(tf.tensor4d([1, 2, 3, 4, 5, 6, 7, 8], [1, 1, 2, 4]), 2));
    expect(shuffled).toEqual([1, 2, 5, 6, 3, 4, 7, 8]);
  });

  test("is tfjs's depthToSpace, which has no gradient", () => {
    const x = () => tf.tensor4d(draws(2 * 2 * 3 * 12), [2, 2, 3, 12]);
    expect(numbers(() => pixelShuffle(x(), 2))).toEqual(numbers(() => tf.depthToSpace(x(), 2, "NHWC")));
  });

  test("has a gradient that is the same traced as eager", async () => {
    const fn = withGradients(
      ({ x }) => {
        const y = pixelShuffle(x as tf.Tensor4D, 2);
        return tf.sum(tf.mul(y, tf.reshape(tf.range(0, y.size), y.shape)));
      },
      ["x"],
    );
    const shape = [2, 2, 1, 4];
    const feeds = { x: { data: draws(16), shape } };
    const { difference } = await compare(fn, { inputs: { x: { type: "float32", shape } } }, feeds);
    expect(difference).toBeLessThanOrEqual(1e-5);
  });
});

describe("unitRows", () => {
  test("scales rows to length 1 and leaves zeros zero", () => {
    expect(numbers(() => unitRows(tf.tensor2d([3, 4, 0, 0, 0, -2], [3, 2])))).toEqual(
      [0.6, 0.8, 0, 0, 0, -1].map((value) => expect.closeTo(value, 6)),
    );
  });

  test("has the gradient of its finite differences, and a finite one at zero", () => {
    const fn: ScalarFunction = ({ x }) =>
      tf.sum(tf.mul(unitRows(x as tf.Tensor2D), tf.tensor2d([1, -2, 0.5, 3, 1, 1], [3, 2])));
    const feeds = { x: { data: Float32Array.of(0.5, -1, 2, 1, 1, 0.3), shape: [3, 2] } };
    expect(gradientError(fn, feeds, "x")).toBeLessThan(1e-2);
    const atZero = numbers(() => tf.grad((x: tf.Tensor) => fn({ x }))(tf.zeros([3, 2])));
    expect(atZero.every(Number.isFinite)).toBe(true);
  });
});

describe("stopGradient", () => {
  test("is the value, with no gradient", async () => {
    const fn = withGradients(({ x }) => tf.sum(tf.mul(x as tf.Tensor, stopGradient(tf.square(x as tf.Tensor)))), ["x"]);
    const feeds = { x: { data: Float32Array.of(2, -3), shape: [2] } };
    const { eager, difference } = await compare(fn, { inputs: { x: { type: "float32", shape: [2] } } }, feeds);
    expect(difference).toBeLessThanOrEqual(1e-5);
    // d/dx of x * c is c = x^2; of x^3 it would be three times that.
    expect(eager).toMatchObject({ value: { data: [-19] }, "gradient/x": { data: [4, 9] } });
  });
});

test("a parameter that is not there is named, beside those that are", () => {
  tf.setBackend("cpu");
  const parameters = { "head.weights": tf.zeros([2, 2]) };
  expect(() => dense(parameters, "head", tf.zeros([1, 2]))).toThrow("no parameter head.bias among head.weights");
});

/** First values of parameters, uniform in their range. */
function initial(specs: ParameterSpecs): Feeds {
  return Object.fromEntries(
    Object.entries(specs).map(([name, { shape, limit }]) => {
      const random = new Random(7, name);
      const data = Float32Array.from({ length: tf.util.sizeFromShape([...shape]) }, () =>
        random.uniform(-limit, limit),
      );
      return [name, { data, shape: [...shape] }];
    }),
  );
}

describe.each(["transposed", "subpixel"] as const)("the autoencoder with its %s decoder", (decoder) => {
  const shape: AutoencoderShape = { image: [8, 8, 2], latent: 5, width: 32, posterior: true, decoder };
  const parameters = initial({ ...encoderSpec(shape), ...decoderSpec(shape) });
  const images = (b: number) => ({ images: { data: draws(b * 128, 0, 1), shape: [b, 8, 8, 2] } });

  test("gives latents, log variances, the middle feature map and images again, in 0..1", () => {
    const fetches = runEager(
      (x) => {
        const { mean, logVariance, features } = encode(x as Parameters, x.images as tf.Tensor4D);
        return { mean, logVariance: logVariance as tf.Tensor, features, decoded: decode(shape, x, mean) };
      },
      { ...parameters, ...images(3) },
      {},
    );
    const shapes = Object.fromEntries(Object.entries(fetches).map(([name, { shape }]) => [name, shape]));
    expect(shapes).toEqual({ mean: [3, 5], logVariance: [3, 5], features: [3, 2, 2, 64], decoded: [3, 8, 8, 2] });
    const pixels = Array.from(fetches.decoded?.data ?? []);
    expect(Math.min(...pixels)).toBeGreaterThan(0);
    expect(Math.max(...pixels)).toBeLessThan(1);
    const variances = Array.from(fetches.logVariance?.data ?? []);
    expect(Math.min(...variances)).toBeGreaterThan(-10);
    expect(Math.max(...variances)).toBeLessThan(0);
  });

  test("has no log variance without a posterior", () => {
    const { posterior: _, ...rest } = shape;
    const without = initial(encoderSpec({ ...rest, posterior: false }));
    expect(Object.keys(without)).not.toContain("encoder.logVariance.weights");
    tf.setBackend("cpu");
    tf.tidy(() => {
      const tensors = Object.fromEntries(
        Object.entries(without).map(([name, x]) => [name, tf.tensor(x.data, x.shape)]),
      );
      expect(encode(tensors, tf.zeros([1, 8, 8, 2])).logVariance).toBeUndefined();
    });
  });

  // One image where pixels are repeated: tfjs's CPU backend sums wrong pixels for the images after the first of a batch.
  const b = decoder === "subpixel" ? 1 : 2;
  test(`has the same gradient traced as eager, as a dual autoencoder of ${b}`, async () => {
    const fn = withGradients((x) => {
      const { mean, logVariance } = encode(x, x.images as tf.Tensor4D);
      const noised = tf.add(mean, tf.mul(x.noise as tf.Tensor, tf.exp(tf.mul(0.5, logVariance as tf.Tensor))));
      return relativeReconstruction(
        x.images as tf.Tensor,
        decode(shape, x, mean),
        decode(shape, x, noised as tf.Tensor2D),
        0.5,
      );
    }, Object.keys(parameters));
    const feeds = { ...parameters, ...images(b), noise: { data: draws(b * 5, -2, 2, 3), shape: [b, 5] } };
    const inputs = Object.fromEntries(
      Object.entries(feeds).map(([name, { shape }]) => [name, { type: "float32", shape } as const]),
    );
    const { difference, eager } = await compare(fn, { inputs }, feeds);
    expect(difference).toBeLessThanOrEqual(1e-5);
    for (const name of Object.keys(parameters)) {
      const gradient = Array.from(eager[`gradient/${name}`]?.data ?? []);
      expect(Math.max(...gradient.map(Math.abs))).toBeGreaterThan(0);
    }
  });
});

test("an enlarging convolution equals enlarging, then convolving; so do its gradients", () => {
  tf.setBackend("cpu");
  const tensor = (shape: number[], seed: number) =>
    tf.tensor(
      draws(
        shape.reduce((a, b) => a * b, 1),
        -1,
        1,
        seed,
      ),
      shape,
    );
  const [x, filter, bias] = [tensor([1, 3, 4, 2], 1), tensor([3, 3, 2, 3], 2), tensor([3], 3)] as [
    tf.Tensor4D,
    tf.Tensor4D,
    tf.Tensor1D,
  ];
  const weights = tensor([1, 6, 8, 3], 4);
  const folded = (a: tf.Tensor, f: tf.Tensor) =>
    tf.sum(tf.mul(weights, enlargingConvolution({ "c.filter": f, "c.bias": bias }, "c", a as tf.Tensor4D)));
  const plain = (a: tf.Tensor, f: tf.Tensor) =>
    tf.sum(
      tf.mul(
        weights,
        convolution({ "c.filter": f, "c.bias": bias }, "c", tf.image.resizeNearestNeighbor(a as tf.Tensor4D, [6, 8])),
      ),
    );
  const [a, b] = [tf.valueAndGrads(folded)([x, filter]), tf.valueAndGrads(plain)([x, filter])];
  expect(maxAbsDifference(a.value.dataSync(), b.value.dataSync())).toBeLessThan(1e-5);
  a.grads.forEach((gradient, i) => {
    expect(maxAbsDifference(gradient.dataSync(), (b.grads[i] as tf.Tensor).dataSync())).toBeLessThan(1e-5);
  });
});
