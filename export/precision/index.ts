import type { Precision } from "../../runtime/bundle.ts";
import type { Model } from "../proto.ts";
import { float16Model } from "./float16.ts";
import { type Int8Options, int8Model } from "./int8.ts";

export { withTolerance } from "./same.ts";

export type LowPrecision = Exclude<Precision, "fp32">;

/** The share of labels that a graph of lower precision must have in common with model.onnx. */
export const LEAST_AGREEMENT: Readonly<Record<LowPrecision, number>> = { fp16: 0.999, int8: 0.99 };

/** A model in lower precision, with the same inputs and outputs. */
export function lowerPrecision(model: Model, precision: LowPrecision, options: Int8Options): Model {
  return precision === "fp16" ? float16Model(model) : int8Model(model, options);
}
