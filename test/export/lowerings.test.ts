import type * as tf from "@tensorflow/tfjs-core";
import "../../models/gradients.ts";
import { describe, expect, test } from "vitest";
import type { PortType, Tensors } from "../../export/index.ts";
import type * as lowerings from "../../export/lowerings/index.ts";
import { convolutionLayout } from "../../train/executors/onnx.ts";
import { arithmetic } from "./lowerings/arithmetic.ts";
import type { Case, Cases } from "./lowerings/cases.ts";
import { comparison } from "./lowerings/comparison.ts";
import { convolution } from "./lowerings/convolution.ts";
import { convolution3d } from "./lowerings/convolution3d.ts";
import { counting } from "./lowerings/counting.ts";
import { creation } from "./lowerings/creation.ts";
import { depthwiseConvolution } from "./lowerings/depthwise.ts";
import { dilation2d } from "./lowerings/dilation.ts";
import { elementwise } from "./lowerings/elementwise.ts";
import { images } from "./lowerings/image.ts";
import { indexing } from "./lowerings/indexing.ts";
import { linalg } from "./lowerings/linalg.ts";
import { movement } from "./lowerings/movement.ts";
import { normalization } from "./lowerings/normalization.ts";
import { pooling } from "./lowerings/pooling.ts";
import { reduction } from "./lowerings/reduction.ts";
import { sampling } from "./lowerings/sampling.ts";
import { scatter } from "./lowerings/scatter.ts";
import { space } from "./lowerings/space.ts";
import { compare, draws, type Feeds } from "./run-model.ts";

const cases: Cases<typeof lowerings> = {
  ...arithmetic,
  ...comparison,
  ...convolution,
  ...convolution3d,
  ...counting,
  ...creation,
  ...depthwiseConvolution,
  ...dilation2d,
  ...elementwise,
  ...images,
  ...indexing,
  ...linalg,
  ...movement,
  ...normalization,
  ...pooling,
  ...reduction,
  ...sampling,
  ...scatter,
  ...space,
};

/** The forms of a graph's convolutions, with the one over blocks that this CPU has; every case that holds an image runs in all. */
const LAYOUTS = [...new Set(["channels-first", "channels-batch", await convolutionLayout({})] as const)];
const HOW = {
  "channels-first": "",
  "channels-batch": ", batch at once",
  "blocks-of-8": ", in blocks",
  "blocks-of-16": ", in blocks",
};
const holdsImages = ({ shapes }: Case) => shapes.some((shape) => shape.length === 4);
const inLayouts = (rows: readonly Case[]) =>
  LAYOUTS.flatMap((layout) =>
    rows
      .filter((row) => layout === "channels-first" || holdsImages(row))
      .map((row) => [`${row.name ?? ""}${HOW[layout]}`, row, layout] as const),
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
