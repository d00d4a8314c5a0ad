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
  const done = new Set<GraphModelNode>();
  const trail: GraphModelNode[] = [];
  const visit = (node: GraphModelNode): void => {
    const ring = trail.slice(trail.indexOf(node));
    // The loops of TensorFlow 1 are rings by design; they are refused as what they are.
    if (trail.includes(node) && !ring.some(({ category }) => category === "control")) {
      const names = [...ring, node].map(({ name }) => name);
      throw new SubspanError("MODEL_INVALID", `its nodes form a ring: ${names.join(" <- ")}`);
    }
    if (done.has(node)) return;
    done.add(node);
    trail.push(node);
    if (!ends.has(node.name)) node.inputs.forEach(visit);
    trail.pop();
  };
  for (const name of outputs) {
    const node = nodeOf(executor, name);
    if (node === undefined) throw new SubspanError("MODEL_INVALID", `output ${name} is not in the graph`);
    visit(node);
  }
  return [...done];
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
