import { SubspanError } from "../runtime/errors.ts";
import { ELEMENT_TYPE } from "../runtime/onnx-schema.ts";
import { valuesOf } from "./constants.ts";
import { equalBytes, Graph, type GraphNode, type GraphOutput, type Initializer, keyOf } from "./graph.ts";

/** The same function traced at one size of the dynamic axis. */
export interface Sample {
  readonly graph: Graph;
  readonly size: number;
}

/** The dynamic axis: its symbol, and where its size can be read in the graph. */
export interface DynamicAxis {
  readonly symbol: string;
  readonly input: string;
  readonly axis: number;
}

/**
 * One graph for every size of the axis, from traces at different sizes. They must be equal node by node; a number that differs
 * between them is written as slope * N + offset, with N read from the input's shape.
 *
 * Blind to what all sizes take alike: min(N, 64) is 64 in each trace and stays so.
 *
 * @param traces - at least three: through two points there always is a line.
 * @throws {SubspanError} TRACE_REFUSED naming the node where the traces differ in any other way.
 */
export function mergeTraces(traces: readonly Sample[], axis: DynamicAxis): Graph {
  const merged = new Graph();
  const [{ graph }] = traces as [Sample];
  merged.inputs.push(...graph.inputs);
  const ports = graph.inputs.map(({ name }): [string, string] => [name, name]);
  const names = traces.map(() => new Map([["", ""], ...ports]));
  /** The one value that stands for a value of each trace. */
  const merge = (values: readonly string[], node: GraphNode): string => {
    const constants = values.map((value, t) => traces[t]?.graph.initializers.get(value));
    if (constants.every((constant) => constant !== undefined)) {
      const sizes = traces.map(({ size }) => size);
      return mergeConstants(merged, node, constants as Initializer[], sizes, axis);
    }
    const [known, ...others] = values.map((value, t) => names[t]?.get(value));
    if (known === undefined || others.some((other) => other !== known))
      throw refused(node, axis, "its inputs come from different places");
    return known;
  };
  const count = Math.max(...traces.map(({ graph }) => graph.nodes.length));
  for (let i = 0; i < count; i++) {
    const nodes = traces.map(({ graph }) => graph.nodes[i]);
    const node = nodes.find((node) => node !== undefined) as GraphNode;
    if (!nodes.every((other) => other !== undefined && alike(node, other)))
      throw refused(node, axis, "another trace has another node or attribute there");
    const each = nodes as GraphNode[];
    const inputs = node.inputs.map((_, k) =>
      merge(
        each.map(({ inputs }) => inputs[k] as string),
        node,
      ),
    );
    const outputs = merged.split(node.op, inputs, node.outputs.length, attributesOf(merged, node, inputs));
    each.forEach((twin, t) => {
      twin.outputs.forEach((name, k) => {
        names[t]?.set(name, outputs[k] as string);
      });
    });
  }
  const [signature, other] = new Set(traces.map(({ graph }) => signatureOf(graph)));
  if (other !== undefined) {
    const why = `[${signature}] at one, [${other}] at another`;
    throw new SubspanError("TRACE_REFUSED", `the outputs depend on ${sizeOf(axis)}: ${why}`);
  }
  graph.outputs.forEach((output, i) => {
    const twins = traces.map(({ graph }) => graph.outputs[i] as GraphOutput);
    const node = { op: "output", name: output.name, inputs: [], outputs: [], attributes: {} };
    const value = merge(
      twins.map(({ value }) => value),
      node,
    );
    const shape = output.shape.map((_, k) => {
      const along = line(traces.map(({ size }, t) => [size, Number(twins[t]?.shape[k])]));
      return symbolic(along, axis.symbol) ?? `${output.name}_${k}`;
    });
    merged.outputs.push({ ...output, shape, value });
  });
  return merged;
}

/** The outputs' names, types and ranks. */
function signatureOf({ outputs }: Graph): string {
  return outputs.map(({ name, type, shape }) => `${name}: ${type} of rank ${shape.length}`).join(", ");
}

function alike(a: GraphNode, b: GraphNode): boolean {
  return (
    a.op === b.op &&
    a.inputs.length === b.inputs.length &&
    a.outputs.length === b.outputs.length &&
    keyOf(a.attributes) === keyOf(b.attributes)
  );
}

/** A 0 in a Reshape's computed shape is an empty batch; without `allowzero` it would mean the input's size there. */
function attributesOf(g: Graph, { op, attributes }: GraphNode, inputs: readonly string[]): GraphNode["attributes"] {
  const computed = op === "Reshape" && !g.initializers.has(inputs[1] as string);
  return computed ? { ...attributes, allowzero: 1 } : attributes;
}

function refused(node: GraphNode, axis: DynamicAxis, why: string): SubspanError {
  return new SubspanError("TRACE_REFUSED", `node ${node.name} (${node.op}) depends on ${sizeOf(axis)}: ${why}`);
}

/** What the symbol stands for: of a first axis, the batch. */
const sizeOf = ({ symbol, input, axis }: DynamicAxis): string =>
  axis === 0 ? "the batch size" : `${symbol}, axis ${axis} of ${input}`;

type Line = readonly [slope: number, offset: number];

/** A size along a line, as "N" or "2N+3"; undefined without a line. */
function symbolic(along: Line | undefined, symbol: string): number | string | undefined {
  if (along === undefined) return undefined;
  const [slope, offset] = along;
  if (slope === 0) return offset;
  const times = slope === 1 ? symbol : `${slope}${symbol}`;
  return offset === 0 ? times : `${times}${offset > 0 ? "+" : ""}${offset}`;
}

/** The line of whole numbers through all points, undefined where there is none. */
function line(points: readonly (readonly [size: number, value: number])[]): Line | undefined {
  const [[size, value], [otherSize, other]] = points as [[number, number], [number, number]];
  const slope = (other - value) / (otherSize - size);
  const offset = value - slope * size;
  const isWhole = Number.isInteger(slope) && Number.isInteger(offset);
  const isOne = isWhole && points.every(([at, value]) => value === slope * at + offset);
  return isOne ? [slope, offset] : undefined;
}

/** The constant that the traces hold at this place, or the nodes that compute it from the axis's size. */
function mergeConstants(
  g: Graph,
  node: GraphNode,
  constants: readonly Initializer[],
  sizes: readonly number[],
  axis: DynamicAxis,
): string {
  const [a, ...others] = constants as [Initializer, ...Initializer[]];
  if (others.some(({ type, shape }) => type !== a.type || String(shape) !== String(a.shape)))
    throw refused(node, axis, `it holds a constant of shape [${a.shape}] that grows with it`);
  if (others.every(({ bytes }) => bytes.length === a.bytes.length && equalBytes(a.bytes, bytes)))
    return g.constant(a.type, a.shape, a.bytes);
  const numbers = constants.map((constant) => Array.from(valuesOf(constant), Number));
  const lines = (numbers[0] as number[]).map((_, i): Line => {
    const points = sizes.map((size, t) => [size, numbers[t]?.[i] as number] as const);
    const along = line(points);
    if (along !== undefined) return along;
    const held = points.map(([size, value]) => `${value} at ${size}`).join(", ");
    throw refused(node, axis, `it holds ${held}, which is not linear`);
  });
  const moving = lines.filter(([slope]) => slope !== 0);
  const hasZero = lines.some(([slope, offset]) => slope === 0 && offset === 0);
  if (node.op === "Reshape" && moving.length === 1 && moving[0]?.[1] === 0 && !hasZero) {
    return g.int64(lines.map(([slope, offset]) => (slope === 0 ? offset : -1)));
  }
  const size = g.node("Shape", [axis.input], { start: axis.axis, end: axis.axis + 1 });
  const parts = lines.map(([slope, offset]) => {
    if (slope === 0) return g.int64([offset]);
    const scaled = slope === 1 ? size : g.node("Mul", [size, g.int64([slope])]);
    return offset === 0 ? scaled : g.node("Add", [scaled, g.int64([offset])]);
  });
  const vector = parts.length === 1 ? (parts[0] as string) : g.node("Concat", parts, { axis: 0 });
  const typed = a.type === "int64" ? vector : g.node("Cast", [vector], { to: ELEMENT_TYPE[a.type] });
  return a.shape.length === 1 ? typed : g.node("Reshape", [typed, g.int64(a.shape)]);
}
