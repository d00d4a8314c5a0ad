import * as tf from "@tensorflow/tfjs-core";

/** What is called, on inputs of the case's shapes. */
export type Run = (...inputs: tf.Tensor[]) => tf.Tensor | tf.Tensor[];

/** A call of a kernel, run on tfjs's CPU backend and as a graph. */
export interface Case {
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

export const unary = (run: (x: tf.Tensor) => tf.Tensor, low = -2, high = 2): Case[] => [
  { shapes: [[2, 3]], run: run as Run, low, high },
  { name: "scalar", shapes: [[]], run: run as Run, low, high },
];
export const binary = (run: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor, low = -2): Case[] => [
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
export const compared = (run: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): Case[] => [
  { shapes: [[3, 4], [4]], run: (a, b) => run(tf.round(a as tf.Tensor), tf.round(b as tf.Tensor)) },
];
export const bools = (run: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): Case[] => [
  { shapes: [[3, 4], [4]], run: (a, b) => run(tf.greater(a as tf.Tensor, 0), tf.greater(b as tf.Tensor, 0)) },
];
export const reduced = (run: (x: tf.Tensor, axis?: number | number[], keep?: boolean) => tf.Tensor): Case[] => [
  { name: "all", shapes: [[2, 3, 4]], run: (x) => run(x as tf.Tensor) },
  { name: "one axis", shapes: [[2, 3, 4]], run: (x) => run(x as tf.Tensor, 1) },
  { name: "kept, negative axes", shapes: [[2, 3, 4]], run: (x) => run(x as tf.Tensor, [-1, 0], true) },
  { name: "of a transposed tensor", shapes: [[2, 3, 4]], run: (x) => run(tf.transpose(x as tf.Tensor, [2, 0, 1]), 1) },
  { name: "of a broadcast tensor", shapes: [[1, 3]], run: (x) => run(tf.tile(x as tf.Tensor, [4, 1]), 0) },
];
export const kernel =
  (name: string, attributes: object, names: string[]) =>
  (...inputs: tf.Tensor[]) =>
    tf
      .engine()
      .runKernel(
        name,
        Object.fromEntries(names.map((key, i) => [key, inputs[i]])) as never,
        attributes as never,
      ) as tf.Tensor;

export const x4 = (x: tf.Tensor | undefined) => x as tf.Tensor4D;
/** A row a kernel of a family: a lowering without cases does not compile. */
export type Cases<Family> = { [Kernel in keyof Family]: Case[] };

/** The same call on tensors of each dtype. */
export const everyDtype = (shape: readonly number[], run: (x: tf.Tensor) => tf.Tensor | tf.Tensor[]): Case[] => [
  { name: "float32", shapes: [shape], run: run as Run },
  { name: "int32", shapes: [shape], type: "int32", low: -9, high: 9, run: run as Run },
  { name: "bool", shapes: [shape], run: (x) => run(tf.greater(x as tf.Tensor, 0)) },
];
/** An image that the graph still holds channels-first: of an input [b, h, w, 2] and a filter [3, 3, 2, c]. */
export const image = (x: tf.Tensor | undefined, filter: tf.Tensor | undefined) =>
  tf.conv2d(x4(x), x4(filter), 1, "same");
/** A call that tfjs's CPU backend answers wrongly, and another way to what it has to give. */
export const corrected =
  (run: Run, correct: Run): Run =>
  (...inputs) =>
    (tf.getBackend() === "cpu" ? correct : run)(...inputs);
