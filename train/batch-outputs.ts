import type { NumberArray } from "../runtime/samples.ts";
import type { AnyArray } from "./executors/executor.ts";
import type { CompiledFunction } from "./executors/onnx.ts";

/**
 * Runs a compiled function of a batch over n rows, `size` at a time, and joins the rows of its outputs. Integer outputs must be
 * int32.
 *
 * @param feed - the inputs for these rows; called in order.
 */
export async function runInBatches(
  compiled: CompiledFunction,
  n: number,
  size: number,
  feed: (rows: Int32Array) => Readonly<Record<string, AnyArray>>,
): Promise<Record<string, NumberArray>> {
  const joined: Record<string, { data: Float32Array; shape: readonly number[] }> = {};
  for (let from = 0; from < n; from += size) {
    const rows = Int32Array.from({ length: Math.min(size, n - from) }, (_, i) => from + i);
    for (const [name, { data, shape }] of Object.entries(await compiled.run(feed(rows)))) {
      const width = data.length / rows.length;
      joined[name] ??= { data: allocate(data, n * width), shape: [n, ...shape.slice(1)] };
      joined[name].data.set(data, from * width);
    }
  }
  return joined;
}

/** A new array of the same type: ONNX Runtime's int32 outputs come as Int32Array under NumberArray's name. */
function allocate(like: Float32Array, length: number): Float32Array {
  return new (like.constructor as Float32ArrayConstructor)(length);
}
