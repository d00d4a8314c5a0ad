import { ELEMENT_TYPE, type ElementType } from "../runtime/onnx-schema.ts";
import { folded, valuesOf } from "./constants.ts";
import { Graph, type GraphNode } from "./graph.ts";
import { NCHWC } from "./value.ts";

/** The graph in fewer nodes: what traces leave behind, and what one rewriting leaves to the next. Its numbers stay as they are. */
export function simplified(graph: Graph): Graph {
  return PASSES.reduce((result, pass) => pass(result), graph);
}

/** In the order in which one leaves work to the next. */
const PASSES = [
  foldConstants,
  dropIdentities,
  joinCasts,
  cancelTransposes,
  joinReshapes,
  reorderMatrices,
  joinReshapes,
  foldConstants,
  absorbBiases,
  absorbActivations,
  liveNodes,
];

/** The graph without the nodes no output needs (a gradient tape records more than is asked for). */
export function liveNodes(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map(({ value }) => value));
  const live = graph.nodes.filter(() => true);
  for (let i = live.length - 1; i >= 0; i--) {
    const node = live[i] as (typeof live)[number];
    if (!node.outputs.some((output) => needed.has(output))) live.splice(i, 1);
    else for (const input of node.inputs) needed.add(input);
  }
  const pruned = new Graph(graph.convolutions);
  pruned.inputs.push(...graph.inputs);
  pruned.outputs.push(...graph.outputs);
  pruned.nodes.push(...live);
  for (const [name, constant] of graph.initializers) if (needed.has(name)) pruned.initializers.set(name, constant);
  return pruned;
}

/** The inputs of a node in the graph that is made, and what it was in the graph it comes from. */
interface Step extends GraphNode {
  readonly was: GraphNode;
}

/**
 * The graph, node by node, with what `rewrite` gives instead of a node's output; undefined leaves the node as it is. Nodes that
 * have become equal are one, as in any Graph.
 */
function rewritten(graph: Graph, rewrite: (g: Graph, node: Step) => string | undefined): Graph {
  const result = new Graph(graph.convolutions);
  result.inputs.push(...graph.inputs);
  const names = new Map([["", ""], ...graph.inputs.map(({ name }): [string, string] => [name, name])]);
  const carried = (name: string) => {
    const constant = graph.initializers.get(name);
    return constant ? result.constant(constant.type, constant.shape, constant.bytes) : (names.get(name) as string);
  };
  for (const was of graph.nodes) {
    const { op, inputs, outputs, attributes } = was;
    const node = { ...was, inputs: inputs.map(carried), was };
    const replaced = outputs.length === 1 ? rewrite(result, node) : undefined;
    const made = replaced === undefined ? result.split(op, node.inputs, outputs.length, attributes) : [replaced];
    for (const [i, name] of outputs.entries()) names.set(name, made[i] as string);
  }
  result.outputs.push(...graph.outputs.map((output) => ({ ...output, value: carried(output.value) })));
  return result;
}

/** How often each value is read, by nodes and as an output. */
function usesOf(graph: Graph): ReadonlyMap<string, number> {
  const uses = new Map<string, number>();
  const used = [...graph.nodes.flatMap(({ inputs }) => inputs), ...graph.outputs.map(({ value }) => value)];
  for (const name of used) uses.set(name, (uses.get(name) ?? 0) + 1);
  return uses;
}

/** Bytes that a folded constant may add to the file. */
const GROWTH = 1024;

/**
 * Nodes that only read constants become constants, unless the file grows by it: a larger constant must take the place of its
 * inputs. ONNX Runtime folds the rest when it loads.
 */
export function foldConstants(graph: Graph): Graph {
  const uses = usesOf(graph);
  return rewritten(graph, (g, { op, inputs, attributes, was }) => {
    const constants = inputs.map((name) => g.initializers.get(name));
    if (!constants.every((constant) => constant !== undefined)) return undefined;
    const result = folded(op, constants, attributes);
    if (result === undefined) return undefined;
    const freed = constants.reduce(
      (sum, { bytes }, i) => sum + (uses.get(was.inputs[i] as string) === 1 ? bytes.length : 0),
      0,
    );
    return result.bytes.length <= Math.max(GROWTH, freed)
      ? g.constant(result.type, result.shape, result.bytes)
      : undefined;
  });
}

/** x * 1, x / 1, x + 0 (but for a zero's sign) and x - 0 are x; so are its Identity and its Cast to the type it has. */
export function dropIdentities(graph: Graph): Graph {
  return rewritten(graph, (g, { op, inputs: [a, b], attributes }) => {
    const [x, y] = [a as string, b as string];
    const type = op === "Cast" ? typeOf(g, x) : undefined;
    if (op === "Identity" || (type && ELEMENT_TYPE[type] === attributes.to)) return x;
    const neutral = NEUTRAL.get(op);
    if (neutral === undefined) return undefined;
    if (isNumber(g, y, neutral)) return x;
    return (op === "Mul" || op === "Add") && isNumber(g, x, neutral) ? y : undefined;
  });
}

const NEUTRAL: ReadonlyMap<string, number> = new Map([
  ["Mul", 1],
  ["Div", 1],
  ["Add", 0],
  ["Sub", 0],
]);

/** Whether a value is the constant scalar `number`. */
function isNumber(g: Graph, name: string, number: number): boolean {
  const constant = g.initializers.get(name);
  return constant?.shape.length === 0 && Number(valuesOf(constant)[0]) === number;
}

/** The types whose numbers another type holds, all of them exactly. */
const HOLDS: Partial<Record<ElementType, readonly ElementType[]>> = {
  float32: ["bool", "uint8", "int8"],
  float64: ["bool", "uint8", "int8", "int32", "float32"],
  int32: ["bool", "uint8", "int8"],
  int64: ["bool", "uint8", "int8", "int32"],
};

/** A Cast of a Cast that lost nothing is one Cast: bytes that become int32 only to become float32. */
export function joinCasts(graph: Graph): Graph {
  return rewritten(graph, (g, { op, inputs, attributes: { to } }) => {
    const middle = inputs[0] as string;
    const first = g.producer(middle);
    if (op !== "Cast" || first?.op !== "Cast") return undefined;
    const source = first.inputs[0] as string;
    const [from, through] = [typeOf(g, source), typeOf(g, middle)];
    if (from === undefined || through === undefined || !HOLDS[through]?.includes(from)) return undefined;
    return ELEMENT_TYPE[from] === to ? source : g.node("Cast", [source], { to: to as number });
  });
}

const COMPARISONS = new Set(["And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or", "Xor"]);
const TYPES = new Map(Object.entries(ELEMENT_TYPE).map(([type, code]) => [code as number, type as ElementType]));

/** A value's element type, where its own node tells. */
function typeOf(g: Graph, name: string): ElementType | undefined {
  const { op, attributes } = g.producer(name) ?? {};
  if (op === undefined) return g.initializers.get(name)?.type ?? g.inputs.find((port) => port.name === name)?.type;
  if (op === "Cast") return TYPES.get(attributes?.to as number);
  return COMPARISONS.has(op) ? "bool" : undefined;
}

/** A Transpose of a Transpose is one, or none. */
export function cancelTransposes(graph: Graph): Graph {
  return rewritten(graph, (g, { op, inputs, attributes }) => {
    if (op !== "Transpose") return undefined;
    const first = g.producer(inputs[0] as string);
    const order = attributes.perm as readonly number[];
    const before = first?.op === "Transpose" ? (first.attributes.perm as readonly number[]) : order.map((_, i) => i);
    const source = first?.op === "Transpose" ? (first.inputs[0] as string) : (inputs[0] as string);
    const perm = order.map((axis) => before[axis] as number);
    return perm.every((axis, i) => axis === i) ? source : g.node("Transpose", [source], { perm });
  });
}

/** A Reshape of a Reshape is one; one to the shape that is there, none. */
export function joinReshapes(graph: Graph): Graph {
  return rewritten(graph, (g, { op, inputs, attributes }) => {
    const [x, target] = inputs as [string, string];
    const sizes = op === "Reshape" ? sizesOf(g, target) : undefined; // of other nodes it may be a matrix of millions
    // A 0 that means "as it is there" means another size behind another shape.
    if (op !== "Reshape" || (!attributes.allowzero && (sizes === undefined || sizes.includes(0)))) return undefined;
    const first = g.producer(x);
    const source = first?.op === "Reshape" ? (first.inputs[0] as string) : x;
    const shape = shapeOf(g, source);
    if (shape && sizes && String(shape) === String(sizes)) return source;
    return g.node("Reshape", [source, target], attributes);
  });
}

/**
 * The rows of a constant matrix are put in the order that numbers are flattened in without a Transpose: what a convolution gives, [n, c,
 * h, w], was to be multiplied as [n, h w c].
 */
export function reorderMatrices(graph: Graph): Graph {
  return rewritten(graph, (g, { op, inputs: [a, b] }) => {
    const flat = g.producer(a as string);
    const moved = g.producer(flat?.inputs[0] as string);
    const parts = g.producer(moved?.inputs[0] as string);
    const [rows, columns, ...rest] = g.initializers.get(b as string)?.shape ?? [];
    const isChain = flat?.op === "Reshape" && moved?.op === "Transpose" && parts?.op === "Reshape";
    if (op !== "MatMul" || !isChain || columns === undefined || rest.length > 0) return undefined;
    const [batch, ...order] = moved.attributes.perm as readonly number[];
    const sizes = sizesOf(g, parts.inputs[1] as string)?.slice(1);
    const target = sizesOf(g, flat.inputs[1] as string);
    const isFlat = batch === 0 && target?.length === 2 && target[1] === rows;
    if (!isFlat || !sizes?.every((size) => size > 0) || sizes.reduce((x, y) => x * y, 1) !== rows) return undefined;
    const apart = g.node("Reshape", [
      b as string,
      g.int64([...order.map((axis) => sizes[axis - 1] as number), columns]),
    ]);
    const perm = [...sizes.map((_, axis) => order.indexOf(axis + 1)), order.length];
    const matrix = g.node("Reshape", [g.node("Transpose", [apart], { perm }), g.int64([rows, columns])]);
    return g.node("MatMul", [
      g.node("Reshape", [moved.inputs[0] as string, flat.inputs[1] as string], flat.attributes),
      matrix,
    ]);
  });
}

/** A constant vector of sizes. */
function sizesOf(g: Graph, name: string): readonly number[] | undefined {
  const constant = g.initializers.get(name);
  return constant && Array.from(valuesOf(constant) as BigInt64Array, Number);
}

const BLOCKED_CONV = `${NCHWC}:Conv`;

/**
 * Nodes after convolutions over blocks that these can do themselves, as `change` has it. Between them there are reshapes, and
 * the concatenations that interleave a transposed convolution's phases; nothing else reads what is between.
 *
 * @param found - the value that comes from convolutions, and what changes each; undefined for a node that stays.
 */
function absorbed(
  graph: Graph,
  found: (
    g: Graph,
    node: Step,
  ) => { readonly from: number; readonly change: (conv: GraphNode) => GraphNode | undefined } | undefined,
): Graph {
  const uses = usesOf(liveNodes(graph));
  return rewritten(graph, (g, node) => {
    const match = found(g, node);
    if (match === undefined) return undefined;
    const changed = (value: string, was: string): string | undefined => {
      const [producer, before] = [g.producer(value), graph.producer(was)];
      if (producer === undefined || before === undefined || uses.get(was) !== 1) return undefined;
      const { op, inputs, attributes } = producer;
      const again = op === BLOCKED_CONV ? match.change(producer) : undefined;
      if (op === BLOCKED_CONV) return again && g.node(op, again.inputs, again.attributes);
      const data = op === "Concat" ? inputs : op === "Reshape" ? inputs.slice(0, 1) : [];
      const parts = data.map((input, i) => changed(input, before.inputs[i] as string));
      if (parts.length === 0 || parts.includes(undefined)) return undefined;
      return g.node(op, [...(parts as string[]), ...inputs.slice(parts.length)], attributes);
    };
    return changed(node.inputs[match.from] as string, node.was.inputs[match.from] as string);
  });
}

/** A number for each channel added to a convolution over blocks is its bias. */
export function absorbBiases(graph: Graph): Graph {
  return absorbed(graph, (g, { op, inputs }) => {
    const at = inputs.findIndex((name) => channelsOf(g, name) !== undefined);
    if (op !== "Add" || at < 0) return undefined;
    const spread = perChannel(g, inputs[at] as string);
    const bias = () =>
      g.node("Reshape", [g.producer(spread)?.inputs[0] as string, g.int64([channelsOf(g, spread) as number])]);
    const change = (conv: GraphNode) =>
      conv.inputs.length === 2 ? { ...conv, inputs: [...conv.inputs, bias()] } : undefined;
    return { from: 1 - at, change };
  });
}

/** Numbers for each channel, as they were before they were repeated for a row. */
function perChannel(g: Graph, name: string): string {
  const node = g.producer(name);
  return node?.op === "Expand" ? (node.inputs[0] as string) : name;
}

/** How many numbers a vector has that is spread over images in blocks, as [1, c / block, 1, 1, block]. */
function channelsOf(g: Graph, name: string): number | undefined {
  const { op, inputs } = g.producer(perChannel(g, name)) ?? {};
  const target = op === "Reshape" ? g.initializers.get(inputs?.[1] as string) : undefined;
  const [n, blocks, h, w, block, ...rest] = target ? Array.from(valuesOf(target) as BigInt64Array, Number) : [];
  return n === 1 && h === 1 && w === 1 && block !== undefined && rest.length === 0
    ? (blocks as number) * block
    : undefined;
}

/** ReLU and leaky ReLU of a convolution over blocks are its activation. */
export function absorbActivations(graph: Graph): Graph {
  return absorbed(graph, (_, { op, attributes: { alpha } }) => {
    if (op !== "Relu" && op !== "LeakyRelu") return undefined;
    const slope = (alpha as { readonly float: number } | undefined)?.float;
    const attributes = { activation: op, ...(slope === undefined ? {} : { activation_params: { floats: [slope] } }) };
    const change = (conv: GraphNode) =>
      "activation" in conv.attributes ? undefined : { ...conv, attributes: { ...conv.attributes, ...attributes } };
    return { from: 0, change };
  });
}

/** A value's shape, where it is an input or a constant. */
function shapeOf(g: Graph, name: string): readonly (number | string)[] | undefined {
  return g.initializers.get(name)?.shape ?? g.inputs.find((port) => port.name === name)?.shape;
}
