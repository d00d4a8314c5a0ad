import { backend_util, util } from "@tensorflow/tfjs-core";
import { ELEMENT_TYPE, type ElementType } from "../runtime/onnx-schema.ts";
import type { Attribute, Initializer } from "./graph.ts";

export type Constant = Omit<Initializer, "name">;

/** Arrays of ONNX's element types; of float16 the bits. */
const ARRAYS = {
  bool: Uint8Array,
  float16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
} as const;
type Values = InstanceType<(typeof ARRAYS)[ElementType]>;

/** The numbers of a constant, bools as 0 and 1. */
export function valuesOf({ type, bytes }: Constant): Values {
  return new ARRAYS[type](bytes.slice().buffer);
}

const numbersOf = (x: Constant): number[] => Array.from(valuesOf(x) as Float32Array, Number);
const product = (sizes: readonly number[]): number => util.sizeFromShape([...sizes]);
const stridesOf = (shape: readonly number[]): number[] => shape.map((_, i) => product(shape.slice(i + 1)));

function constantOf(type: ElementType, shape: readonly number[], values: Values): Constant {
  return { type, shape, bytes: new Uint8Array(values.buffer) };
}

/** The elements of x at `offset` + the sum of coordinate times stride: transposed, cut or repeated. */
function strided(x: Constant, shape: readonly number[], strides: readonly number[], offset = 0): Constant {
  const source = valuesOf(x);
  const result = new ARRAYS[x.type](product(shape));
  const at = shape.map(() => 0);
  let from = offset;
  for (let i = 0; i < result.length; i++) {
    result[i] = source[from] as never;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const [size, stride] = [shape[axis] as number, strides[axis] as number];
      at[axis] = ((at[axis] as number) + 1) % size;
      from += at[axis] === 0 ? stride * (1 - size) : stride;
      if (at[axis] !== 0) break;
    }
  }
  return constantOf(x.type, shape, result);
}

type Attributes = Readonly<Record<string, Attribute>>;
/** What an operator makes of constants; undefined for what is left to whoever runs the graph. */
type Fold = (attributes: Attributes, ...inputs: Constant[]) => Constant | undefined;

/** a and b number by number, of float32, int32 or int64; not where a whole number is divided by 0. */
const arithmetic =
  (float: (a: number, b: number) => number, whole: (a: bigint, b: bigint) => bigint, divides = false): Fold =>
  (_, a: Constant, b: Constant) => {
    const shape = backend_util.assertAndGetBroadcastShape([...a.shape], [...b.shape]);
    const spread = (x: Constant) => {
      const [own, missing] = [stridesOf(x.shape), shape.length - x.shape.length];
      const strides = shape.map((_, i) => (x.shape[i - missing] === 1 ? 0 : (own[i - missing] ?? 0)));
      return valuesOf(strided(x, shape, strides));
    };
    if (a.type === "float32") {
      const [left, right] = [spread(a), spread(b)] as [Float32Array, Float32Array];
      const results = left.map((value, i) => float(value, right[i] as number));
      return constantOf(a.type, shape, results);
    }
    if (a.type !== "int32" && a.type !== "int64") return undefined;
    const [left, right] = [spread(a), spread(b)].map((x) => Array.from(x as Int32Array, BigInt)) as [
      bigint[],
      bigint[],
    ];
    if (divides && right.includes(0n)) return undefined;
    const results = left.map((value, i) => whole(value, right[i] as bigint));
    if (a.type === "int64") return constantOf(a.type, shape, BigInt64Array.from(results));
    return constantOf(
      a.type,
      shape,
      Int32Array.from(results, (value) => Number(BigInt.asIntN(32, value))),
    );
  };

const Cast: Fold = ({ to }, x: Constant) => {
  const numbers = numbersOf(x);
  if (to === ELEMENT_TYPE.float32) return constantOf("float32", x.shape, Float32Array.from(numbers));
  if (to === ELEMENT_TYPE.bool)
    return constantOf(
      "bool",
      x.shape,
      Uint8Array.from(numbers, (n) => (n === 0 ? 0 : 1)),
    );
  // How a number outside of int32 is cut off is up to the machine.
  if (!numbers.every((number) => Math.abs(number) < 2 ** 31)) return undefined;
  const whole = numbers.map(Math.trunc);
  if (to === ELEMENT_TYPE.int32) return constantOf("int32", x.shape, Int32Array.from(whole));
  return to === ELEMENT_TYPE.int64 ? constantOf("int64", x.shape, BigInt64Array.from(whole, BigInt)) : undefined;
};

const Concat: Fold = ({ axis }, ...xs: Constant[]) => {
  const at = axis as number;
  const shapes = xs.map((x) => [...x.shape]);
  const shape = backend_util.computeOutShape(shapes, at);
  const rows = product(shape.slice(0, at));
  const bytes = new Uint8Array(xs.reduce((sum, x) => sum + x.bytes.length, 0));
  let end = 0;
  for (let row = 0; row < rows; row++) {
    for (const x of xs) {
      const length = x.bytes.length / rows;
      bytes.set(x.bytes.subarray(row * length, (row + 1) * length), end);
      end += length;
    }
  }
  return { type: (xs[0] as Constant).type, shape, bytes };
};

const Reshape: Fold = ({ allowzero }, { type, shape, bytes }: Constant, target: Constant) => {
  const asked = numbersOf(target).map((size, i) => (size === 0 && !allowzero ? (shape[i] as number) : size));
  return { type, bytes, shape: util.inferFromImplicitShape(asked, product(shape)) };
};

const Slice: Fold = (_, x: Constant, starts: Constant, ends: Constant, axes: Constant, steps?: Constant) => {
  const [shape, strides] = [[...x.shape], stridesOf(x.shape)];
  const [from, to] = [numbersOf(starts), numbersOf(ends)];
  const by = steps ? numbersOf(steps) : from.map(() => 1);
  let offset = 0;
  numbersOf(axes).forEach((axis, i) => {
    const [dim, step, stride] = [shape[axis] as number, by[i] as number, strides[axis] as number];
    const [low, high] = step < 0 ? [-1, dim - 1] : [0, dim];
    const within = (at: number) => Math.min(Math.max(at < 0 ? at + dim : at, low), high);
    const [first, last] = [within(from[i] as number), within(to[i] as number)];
    shape[axis] = Math.max(0, Math.ceil((last - first) / step));
    strides[axis] = stride * step;
    offset += first * stride;
  });
  return strided(x, shape, strides, offset);
};

const Transpose: Fold = ({ perm }, x: Constant) => {
  const pick = (list: readonly number[]) => (perm as readonly number[]).map((axis) => list[axis] as number);
  return strided(x, pick(x.shape), pick(stridesOf(x.shape)));
};

const Unsqueeze: Fold = (_, { type, shape, bytes }: Constant, axes: Constant) => {
  const rank = shape.length + axes.shape.reduce((a, b) => a * b, 1);
  const added = numbersOf(axes).map((axis) => (axis < 0 ? axis + rank : axis));
  const kept = [...shape];
  const grown = Array.from({ length: rank }, (_, i) => (added.includes(i) ? 1 : (kept.shift() as number)));
  return { type, bytes, shape: grown };
};

/** The operators that traces apply to constants, but for those that make a lot of little, such as Range and Expand. */
const FOLDS: ReadonlyMap<string, Fold> = new Map(
  Object.entries({
    Add: arithmetic(
      (a, b) => a + b,
      (a, b) => a + b,
    ),
    Cast,
    Concat,
    Div: arithmetic(
      (a, b) => a / b,
      (a, b) => a / b,
      true,
    ),
    Mul: arithmetic(
      (a, b) => a * b,
      (a, b) => a * b,
    ),
    Reshape,
    Slice,
    Sub: arithmetic(
      (a, b) => a - b,
      (a, b) => a - b,
    ),
    Transpose,
    Unsqueeze,
  }),
);

/** What a node makes of constants, as ONNX defines its operator; undefined for operators and types that are not worth it. */
export function folded(op: string, inputs: readonly Constant[], attributes: Attributes): Constant | undefined {
  return inputs.some(({ type }) => type === "float16") ? undefined : FOLDS.get(op)?.(attributes, ...inputs);
}
