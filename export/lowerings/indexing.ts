import { type DataType, util } from "@tensorflow/tfjs-core";
import { ELEMENT_TYPE } from "../../runtime/onnx-schema.ts";
import { lowering, type X } from "../lowering.ts";
import { uniform } from "../uniform.ts";
import type { Operand } from "../value.ts";

/** tfjs `GatherV2(x, indices; axis)` without batch dimensions -> `Gather`. */
export const GatherV2 = lowering<{ x: Operand; indices: Operand }, { axis: number; batchDims: number }>({
  infer: ({ x, indices }, { axis, batchDims }) => {
    if (batchDims) throw new Error("GatherV2 with batchDims");
    const [at] = util.parseAxisParam(axis, [...x.shape]) as [number];
    return { shape: [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)], dtype: x.dtype };
  },
  emit: (g, { x, indices }, { axis }) => {
    const [at] = util.parseAxisParam(axis, [...x.shape]) as [number];
    return g.node("Gather", [x.name, indices.name], { axis: at });
  },
});

/** tfjs `TopK(x; k, sorted)` over the last axis -> `TopK`, its int64 indices cast to int32. */
export const TopK = lowering<X, { k: number; sorted: boolean }>({
  infer: ({ x }, { k }) => {
    const shape = [...x.shape.slice(0, -1), k];
    return [
      { shape, dtype: x.dtype },
      { shape, dtype: "int32" },
    ];
  },
  emit: (g, { x }, { k, sorted }) => {
    const [values, indices] = g.split("TopK", [x.name, g.int64([k])], 2, { axis: -1, sorted: sorted ? 1 : 0 }) as [
      string,
      string,
    ];
    return [values, g.node("Cast", [indices], { to: ELEMENT_TYPE.int32 })];
  },
});

/** tfjs `OneHot(indices; depth, onValue, offValue)` -> `Where(indices == range, on, off)`: out-of-range rows are all off. */
export const OneHot = lowering<
  { indices: Operand },
  { dtype: DataType; depth: number; onValue: number; offValue: number }
>({
  infer: ({ indices }, { dtype, depth }) => ({ shape: [...indices.shape, depth], dtype: dtype ?? "int32" }),
  emit: (g, { indices }, { dtype, depth, onValue, offValue }) => {
    const column = g.node("Unsqueeze", [indices.name, g.int64([-1])]);
    const range = g.constant("int32", [depth], new Uint8Array(Int32Array.from({ length: depth }, (_, i) => i).buffer));
    const scalar = (value: number) => uniform(g, dtype ?? "int32", value).name;
    return g.node("Where", [g.node("Equal", [column, range]), scalar(onValue), scalar(offValue)]);
  },
});
