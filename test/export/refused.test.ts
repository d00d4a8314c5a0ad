import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { describe, expect, test } from "vitest";
import { LOWERINGS } from "../../export/backend.ts";
import { type TraceFunction, trace } from "../../export/index.ts";
import { REFUSED } from "../../export/refused.ts";

function refusal(fn: TraceFunction): string {
  try {
    trace(fn, { inputs: { x: { type: "float32", shape: [6, 4] } } });
  } catch (error) {
    expect(error).toMatchObject({ name: "SubspanError", code: "TRACE_REFUSED" });
    return (error as Error).message;
  }
  throw new Error("expected the trace to be refused");
}

describe("kernels that can have no lowering", () => {
  test("are kernels of tfjs's CPU backend without one", () => {
    for (const kernel of REFUSED.keys()) {
      expect(tf.getKernel(kernel, "cpu")).toBeDefined();
      expect(LOWERINGS.has(kernel)).toBe(false);
    }
  });

  test("are refused by name, with the reason", () => {
    const message = "no lowering for kernel Unique (the size of its result depends on data)";
    expect(refusal(({ x }) => ({ y: tf.unique(x!, 0).values }))).toBe(message);
  });

  test("boxes without padding: what to use instead is said", () => {
    const suppressed =
      (pad: boolean): TraceFunction =>
      ({ x }) => {
        const scores = tf.sum(x!, 1) as tf.Tensor1D;
        if (!pad) return { y: tf.image.nonMaxSuppression(x as tf.Tensor2D, scores, 3) };
        return { y: tf.image.nonMaxSuppressionPadded(x as tf.Tensor2D, scores, 3).selectedIndices as tf.Tensor };
      };
    expect(refusal(suppressed(false))).toMatch(
      /NonMaxSuppressionV3 \(the size of its result .*nonMaxSuppressionPadded/,
    );
    expect(refusal(suppressed(true))).toMatch(/NonMaxSuppressionV4 cannot be traced: .*padToMaxOutputSize/);
  });

  test("tensors of strings", () => {
    const words: TraceFunction = ({ x }) => ({ y: x!, words: tf.tile(tf.tensor1d(["a", "b"]), [2]) });
    expect(refusal(words)).toBe("tensors of dtype string have no ONNX form");
  });
});

describe("what comes later than the function returns", () => {
  const later = (fn: (x: tf.Tensor) => Promise<tf.Tensor>) =>
    refusal(({ x }) => ({ y: fn(x!) as unknown as tf.Tensor }));

  test.each<[string, (x: tf.Tensor) => Promise<tf.Tensor>]>([
    ["booleanMaskAsync", (x) => tf.booleanMaskAsync(x, tf.greater(x, 0))],
    ["whereAsync", (x) => tf.whereAsync(tf.greater(x, 0))],
  ])("tf.%s", (_, fn) => {
    expect(later(fn)).toMatch(/^expected tensors, got a promise from output y: .*sizes that depend on data/);
  });

  test("an asynchronous function", () => {
    const fn = (async ({ x }: Record<string, tf.Tensor>) => ({ y: x })) as unknown as TraceFunction;
    expect(refusal(fn)).toMatch(/^expected tensors, got a promise from the function/);
  });
});
