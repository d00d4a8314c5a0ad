import type { Bundle } from "./bundle.ts";
import type { GraphSummary } from "./graph-check.ts";

/** A graph that makes some of a clusterer's outputs. */
export interface Part {
  /** The outputs, joined: two parts of one graph are the same if their names are. */
  readonly name: string;
  readonly outputs: readonly string[];
  readonly model: Uint8Array;
}

/**
 * The part of a checked graph that the outputs asked for need, since ONNX Runtime runs every node of a session whatever
 * is fetched. An output that is a value needed anyway, by its own name or by an Identity, comes along. Where that is all
 * nodes, the part is the graph's own bytes.
 */
export async function partOf(
  { model, graph }: Pick<Bundle, "model" | "graph">,
  asked: readonly string[],
): Promise<Part> {
  const { values, whole } = needs(graph, asked);
  const outputs = graph.outputs.map(({ name }) => name).filter((name) => values.has(name));
  const part = { name: outputs.join(), outputs };
  if (whole) return { ...part, model };
  const { prune } = await import("./prune.ts"); // label, confidence and novelty need all of most graphs
  return { ...part, model: prune(model, values) };
}

/** All values that some need, themselves among them, and whether that takes every node. */
function needs({ steps }: GraphSummary, asked: readonly string[]) {
  const values = new Set(asked);
  const kept = new Set<unknown>();
  const keep = (step: GraphSummary["steps"][number]) => {
    kept.add(step);
    for (const name of [...step.inputs, ...step.outputs]) values.add(name);
  };
  for (const step of [...steps].reverse()) if (step.outputs.some((name) => values.has(name))) keep(step);
  for (const step of steps) if (step.operator === "Identity" && values.has(step.inputs[0]!)) keep(step);
  return { values, whole: kept.size === steps.length };
}
