import type * as tf from "@tensorflow/tfjs-core";
import { type PortType, type Tensors, trace } from "../export/index.ts";
import type { NumberArray, Samples } from "../runtime/samples.ts";
import { type AnyArray, CompiledFunction, type SessionSettings } from "./executors/onnx.ts";

type Shapes = Readonly<Record<string, NumberArray>>;

/**
 * A function of a batch and of named arrays, compiled once for any batch size: parameters are inputs, so a trained step's new
 * parameters need no new graph.
 */
export class BatchFunction {
  readonly #compiled: CompiledFunction;
  readonly #arrays: readonly string[];

  private constructor(compiled: CompiledFunction, arrays: readonly string[]) {
    this.#compiled = compiled;
    this.#arrays = arrays;
  }

  /** @param fn - gets the batch and the arrays by name, and gives one tensor whose first axis is the batch. */
  static async compile(
    fn: (batch: tf.Tensor, arrays: Tensors) => tf.Tensor,
    batch: PortType,
    arrays: Shapes,
    settings: SessionSettings = {},
  ): Promise<BatchFunction> {
    const inputs: Record<string, PortType> = { batch };
    for (const [name, { shape }] of Object.entries(arrays)) inputs[name] = { type: "float32", shape };
    const model = trace(({ batch: x, ...rest }) => ({ y: fn(x as tf.Tensor, rest) }), { inputs });
    return new BatchFunction(await CompiledFunction.compile(model, settings), Object.keys(arrays));
  }

  /** Runs over batches of `size` rows that `batch` makes, and joins the rows. */
  async run(n: number, size: number, batch: (rows: Int32Array) => AnyArray, arrays: Shapes): Promise<NumberArray> {
    const used = Object.fromEntries(this.#arrays.map((name) => [name, arrays[name] as NumberArray]));
    const tensors = Object.fromEntries(
      Object.entries(used).map(([name, array]) => [name, this.#compiled.tensor(name, array)]),
    );
    const parts: Float32Array[] = [];
    let shape: readonly number[] = [];
    for (let from = 0; from < n; from += size) {
      const rows = Int32Array.from({ length: Math.min(size, n - from) }, (_, i) => from + i);
      const { y } = await this.#compiled.runTensors({ ...tensors, batch: this.#compiled.tensor("batch", batch(rows)) });
      parts.push(y?.data as Float32Array);
      shape = (y?.dims ?? []).slice(1);
    }
    const data = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let offset = 0;
    for (const part of parts) {
      data.set(part, offset);
      offset += part.length;
    }
    return { data, shape: [n, ...shape] };
  }

  async dispose(): Promise<void> {
    await this.#compiled.dispose();
  }
}

/** The port of a batch of samples, of any number. */
export function samplePort(samples: Pick<Samples, "kind" | "shape">): PortType {
  return { type: samples.kind === "images" ? "uint8" : "float32", shape: ["N", ...samples.shape.slice(1)] };
}
