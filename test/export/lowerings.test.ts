import * as tf from "@tensorflow/tfjs-core";
import "../../models/gradients.ts";
import { describe, expect, test } from "vitest";
import type { PortType, Tensors } from "../../export/index.ts";
import type * as lowerings from "../../export/lowerings/index.ts";
import { compare, draws, type Feeds } from "./run-model.ts";

type Run = (...inputs: tf.Tensor[]) => tf.Tensor | tf.Tensor[];

interface Case {
  readonly name?: string;
  readonly shapes: readonly (readonly number[])[];
  readonly run: Run;
  readonly type?: "float32" | "int32" | "bool";
  readonly low?: number;
  readonly high?: number;
  /** Where 1e-5 is too little, with the reason beside it. */
  readonly tolerance?: number;
  readonly seed?: number;
}

const unary = (run: (x: tf.Tensor) => tf.Tensor, low = -2, high = 2): Case[] => [
  { shapes: [[2, 3]], run: run as Run, low, high },
  { name: "scalar", shapes: [[]], run: run as Run, low, high },
];
const binary = (run: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor, low = -2): Case[] => [
  {
    name: "equal shapes",
    shapes: [
      [2, 3],
      [2, 3],
    ],
    run: run as Run,
    low,
  },
  {
    name: "broadcast",
    shapes: [
      [4, 1, 3],
      [2, 1],
    ],
    run: run as Run,
    low,
  },
  { name: "one number", shapes: [[2, 3], []], run: run as Run, low },
  {
    name: "last axes of size 1",
    shapes: [
      [2, 3, 1, 1],
      [3, 1, 1],
    ],
    run: run as Run,
    low,
  },
];
const compared = (run: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): Case[] => [
  { shapes: [[3, 4], [4]], run: (a, b) => run(tf.round(a as tf.Tensor), tf.round(b as tf.Tensor)) },
];
const bools = (run: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): Case[] => [
  { shapes: [[3, 4], [4]], run: (a, b) => run(tf.greater(a as tf.Tensor, 0), tf.greater(b as tf.Tensor, 0)) },
];
const reduced = (run: (x: tf.Tensor, axis?: number | number[], keep?: boolean) => tf.Tensor): Case[] => [
  { name: "all", shapes: [[2, 3, 4]], run: (x) => run(x as tf.Tensor) },
  { name: "one axis", shapes: [[2, 3, 4]], run: (x) => run(x as tf.Tensor, 1) },
  { name: "kept, negative axes", shapes: [[2, 3, 4]], run: (x) => run(x as tf.Tensor, [-1, 0], true) },
  { name: "of a transposed tensor", shapes: [[2, 3, 4]], run: (x) => run(tf.transpose(x as tf.Tensor, [2, 0, 1]), 1) },
  { name: "of a broadcast tensor", shapes: [[1, 3]], run: (x) => run(tf.tile(x as tf.Tensor, [4, 1]), 0) },
];
const kernel =
  (name: string, attributes: object, names: string[]) =>
  (...inputs: tf.Tensor[]) =>
    tf
      .engine()
      .runKernel(
        name,
        Object.fromEntries(names.map((key, i) => [key, inputs[i]])) as never,
        attributes as never,
      ) as tf.Tensor;

const x4 = (x: tf.Tensor | undefined) => x as tf.Tensor4D;
const conv =
  (strides: number | [number, number], pad: "same" | "valid" | number, dilations: number | [number, number] = 1): Run =>
  (x, filter) =>
    tf.conv2d(x4(x), x4(filter), strides, pad, "NHWC", dilations);
const inputGradient =
  (shape: [number, number, number, number], strides: number | [number, number], pad: "same" | "valid" | number): Run =>
  (dy, filter) =>
    kernel("Conv2DBackpropInput", { inputShape: shape, strides, pad, dataFormat: "NHWC" }, ["dy", "filter"])(
      dy as tf.Tensor,
      filter as tf.Tensor,
    );
const filterGradient =
  (shape: [number, number, number, number], strides: number | [number, number], pad: "same" | "valid" | number): Run =>
  (x, dy) =>
    kernel("Conv2DBackpropFilter", { filterShape: shape, strides, pad, dataFormat: "NHWC" }, ["x", "dy"])(
      x as tf.Tensor,
      dy as tf.Tensor,
    );

/** One row a kernel: a lowering without cases does not compile. */
const cases = {
  Abs: unary(tf.abs),
  Add: binary(tf.add),
  AddN: [
    {
      shapes: [
        [2, 3],
        [2, 3],
        [2, 3],
      ],
      run: (...xs) => tf.addN(xs),
    },
  ],
  All: reduced((x, axis, keep) => tf.all(tf.greater(x, -0.5), axis, keep)),
  Any: reduced((x, axis, keep) => tf.any(tf.greater(x, 0.5), axis, keep)),
  ArgMax: [{ shapes: [[3, 5]], run: (x) => [tf.argMax(x as tf.Tensor, 1), tf.argMax(x as tf.Tensor, 0)] }],
  ArgMin: [{ shapes: [[3, 5]], run: (x) => tf.argMin(x as tf.Tensor, -1) }],
  BatchMatMul: [
    {
      name: "matrices",
      shapes: [
        [3, 4],
        [4, 2],
      ],
      run: (a, b) => tf.matMul(a as tf.Tensor, b as tf.Tensor),
    },
    {
      name: "both transposed",
      shapes: [
        [4, 3],
        [2, 4],
      ],
      run: (a, b) => tf.matMul(a as tf.Tensor, b as tf.Tensor, true, true),
    },
    {
      name: "batches",
      shapes: [
        [2, 3, 4],
        [2, 4, 5],
      ],
      run: (a, b) => tf.matMul(a as tf.Tensor, b as tf.Tensor),
    },
    {
      name: "batches, transposed",
      shapes: [
        [2, 4, 3],
        [1, 5, 4],
      ],
      run: (a, b) => tf.matMul(a as tf.Tensor, b as tf.Tensor, true, true),
    },
  ],
  BroadcastTo: [{ shapes: [[3, 1]], run: (x) => tf.broadcastTo(x as tf.Tensor, [2, 3, 4]) }],
  Cast: [
    { name: "to int32, towards zero", shapes: [[7]], run: (x) => tf.cast(x as tf.Tensor, "int32"), low: -3, high: 3 },
    {
      name: "to bool and back",
      shapes: [[7]],
      run: (x) => tf.cast(tf.cast(tf.relu(x as tf.Tensor), "bool"), "float32"),
    },
  ],
  Ceil: unary(tf.ceil),
  ClipByValue: unary((x) => tf.clipByValue(x, -0.5, 0.7)),
  Concat: [
    {
      shapes: [
        [2, 3],
        [2, 1],
      ],
      run: (a, b) => tf.concat([a as tf.Tensor, b as tf.Tensor], 1),
    },
    {
      name: "of images still channels-first",
      shapes: [
        [1, 4, 4, 2],
        [3, 3, 2, 2],
      ],
      run: (x, f) => {
        const y = tf.conv2d(x4(x), x4(f), 1, "same");
        return tf.concat([y, tf.relu(y)], 3);
      },
    },
  ],
  Conv2D: [
    {
      name: "same, stride 1",
      shapes: [
        [2, 5, 6, 2],
        [3, 3, 2, 4],
      ],
      run: conv(1, "same"),
    },
    {
      name: "same, stride 2, odd size",
      shapes: [
        [2, 7, 6, 1],
        [3, 3, 1, 2],
      ],
      run: conv(2, "same"),
    },
    {
      name: "valid, oblong",
      shapes: [
        [1, 8, 7, 2],
        [3, 2, 2, 3],
      ],
      run: conv([2, 1], "valid"),
    },
    {
      name: "dilated",
      shapes: [
        [1, 8, 8, 2],
        [3, 3, 2, 3],
      ],
      run: conv(1, "same", 2),
    },
    {
      name: "two in a row with bias",
      shapes: [[2, 6, 6, 1], [3, 3, 1, 3], [3], [3, 3, 3, 2]],
      run: (x, f, b, h) =>
        tf.conv2d(
          tf.leakyRelu(tf.add(tf.conv2d(x4(x), x4(f), 1, "same"), b as tf.Tensor), 0.2) as tf.Tensor4D,
          x4(h),
          2,
          "same",
        ),
    },
  ],
  Conv2DBackpropFilter: [
    {
      name: "same, stride 1",
      shapes: [
        [3, 5, 6, 2],
        [3, 5, 6, 4],
      ],
      run: filterGradient([3, 3, 2, 4], 1, "same"),
    },
    {
      name: "same, stride 2",
      shapes: [
        [2, 6, 6, 2],
        [2, 3, 3, 3],
      ],
      run: filterGradient([3, 3, 2, 3], 2, "same"),
    },
    {
      name: "same, stride 2, odd size",
      shapes: [
        [2, 7, 5, 2],
        [2, 4, 3, 3],
      ],
      run: filterGradient([3, 3, 2, 3], 2, "same"),
    },
    {
      name: "valid, rows left over",
      shapes: [
        [2, 8, 8, 2],
        [2, 3, 3, 3],
      ],
      run: filterGradient([3, 3, 2, 3], 2, "valid"),
    },
    {
      name: "fewer outputs than inputs, even filter",
      shapes: [
        [2, 6, 5, 6],
        [2, 6, 5, 2],
      ],
      run: filterGradient([4, 3, 6, 2], 1, "same"),
    },
    {
      name: "fewer outputs than inputs, valid",
      shapes: [
        [2, 6, 5, 6],
        [2, 4, 3, 5],
      ],
      run: filterGradient([3, 3, 6, 5], 1, "valid"),
    },
  ],
  Conv2DBackpropInput: [
    {
      name: "same, stride 1",
      shapes: [
        [2, 5, 6, 4],
        [3, 3, 2, 4],
      ],
      run: inputGradient([2, 5, 6, 2], 1, "same"),
    },
    {
      name: "valid, stride 1",
      shapes: [
        [2, 3, 4, 4],
        [3, 3, 2, 4],
      ],
      run: inputGradient([2, 5, 6, 2], 1, "valid"),
    },
    {
      name: "same, stride 2",
      shapes: [
        [2, 3, 3, 4],
        [3, 3, 2, 4],
      ],
      run: inputGradient([2, 6, 6, 2], 2, "same"),
    },
    {
      name: "same, stride 2, odd size",
      shapes: [
        [2, 4, 3, 4],
        [3, 3, 2, 4],
      ],
      run: inputGradient([2, 7, 5, 2], 2, "same"),
    },
    {
      name: "valid, stride 2, rows left over",
      shapes: [
        [1, 3, 3, 4],
        [3, 3, 2, 4],
      ],
      run: inputGradient([1, 8, 8, 2], 2, "valid"),
    },
    {
      name: "filter of as many taps as two strides",
      shapes: [
        [3, 4, 3, 5],
        [4, 6, 2, 5],
      ],
      run: inputGradient([3, 8, 9, 2], [2, 3], "same"),
    },
    {
      name: "filter of as many taps as the stride, rows left over",
      shapes: [
        [2, 3, 3, 4],
        [2, 2, 2, 4],
      ],
      run: inputGradient([2, 7, 6, 2], 2, "valid"),
    },
    {
      name: "even filter",
      shapes: [
        [1, 6, 6, 4],
        [4, 4, 2, 4],
      ],
      run: inputGradient([1, 6, 6, 2], 1, "same"),
    },
  ],
  Cos: unary(tf.cos),
  Cumsum: [
    { shapes: [[2, 5]], run: (x) => tf.cumsum(x as tf.Tensor, 1) },
    { name: "exclusive, reverse", shapes: [[2, 5]], run: (x) => tf.cumsum(x as tf.Tensor, 1, true, true) },
  ],
  Elu: unary(tf.elu),
  EluGrad: [
    {
      shapes: [
        [2, 3],
        [2, 3],
      ],
      run: (x, dy) => tf.grad((v) => tf.elu(v))(x as tf.Tensor, dy),
    },
  ],
  Equal: compared(tf.equal),
  // tfjs's Erf is a polynomial of error 1.5e-7, ONNX Runtime's another.
  Erf: unary(tf.erf),
  Exp: unary(tf.exp),
  ExpandDims: [{ shapes: [[2, 3]], run: (x) => [tf.expandDims(x as tf.Tensor, 1), tf.expandDims(x as tf.Tensor, -1)] }],
  Expm1: unary(tf.expm1),
  Fill: [
    { shapes: [[2]], run: (x) => tf.add(tf.fill([3, 2], 1.5), x as tf.Tensor) },
    { name: "alone", shapes: [[2]], run: () => tf.fill([3, 2], 2, "int32") },
  ],
  Floor: unary(tf.floor),
  FloorDiv: [
    {
      shapes: [[6], [6]],
      type: "int32",
      low: -9,
      high: 9,
      run: (a, b) => tf.floorDiv(a as tf.Tensor, tf.maximum(tf.abs(b as tf.Tensor), tf.scalar(1, "int32"))),
    },
  ],
  GatherV2: [
    { shapes: [[5, 3]], run: (x) => tf.gather(x as tf.Tensor, tf.tensor1d([4, 0, 2], "int32")) },
    {
      name: "second axis",
      shapes: [[2, 5]],
      run: (x) =>
        tf.gather(
          x as tf.Tensor,
          tf.tensor2d(
            [
              [1, 0],
              [4, 4],
            ],
            [2, 2],
            "int32",
          ),
          1,
        ),
    },
  ],
  Greater: compared(tf.greater),
  GreaterEqual: compared(tf.greaterEqual),
  Identity: unary(tf.clone),
  LeakyRelu: unary((x) => tf.leakyRelu(x, 0.2)),
  Less: compared(tf.less),
  LessEqual: compared(tf.lessEqual),
  Log: unary(tf.log, 0.1, 3),
  Log1p: unary(tf.log1p, -0.9, 3),
  LogSoftmax: [{ shapes: [[3, 4]], run: (x) => tf.logSoftmax(x as tf.Tensor) }],
  LogicalAnd: bools(tf.logicalAnd),
  LogicalNot: [{ shapes: [[5]], run: (x) => tf.logicalNot(tf.greater(x as tf.Tensor, 0)) }],
  LogicalOr: bools(tf.logicalOr),
  Max: reduced(tf.max),
  Maximum: binary(tf.maximum),
  Mean: reduced(tf.mean),
  Min: reduced(tf.min),
  Minimum: binary(tf.minimum),
  Multiply: binary(tf.mul),
  Neg: unary(tf.neg),
  NotEqual: compared(tf.notEqual),
  OneHot: [{ shapes: [[5]], type: "int32", low: -1, high: 5, run: (x) => tf.oneHot(x as tf.Tensor1D, 4) }],
  OnesLike: [
    {
      shapes: [[2, 3]],
      run: (x) => [tf.onesLike(x as tf.Tensor), tf.add(x as tf.Tensor, tf.onesLike(x as tf.Tensor))],
    },
  ],
  Pack: [
    {
      shapes: [
        [2, 3],
        [2, 3],
      ],
      run: (a, b) => [tf.stack([a as tf.Tensor, b as tf.Tensor], 0), tf.stack([a as tf.Tensor, b as tf.Tensor], 2)],
    },
  ],
  PadV2: [
    {
      shapes: [[2, 3]],
      run: (x) =>
        tf.pad(
          x as tf.Tensor,
          [
            [1, 0],
            [2, 1],
          ],
          0.5,
        ),
    },
    {
      name: "of an image still channels-first",
      shapes: [
        [1, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) =>
        tf.pad(tf.conv2d(x4(x), x4(f), 1, "same"), [
          [0, 0],
          [1, 2],
          [0, 1],
          [0, 0],
        ]),
    },
  ],
  Pow: binary(tf.pow, 0.1),
  Prod: reduced(tf.prod),
  Range: [{ shapes: [[4]], run: (x) => tf.add(x as tf.Tensor, tf.range(0, 4)) }],
  RealDiv: binary(tf.div, 0.3),
  Reciprocal: unary(tf.reciprocal, 0.2),
  Relu: unary(tf.relu),
  Relu6: unary(tf.relu6, -3, 9),
  Reshape: [
    { shapes: [[2, 6]], run: (x) => tf.reshape(x as tf.Tensor, [3, -1]) },
    {
      name: "of an image still channels-first",
      shapes: [
        [2, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) => tf.reshape(tf.conv2d(x4(x), x4(f), 1, "same"), [2, -1]),
    },
    {
      name: "of a broadcast number",
      shapes: [[]],
      run: (x) => tf.reshape(tf.mul(x as tf.Tensor, tf.ones([2, 3])), [6]),
    },
  ],
  ResizeNearestNeighbor: [{ shapes: [[2, 3, 2, 2]], run: (x) => tf.image.resizeNearestNeighbor(x4(x), [6, 4]) }],
  // One image: tfjs's CPU backend sums wrong pixels for the images after the first of a batch.
  ResizeNearestNeighborGrad: [
    {
      shapes: [
        [1, 3, 2, 2],
        [1, 6, 4, 2],
      ],
      run: (x, dy) =>
        tf.grad((v: tf.Tensor) => tf.image.resizeNearestNeighbor(x4(v), [6, 4]))(x as tf.Tensor, dy as tf.Tensor4D),
    },
  ],
  Reverse: [{ shapes: [[2, 3, 4]], run: (x) => tf.reverse(x as tf.Tensor, [0, 2]) }],
  Round: unary(tf.round),
  Rsqrt: unary(tf.rsqrt, 0.2),
  Select: [
    {
      shapes: [
        [2, 3],
        [2, 3],
        [2, 3],
      ],
      run: (c, t, e) => tf.where(tf.greater(c as tf.Tensor, 0), t as tf.Tensor, e as tf.Tensor),
    },
  ],
  Sigmoid: unary(tf.sigmoid),
  Sign: unary(tf.sign),
  Sin: unary(tf.sin),
  Slice: [
    { shapes: [[4, 5]], run: (x) => tf.slice(x as tf.Tensor, [1, 0], [2, -1]) },
    {
      name: "of an image still channels-first",
      shapes: [
        [1, 4, 4, 2],
        [3, 3, 2, 3],
      ],
      run: (x, f) => tf.slice(tf.conv2d(x4(x), x4(f), 1, "same"), [0, 1, 0, 1], [1, 2, 4, 2]),
    },
  ],
  Softmax: [{ shapes: [[3, 4]], run: (x) => tf.softmax(x as tf.Tensor) }],
  Softplus: unary(tf.softplus, -30, 30),
  SplitV: [{ shapes: [[2, 6]], run: (x) => tf.split(x as tf.Tensor, [1, 3, 2], 1) }],
  Sqrt: unary(tf.sqrt, 0.01),
  Square: unary(tf.square),
  SquaredDifference: binary(tf.squaredDifference),
  Step: unary((x) => tf.step(x, 0.3)),
  Sub: binary(tf.sub),
  Sum: reduced(tf.sum),
  Tanh: unary(tf.tanh),
  Tile: [
    { shapes: [[2, 3]], run: (x) => tf.tile(x as tf.Tensor, [2, 2]) },
    { name: "of axes of size 1", shapes: [[1, 3]], run: (x) => tf.tile(x as tf.Tensor, [4, 1]) },
  ],
  TopK: [
    {
      shapes: [[3, 6]],
      run: (x) => {
        const { values, indices } = tf.topk(x as tf.Tensor, 4);
        return [values, indices];
      },
    },
  ],
  Transpose: [
    { shapes: [[2, 3, 4]], run: (x) => tf.transpose(x as tf.Tensor, [2, 0, 1]) },
    {
      name: "twice, then added",
      shapes: [[2, 3, 4], [4]],
      run: (x, b) => tf.add(tf.transpose(tf.transpose(x as tf.Tensor, [2, 0, 1]), [1, 2, 0]), b as tf.Tensor),
    },
  ],
  Unpack: [{ shapes: [[2, 3]], run: (x) => tf.unstack(x as tf.Tensor, 1) }],
  ZerosLike: [{ shapes: [[2, 3]], run: (x) => tf.zerosLike(x as tf.Tensor) }],
} satisfies { [K in keyof typeof lowerings]: Case[] };

/** The two forms of a graph's convolutions; every case that holds one runs in both. */
const LAYOUTS = ["channels-first", "channels-batch"] as const;
const holdsImages = ({ shapes }: Case) => shapes.some((shape) => shape.length === 4);
const inLayouts = (rows: readonly Case[]) =>
  LAYOUTS.flatMap((layout) =>
    rows
      .filter((row) => layout === "channels-first" || holdsImages(row))
      .map(
        (row) =>
          [layout === "channels-first" ? (row.name ?? "") : `${row.name ?? ""}, batch at once`, row, layout] as const,
      ),
  );

describe.each(Object.entries(cases) as [string, Case[]][])("%s", (_, rows) => {
  test.each(inLayouts(rows))("%s", async (_, row, convolutions) => {
    const feeds: Feeds = {};
    const inputs: Record<string, PortType> = {};
    row.shapes.forEach((shape, i) => {
      const numbers = draws(
        shape.reduce((a, b) => a * b, 1),
        row.low,
        row.high,
        (row.seed ?? 0) + i,
      );
      const type = row.type ?? "float32";
      feeds[`x${i}`] = { data: type === "int32" ? Int32Array.from(numbers, Math.floor) : numbers, shape: [...shape] };
      inputs[`x${i}`] = { type, shape };
    });
    const run = (tensors: Tensors): Tensors => {
      const result = row.run(...row.shapes.map((_, i) => tensors[`x${i}`] as tf.Tensor));
      return Object.fromEntries((Array.isArray(result) ? result : [result]).map((y, i) => [`y${i}`, y]));
    };
    const { difference, traced, eager } = await compare(run, { inputs, convolutions }, feeds);
    expect(difference).toBeLessThanOrEqual(row.tolerance ?? 1e-5);
    for (const [name, { shape, type }] of Object.entries(eager)) {
      expect(traced[name]?.shape).toEqual(shape);
      expect(traced[name]?.type).toBe(type);
    }
  });
});
