import { backend_util, util } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";
import { type AB, applied, contraction, lowering, type X } from "../lowering.ts";
import { Operand, reshaped, type TensorType } from "../value.ts";
import { type FusedAttributes, type FusedInputs, fused } from "./activation.ts";
import { compute, counted, expectDtype, number } from "./operands.ts";

interface MatMulAttributes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** x with its last two axes swapped. */
function swapped(g: Graph, x: Operand): string {
  const order = x.shape.map((_, i) => i);
  return g.node("Transpose", [x.name], { perm: [...order.slice(0, -2), x.rank - 1, x.rank - 2] });
}

/** x without leading axes of size 1: ONNX Runtime packs constant matrices, and multiplies transposed ones as they are. */
function matrix(g: Graph, x: Operand): Operand {
  if (x.rank === 2 || x.shape.slice(0, -2).some((size) => size !== 1)) return x;
  const shape = x.shape.slice(-2);
  return new Operand(g, { shape, dtype: x.dtype }, { name: reshaped(g, x.name, x.shape, shape), shape });
}

/** tfjs `BatchMatMul(a, b; transposeA, transposeB)` -> `Gemm` for transposed matrices of floats, else `MatMul`. */
export const BatchMatMul = contraction<AB, MatMulAttributes>({
  infer: ({ a, b }, { transposeA, transposeB }) => {
    expectDtype(a, "float32", "int32");
    expectDtype(b, a.dtype);
    const sizes = (x: Operand, transposed: boolean) =>
      (transposed ? x.shape.slice(-2).reverse() : x.shape.slice(-2)) as [number, number];
    const [rows, inner] = sizes(a, transposeA);
    const [height, columns] = sizes(b, transposeB);
    if (a.rank < 2 || b.rank < 2 || inner !== height) {
      const form = (x: Operand, transposed: boolean) => `[${x.shape}]${transposed ? " transposed" : ""}`;
      throw new Error(`${form(a, transposeA)} times ${form(b, transposeB)}: expected matrices with one inner size`);
    }
    const outer = backend_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
    return { shape: [...outer, rows, columns], dtype: a.dtype };
  },
  emit: (g, { a, b }, { transposeA, transposeB }) => {
    if (a.rank === 2 && b.rank === 2 && a.dtype === "float32" && (transposeA || transposeB)) {
      return g.node("Gemm", [a.name, b.name], { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0 });
    }
    return g.node("MatMul", [transposeA ? swapped(g, a) : a.name, transposeB ? swapped(g, b) : b.name]);
  },
});

/** Activations of integers that are integers. */
const WHOLE = ["linear", "relu", "relu6"];

/**
 * tfjs `_FusedMatMul(a, b, bias, preluActivationWeights; transposeA, transposeB, activation, leakyreluAlpha)`. tf.fused.matMul,
 * which a Dense layer calls, has made batches of one of its matrices.
 */
export const _FusedMatMul = lowering<AB & FusedInputs, MatMulAttributes & FusedAttributes>({
  infer: (inputs, attributes) => {
    if (!WHOLE.includes(attributes.activation ?? "linear")) expectDtype(inputs.a, "float32");
    return BatchMatMul.infer(inputs, attributes);
  },
  emit: (g, inputs, attributes) => {
    const entries = Object.entries(inputs).map(([name, x]) => [name, matrix(g, x)] as const);
    const matrices = Object.fromEntries(entries) as unknown as typeof inputs;
    const { a, b, ...after } = matrices.a.rank === 2 && matrices.b.rank === 2 ? matrices : inputs;
    const product = applied(g, BatchMatMul, { a, b }, attributes);
    const result = new Operand(g, product, fused(g, product, after, attributes));
    return reshaped(g, result.name, result.shape, (BatchMatMul.infer(inputs, attributes) as TensorType).shape);
  },
});

/** tfjs `Einsum(x0, x1; equation)` -> `Einsum`, of the equations that tfjs takes: one or two terms, no ellipsis, no diagonals. */
export const Einsum = contraction<readonly [Operand, ...Operand[]], { equation: string }>({
  infer: (xs, { equation }) => {
    const { allDims, idDims } = backend_util.decodeEinsumEquation(equation, xs.length);
    for (const [i, x] of xs.entries()) {
      expectDtype(x, xs[0].dtype === "int32" ? "int32" : "float32");
      if (x.rank !== idDims[i]?.length)
        throw new Error(`${equation}: expected ${idDims[i]?.length} axes of input ${i}, got [${x.shape}]`);
    }
    backend_util.checkEinsumDimSizes(allDims.length, idDims, xs as never);
    const sizes = new Map(idDims.flatMap((axes, i) => axes.map((axis, k) => [axis, xs[i]?.shape[k] as number])));
    const output = equation.replace(/\s/g, "").split("->")[1] as string;
    return { shape: Array.from(output, (_, axis) => sizes.get(axis) as number), dtype: xs[0].dtype };
  },
  emit: (g, xs, { equation }) =>
    g.node(
      "Einsum",
      xs.map(({ name }) => name),
      { equation: equation.replace(/\s/g, "") },
    ),
});

/** tfjs `Diag(x)`, x's values along the diagonal of a matrix -> `Where(row == column, x, 0)`. */
export const Diag = lowering<X>({
  infer: ({ x }) => ({ shape: [...x.shape, ...x.shape], dtype: x.dtype }),
  emit: (g, { x }) => {
    const size = util.sizeFromShape([...x.shape]);
    const shaped = (name: string, from: readonly number[], shape: readonly number[], dtype = x.dtype) =>
      new Operand(g, { shape, dtype }, { name: reshaped(g, name, from, shape), shape });
    const columns = shaped(counted(g, size), [size], [size], "int32");
    const rows = shaped(columns.name, [size], [size, 1], "int32");
    const onDiagonal = compute(g, "Equal", [rows, columns], "bool");
    const values = shaped(x.name, x.shape, [size]);
    const placed =
      x.dtype === "bool"
        ? compute(g, "And", [onDiagonal, values])
        : compute(g, "Where", [onDiagonal, values, number(g, 0, x.dtype)], x.dtype);
    return reshaped(g, placed.name, [size, size], [...x.shape, ...x.shape]);
  },
});
