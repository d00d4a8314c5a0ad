import * as tf from "@tensorflow/tfjs-core";
import "../../models/gradients.ts";
import { expect, test } from "vitest";
import { type Signature, type TraceFunction, trace } from "../../export/index.ts";
import { draws, maxAbsDifference, runEager, runModel } from "./run-model.ts";

type Call = (x: tf.Tensor2D, n: number) => tf.Tensor;

const images = (x: tf.Tensor) => tf.reshape(x, [x.shape[0] as number, 2, 3, 4]) as tf.Tensor4D;
/** For each sample whole numbers from 0 to 3. */
const places = (x: tf.Tensor) => tf.cast(tf.floor(tf.mul(tf.add(x, 1), 2)), "int32");
const first = (x: tf.Tensor, count: number) => tf.slice(x, [0, 0], [-1, count]);

/** Calls on x, [n, 24], of movement, indexing and scattering: those in which the batch could be taken for a constant. */
const CALLS: Record<string, Call> = {
  "batched gather": (x) => tf.gather(x, places(first(x, 3)), 1, 1),
  "gather along the batch, backwards": (x, n) =>
    tf.gather(x, tf.sub(tf.scalar(n - 1, "int32"), tf.range(0, n, 1, "int32")) as tf.Tensor1D),
  gatherND: (x) => tf.gatherND(tf.transpose(x), tf.reshape(places(first(x, 2)), [-1, 1])),
  oneHot: (x) => tf.oneHot(places(first(x, 2)), 5, 2, -1, "float32"),
  topk: (x) => tf.topk(x, 3).values,
  searchSorted: (x) => tf.searchSorted(tf.cumsum(tf.abs(x), 1), first(x, 3), "right"),
  "segments of the batch": (x) =>
    tf.unsortedSegmentSum(x, tf.reshape(places(first(x, 1)), [x.shape[0]]) as tf.Tensor1D, 5),
  "gradient of a gather": (x) =>
    tf.grad((v: tf.Tensor) => tf.square(tf.gather(v, tf.tensor1d([3, 0, 3], "int32"), 1)))(x),
  scatterND: (x, n) => tf.scatterND(tf.reshape(tf.range(0, n, 1, "int32"), [n, 1]), x, [n + 2, 24]),
  "scatterND by two axes": (x, n) =>
    tf.scatterND(
      tf.stack([tf.range(0, n, 1, "int32"), tf.reshape(places(first(x, 1)), [n])], 1),
      tf.reshape(first(x, 1), [n]),
      [n, 4],
    ),
  tensorScatterUpdate: (x, n) =>
    tf.tensorScatterUpdate(x, tf.reshape(tf.range(0, n, 1, "int32"), [n, 1]), tf.mul(x, 2)),
  sparseToDense: (x, n) => tf.sparseToDense(tf.range(0, n, 1, "int32"), tf.reshape(first(x, 1), [n]), [n + 1], 7),
  mirrorPad: (x) =>
    tf.mirrorPad(
      images(x),
      [
        [0, 0],
        [1, 1],
        [2, 0],
        [0, 3],
      ],
      "symmetric",
    ),
  "the last three of the batch, which may have fewer": (x) =>
    tf.mean(tf.stridedSlice(x, [-3, 0], [0, 24], [1, 1], 0, 1), 0),
  "all but the last three of the batch": (x) => tf.sum(tf.stridedSlice(x, [0, 0], [-3, 24], [1, 1]), 0),
  "the last three of the batch, backwards": (x) => tf.stridedSlice(x, [-1, 0], [-4, 24], [-1, 1]),
  "the first five of the batch": (x) => tf.sum(tf.stridedSlice(x, [0, 0], [5, 24], [1, 1]), 0),
  "mirrorPad of the batch": (x) =>
    tf.mirrorPad(
      x,
      [
        [1, 1],
        [0, 0],
      ],
      "symmetric",
    ),
  "strided slice of the batch, backwards": (x) => tf.stridedSlice(x, [0, 1], [0, 20], [-1, 3], 1, 1),
  "strided slice with new axes": (x) => tf.stridedSlice(images(x), [0, 0, 1], [0, 0, 3], [1, 1, 1], 1, 1, 0, 2, 0),
  spaceToBatchND: (x) =>
    tf.spaceToBatchND(
      images(x),
      [2, 3],
      [
        [0, 0],
        [1, 2],
      ],
    ),
  "there and back": (x) =>
    tf.batchToSpaceND(
      tf.relu(
        tf.spaceToBatchND(
          images(x),
          [2, 1],
          [
            [1, 1],
            [0, 0],
          ],
        ),
      ),
      [2, 1],
      [
        [1, 1],
        [0, 0],
      ],
    ),
  depthToSpace: (x) => tf.depthToSpace(images(x), 2),
  unstack: (x) => tf.stack(tf.unstack(images(x), 2), 0),
  reverse: (x) => tf.reverse(x),
  "tile of the batch": (x) => tf.tile(x, [2, 1]),
  "concatenation with nothing": (x) => tf.concat([tf.zeros([0, 24]), x, tf.ones([1, 24])]),
  split: (x) => tf.concat(tf.split(x, [4, 20], 1).reverse(), 1),
  "six dimensions": (x, n) => tf.transpose(tf.reshape(x, [n, 2, 1, 3, 2, 2]), [5, 3, 0, 2, 4, 1]),
};

test.each(Object.entries(CALLS))("%s: one graph for every batch size", async (_, call) => {
  const fn: TraceFunction = ({ x }) => ({ y: call(x as tf.Tensor2D, x?.shape[0] as number) });
  const signature: Signature = { inputs: { x: { type: "float32", shape: ["N", 24] } } };
  const model = trace(fn, signature);
  for (const n of [1, 2, 7]) {
    const feeds = { x: { data: draws(n * 24), shape: [n, 24] } };
    const { y } = await runModel(model, feeds);
    const eager = runEager(fn, feeds, {});
    expect([n, y?.shape]).toEqual([n, eager.y?.shape]);
    expect(maxAbsDifference(y?.data ?? [], eager.y?.data ?? [])).toBeLessThanOrEqual(1e-5);
  }
});
