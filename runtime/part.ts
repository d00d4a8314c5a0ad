import type { Bundle } from "./bundle.ts";
import type { GraphSummary } from "./graph-check.ts";

/** A graph that makes some of a clusterer's outputs. */
export interface Part {
  /** The outputs, joined: two parts of one graph are the same if their names are. */
  readonly name: string;
  readonly outputs: readonly string[];
  readonly model: Uint8Array;
}

type Step = GraphSummary["steps"][number];

/**
 * The part of a checked graph that the outputs asked for need, since ONNX Runtime runs every node of a session whatever
 * is fetched. An output that is a value needed anyway, by its own name or by an Identity, comes along. Where that is all
 * nodes, the part is the graph's own bytes.
 */
export async function partOf(
  { model, graph: { steps, outputs: all } }: Pick<Bundle, "model" | "graph">,
  asked: readonly string[],
): Promise<Part> {
  const values = new Set(asked);
  const kept = new Set<Step>();
  const keep = (step: Step) => {
    kept.add(step);
    for (const name of [...step.inputs, ...step.outputs]) values.add(name);
  };
  for (const step of [...steps].reverse()) if (step.outputs.some((name) => values.has(name))) keep(step);
  for (const step of steps) if (step.operator === "Identity" && values.has(step.inputs[0]!)) keep(step);
  const outputs = all.map(({ name }) => name).filter((name) => values.has(name));
  const part = { name: outputs.join(), outputs, model };
  if (kept.size === steps.length) return part;
  const { prune } = await import("./prune.ts"); // label, confidence and novelty need all of most graphs
  return { ...part, model: prune(model, values) };
}
