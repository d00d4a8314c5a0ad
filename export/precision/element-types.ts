import { ELEMENT_TYPE, type ElementType } from "../../runtime/onnx-schema.ts";
import type { GraphNode } from "../graph.ts";
import type { Model } from "../proto.ts";

const BY_CODE = new Map(Object.entries(ELEMENT_TYPE).map(([type, code]) => [code as number, type as ElementType]));
const TO_BOOL = new Set("And Equal Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Not Or Xor".split(" "));
const TO_INT64 = new Set("ArgMax ArgMin NonMaxSuppression NonZero Shape Size".split(" "));
/** The input whose type an operator's result has, where that is not the first. */
const LIKE: Readonly<Record<string, number>> = { CastLike: 1, OneHot: 2, Where: 1 };

/** The element type of every value of a model. */
export function elementTypes({ inputs, initializers, nodes }: Model): ReadonlyMap<string, ElementType> {
  const types = new Map([...inputs, ...initializers].map(({ name, type }) => [name, type]));
  for (const node of nodes) {
    for (const [i, output] of node.outputs.entries()) types.set(output, resultType(node, i, types));
  }
  return types;
}

function resultType({ op, inputs, attributes }: GraphNode, output: number, types: ReadonlyMap<string, ElementType>) {
  if (op === "Cast") return BY_CODE.get(attributes.to as number) as ElementType;
  if (TO_BOOL.has(op)) return "bool";
  if (TO_INT64.has(op) || (op === "TopK" && output === 1)) return "int64";
  return types.get(inputs[LIKE[op] ?? 0] as string) ?? "float32";
}
