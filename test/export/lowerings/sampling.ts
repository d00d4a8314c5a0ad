import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/sampling.ts";
import { type Cases, corrected, image, type Run, x4 } from "./cases.ts";
import { row } from "./rows.ts";

const crop =
  (size: [number, number], method: "bilinear" | "nearest", index: number[] = [0, 1, 1], extrapolation = 0): Run =>
  (x, boxes) =>
    tf.image.cropAndResize(x4(x), boxes as tf.Tensor2D, tf.tensor1d(index, "int32"), size, method, extrapolation);
/** The image's whole, its right half mirrored, and what reaches beyond it. */
const BOXES = [0, 0, 1, 1, 0.1, 1, 0.8, 0.5, -0.2, 0.3, 0.9, 1.4];
const boxed =
  (size: [number, number], method: "bilinear" | "nearest"): Run =>
  (x) =>
    crop(size, method, [0, 1, 1], 7)(x as tf.Tensor, tf.tensor2d(BOXES, [3, 4]));

type Transform = Parameters<typeof tf.image.transform>;

/** Turned and moved, in perspective, far off. */
const PROJECTIONS = [
  [0.8, -0.5, 1.3, 0.5, 0.8, -0.7, 0, 0],
  [1, 0.1, -2, 0.2, 0.9, 1, 0.05, -0.3],
  [2, 0, -9, 0, 3, 14, 0, 0],
  [1, 0, 0, 0, 1, 0, -0.5, 0],
];
const transform =
  (projections: number[][], ...rest: [Transform[2]?, Transform[3]?, number?, [number, number]?]): Run =>
  (x) =>
    tf.image.transform(x4(x), tf.tensor2d(projections), ...rest);
/** Each image by itself: tfjs's CPU backend transforms the first of a batch. */
const oneByOne =
  (projections: number[][], ...rest: [Transform[2]?, Transform[3]?, number?, [number, number]?]): Run =>
  (x) =>
    tf.concat(
      tf.unstack(x as tf.Tensor).map((one, i) => {
        const projection = projections.length === 1 ? projections : [projections[i] as number[]];
        return transform(projection, ...rest)(tf.expandDims(one)) as tf.Tensor;
      }),
    );
const transformed = (
  projections: number[][],
  ...rest: [Transform[2]?, Transform[3]?, number?, [number, number]?]
): Run => corrected(transform(projections, ...rest), oneByOne(projections, ...rest));

export const sampling = {
  CropAndResize: [
    row("bilinear", boxed([3, 4], "bilinear"), [2, 5, 6, 3]),
    row("nearest", boxed([3, 4], "nearest"), [2, 5, 6, 3]),
    row("one pixel", boxed([1, 1], "bilinear"), [2, 5, 6, 3]),
    row("larger", boxed([9, 7], "bilinear"), [2, 5, 6, 3]),
    // 6 / 49 * 49 is above 6 in JavaScript's numbers: the last pixel is outside.
    row("the whole image in uneven steps", boxed([50, 30], "nearest"), [2, 7, 6, 1]),
    row("boxes from the graph", crop([3, 4], "bilinear"), [2, 5, 6, 3], [3, 4]),
    row("an image that is not there", crop([2, 2], "bilinear", [0, 2, 1], 7), [2, 5, 6, 3], [3, 4]),
    row(
      "of an image still in another order",
      (x, f) => boxed([3, 4], "bilinear")(image(x, f)),
      [2, 5, 6, 2],
      [3, 3, 2, 3],
    ),
    { name: "int32", run: boxed([3, 4], "bilinear"), shapes: [[2, 5, 6, 3]], type: "int32", low: -9, high: 9 },
  ],
  Transform: [
    ...(["nearest", "bilinear"] as const).flatMap((interpolation) =>
      (["constant", "reflect", "wrap", "nearest"] as const).map((fill) =>
        row(`${interpolation}, ${fill}`, transformed(PROJECTIONS, interpolation, fill, 2), [4, 5, 6, 2]),
      ),
    ),
    row(
      "one projection for all, another size",
      transformed(PROJECTIONS.slice(0, 1), "bilinear", "constant", 1, [7, 4]),
      [3, 5, 6, 2],
    ),
    row("of one row", transformed(PROJECTIONS.slice(0, 1), "bilinear", "wrap", 0), [2, 1, 6, 2]),
    row("projections from the graph", (x, p) => tf.image.transform(x4(x), p as tf.Tensor2D), [1, 5, 6, 2], [1, 8]),
    row(
      "of an image still in another order",
      (x, f) => transformed(PROJECTIONS.slice(0, 2))(image(x, f)),
      [2, 5, 6, 2],
      [3, 3, 2, 3],
    ),
  ],
} satisfies Cases<typeof family>;
