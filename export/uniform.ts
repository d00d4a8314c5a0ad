import { type DataType, util } from "@tensorflow/tfjs-core";
import { valuesOf } from "./constants.ts";
import type { Graph } from "./graph.ts";
import { elementType, type Operand, type Stored, type TensorType } from "./value.ts";

/** A tensor that is one number everywhere: stored as that number, whatever its shape. */
export function uniform(g: Graph, dtype: DataType, value: number): Stored {
  const array =
    dtype === "float32" ? Float32Array.of(value) : dtype === "int32" ? Int32Array.of(value) : Uint8Array.of(value);
  return { name: g.constant(elementType(dtype), [], new Uint8Array(array.buffer)), shape: [] };
}

/** A constant as it came from JavaScript; uniform ones are stored as one number. */
export function constant(g: Graph, type: TensorType, values: Float32Array | Int32Array | Uint8Array): Stored {
  const first = values[0];
  if (first !== undefined && values.every((value) => Object.is(value, first))) return uniform(g, type.dtype, first);
  const array =
    type.dtype === "int32"
      ? Int32Array.from(values)
      : type.dtype === "bool"
        ? Uint8Array.from(values)
        : Float32Array.from(values);
  return {
    name: g.constant(elementType(type.dtype), [...type.shape], new Uint8Array(array.buffer)),
    shape: type.shape,
  };
}

/** The numbers of an int32 tensor that is a constant of the graph; undefined for a traced one. */
export function constantIntegers({ graph, stored, shape }: Operand): Int32Array | undefined {
  const constant = graph.initializers.get(stored.name);
  if (constant === undefined) return undefined;
  const values = valuesOf(constant) as Int32Array;
  return stored.shape.length > 0 ? values : new Int32Array(util.sizeFromShape([...shape])).fill(values[0] as number);
}

/** The numbers of an int32 tensor that must be a constant, for instance because they decide a shape. */
export function knownIntegers(x: Operand, name: string): Int32Array {
  const known = constantIntegers(x);
  if (known === undefined)
    throw new Error(`expected ${name} that are constants, got a traced tensor of shape [${x.shape}]`);
  return known;
}
