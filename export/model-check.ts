import { SubspanError } from "../runtime/errors.ts";
import { functionsOf, type GraphExecutor, type GraphModelNode, isStatic, nodeOf } from "./static-flow.ts";

/** Kinds of operators (tfjs-converter's categories) that a fixed graph cannot hold. */
const DYNAMIC: Readonly<Record<string, string>> = {
  control: "dynamic control flow",
  dynamic: "outputs whose size depends on the data",
  hash_table: "hash tables",
  string: "text",
};

/**
 * Refuses what `outputs` of a Graph model need and no graph of fixed shapes can hold, before anything is traced, and all of it
 * in one error: dynamic control flow and sizes, custom ops that are not registered, rings, constants without weights.
 *
 * @throws {SubspanError} TRACE_REFUSED or MODEL_INVALID, naming operators and nodes.
 */
export function checkGraph(executor: GraphExecutor, inputs: readonly string[], outputs: readonly string[]): void {
  const needed = neededNodes(executor, inputs, outputs);
  const refused = new Map<string, GraphModelNode[]>();
  for (const node of [...needed, ...calledNodes(executor, needed)]) {
    const why = node.category === undefined ? "operators that are not registered" : DYNAMIC[node.category];
    if (why !== undefined && !isStatic(node.op)) refused.set(why, [...(refused.get(why) ?? []), node]);
  }
  if (refused.size > 0) {
    const reasons = [...refused].map(([why, nodes]) => `${why}: ${operators(nodes)}`);
    throw new SubspanError("TRACE_REFUSED", `a graph cannot hold ${reasons.join("; nor ")}`);
  }
  const bare = needed.filter(({ op, name }) => op === "Const" && executor.weightMap[name] === undefined);
  if (bare.length > 0) {
    const names = bare.slice(0, 8).map(({ name }) => name);
    throw new SubspanError("MODEL_INVALID", `constants without weights: ${names.join(", ")}`);
  }
}

/** "Switch (cond/Switch and 3 more), Merge (cond/Merge)". */
function operators(nodes: readonly GraphModelNode[]): string {
  const ops = [...new Set(nodes.map(({ op }) => op))];
  const described = ops.map((op) => {
    const [node, ...more] = nodes.filter((node) => node.op === op);
    return `${op} (${node?.name}${more.length > 0 ? ` and ${more.length} more` : ""})`;
  });
  return described.join(", ");
}

/** The nodes that the outputs take, as far as the inputs and weights. @throws {SubspanError} MODEL_INVALID naming a ring. */
function neededNodes(executor: GraphExecutor, inputs: readonly string[], outputs: readonly string[]): GraphModelNode[] {
  const ends = new Set([...inputs, ...Object.keys(executor.weightMap)]);
  const inputsOf = (node: GraphModelNode) => (ends.has(node.name) ? [] : node.inputs);
  const done = new Set<GraphModelNode>();
  // From an output to the node that is looked at, each with the inputs it has left: a chain can be longer than JavaScript's stack.
  const trail: { readonly node: GraphModelNode; readonly left: GraphModelNode[] }[] = [];
  const onTrail = new Set<GraphModelNode>();
  const enter = (node: GraphModelNode): void => {
    if (onTrail.has(node)) refuseRing([...onTrail], node);
    if (done.has(node)) return;
    done.add(node);
    onTrail.add(node);
    trail.push({ node, left: [...inputsOf(node)].reverse() });
  };
  for (const name of outputs) {
    const output = nodeOf(executor, name);
    if (output === undefined) throw new SubspanError("MODEL_INVALID", `output ${name} is not in the graph`);
    enter(output);
    for (let top = trail.at(-1); top !== undefined; top = trail.at(-1)) {
      const next = top.left.pop();
      if (next !== undefined) enter(next);
      else onTrail.delete(trail.pop()?.node as GraphModelNode);
    }
  }
  return [...done];
}

/** @param trail - from an output to a node that takes `node`, which is on it. The loops of TensorFlow 1 are rings by design. */
function refuseRing(trail: readonly GraphModelNode[], node: GraphModelNode): void {
  const ring = trail.slice(trail.indexOf(node));
  if (ring.some(({ category }) => category === "control")) return; // refused as what they are
  const names = [...ring, node].map(({ name }) => name);
  throw new SubspanError("MODEL_INVALID", `its nodes form a ring: ${names.join(" <- ")}`);
}

/** The nodes of the functions that `nodes` call, and of those these call. */
function calledNodes({ functionExecutorMap }: GraphExecutor, nodes: readonly GraphModelNode[]): GraphModelNode[] {
  const names = new Set(nodes.flatMap(functionsOf));
  // A set can grow while it is walked.
  for (const name of names) {
    for (const node of Object.values(functionExecutorMap[name]?.graph.nodes ?? {})) {
      for (const called of functionsOf(node)) names.add(called);
    }
  }
  return [...names].flatMap((name) => Object.values(functionExecutorMap[name]?.graph.nodes ?? {}));
}
