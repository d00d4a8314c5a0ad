import type * as tf from "@tensorflow/tfjs-core";
import { type PortType, trace } from "../export/index.ts";
import type { Arrays } from "../models/index.ts";
import type { Parameters } from "../models/parameters.ts";
import type { NumberArray, Samples } from "../runtime/samples.ts";
import { runInBatches } from "./batch-outputs.ts";
import { constants } from "./clusterer-graph.ts";
import type { AnyArray, SessionSettings } from "./executors/executor.ts";
import { CompiledFunction } from "./executors/onnx.ts";

/**
 * A function of a batch, compiled for any batch size. The arrays it computes with are constants of its graph, so that ONNX
 * Runtime can lay convolutions out for them: twice as fast as when they are inputs, which outweighs compiling anew for new ones.
 */
export class BatchFunction {
  readonly #compiled: CompiledFunction;

  private constructor(compiled: CompiledFunction) {
    this.#compiled = compiled;
  }

  /** @param fn - gets the batch and the arrays by name, and gives one tensor whose first axis is the batch. */
  static async compile(
    fn: (batch: tf.Tensor, arrays: Parameters) => tf.Tensor,
    batch: PortType,
    arrays: Arrays,
    settings: SessionSettings = {},
  ): Promise<BatchFunction> {
    const model = trace(({ batch: x }) => ({ y: fn(x as tf.Tensor, constants(arrays)) }), { inputs: { batch } });
    return new BatchFunction(await CompiledFunction.compile(model, settings));
  }

  /** Runs over batches of `size` rows that `batch` makes, and joins the rows. */
  async run(n: number, size: number, batch: (rows: Int32Array) => AnyArray): Promise<NumberArray> {
    const { y } = await runInBatches(this.#compiled, n, size, (rows) => ({ batch: batch(rows) }));
    return y as NumberArray;
  }

  async dispose(): Promise<void> {
    await this.#compiled.dispose();
  }
}

/** The port of a batch of samples, of any number. */
export function samplePort(samples: Pick<Samples, "kind" | "shape">): PortType {
  return { type: samples.kind === "images" ? "uint8" : "float32", shape: ["N", ...samples.shape.slice(1)] };
}
