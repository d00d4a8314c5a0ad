import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/creation.ts";
import { type Case, type Cases, kernel } from "./cases.ts";

const range = (name: string, start: number, stop: number, step?: number, dtype?: "float32" | "int32"): Case => ({
  name,
  shapes: [[]],
  run: (x) => [
    tf.range(start, stop, step, dtype),
    tf.mul(x as tf.Tensor, tf.cast(tf.range(start, stop, step, dtype), "float32")),
  ],
});
const broadcast = (name: string, s0: number[], s1: number[]): Case => ({
  name,
  shapes: [[]],
  type: "int32",
  run: (x) => {
    const [zero, one] = [tf.mul(x as tf.Tensor, tf.scalar(0, "int32")), tf.tensor1d(s0, "int32")];
    return kernel("BroadcastArgs", {}, ["s0", "s1"])(tf.add(one, zero), tf.add(tf.tensor1d(s1, "int32"), zero));
  },
});
const like = (run: (x: tf.Tensor) => tf.Tensor): Case[] => [
  { shapes: [[2, 3]], run: (x) => [run(x as tf.Tensor), tf.add(x as tf.Tensor, run(x as tf.Tensor))] },
  { name: "int32", shapes: [[2, 3]], type: "int32", run: (x) => run(x as tf.Tensor) },
  { name: "bool", shapes: [[2, 3]], run: (x) => run(tf.greater(x as tf.Tensor, 0)) },
  { name: "scalar", shapes: [[]], run: (x) => run(x as tf.Tensor) },
  { name: "no numbers", shapes: [[2, 0]], run: (x) => run(x as tf.Tensor) },
];

export const creation = {
  BroadcastArgs: [
    broadcast("equal ranks", [2, 1, 5], [1, 3, 5]),
    broadcast("the second is shorter", [4, 1, 3], [2, 1]),
    broadcast("the first is shorter", [1], [4, 2, 3]),
    broadcast("zeros", [0, 1], [1, 3]),
  ],
  Fill: [
    { shapes: [[2]], run: (x) => tf.add(tf.fill([3, 2], 1.5), x as tf.Tensor) },
    { name: "int32", shapes: [[2]], run: () => tf.fill([3, 2], 2, "int32") },
    { name: "of a fraction", shapes: [[2]], run: () => tf.fill([3, 2], -2.7, "int32") },
    { name: "bool", shapes: [[2]], run: (x) => tf.where(tf.fill([2], 1, "bool"), x as tf.Tensor, 0) },
    { name: "no numbers", shapes: [[2]], run: () => tf.zeros([0, 3]) },
  ],
  LinSpace: [
    {
      name: "upwards",
      shapes: [[7]],
      run: (x) => [tf.linspace(1, 10, 7), tf.mul(tf.linspace(1, 10, 7), x as tf.Tensor)],
    },
    { name: "downwards", shapes: [[]], run: () => tf.linspace(3, -0.7, 12) },
    { name: "one number", shapes: [[]], run: () => tf.linspace(3, 7, 1) },
    { name: "two equal numbers", shapes: [[]], run: () => tf.linspace(3, 3, 2) },
  ],
  OnesLike: like(tf.onesLike),
  Range: [
    range("upwards", 0, 4),
    range("from below 0", -2, 3),
    range("downwards without a step", 4, -2),
    range("downwards", 4, -2, -2),
    range("by fractions, as many as JavaScript counts", 0, 0.3, 0.1),
    range("int32", 3, 12, 4, "int32"),
    range("int32, downwards", 5, -5, -3, "int32"),
    range("empty", 3, 3),
    range("away from its end", 5, 3, 2),
  ],
  ZerosLike: like(tf.zerosLike),
} satisfies Cases<typeof family>;
