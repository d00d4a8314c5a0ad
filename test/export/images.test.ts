import * as tf from "@tensorflow/tfjs-core";
import "../../models/gradients.ts";
import { expect, test } from "vitest";
import { type Model, type Tensors, type TraceFunction, trace } from "../../export/index.ts";
import { draws, runModel } from "./run-model.ts";

const x4 = (x: tf.Tensor | undefined) => x as tf.Tensor4D;

/** Nodes of one operator on what depends on the graph's inputs. */
function onInputs(model: Model, op: string) {
  const moving = new Set(model.inputs.map(({ name }) => name));
  return model.nodes.filter(({ op: own, inputs, outputs }) => {
    if (!inputs.some((name) => moving.has(name))) return false;
    for (const name of outputs) moving.add(name);
    return own === op;
  });
}

const weights = (...shape: number[]) => tf.tensor(draws(tf.util.sizeFromShape(shape)), shape);

/** Pictures through convolutions, poolings and resizings -> pictures. */
function network({ pictures }: Tensors): Tensors {
  const strided = tf.relu(tf.conv2d(x4(pictures), x4(weights(3, 3, 3, 4)), 2, "same"));
  const statistics = [weights(4), tf.square(weights(4)), weights(4), weights(4)] as tf.Tensor1D[];
  const normalised = tf.batchNorm(strided, ...(statistics as [tf.Tensor1D, tf.Tensor1D, tf.Tensor1D, tf.Tensor1D]));
  const pooled = tf.maxPool(x4(normalised), 2, 2, "same");
  const depthwise = tf.leakyRelu(
    tf.add(tf.depthwiseConv2d(x4(pooled), x4(weights(3, 3, 4, 2)), 1, "same"), weights(8)),
  );
  const averaged = tf.avgPool(x4(depthwise), 3, 1, "same");
  const fused = tf.fused.conv2d({
    x: x4(averaged),
    filter: x4(weights(1, 1, 8, 4)),
    strides: 1,
    pad: "same",
    activation: "elu",
  });
  const larger = tf.image.resizeBilinear(x4(tf.image.resizeNearestNeighbor(x4(fused), [8, 8])), [9, 7]);
  return {
    result: tf.conv2dTranspose(
      x4(larger),
      x4(weights(3, 3, 2, 4)),
      [pictures?.shape[0] as number, 18, 14, 2],
      2,
      "same",
    ),
  };
}

test("a network of convolutions and poolings transposes at its entry and its exit alone", () => {
  const model = trace(network, { inputs: { pictures: { type: "float32", shape: ["N", 16, 16, 3] } } });
  expect(onInputs(model, "Conv")).toHaveLength(3);
  expect(onInputs(model, "Transpose").length).toBeLessThanOrEqual(2);
});

test("its gradients transpose nothing between layers either", () => {
  const loss = ({ pictures }: Tensors): Tensors => ({
    gradient: tf.grad((x) => tf.sum(tf.square(network({ pictures: x }).result as tf.Tensor)))(pictures as tf.Tensor),
  });
  const model = trace(loss, { inputs: { pictures: { type: "float32", shape: ["N", 16, 16, 3] } } });
  expect(onInputs(model, "Transpose").length).toBeLessThanOrEqual(2);
});

test("convolutions over blocks reorder images at the entry and the exit alone, and add biases themselves", () => {
  const layer = (x: tf.Tensor, filter: tf.Tensor, bias: tf.Tensor) =>
    tf.leakyRelu(tf.add(tf.conv2d(x4(x), x4(filter), 1, "same"), bias), 0.2);
  const float32 = (...shape: number[]) => ({ type: "float32", shape }) as const;
  const { nodes } = trace(
    ({ x, f, b }) => ({
      y: layer(layer(x as tf.Tensor, f as tf.Tensor, b as tf.Tensor), f as tf.Tensor, b as tf.Tensor),
    }),
    { inputs: { x: float32(2, 5, 6, 16), f: float32(3, 3, 16, 16), b: float32(16) }, convolutions: "blocks-of-8" },
  );
  const ops = nodes
    .map(({ op }) => op.replace(/.*:/, "blocked "))
    .filter((op) => op !== "Reshape" && op !== "Identity");
  expect(ops.sort()).toEqual([
    "Transpose", // of the filter, once
    "blocked Conv",
    "blocked Conv",
    "blocked ReorderInput", // of the image
    "blocked ReorderInput", // of the filter
    "blocked ReorderOutput",
  ]);
});

test("a convolution by tiles and both its gradients share the tiles of images and filters, and leave images channels-first", () => {
  const float32 = (...shape: number[]) => ({ type: "float32", shape }) as const;
  const { nodes } = trace(
    ({ x, f, dy }) => {
      const gradients = tf.grads((image, filter) => tf.conv2d(x4(image), x4(filter), 1, "same"));
      const [image, filter] = gradients([x as tf.Tensor, f as tf.Tensor], dy) as [tf.Tensor, tf.Tensor];
      return { y: tf.conv2d(x4(x), x4(f), 1, "same"), image, filter };
    },
    {
      inputs: { x: float32(2, 6, 6, 128), f: float32(3, 3, 128, 128), dy: float32(2, 6, 6, 128) },
      convolutions: "blocks-of-8",
    },
  );
  const count = (op: string) => nodes.filter((node) => node.op === op).length;
  expect(nodes.filter(({ op }) => op.includes("Conv"))).toEqual([]);
  expect([count("MatMul"), count("com.microsoft:FusedMatMul")]).toEqual([2, 2]); // the filters' tiles, and a product each
  expect(count("Gemm")).toBe(9); // each image's rows and columns, four times, and the filter's gradient
  expect(count("Transpose")).toBe(4); // x, dy, y and dx are the graph's own
});

test.each([
  ["96 channels of 36 x 36", 96, 36, 3, 1, true],
  ["96 channels of 37 x 37", 96, 37, 3, 1, false],
  ["80 channels of 8 x 8", 80, 8, 3, 1, false],
  ["taps two places apart", 128, 8, 3, 2, false],
  ["5 x 5 taps", 128, 8, 5, 1, false],
])("goes by tiles where they repay: %s", (_, channels, side, taps, stride, byTiles) => {
  const { nodes } = trace(({ x, f }) => ({ y: tf.conv2d(x4(x), x4(f), stride, "same") }), {
    inputs: {
      x: { type: "float32", shape: [1, side, side, channels] },
      f: { type: "float32", shape: [taps, taps, channels, channels] },
    },
    convolutions: "blocks-of-8",
  });
  expect(nodes.some(({ op }) => op === "Gemm")).toBe(byTiles);
});

test("a matrix is not transposed for a column of its own", () => {
  const { nodes } = trace(
    ({ x, t }) => {
      const column = tf.mul(tf.sub(tf.max(x as tf.Tensor, 1, true), t as tf.Tensor), 0.5); // held as a row
      return { y: tf.relu(tf.sub(x as tf.Tensor, column)) };
    },
    { inputs: { x: { type: "float32", shape: [4, 6] }, t: { type: "float32", shape: [] } } },
  );
  expect(nodes.filter(({ op }) => op === "Transpose")).toEqual([]);
});

const RUNS: readonly (readonly [string, (x: tf.Tensor) => tf.Tensor])[] = [
  ["convolution", (x) => tf.conv2d(x4(x), x4(weights(3, 3, 2, 3)), 2, "same")],
  ["depthwise convolution", (x) => tf.depthwiseConv2d(x4(x), x4(weights(3, 3, 2, 2)), 1, "same")],
  ["maximum", (x) => tf.maxPool(x4(x), 3, 2, "same")],
  ["mean", (x) => tf.avgPool(x4(x), 3, 2, "same")],
  ["nearest neighbour", (x) => tf.image.resizeNearestNeighbor(x4(x), [7, 4])],
  ["bilinear interpolation", (x) => tf.image.resizeBilinear(x4(x), [7, 4], true)],
  ["dilation", (x) => tf.dilation2d(x4(x), weights(2, 2, 2) as tf.Tensor3D, 1, "same")],
];

const graph = (fn: TraceFunction, n: number | string) =>
  trace(fn, { inputs: { x: { type: "float32", shape: [n, 5, 6, 2] } } });
const images = (n: number) => ({ x: { data: draws(n * 5 * 6 * 2), shape: [n, 5, 6, 2] } });

/** A graph for any number of images, run on three, against the graph for three. */
async function expectSameAtAnySize(fn: TraceFunction) {
  expect(await runModel(graph(fn, "N"), images(3))).toEqual(await runModel(graph(fn, 3), images(3)));
}

test.each(RUNS)("%s and its gradient take any number of images", (_, run) =>
  expectSameAtAnySize(({ x }) => ({
    result: run(x as tf.Tensor),
    gradient: tf.grad((x) => tf.sum(tf.sin(run(x))))(x as tf.Tensor),
  })),
);

test.each(RUNS)("%s takes no images", async (_, run) => {
  const { result } = await runModel(
    graph(({ x }) => ({ result: run(x as tf.Tensor) }), "N"),
    images(0),
  );
  expect(result?.shape[0]).toBe(0);
});

test("the argument of a maximum, counted over the batch, takes any number of images", () =>
  expectSameAtAnySize(({ x }) => ({ result: tf.maxPoolWithArgmax(x4(x), 2, 2, "same", true).indexes as tf.Tensor })));

test("rotation, projection and crops take any number of images", () =>
  expectSameAtAnySize(({ x }) => {
    const boxes = tf.tensor2d([0, 0, 1, 1, 0.1, 1, 0.8, 0.5], [2, 4]);
    return {
      rotated: tf.image.rotateWithOffset(x4(x), 0.7),
      projected: tf.image.transform(x4(x), tf.tensor2d([[0.8, -0.5, 1.3, 0.5, 0.8, -0.7, 0.01, 0]]), "bilinear"),
      cropped: tf.image.cropAndResize(x4(x), boxes, tf.tensor1d([0, 2], "int32"), [3, 4]),
    };
  }));

test.each<[string, (x: tf.Tensor) => tf.Tensor, string]>([
  [
    "depthwise convolutions of NCHW, which tfjs's CPU kernel takes for NHWC",
    (x) => tf.depthwiseConv2d(x4(x), x4(weights(2, 2, 5, 1)), 1, "same", "NCHW"),
    "DepthwiseConv2dNative cannot be traced: expected images in NHWC, got NCHW",
  ],
  [
    "padding by a fraction",
    (x) => tf.maxPool(x4(x), 3, 1, 0.5),
    "MaxPool cannot be traced: expected padding by a whole number, got 0.5",
  ],
  [
    "maxima of integers where there may be none",
    (x) => tf.maxPool(x4(tf.cast(x, "int32")), 2, 1, 2),
    "MaxPool cannot be traced: expected float32 where padding is as wide as a window, got int32",
  ],
  [
    "arguments of a maximum in padding alone",
    (x) => tf.maxPoolWithArgmax(x4(x), 2, 1, 2).indexes as tf.Tensor,
    "MaxPoolWithArgmax cannot be traced: expected windows over all of the image and no more, got windows over [9,10]",
  ],
  [
    "dilations of integers",
    (x) => tf.dilation2d(x4(tf.cast(x, "int32")), tf.zeros([2, 2, 2], "int32") as tf.Tensor3D, 1, "same"),
    "Dilation2D cannot be traced: dtype int32: expected float32",
  ],
])("%s are refused", (_, run, message) => {
  expect(() => graph(({ x }) => ({ result: run(x as tf.Tensor) }), 2)).toThrow(`kernel ${message}`);
});
