import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/image.ts";
import { type Case, type Cases, corrected, image, type Run, x4 } from "./cases.ts";
import { adjoint, row } from "./rows.ts";

type Resize = typeof tf.image.resizeBilinear;
interface Modes {
  readonly name: string;
  readonly corners: boolean;
  readonly half: boolean;
}

const MODES: readonly Modes[] = [
  { name: "", corners: false, half: false },
  { name: ", corners aligned", corners: true, half: false },
  { name: ", half-pixel centres", corners: false, half: true },
];
const SIZES: readonly (readonly [name: string, from: [number, number], to: [number, number]])[] = [
  ["twice as large", [3, 4], [6, 8]],
  ["larger", [3, 4], [5, 11]],
  ["smaller", [9, 7], [4, 3]],
  ["higher and narrower", [4, 9], [7, 5]],
  ["to one row", [4, 5], [1, 3]],
  ["from one column", [4, 1], [6, 3]],
  ["the same size", [4, 5], [4, 5]],
];

/** Every size in every mode. */
const everyWay = (
  make: (to: [number, number], modes: Modes) => Run,
  ...more: ((to: [number, number]) => number[])[]
): Case[] =>
  MODES.flatMap((modes) =>
    SIZES.map(([name, from, to]) =>
      row(`${name}${modes.name}`, make(to, modes), [2, ...from, 3], ...more.map((shape) => shape(to))),
    ),
  );
const resize =
  (op: Resize) =>
  (to: [number, number], { corners, half }: Modes): Run =>
  (x) =>
    op(x4(x), to, corners, half);
/**
 * The right gradient. tfjs's kernels forget half-pixel centres, swap height and width (bilinear) and read wrong pixels for the
 * images after the first (nearest).
 */
const gradient =
  (op: Resize) =>
  (to: [number, number], modes: Modes): Run => {
    const run = (x: tf.Tensor) => resize(op)(to, modes)(x) as tf.Tensor;
    return corrected((x, dy) => tf.grad(run)(x as tf.Tensor, dy as tf.Tensor), adjoint(run));
  };
const { resizeBilinear, resizeNearestNeighbor } = tf.image;
const nearest = resizeNearestNeighbor as Resize;

export const images = {
  ResizeNearestNeighbor: [
    ...everyWay(resize(nearest)),
    { name: "int32", shapes: [[2, 3, 4, 2]], type: "int32", low: -9, high: 9, run: (x) => nearest(x4(x), [7, 5]) },
    // 49 / 49 is 0.9999999999999999 on tfjs's way to it.
    row("where a quotient is just below a whole number", (x) => nearest(x4(x), [98, 2]), [1, 2, 2, 1]),
    row("of an image still in another order", (x, f) => nearest(image(x, f), [3, 9]), [2, 5, 6, 2], [3, 3, 2, 3]),
    row(
      "between convolutions",
      (x, f, h) => image(nearest(image(x, f), [10, 12]), h),
      [2, 5, 6, 2],
      [3, 3, 2, 2],
      [3, 3, 2, 3],
    ),
  ],
  ResizeNearestNeighborGrad: everyWay(gradient(nearest), (to) => [2, ...to, 3]),
  ResizeBilinear: [
    ...everyWay(resize(resizeBilinear)),
    {
      name: "int32",
      shapes: [[2, 3, 4, 2]],
      type: "int32",
      low: -9,
      high: 9,
      run: (x) => resizeBilinear(x4(x), [7, 5]),
    },
    row("one image without a batch", (x) => resizeBilinear(x as tf.Tensor3D, [7, 5]), [3, 4, 2]),
    row(
      "of an image still in another order",
      (x, f) => resizeBilinear(image(x, f), [3, 9]),
      [2, 5, 6, 2],
      [3, 3, 2, 3],
    ),
    // In float32, 7 * (31 / 7) and 21 * (57 / 21) are below 31 and 57.
    row("sizes that a scale rounds down", (x) => resizeBilinear(x4(x), [31, 57]), [1, 7, 21, 1]),
  ],
  ResizeBilinearGrad: everyWay(gradient(resizeBilinear), (to) => [2, ...to, 3]),
  FlipLeftRight: [
    row("images", (x) => tf.image.flipLeftRight(x4(x)), [2, 3, 5, 4]),
    row("still in another order", (x, f) => tf.image.flipLeftRight(image(x, f)), [2, 5, 6, 2], [3, 3, 2, 3]),
  ],
  RotateWithOffset: [
    row("a right angle", (x) => tf.image.rotateWithOffset(x4(x), Math.PI / 2), [2, 5, 5, 3]),
    row("any angle", (x) => tf.image.rotateWithOffset(x4(x), 0.7, 0.25), [2, 6, 5, 3]),
    row("about a corner", (x) => tf.image.rotateWithOffset(x4(x), -0.4, [1, 2, 3], [0, 0.2]), [2, 6, 5, 3]),
    row("with opacity", (x) => tf.image.rotateWithOffset(x4(x), 1, [1, 2, 3], 0.25), [1, 4, 5, 4]),
    row("still in another order", (x, f) => tf.image.rotateWithOffset(image(x, f), 0.7), [2, 5, 6, 2], [3, 3, 2, 3]),
  ],
} satisfies Cases<typeof family>;
