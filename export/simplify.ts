import { Graph } from "./graph.ts";

/** The graph without the nodes no output needs (a gradient tape records more than is asked for). */
export function liveNodes(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map(({ value }) => value));
  const live = graph.nodes.filter(() => true);
  for (let i = live.length - 1; i >= 0; i--) {
    const node = live[i] as (typeof live)[number];
    if (!node.outputs.some((output) => needed.has(output))) live.splice(i, 1);
    else for (const input of node.inputs) needed.add(input);
  }
  const pruned = new Graph();
  pruned.inputs.push(...graph.inputs);
  pruned.outputs.push(...graph.outputs);
  pruned.nodes.push(...live);
  for (const [name, constant] of graph.initializers) if (needed.has(name)) pruned.initializers.set(name, constant);
  return pruned;
}
