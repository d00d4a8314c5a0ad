import * as tf from "@tensorflow/tfjs-core";
import type * as family from "../../../export/lowerings/linalg.ts";
import type { Case, Cases } from "./cases.ts";

type Shape = readonly number[];
const T = (x: tf.Tensor | undefined) => x as tf.Tensor;

const product = (name: string, a: Shape, b: Shape, transposeA = false, transposeB = false, type?: "int32"): Case => ({
  name,
  shapes: [a, b],
  ...(type && { type, low: -9, high: 9 }),
  run: (x, y) => tf.matMul(T(x), T(y), transposeA, transposeB),
});

const ACTIVATIONS = ["linear", "relu", "relu6", "elu", "sigmoid", "leakyrelu", "prelu"] as const;

/** A Dense layer of 5 samples, 4 features and 3 units, but with other things where they are given. */
const fused = (
  name: string,
  options: Omit<Parameters<typeof tf.fused.matMul>[0], "a" | "b">,
  [a, b, ...others]: readonly [Shape, Shape, ...Shape[]] = [[5, 4], [4, 3], [3]],
  type?: "int32",
): Case => ({
  name,
  shapes: [a, b, ...others],
  low: -3,
  high: 3,
  ...(type && { type }),
  run: (x, y, bias, weights) =>
    tf.fused.matMul({
      a: T(x),
      b: T(y),
      ...(bias && { bias }),
      ...(weights && { preluActivationWeights: weights }),
      ...options,
    }),
});

const einsum = (equation: string, ...shapes: Shape[]): Case => ({
  name: equation,
  shapes,
  run: (...xs) => tf.einsum(equation, ...xs),
});
const diagonal = (name: string, shape: Shape, run: (x: tf.Tensor) => tf.Tensor = (x) => x): Case => ({
  name,
  shapes: [shape],
  run: (x) => tf.diag(run(T(x))),
});

export const linalg = {
  BatchMatMul: [
    product("batches over nothing", [2, 3, 0], [2, 0, 4]),
    product("batches over nothing, transposed", [2, 5, 2, 3, 0], [2, 5, 2, 3, 0], false, true),
    product("matrices", [3, 4], [4, 2]),
    product("first transposed", [4, 3], [4, 2], true),
    product("second transposed", [3, 4], [2, 4], false, true),
    product("both transposed", [4, 3], [2, 4], true, true),
    product("batches", [2, 3, 4], [2, 4, 5]),
    product("batches, transposed", [2, 4, 3], [1, 5, 4], true, true),
    product("two axes of batches", [2, 3, 4, 5], [2, 3, 5, 2]),
    product("a matrix for all batches", [3, 2, 4], [4, 5]),
    {
      // tfjs repeats the smaller batch along the wrong axis.
      name: "batches that broadcast in one of two axes",
      shapes: [
        [2, 3, 4, 5],
        [2, 1, 5, 2],
      ],
      run: (a, b) => tf.matMul(T(a), tf.getBackend() === "cpu" ? tf.tile(T(b), [1, 3, 1, 1]) : T(b)),
    },
    product("int32", [3, 4], [4, 2], false, false, "int32"),
    product("int32, transposed", [4, 3], [2, 4], true, true, "int32"),
    product("sums of no numbers", [3, 0], [0, 2]),
    product("sums of no numbers, transposed", [0, 3], [2, 0], true, true),
    product("no rows", [0, 4], [4, 2]),
    {
      name: "int32 and bool",
      shapes: [
        [3, 4],
        [4, 2],
      ],
      type: "int32",
      low: -3,
      high: 3,
      run: (a, b) => tf.matMul(T(a), tf.greater(T(b), 0)),
    },
    {
      name: "of a transposed tensor",
      shapes: [
        [4, 3],
        [4, 2],
      ],
      run: (a, b) => tf.matMul(tf.transpose(T(a)), T(b)),
    },
    {
      name: "products with vectors",
      shapes: [[3, 4], [4]],
      run: (a, b) => [tf.dot(T(a), T(b)), tf.outerProduct(T(b) as tf.Tensor1D, T(b) as tf.Tensor1D)],
    },
    {
      name: "gradients",
      shapes: [
        [2, 3, 4],
        [2, 5, 4],
        [2, 3, 5],
      ],
      run: (a, b, dy) => tf.grads((x, y) => tf.matMul(x, y, false, true))([T(a), T(b)], T(dy)),
    },
  ],
  Diag: [
    diagonal("of a vector", [4]),
    diagonal("of a matrix", [2, 3]),
    diagonal("of a transposed matrix", [2, 3], (x) => tf.transpose(x)),
    diagonal("with NaN and infinities", [9], (x) => tf.div(tf.log(x), tf.round(x))),
    diagonal("int32", [4], (x) => tf.cast(tf.mul(x, 9), "int32")),
    diagonal("bool", [4], (x) => tf.greater(x, 0)),
  ],
  Einsum: [
    einsum("ab,cb->ac", [5, 0], [3, 0]),
    einsum("ab->a", [3, 0]),
    einsum("ab,bc->ac", [0, 4], [4, 2]),
    einsum("ij->ji", [3, 4]),
    einsum("ij->", [3, 4]),
    einsum("ijk->j", [2, 3, 4]),
    einsum("i,i->", [4], [4]),
    einsum("i,j->ij", [4], [3]),
    einsum("ij,jk->ik", [3, 4], [4, 2]),
    einsum("ij,kj->ik", [3, 4], [2, 4]),
    einsum(" bij , bjk -> bik ", [2, 3, 4], [2, 4, 5]),
    einsum("abcd,cde->abe", [2, 3, 4, 5], [4, 5, 6]),
    einsum("BTNH,BFNH->BNFT", [2, 3, 2, 4], [2, 5, 2, 4]),
    einsum("ij,ij->ij", [3, 4], [3, 4]),
    {
      // tfjs loses k here.
      ...einsum("ij,k->ik", [3, 4], [2]),
      run: (a, b) =>
        tf.getBackend() === "cpu" ? tf.mul(tf.sum(T(a), 1, true), T(b)) : tf.einsum("ij,k->ik", T(a), T(b)),
    },
    { ...einsum("ij,jk->ki", [3, 4], [4, 2]), name: "int32", type: "int32", low: -9, high: 9 },
    {
      name: "of a transposed tensor",
      shapes: [
        [4, 3],
        [4, 2],
      ],
      run: (a, b) => tf.einsum("ij,jk->ik", tf.transpose(T(a)), T(b)),
    },
  ],
  _FusedMatMul: [
    ...ACTIVATIONS.slice(0, -1).map((activation) =>
      fused(`${activation}, with bias`, { activation, leakyreluAlpha: 0.3 }),
    ),
    fused("no bias, no activation", {}, [
      [5, 4],
      [4, 3],
    ]),
    fused("prelu", { activation: "prelu" }, [[5, 4], [4, 3], [3], [3]]),
    fused("prelu, a slope an element", { activation: "prelu" }, [
      [5, 4],
      [4, 3],
      [5, 3],
      [5, 3],
    ]),
    fused("both transposed", { transposeA: true, transposeB: true, activation: "relu" }, [[4, 5], [3, 4], [3]]),
    fused("a bias an element", { activation: "sigmoid" }, [
      [5, 4],
      [4, 3],
      [5, 3],
    ]),
    fused("a bias for all", { activation: "elu" }, [[5, 4], [4, 3], []]),
    fused("batches", { activation: "relu" }, [[2, 5, 4], [2, 4, 3], [3]]),
    fused("batches, transposed", { transposeB: true, activation: "relu6" }, [
      [2, 5, 4],
      [2, 3, 4],
      [2, 5, 3],
    ]),
    fused("int32", { activation: "relu" }, [[5, 4], [4, 3], [3]], "int32"),
    {
      name: "gradients",
      shapes: [[5, 4], [4, 3], [3], [5, 3]],
      run: (a, b, bias, dy) =>
        tf.grads((x, y, z) => tf.fused.matMul({ a: x, b: y, bias: z, activation: "linear" }))(
          [T(a), T(b), T(bias)],
          T(dy),
        ),
    },
    {
      name: "gradients through relu",
      shapes: [[4, 5], [4, 3], [3], [5, 3]],
      run: (a, b, bias, dy) =>
        tf.grads((x, y, z) => tf.fused.matMul({ a: x, b: y, bias: z, transposeA: true, activation: "relu" }))(
          [T(a), T(b), T(bias)],
          T(dy),
        ),
    },
  ],
} satisfies Cases<typeof family>;
