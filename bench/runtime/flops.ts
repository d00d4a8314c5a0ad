/** Operations of a graph's convolutions and matrix products for one sample: a multiplication and an addition are two. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, ValueInfoProtoSchema } from "onnx-buf";
import * as ort from "onnxruntime-node";

/** Of each number of the result: how many numbers are multiplied and added, by the node's operands' shapes. */
const TERMS: Readonly<Record<string, (a: readonly number[], b: readonly number[], transA: boolean) => number>> = {
  Conv: (_, [, ...filter]) => filter.reduce((x, y) => x * y, 1),
  MatMul: (a) => a.at(-1) as number,
  Gemm: (a, _, transA) => a[transA ? 0 : 1] as number,
};

/** @param feeds - one sample, with which the graph is run for its shapes. */
export async function flopsOf(model: Uint8Array, feeds: Readonly<Record<string, ort.Tensor>>): Promise<number> {
  const shown = fromBinary(ModelProtoSchema, model);
  const { graph } = shown;
  if (graph === undefined) throw new Error("the model has no graph");
  const nodes = graph.node.filter(({ opType }) => opType in TERMS);
  const shapes = new Map(graph.initializer.map(({ name, dims }) => [name, dims.map(Number)]));
  for (const [name, { dims }] of Object.entries(feeds)) shapes.set(name, [...dims]);
  const wanted = new Set(nodes.flatMap(({ input, output }) => [...input.slice(0, 2), ...output]));
  const names = [...wanted].filter((name) => !shapes.has(name));
  graph.output = names.map((name) => create(ValueInfoProtoSchema, { name }));
  const options = { logSeverityLevel: 4, graphOptimizationLevel: "disabled" } as const;
  const session = await ort.InferenceSession.create(toBinary(ModelProtoSchema, shown), options);
  for (const [name, { dims }] of Object.entries(await session.run(feeds))) shapes.set(name, [...dims]);
  await session.release();
  const of = (name: string | undefined) => shapes.get(name as string) as readonly number[];
  return nodes.reduce((sum, { opType, input: [a, b], output: [y], attribute }) => {
    const transA = attribute.some(({ name, i }) => name === "transA" && i === 1n);
    const count = of(y).reduce((x, y) => x * y, 1);
    return sum + 2 * count * (TERMS[opType] as (typeof TERMS)[string])(of(a), of(b), transA);
  }, 0);
}
