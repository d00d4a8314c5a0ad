import type { Graph } from "../graph.ts";
import { type Operand, reshaped, type Stored } from "../value.ts";

/** A linear map along one axis of a tensor: a row an output, a column an input. */
export type LinearMap = readonly (readonly number[])[];

export const transpose = (map: LinearMap): LinearMap =>
  (map[0] as readonly number[]).map((_, column) => map.map((row) => row[column] as number));

/** The tensor as a node output, all of it, in the order it is stored in. */
export function whole(x: Operand): Stored {
  const { layout } = x.stored;
  return { name: x.inLayout(layout), shape: layout?.map((axis) => x.shape[axis] as number) ?? x.shape, layout };
}

/** x with `map` applied along the tensor's `axis`: a product with a constant matrix, in whatever layout x is stored. */
export function mapped(g: Graph, x: Stored, axis: number, map: LinearMap): Stored {
  const [rows, columns] = [map.length, (map[0] as readonly number[]).length];
  const at = x.layout?.indexOf(axis) ?? axis;
  const size = (from: number, to?: number) => x.shape.slice(from, to).reduce((a, b) => a * b, 1);
  const [outer, inner] = [size(0, at), size(at + 1)];
  const shape = x.shape.map((length, i) => (i === at ? rows : length));
  const matrix = (values: LinearMap) => {
    const bytes = new Uint8Array(Float32Array.from(values.flat()).buffer);
    return g.constant("float32", [values.length, (values[0] as readonly number[]).length], bytes);
  };
  if (inner === 1) {
    const product = g.node("MatMul", [reshaped(g, x.name, x.shape, [outer, columns]), matrix(transpose(map))]);
    return { ...x, name: reshaped(g, product, [outer, rows], shape), shape };
  }
  const product = g.node("MatMul", [matrix(map), reshaped(g, x.name, x.shape, [outer, columns, inner])]);
  return { ...x, name: reshaped(g, product, [outer, rows, inner], shape), shape };
}
