import { backend_util } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";
import { type AB, lowering } from "../lowering.ts";
import type { Operand } from "../value.ts";

interface MatMulAttributes {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** x with its last two axes swapped. */
function swapped(g: Graph, x: Operand): string {
  const order = x.shape.map((_, i) => i);
  return g.node("Transpose", [x.name], { perm: [...order.slice(0, -2), x.rank - 1, x.rank - 2] });
}

/** tfjs `BatchMatMul(a, b; transposeA, transposeB)` -> `Gemm` for transposed matrices, else `MatMul`. */
export const BatchMatMul = lowering<AB, MatMulAttributes>({
  infer: ({ a, b }, { transposeA, transposeB }) => {
    const rows = a.shape.at(transposeA ? -1 : -2) as number;
    const columns = b.shape.at(transposeB ? -2 : -1) as number;
    const outer = backend_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
    return { shape: [...outer, rows, columns], dtype: a.dtype };
  },
  emit: (g, { a, b }, { transposeA, transposeB }) => {
    if (a.rank === 2 && b.rank === 2 && (transposeA || transposeB)) {
      return g.node("Gemm", [a.name, b.name], { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0 });
    }
    return g.node("MatMul", [transposeA ? swapped(g, a) : a.name, transposeB ? swapped(g, b) : b.name]);
  },
});
