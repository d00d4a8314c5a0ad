import { backend_util, type DataType } from "@tensorflow/tfjs-core";
import { ELEMENT_TYPE } from "../../runtime/onnx-schema.ts";
import type { Graph } from "../graph.ts";
import { lowering } from "../lowering.ts";
import { type Operand, reversed, type Stored } from "../value.ts";
import { image, imageLayout } from "./convolution-forms.ts";
import { type LinearMap, mapped, transpose, whole } from "./linear-maps.ts";

interface ResizeAttributes {
  readonly alignCorners: boolean;
  readonly halfPixelCenters: boolean;
  readonly size: [number, number];
}

/** Images of one dtype in another size. */
function resized(images: Operand, { size }: ResizeAttributes, dtype: DataType) {
  return { shape: [images.shape[0] as number, ...size, images.shape[3] as number], dtype };
}

/** Where, along one axis, tfjs looks in `from` numbers for each of `to`; nearest and bilinear differ by half a pixel. */
function sources(from: number, to: number, { alignCorners, halfPixelCenters }: ResizeAttributes): number[] {
  const ends = alignCorners && to > 1 ? 1 : 0;
  const ratio = (from - ends) / (to - ends);
  return Array.from({ length: to }, (_, i) => ratio * (halfPixelCenters ? i + 0.5 : i));
}

/** The number of `from` that each of `to` is. */
function nearest(from: number, to: number, attributes: ResizeAttributes): number[] {
  const rounded = attributes.alignCorners ? Math.round : Math.floor;
  return sources(from, to, attributes).map((at) => Math.min(from - 1, rounded(at)));
}

/** How often each number is repeated, where all are alike. */
function repeats(from: number, indices: readonly number[]): number | undefined {
  const times = indices.length / from;
  return Number.isInteger(times) && indices.every((at, i) => at === Math.floor(i / times)) ? times : undefined;
}

/** Height and width's resizings, as `nearest` has them. */
function nearestAxes(from: readonly number[], to: readonly number[], attributes: ResizeAttributes): number[][] {
  return [1, 2].map((axis) => nearest(from[axis] as number, to[axis] as number, attributes));
}

/** tfjs `ResizeNearestNeighbor(images; size)` -> `Resize` for enlargements by whole numbers, else a `Gather` an axis. */
export const ResizeNearestNeighbor = lowering<{ images: Operand }, ResizeAttributes>({
  infer: ({ images }, attributes) => resized(images, attributes, images.dtype),
  emit: (g, { images }, attributes) => {
    const { shape } = resized(images, attributes, images.dtype);
    const axes = nearestAxes(images.shape, shape, attributes);
    const times = axes.map((indices, i) => repeats(images.shape[i + 1] as number, indices));
    if (times.every((count) => count !== undefined)) {
      const layout = imageLayout(g, 4);
      const scales = g.constant("float32", [4], new Uint8Array(Float32Array.of(1, 1, ...times).buffer));
      const attributes = { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" };
      return image(g.node("Resize", [images.inLayout(layout), "", scales], attributes), shape, layout);
    }
    const { name, layout } = whole(images);
    const gathered = axes.reduce(
      (name, indices, i) => g.node("Gather", [name, g.int64(indices)], { axis: layout?.indexOf(i + 1) ?? i + 1 }),
      name,
    );
    return { name: gathered, shape: layout?.map((axis) => shape[axis] as number) ?? shape, layout };
  },
});

/** The gradient of a resizing, which is a linear map along height and another along width: their transposes. */
function gradient(g: Graph, dy: Operand, maps: readonly LinearMap[]): Stored {
  return maps.reduce((dx, map, i) => mapped(g, dx, i + 1, transpose(map)), whole(dy));
}

/**
 * tfjs `ResizeNearestNeighborGrad(images, dy)`: the sum over each block of repeated pixels -> `AveragePool` times the block's
 * size; else products with constant matrices. tfjs's CPU kernel is wrong for the images after the first of a batch, and with
 * halfPixelCenters, which it does not look at.
 */
export const ResizeNearestNeighborGrad = lowering<{ images: Operand; dy: Operand }, ResizeAttributes>({
  infer: ({ images, dy }) => ({ shape: images.shape, dtype: dy.dtype }),
  emit: (g, { images, dy }, attributes) => {
    const axes = nearestAxes(images.shape, dy.shape, attributes);
    const times = axes.map((indices, i) => repeats(images.shape[i + 1] as number, indices));
    if (times.every((count) => count !== undefined)) {
      const layout = imageLayout(g, 4);
      const [h, w] = times as [number, number];
      const mean = g.node("AveragePool", [dy.inLayout(layout)], { kernel_shape: [h, w], strides: [h, w] });
      return image(g.node("Mul", [mean, g.float32(h * w)]), images.shape, layout);
    }
    const choices = axes.map((indices, i) =>
      indices.map((at) => Array.from({ length: images.shape[i + 1] as number }, (_, k) => (k === at ? 1 : 0))),
    );
    return gradient(g, dy, choices);
  },
});

/** A row a number of `to`: the weights of its two neighbours in `from`. */
function interpolation(from: number, to: number, attributes: ResizeAttributes): LinearMap {
  return sources(from, to, attributes).map((source) => {
    const at = Math.min(from - 1, Math.max(0, attributes.halfPixelCenters ? source - 0.5 : source));
    return Array.from({ length: from }, (_, i) => Math.max(0, 1 - Math.abs(at - i)));
  });
}

/** Just enough above 1 that a size rounded down is still the size. */
const ABOVE = 1 + 2 ** -23;

/** tfjs `ResizeBilinear(images; size)`, float32 of whatever the images are -> `Resize`. */
export const ResizeBilinear = lowering<{ images: Operand }, ResizeAttributes>({
  infer: ({ images }, attributes) => resized(images, attributes, "float32"),
  emit: (g, { images }, attributes) => {
    const layout = imageLayout(g, 4);
    const { shape } = resized(images, attributes, "float32");
    const name = images.inLayout(layout);
    const float = images.dtype === "float32" ? name : g.node("Cast", [name], { to: ELEMENT_TYPE.float32 });
    const scales = [1, 2].map((axis) => {
      const [from, to] = [images.shape[axis] as number, shape[axis] as number];
      return Math.floor(Math.fround(from * Math.fround(to / from))) === to ? to / from : (to / from) * ABOVE;
    });
    const { alignCorners, halfPixelCenters } = attributes;
    const mode = alignCorners ? "align_corners" : halfPixelCenters ? "half_pixel" : "asymmetric";
    const constant = g.constant("float32", [4], new Uint8Array(Float32Array.of(1, 1, ...scales).buffer));
    const resize = { mode: "linear", coordinate_transformation_mode: mode };
    return image(g.node("Resize", [float, "", constant], resize), shape, layout);
  },
});

/**
 * tfjs `ResizeBilinearGrad(images, dy)` -> products with constant matrices. tfjs's CPU kernel does not look at halfPixelCenters
 * and calls the gradient's height its width.
 */
export const ResizeBilinearGrad = lowering<{ images: Operand; dy: Operand }, ResizeAttributes>({
  infer: ({ images }) => ({ shape: images.shape, dtype: "float32" }),
  emit: (g, { images, dy }, attributes) =>
    gradient(
      g,
      dy,
      [1, 2].map((axis) => interpolation(images.shape[axis] as number, dy.shape[axis] as number, attributes)),
    ),
});

/** tfjs `FlipLeftRight(image)` -> `Slice` backwards, in image's layout. */
export const FlipLeftRight = lowering<{ image: Operand }>({
  infer: ({ image }) => ({ shape: image.shape, dtype: image.dtype }),
  emit: (g, { image }) => {
    const stored = whole(image);
    return { ...stored, name: reversed(g, stored.name, [stored.layout?.indexOf(2) ?? 2]) };
  },
});

interface RotationAttributes {
  readonly radians: number;
  readonly fillValue: number | readonly number[];
  readonly center: number | [number, number];
}

/** tfjs `RotateWithOffset(image; radians, fillValue, center)` -> `Gather` of pixels, and `Where` none is there the fill value. */
export const RotateWithOffset = lowering<{ image: Operand }, RotationAttributes>({
  infer: ({ image }) => ({ shape: image.shape, dtype: image.dtype }),
  emit: (g, { image }, { radians, fillValue, center }) => {
    const [n, h, w, c] = image.shape as [number, number, number, number];
    const [centerX, centerY] = backend_util.getImageCenter(center, h, w);
    const [sin, cos] = [Math.sin(radians), Math.cos(radians)];
    const pixels = Array.from({ length: h * w }, (_, i) => {
      const [x, y] = [(i % w) - centerX, Math.floor(i / w) - centerY];
      const [column, row] = [Math.round(x * cos - y * sin + centerX), Math.round(x * sin + y * cos + centerY)];
      return column >= 0 && column < w && row >= 0 && row < h ? row * w + column : -1;
    });
    const at = g.int64(pixels.map((pixel) => Math.max(0, pixel)));
    const flat = g.node("Reshape", [image.name, g.int64([n, h * w, c])]);
    const turned = g.node("Reshape", [g.node("Gather", [flat, at], { axis: 1 }), g.int64([n, h, w, c])]);
    const isInside = g.constant(
      "bool",
      [h, w, 1],
      Uint8Array.from(pixels, (pixel) => (pixel < 0 ? 0 : 1)),
    );
    // A fourth channel is opacity.
    const fill = Array.from({ length: c }, (_, i) =>
      typeof fillValue === "number" ? fillValue : i === 3 ? 255 : (fillValue[i] ?? Number.NaN),
    );
    const fills = g.constant("float32", [c], new Uint8Array(Float32Array.from(fill).buffer));
    return g.node("Where", [isInside, turned, fills]);
  },
});
