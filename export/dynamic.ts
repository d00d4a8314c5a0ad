import { SubspanError } from "../runtime/errors.ts";
import { ELEMENT_TYPE } from "../runtime/onnx-schema.ts";
import { Graph, type GraphNode, type Initializer } from "./graph.ts";

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
 * @throws {SubspanError} TRACE_REFUSED naming the node where the traces differ in any other way.
 */
export function mergeTraces(a: Sample, b: Sample, axis: DynamicAxis): Graph {
  const merged = new Graph();
  merged.inputs.push(...a.graph.inputs);
  const names = new Map([["", ""], ...a.graph.inputs.map(({ name }): [string, string] => [name, name])]);
  const constantOf = (name: string, other: string, node: GraphNode) => {
    const [from, to] = [a.graph.initializers.get(name), b.graph.initializers.get(other)];
    if (from === undefined || to === undefined) throw refused(node, "its inputs come from different places");
    return mergeConstants(merged, node, [from, a.size], [to, b.size], axis);
  };
  const count = Math.max(a.graph.nodes.length, b.graph.nodes.length);
  for (let i = 0; i < count; i++) {
    const [node, other] = [a.graph.nodes[i], b.graph.nodes[i]];
    if (node === undefined || other === undefined || !alike(node, other)) {
      throw refused(node ?? (other as GraphNode), "the other trace has another node or attribute there");
    }
    const inputs = node.inputs.map((name, k) => names.get(name) ?? constantOf(name, other.inputs[k] as string, node));
    const outputs = merged.split(node.op, inputs, node.outputs.length, node.attributes);
    node.outputs.forEach((name, k) => {
      names.set(name, outputs[k] as string);
    });
  }
  a.graph.outputs.forEach((output, i) => {
    const other = b.graph.outputs[i] as typeof output;
    const node = { op: "output", name: output.name, inputs: [], outputs: [], attributes: {} };
    const value = names.get(output.value) ?? constantOf(output.value, other.value, node);
    const shape = output.shape.map((dim, k) =>
      symbolic(Number(dim), a.size, Number(other.shape[k]), b.size, axis.symbol),
    );
    merged.outputs.push({ ...output, shape, value });
  });
  return merged;
}

function alike(a: GraphNode, b: GraphNode): boolean {
  return (
    a.op === b.op &&
    a.inputs.length === b.inputs.length &&
    a.outputs.length === b.outputs.length &&
    JSON.stringify(a.attributes) === JSON.stringify(b.attributes)
  );
}

function refused(node: GraphNode, why: string): SubspanError {
  return new SubspanError("TRACE_REFUSED", `node ${node.name} (${node.op}) depends on the batch size: ${why}`);
}

function symbolic(at: number, size: number, other: number, otherSize: number, symbol: string): number | string {
  if (at === other) return at;
  const [slope, offset] = line(at, size, other, otherSize);
  return slope === 1 && offset === 0 ? symbol : `${slope}${symbol}${offset === 0 ? "" : `+${offset}`}`;
}

/** The line through (size, value) and (otherSize, other). */
function line(value: number, size: number, other: number, otherSize: number): [slope: number, offset: number] {
  const slope = (other - value) / (otherSize - size);
  return [slope, value - slope * size];
}

type At = readonly [constant: Initializer, size: number];

/** The constant both traces hold at this place, or the nodes that compute it from the batch size. */
function mergeConstants(g: Graph, node: GraphNode, [a, sizeA]: At, [b, sizeB]: At, axis: DynamicAxis): string {
  const sameShape = a.type === b.type && String(a.shape) === String(b.shape);
  if (!sameShape) throw refused(node, `it holds a constant of shape [${a.shape}] that grows with the batch`);
  if (equalBytes(a.bytes, b.bytes)) return g.constant(a.type, a.shape, a.bytes);
  const numbers = (constant: Initializer) => Array.from(valuesOf(constant), Number);
  const [from, to] = [numbers(a), numbers(b)];
  const lines = from.map((value, i): readonly [number, number] => {
    const [slope, offset] = line(value, sizeA, to[i] as number, sizeB);
    const whole = Number.isInteger(slope) && Number.isInteger(offset);
    if (!whole)
      throw refused(node, `it holds ${value} at batch ${sizeA} and ${to[i]} at batch ${sizeB}, which is not linear`);
    return [slope, offset];
  });
  const moving = lines.filter(([slope]) => slope !== 0);
  if (node.op === "Reshape" && moving.length === 1 && moving[0]?.[1] === 0) {
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

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function valuesOf({ type, bytes }: Initializer): ArrayLike<number | bigint> {
  const { buffer, byteOffset, byteLength } = bytes;
  if (type === "int64") return new BigInt64Array(buffer.slice(byteOffset, byteOffset + byteLength));
  if (type === "int32") return new Int32Array(buffer.slice(byteOffset, byteOffset + byteLength));
  if (type === "float32") return new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
  return bytes;
}
