import type { Model } from "../proto.ts";

/**
 * The model with a tolerance in place of `below`, wherever something is asked to be less than just that: two arrays that were
 * equal differ more once one of them has been rounded.
 */
export function withTolerance(model: Model, below: number, tolerance: number): Model {
  const asked = new Set(model.nodes.flatMap(({ op, inputs }) => (op === "Less" ? [inputs[1]] : [])));
  const bytes = (value: number) => new Uint8Array(Float32Array.of(value).buffer);
  const is = (constant: Uint8Array) => String(constant) === String(bytes(below));
  const initializers = model.initializers.map((constant) =>
    constant.type === "float32" && constant.shape.length === 0 && asked.has(constant.name) && is(constant.bytes)
      ? { ...constant, bytes: bytes(tolerance) }
      : constant,
  );
  return { ...model, initializers };
}
