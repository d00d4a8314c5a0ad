import { SubspanError } from "../runtime/errors.ts";
import { ELEMENT_TYPE } from "../runtime/onnx-schema.ts";
import { valuesOf } from "./constants.ts";
import { equalBytes, Graph, type GraphNode, type GraphOutput, type Initializer } from "./graph.ts";

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
 * One graph for every batch size, from two traces at different sizes. They must be equal node by node; a number that differs
 * between them is written as slope * N + offset, with N read from the input's shape.
 *
 * Blind to what both sizes take alike: min(N, 64) is 64 in both traces and stays so.
 *
 * @throws {SubspanError} TRACE_REFUSED naming the node where the traces differ in any other way.
 */
export function mergeTraces(a: Sample, b: Sample, axis: DynamicAxis): Graph {
  const merged = new Graph();
  merged.inputs.push(...a.graph.inputs);
  const names = new Map([["", ""], ...a.graph.inputs.map(({ name }): [string, string] => [name, name])]);
  const others = new Map(names);
  const merge = (name: string, other: string, node: GraphNode) => {
    const value = names.get(name);
    const [from, to] = [a.graph.initializers.get(name), b.graph.initializers.get(other)];
    if (from && to) return mergeConstants(merged, node, [from, a.size], [to, b.size], axis);
    if (value === undefined || value !== others.get(other))
      throw refused(node, "its inputs come from different places");
    return value;
  };
  const count = Math.max(a.graph.nodes.length, b.graph.nodes.length);
  for (let i = 0; i < count; i++) {
    const [node, other] = [a.graph.nodes[i], b.graph.nodes[i]];
    if (node === undefined || other === undefined || !alike(node, other)) {
      throw refused(node ?? (other as GraphNode), "the other trace has another node or attribute there");
    }
    const inputs = node.inputs.map((name, k) => merge(name, other.inputs[k] as string, node));
    const outputs = merged.split(node.op, inputs, node.outputs.length, attributesOf(merged, node, inputs));
    node.outputs.forEach((name, k) => {
      names.set(name, outputs[k] as string);
      others.set(other.outputs[k] as string, outputs[k] as string);
    });
  }
  if (signatureOf(a.graph) !== signatureOf(b.graph)) {
    const why = `[${signatureOf(a.graph)}] at one, [${signatureOf(b.graph)}] at another`;
    throw new SubspanError("TRACE_REFUSED", `the outputs depend on the batch size: ${why}`);
  }
  a.graph.outputs.forEach((output, i) => {
    const other = b.graph.outputs[i] as GraphOutput;
    const node = { op: "output", name: output.name, inputs: [], outputs: [], attributes: {} };
    const value = merge(output.value, other.value, node);
    const shape = output.shape.map((dim, k) => {
      const along = line(Number(dim), a.size, Number(other.shape[k]), b.size);
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
    JSON.stringify(a.attributes) === JSON.stringify(b.attributes)
  );
}

/** A 0 in a Reshape's computed shape is an empty batch; without `allowzero` it would mean the input's size there. */
function attributesOf(g: Graph, { op, attributes }: GraphNode, inputs: readonly string[]): GraphNode["attributes"] {
  const computed = op === "Reshape" && !g.initializers.has(inputs[1] as string);
  return computed ? { ...attributes, allowzero: 1 } : attributes;
}

function refused(node: GraphNode, why: string): SubspanError {
  return new SubspanError("TRACE_REFUSED", `node ${node.name} (${node.op}) depends on the batch size: ${why}`);
}

type Line = readonly [slope: number, offset: number];

/** A size along a line, as "N" or "2N+3"; undefined without a line. */
function symbolic(along: Line | undefined, symbol: string): number | string | undefined {
  if (along === undefined) return undefined;
  const [slope, offset] = along;
  if (slope === 0) return offset;
  const times = slope === 1 ? symbol : `${slope}${symbol}`;
  return offset === 0 ? times : `${times}${offset > 0 ? "+" : ""}${offset}`;
}

/**
 * The line of whole numbers through (size, value) and (otherSize, other), undefined where there is none. Through two points a
 * power of N seems to lie on a line too, but its offset then is a multiple of the sizes' product: N^2 gives 3012 N - 2021027.
 */
function line(value: number, size: number, other: number, otherSize: number): Line | undefined {
  const slope = (other - value) / (otherSize - size);
  const offset = value - slope * size;
  const whole = Number.isInteger(slope) && Number.isInteger(offset);
  return whole && (slope === 0 || Math.abs(offset) < (size * otherSize) / 2) ? [slope, offset] : undefined;
}

type At = readonly [constant: Initializer, size: number];

/** The constant both traces hold at this place, or the nodes that compute it from the batch size. */
function mergeConstants(g: Graph, node: GraphNode, [a, sizeA]: At, [b, sizeB]: At, axis: DynamicAxis): string {
  const sameShape = a.type === b.type && String(a.shape) === String(b.shape);
  if (!sameShape) throw refused(node, `it holds a constant of shape [${a.shape}] that grows with the batch`);
  if (a.bytes.length === b.bytes.length && equalBytes(a.bytes, b.bytes)) return g.constant(a.type, a.shape, a.bytes);
  const numbers = (constant: Initializer) => Array.from(valuesOf(constant), Number);
  const [from, to] = [numbers(a), numbers(b)];
  const lines = from.map((value, i): Line => {
    const along = line(value, sizeA, to[i] as number, sizeB);
    if (along !== undefined) return along;
    throw refused(node, `it holds ${value} at batch ${sizeA} and ${to[i]} at batch ${sizeB}, which is not linear`);
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
