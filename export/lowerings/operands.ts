import { backend_util, type DataType } from "@tensorflow/tfjs-core";
import { ELEMENT_TYPE, type ElementType } from "../../runtime/onnx-schema.ts";
import type { Attribute, Graph } from "../graph.ts";
import type { AB, X } from "../lowering.ts";
import { uniform } from "../uniform.ts";
import { elementType, elementwise, Operand, type Stored, type TensorType } from "../value.ts";

/** Same shape and dtype as x. */
export const same = ({ x }: X): TensorType => ({ shape: x.shape, dtype: x.dtype });

/** Same shape and dtype as x, which is of one of the dtypes. */
export const sameOf =
  (...expected: readonly DataType[]) =>
  ({ x }: X): TensorType => {
    expectDtype(x, ...expected);
    return same({ x });
  };

/** The shape that a and b broadcast to; both have one dtype, which is the result's unless said. */
export function broadcast({ a, b }: AB, dtype: DataType = a.dtype): TensorType {
  expectDtype(b, a.dtype);
  return { shape: backend_util.assertAndGetBroadcastShape([...a.shape], [...b.shape]), dtype };
}

/** `broadcast` of operands that are of one of the dtypes. */
export const broadcastOf =
  (...expected: readonly DataType[]) =>
  ({ a, b }: AB): TensorType => {
    expectDtype(a, ...expected);
    return broadcast({ a, b });
  };

/** A node over operands that broadcast, itself an operand: a kernel of several nodes then reads as its formula. */
export function compute(
  g: Graph,
  op: string,
  operands: readonly Operand[],
  dtype: DataType = (operands[0] as Operand).dtype,
  attributes: Readonly<Record<string, Attribute>> = {},
): Operand {
  const shape = operands.map((x) => [...x.shape]).reduce((a, b) => backend_util.assertAndGetBroadcastShape(a, b));
  return new Operand(g, { shape, dtype }, elementwise(g, op, operands, attributes));
}

/** A number, or what `dtype` makes of it. */
export function number(g: Graph, value: number, dtype: DataType = "float32"): Operand {
  return new Operand(g, { shape: [], dtype }, uniform(g, dtype, value));
}

/** The int32 0 .. size - 1, [size]. */
export function counted(g: Graph, size: number): string {
  return g.node(
    "Range",
    [0, size, 1].map((value) => uniform(g, "int32", value).name),
  );
}

/** A node over the values of x as they are stored, whose inputs besides are numbers. */
export function over(g: Graph, op: string, x: Stored, ...numbers: readonly string[]): Stored {
  return { ...x, name: g.node(op, [x.name, ...numbers]) };
}

/** x in another dtype and in the same layout. ONNX truncates floats towards zero, as tfjs does. */
export function cast(g: Graph, x: Operand, dtype: DataType): Operand {
  if (x.dtype === dtype) return x;
  return new Operand(g, { shape: x.shape, dtype }, converted(g, x, elementType(dtype)));
}

/** x in the float64 that JavaScript computes in: it holds every int32 and rounds no quotient of float32 to a whole number. */
export function widened(g: Graph, x: Operand): Operand {
  return new Operand(g, x, converted(g, x, "float64"));
}

/** A float64 number. */
export function wide(g: Graph, value: number): Operand {
  const name = g.constant("float64", [], new Uint8Array(Float64Array.of(value).buffer));
  return new Operand(g, { shape: [], dtype: "float32" }, { name, shape: [] });
}

/**
 * Float64 back in a tfjs dtype. Of an int32, NaN and infinities are 0, as x / 0 is in tfjs, and whole numbers wrap at 2^32. That is
 * an operation here, since ONNX Runtime makes one cast of two.
 */
export function narrowed(g: Graph, x: Operand, dtype: DataType): Operand {
  const as = (type: ElementType, from: Operand) => new Operand(g, { shape: x.shape, dtype }, converted(g, from, type));
  if (dtype === "float32") return as(dtype, x);
  const fits = compute(g, "Less", [compute(g, "Abs", [x]), wide(g, 2 ** 63)], "bool");
  const long = as("int64", compute(g, "Where", [fits, x, wide(g, 0)], dtype));
  const bytes = new Uint8Array(BigInt64Array.of(2n ** 32n).buffer);
  const modulus = new Operand(g, { shape: [], dtype }, { name: g.constant("int64", [], bytes), shape: [] });
  return as(elementType(dtype), compute(g, "Mod", [long, modulus]));
}

function converted(g: Graph, x: Operand, type: ElementType): Stored {
  return { ...x.held, name: g.node("Cast", [x.held.name], { to: ELEMENT_TYPE[type] }) };
}

/** @throws {TypeError} unless x is of one of the dtypes. */
export function expectDtype({ dtype }: Operand, ...expected: readonly DataType[]): void {
  if (!expected.includes(dtype)) throw new TypeError(`dtype ${dtype}: expected ${expected.join(" or ")}`);
}
