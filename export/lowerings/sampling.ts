import { ELEMENT_TYPE } from "../../runtime/onnx-schema.ts";
import type { Graph } from "../graph.ts";
import { lowering } from "../lowering.ts";
import type { Operand } from "../value.ts";
import type { Size2, Size3, Size4 } from "./windows.ts";

/** A node output, or a number. */
type Value = string | number;

/** Arithmetic of float64, in which tfjs's CPU kernels compute positions in JavaScript: a pixel is in the image or it is not. */
class Doubles {
  readonly #g: Graph;

  constructor(g: Graph) {
    this.#g = g;
  }

  node(op: string, ...values: readonly Value[]): string {
    return this.#g.node(
      op,
      values.map((value) => this.#name(value)),
    );
  }

  add = (a: Value, b: Value) => this.node("Add", a, b);
  sub = (a: Value, b: Value) => this.node("Sub", a, b);
  mul = (a: Value, b: Value) => this.node("Mul", a, b);
  div = (a: Value, b: Value) => this.node("Div", a, b);
  floor = (a: Value) => this.node("Floor", a);
  clip = (a: Value, low: number, high: number) => this.node("Clip", a, low, high);
  where = (condition: string, a: Value, b: Value) => this.node("Where", condition, a, b);

  /** low <= a <= high, a bool; a NaN is not. */
  within(a: Value, low: number, high: number): string {
    return this.node("And", this.node("GreaterOrEqual", a, low), this.node("LessOrEqual", a, high));
  }

  /** 0, 1, ... below count, of rank 3 along `axis`. */
  range(count: number, axis: number): string {
    const shape = [0, 1, 2].map((i) => (i === axis ? count : 1));
    const numbers = Float64Array.from({ length: count }, (_, i) => i);
    return this.#g.constant("float64", shape, new Uint8Array(numbers.buffer));
  }

  /** The columns of a float32 matrix [k, count], each as [k, 1, 1]. */
  columns(matrix: Operand, count: number): readonly string[] {
    const doubles = this.#g.node("Cast", [matrix.name], { to: ELEMENT_TYPE.float64 });
    const columns = this.#g.split("Split", [doubles], count, { axis: 1 });
    return columns.map((column) => this.#g.node("Unsqueeze", [column, this.#g.int64([2])]));
  }

  #name(value: Value): string {
    if (typeof value === "string") return value;
    return this.#g.constant("float64", [], new Uint8Array(Float64Array.of(value).buffer));
  }
}

/** Reads pixels of images [n, h, w, c] at float64 rows and columns that are whole and inside -> [..., c]. */
function reader(g: Graph, image: Operand, first: string): (row: string, column: string) => string {
  const [n, h, w, c] = image.shape as Size4;
  const pixels = g.node("Reshape", [image.name, g.int64([n * h * w, c])]);
  const index = (value: string) => g.node("Cast", [value], { to: ELEMENT_TYPE.int64 });
  return (row, column) => {
    const start = g.node("Add", [g.node("Mul", [first, g.int64([h])]), index(row)]);
    const at = g.node("Add", [g.node("Mul", [start, g.int64([w])]), index(column)]);
    return g.node("Gather", [pixels, at], { axis: 0 });
  };
}

/** A weight or condition of each pixel, for its channels. */
const perPixel = (g: Graph, name: string): string => g.node("Unsqueeze", [name, g.int64([-1])]);
const weight = (g: Graph, name: string): string => g.node("Cast", [perPixel(g, name)], { to: ELEMENT_TYPE.float32 });

interface CropAttributes {
  readonly cropSize: Size2;
  readonly method: "bilinear" | "nearest";
  readonly extrapolationValue: number;
}

/** tfjs `CropAndResize(image, boxes, boxInd)`, boxes [k, 4] of y1, x1, y2, x2 in [0, 1] -> `Gather` of pixels, interpolated. */
export const CropAndResize = lowering<{ image: Operand; boxes: Operand; boxInd: Operand }, CropAttributes>({
  infer: ({ image, boxes }, { cropSize }) => ({
    shape: [boxes.shape[0] as number, ...cropSize, image.shape[3] as number],
    dtype: "float32",
  }),
  emit: (g, { image, boxes, boxInd }, { cropSize, method, extrapolationValue }) => {
    const doubles = new Doubles(g);
    const { add, sub, mul, div, floor, where } = doubles;
    const [n, h, w] = image.shape as Size3;
    const [y1, x1, y2, x2] = doubles.columns(boxes, 4) as [string, string, string, string];
    /** Positions in the image along one axis; where they are outside, 0 stands for them. */
    const positions = (from: string, to: string, length: number, count: number, axis: number) => {
      const scale = div(mul(sub(to, from), length - 1), count - 1);
      const all =
        count > 1
          ? add(mul(from, length - 1), mul(doubles.range(count, axis), scale))
          : mul(mul(0.5, add(from, to)), length - 1);
      const isInside = doubles.within(all, 0, length - 1);
      return [where(isInside, all, 0), isInside] as const;
    };
    const [y, isRow] = positions(y1, y2, h, cropSize[0], 1);
    const [x, isColumn] = positions(x1, x2, w, cropSize[1], 2);
    const index = g.node("Reshape", [boxInd.name, g.int64([boxInd.shape[0] as number, 1, 1])]);
    const isImage = g.node("Less", [index, int32(g, n)]);
    const first = g.node("Cast", [g.node("Where", [isImage, index, int32(g, 0)])], { to: ELEMENT_TYPE.int64 });
    const pixel = reader(g, image, first);
    const float = (name: string) =>
      image.dtype === "float32" ? name : g.node("Cast", [name], { to: ELEMENT_TYPE.float32 });
    const between = (a: string, b: string, share: string) =>
      g.node("Add", [a, g.node("Mul", [g.node("Sub", [b, a]), share])]);
    const interpolated = () => {
      const [top, bottom] = [floor(y), doubles.node("Ceil", y)];
      const [left, right] = [floor(x), doubles.node("Ceil", x)];
      const [down, along] = [weight(g, sub(y, top)), weight(g, sub(x, left))];
      const row = (at: string) => between(float(pixel(at, left)), float(pixel(at, right)), along);
      return between(row(top), row(bottom), down);
    };
    const values = method === "bilinear" ? interpolated() : float(pixel(floor(add(y, 0.5)), floor(add(x, 0.5))));
    const isInside = perPixel(g, g.node("And", [isRow, isColumn]));
    const cropped = g.node("Where", [isInside, values, g.float32(extrapolationValue)]);
    // Of an image that is not there tfjs leaves zeros.
    return g.node("Where", [perPixel(g, isImage), cropped, g.float32(0)]);
  },
});

function int32(g: Graph, value: number): string {
  return g.constant("int32", [], new Uint8Array(Int32Array.of(value).buffer));
}

interface TransformAttributes {
  readonly interpolation: "nearest" | "bilinear";
  readonly fillMode: "constant" | "reflect" | "wrap" | "nearest";
  readonly fillValue: number;
  readonly outputShape?: Size2;
}

/** Where a position off the image lies on it. */
function onImage(doubles: Doubles, at: string, length: number, mode: TransformAttributes["fillMode"]): string {
  const { add, sub, mul, div, floor, where, clip } = doubles;
  // Positions that are further off are as far off as these, and have whole numbers.
  if (mode === "constant") return clip(at, -2, length + 1);
  if (mode === "nearest" || length <= 1) return clip(at, 0, length - 1);
  if (mode === "reflect") {
    // [dcba|abcd|dcba]: again after twice the length.
    const turn = sub(at, mul(2 * length, floor(div(at, 2 * length))));
    const back = doubles.node("GreaterOrEqual", turn, length);
    return clip(where(back, sub(2 * length - 1, turn), turn), 0, length - 1);
  }
  const below = add(at, mul(length, add(floor(div(doubles.node("Neg", at), length - 1)), 1)));
  const above = sub(at, mul(length, floor(div(at, length - 1))));
  const isAbove = doubles.node("Greater", at, length - 1);
  return clip(where(doubles.node("Less", at, 0), below, where(isAbove, above, at)), 0, length - 1);
}

/**
 * tfjs `Transform(image, transforms)`, transforms [n or 1, 8] of projections from the output to the image -> `Gather` of pixels.
 * tfjs's CPU kernel leaves all images of a batch but the first unfilled.
 */
export const Transform = lowering<{ image: Operand; transforms: Operand }, TransformAttributes>({
  infer: ({ image }, { outputShape }) => {
    const [n, h, w, c] = image.shape as Size4;
    return { shape: [n, ...(outputShape ?? [h, w]), c], dtype: image.dtype };
  },
  emit: (g, { image, transforms }, { interpolation, fillMode, fillValue, outputShape }) => {
    const doubles = new Doubles(g);
    const { add, sub, mul, div, floor, where } = doubles;
    const [n, h, w] = image.shape as Size3;
    const [height, width] = outputShape ?? [h, w];
    const [a0, a1, a2, b0, b1, b2, c0, c1] = doubles.columns(transforms, 8) as string[];
    const [row, column] = [doubles.range(height, 1), doubles.range(width, 2)];
    const line = (x: string | undefined, y: string | undefined, rest: Value) =>
      add(add(mul(x as string, column), mul(y as string, row)), rest);
    const projection = line(c0, c1, 1);
    const isSomewhere = g.node("Not", [doubles.node("Equal", projection, 0)]);
    const scale = where(isSomewhere, projection, 1);
    const y = onImage(doubles, div(line(b0, b1, b2 as string), scale), h, fillMode);
    const x = onImage(doubles, div(line(a0, a1, a2 as string), scale), w, fillMode);
    const index = g.node(
      "Range",
      [0, n, 1].map((value) => int64(g, value)),
    );
    const pixel = reader(g, image, g.node("Reshape", [index, g.int64([n, 1, 1])]));
    const fill = g.float32(fillValue);
    const read = (row: string, column: string) => {
      const isInside = g.node("And", [doubles.within(row, 0, h - 1), doubles.within(column, 0, w - 1)]);
      const value = pixel(doubles.clip(row, 0, h - 1), doubles.clip(column, 0, w - 1));
      return g.node("Where", [perPixel(g, isInside), value, fill]);
    };
    const mixed = (a: string, shareOfA: string, b: string, shareOfB: string) =>
      g.node("Add", [g.node("Mul", [a, shareOfA]), g.node("Mul", [b, shareOfB])]);
    const interpolated = () => {
      const [top, left] = [floor(y), floor(x)];
      const [bottom, right] = [add(top, 1), add(left, 1)];
      const shares = [sub(bottom, y), sub(y, top), sub(right, x), sub(x, left)].map((share) => weight(g, share));
      const [ofTop, ofBottom, ofLeft, ofRight] = shares as [string, string, string, string];
      const along = (at: string) => mixed(read(at, left), ofLeft, read(at, right), ofRight);
      return mixed(along(top), ofTop, along(bottom), ofBottom);
    };
    const values = interpolation === "bilinear" ? interpolated() : read(floor(add(y, 0.5)), floor(add(x, 0.5)));
    return g.node("Where", [perPixel(g, isSomewhere), values, fill]);
  },
});

function int64(g: Graph, value: number): string {
  return g.constant("int64", [], new Uint8Array(BigInt64Array.of(BigInt(value)).buffer));
}
