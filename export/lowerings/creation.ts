import type { DataType } from "@tensorflow/tfjs-core";
import { lowering, type X } from "../lowering.ts";
import { uniform } from "../uniform.ts";

/** tfjs `Fill(shape, value, dtype)`. */
export const Fill = lowering<object, { shape: number[]; value: number; dtype?: DataType }>({
  infer: (_, { shape, dtype }) => ({ shape, dtype: dtype ?? "float32" }),
  emit: (g, _, { value, dtype }) => uniform(g, dtype ?? "float32", value),
});

const like = (value: number) =>
  lowering<X>({
    infer: ({ x }) => ({ shape: x.shape, dtype: x.dtype }),
    emit: (g, { x }) => uniform(g, x.dtype, value),
  });

export const ZerosLike = like(0);
export const OnesLike = like(1);

/** tfjs `Range(start, stop, step)`: its length is fixed at the trace, or follows the batch where `stop` does. */
export const Range = lowering<object, { start: number; stop: number; step: number; dtype: DataType }>({
  infer: (_, { start, stop, step, dtype }) => ({
    shape: [Math.max(0, Math.ceil((stop - start) / step))],
    dtype: dtype ?? "float32",
  }),
  emit: (g, _, { start, stop, step, dtype }) => {
    const scalar = (value: number) => uniform(g, dtype ?? "float32", value).name;
    return g.node("Range", [scalar(start), scalar(stop), scalar(step)]);
  },
});
