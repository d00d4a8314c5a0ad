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

  test("all of them in one error", () => {
    const fn: TraceFunction = ({ x }) => {
      const scores = tf.sum(x!, 1) as tf.Tensor1D;
      const kept = tf.image.nonMaxSuppression(x as tf.Tensor2D, scores, 3);
      const band = tf.engine().runKernel("MatrixBandPart", { input: tf.unique(x!, 0).values }) as tf.Tensor;
      return { kept, band };
    };
    const [title, ...lines] = refusal(fn).split("\n");
    expect(title).toBe("no lowering for 3 kernels:");
    expect(lines.map((line) => line.split(" ")[2])).toEqual(["NonMaxSuppressionV3", "Unique", "MatrixBandPart"]);
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

describe("forms that a lowering refuses", () => {
  const ints = (...values: number[]) => tf.tensor1d(values, "int32");
  test.each<[string, (x: tf.Tensor2D) => tf.Tensor, RegExp]>([
    [
      "segments that data count",
      (x) =>
        tf.sparse.sparseSegmentSum(x, ints(0, 1), tf.cast(tf.slice(tf.reshape(x, [24]), 0, 2), "int32") as tf.Tensor1D),
      /^kernel SparseSegmentSum cannot be traced: expected segmentIds that are constants, got a traced tensor of shape \[2\]/,
    ],
    [
      "segments of more than rows",
      (x) => tf.unsortedSegmentSum(x, tf.zeros([6, 4], "int32") as unknown as tf.Tensor1D, 2),
      /^kernel UnsortedSegmentSum cannot be traced: expected segmentIds of rank 1, got shape \[6,4\]/,
    ],
    ["known indices outside", (x) => tf.gather(x, ints(1, 6)), /GatherV2: the index value 6 is not in \[0, 5\]/],
    [
      "a slice outside",
      (x) => tf.slice(x, [5, 0], [2, 4]),
      /^kernel Slice cannot be traced: .*begin\[0\] \+ size\[0\]/,
    ],
    [
      "depth of channels-first images",
      (x) => tf.depthToSpace(tf.reshape(x, [1, 4, 3, 2]) as tf.Tensor4D, 2, "NCHW"),
      /^kernel DepthToSpace cannot be traced: expected dataFormat NHWC/,
    ],
    [
      "boxes that no overlap may have",
      (x) => {
        const scores = tf.sum(x, 1) as tf.Tensor1D;
        return tf.image.nonMaxSuppressionPadded(x, scores, 3, 0, 0, true).selectedIndices as tf.Tensor;
      },
      /^kernel NonMaxSuppressionV4 cannot be traced: expected an iouThreshold above 0, got 0/,
    ],
  ])("%s", (_, fn, message) => {
    expect(refusal(({ x }) => ({ y: fn(x as tf.Tensor2D) }))).toMatch(message);
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

describe("what a trace may not leave behind or take along", () => {
  test("an output that the function has disposed of", () => {
    const gone: TraceFunction = ({ x }) => {
      const y = tf.square(x!);
      y.dispose();
      return { y };
    };
    expect(refusal(gone)).toBe("output y: the function has disposed of it");
  });

  test("a variable that the function assigns: it keeps its value, and no tensor is left", () => {
    tf.setBackend("cpu");
    const weights = tf.variable(tf.tensor1d([1, 2, 3, 4]), true, "weights");
    const before = tf.memory().numTensors;
    const optimizer = tf.train.sgd(0.1);
    const step: TraceFunction = ({ x }) => ({
      loss: optimizer.minimize(() => tf.sum(tf.mul(weights, x!)) as tf.Scalar, true, [weights]) as tf.Scalar,
    });
    expect(refusal(step)).toBe("the function assigns the variable weights: give what changes as an output");
    expect(Array.from(weights.dataSync())).toEqual([1, 2, 3, 4]);
    expect(refusal(() => ({ y: weights.assign(tf.zeros([4])) as never }))).toMatch(/assigns|expected a tensor/);
    expect(Array.from(weights.dataSync())).toEqual([1, 2, 3, 4]);
    trace(({ x }) => ({ y: tf.add(x!, weights) }), { inputs: { x: { type: "float32", shape: ["N", 4] } } });
    optimizer.dispose();
    expect(tf.memory().numTensors).toBe(before);
    weights.dispose();
  });

  test("an einsum of other axes than its equation has", () => {
    const message = /kernel Einsum cannot be traced: .*expected 3 axes of input 0, got \[6,4\]/;
    expect(refusal(({ x }) => ({ y: tf.einsum("abc,ab->c", x!, x!) }))).toMatch(message);
  });
});
