import { valuesOf } from "../constants.ts";
import type { GraphNode, Initializer } from "../graph.ts";
import type { Model } from "../proto.ts";
import { asHalf, castTo, isLarge, used } from "./float16.ts";
import { networkNodes } from "./network.ts";

/** An array as int8 and a scale for each index of one axis: x = q * scale. */
interface Quantised {
  readonly values: Initializer;
  readonly scales: Initializer;
  readonly axis: number;
}

/** Scales may take this share of the bytes of the array they scale. */
const SCALES = 0.05;
/** Of the bytes of all constants as float32: while there is room, small arrays are float16 and not int8. */
const ROOM = 0.29;

export interface Int8Options {
  /** Whether the network's layers compute in int8 too, their input quantised as it comes; else weights alone are int8. */
  readonly activations: boolean;
}

/**
 * The model with large arrays stored as int8, symmetric, a scale a channel; those of one axis, which are few, as float16.
 */
export function int8Model(model: Model, { activations }: Int8Options): Model {
  const layers = activations ? networkNodes(model) : new Set<GraphNode>();
  const large = new Map(model.initializers.filter(isLarge).map((constant) => [constant.name, constant]));
  const quantised = new Map<string, Quantised>();
  const initializers: Initializer[] = [];
  const nodes: GraphNode[] = [];
  const head: GraphNode[] = [];
  const spared = sparedArrays(model, [...large.values()]);
  for (const constant of model.initializers) {
    const half = spared.has(constant.name) ? asHalf(constant) : undefined;
    if (half !== undefined) {
      initializers.push(half);
      head.push(castTo("float32", half.name, constant.name));
    } else if (large.has(constant.name) && constant.shape.length > 1) {
      const of = quantise(constant, axesFor(constant, model.nodes));
      quantised.set(constant.name, of);
      initializers.push(of.values, of.scales);
      head.push(dequantize(of.values.name, of, constant.name, of.axis));
    } else initializers.push(constant);
  }
  const bytesOf = new Map<string, readonly [values: string, scale: string, zero: string]>();
  for (const node of model.nodes) {
    const [x = "", weights = ""] = node.inputs;
    const table = node.op === "Gather" ? quantised.get(x) : undefined;
    const of = layers.has(node) && node.inputs.length === 2 ? quantised.get(weights) : undefined;
    if (table !== undefined && table.axis === table.values.shape.length - 1) {
      const [output = ""] = node.outputs;
      const rows = `${output}/int8`;
      nodes.push({ ...node, name: rows, inputs: [table.values.name, weights], outputs: [rows] });
      nodes.push(dequantize(rows, table, output, -1));
    } else if (of !== undefined && INTEGER[node.op] !== undefined) {
      const input = bytesOf.get(x) ?? ([`${x}/uint8`, `${x}/scale`, `${x}/zero`] as const);
      if (!bytesOf.has(x)) nodes.push(plain("DynamicQuantizeLinear", [x], input));
      bytesOf.set(x, input);
      nodes.push(...integerLayer(node, input, of));
    } else nodes.push(node);
  }
  const reach = new Set(nodes.flatMap(({ inputs }) => inputs));
  const all = [...head.filter(({ outputs }) => reach.has(outputs[0] as string)), ...nodes];
  return { ...model, nodes: all, initializers: used([...initializers, ...layerScales(quantised)], all) };
}

/**
 * The large arrays that are stored as float16: those of one axis, a scale of which would serve numbers that have nothing in
 * common, and the smallest weights, as many as there is room for: every sample goes through all of them, and each layer adds its
 * rounding. Tables whose rows are looked up add theirs once, and are most of the bytes.
 */
function sparedArrays({ initializers, nodes }: Model, large: readonly Initializer[]): ReadonlySet<string> {
  const tables = new Set(nodes.flatMap(({ op, inputs }) => (op === "Gather" ? [inputs[0]] : [])));
  const lists = large.filter(({ shape }) => shape.length === 1);
  const weights = large.filter(({ name, shape }) => shape.length > 1 && !tables.has(name));
  const total = sizeOf(initializers);
  let stored = total - 0.75 * sizeOf(large) + 0.25 * sizeOf(lists);
  const spared = new Set(lists.map(({ name }) => name));
  for (const { name, bytes } of weights.sort((a, b) => a.bytes.length - b.bytes.length)) {
    stored += bytes.length / 4;
    if (stored > ROOM * total) break;
    spared.add(name);
  }
  return spared;
}

const sizeOf = (constants: readonly Initializer[]) => constants.reduce((sum, { bytes }) => sum + bytes.length, 0);

/** The operators on integers that stand for the layers. */
const INTEGER: Readonly<Record<string, string>> = { Conv: "ConvInteger", MatMul: "MatMulInteger" };

/** y = (x_q w_q) * (x_scale w_scale), sums in int32. */
function integerLayer(
  node: GraphNode,
  [x, scale, zero]: readonly [string, string, string],
  of: Quantised,
): GraphNode[] {
  const [output = ""] = node.outputs;
  const [sums, floats, scales] = [`${output}/int32`, `${output}/float32`, `${output}/scale`];
  return [
    { ...node, op: INTEGER[node.op] as string, name: sums, inputs: [x, of.values.name, zero], outputs: [sums] },
    castTo("float32", sums, floats),
    plain("Mul", [scale, `${of.scales.name}/${node.op}`], [scales]),
    plain("Mul", [floats, scales], [output]),
  ];
}

/** Weights' scales as they spread over a layer's output: [1, c, 1, 1] of convolutions, [c] of dense layers. */
function layerScales(quantised: ReadonlyMap<string, Quantised>): Initializer[] {
  return [...quantised.values()].flatMap(({ values, scales }) => [
    { ...scales, name: `${scales.name}/MatMul` },
    {
      ...scales,
      name: `${scales.name}/Conv`,
      shape: [1, scales.shape[0] as number, ...values.shape.slice(2).map(() => 1)],
    },
  ]);
}

const plain = (op: string, inputs: readonly string[], outputs: readonly string[]): GraphNode => ({
  op,
  name: outputs[0] as string,
  inputs,
  outputs,
  attributes: {},
});

const dequantize = (values: string, { scales }: Quantised, output: string, axis: number): GraphNode => ({
  ...plain("DequantizeLinear", [values, scales.name], [output]),
  attributes: { axis },
});

/** The axes that an array may have its scales along: what its nodes want, else those that cost few bytes. */
function axesFor({ name, shape }: Initializer, nodes: readonly GraphNode[]): readonly number[] {
  const uses = nodes.filter(({ inputs }) => inputs.includes(name));
  const last = shape.length - 1;
  if (uses.some(({ op, inputs }) => op === "Gather" && inputs[0] === name)) return [last];
  if (uses.some(({ op }) => op === "Conv")) return [0];
  if (uses.some(({ op }) => op === "ConvTranspose")) return [1];
  if (uses.some(({ op, inputs }) => op === "MatMul" && inputs[1] === name)) return [last];
  const elements = shape.reduce((a, b) => a * b, 1);
  const cheap = shape.flatMap((size, axis) => (4 * size <= SCALES * elements ? [axis] : []));
  return cheap.length > 0 ? cheap : [last];
}

/** Along the axis that loses least. */
function quantise(constant: Initializer, axes: readonly number[]): Quantised {
  const tried = axes.map((axis) => along(constant, axis));
  const best = tried.reduce((a, b) => (b.lost < a.lost ? b : a));
  return best;
}

function along({ name, shape, ...constant }: Initializer, axis: number): Quantised & { readonly lost: number } {
  const x = valuesOf({ ...constant, shape }) as Float32Array;
  const size = shape[axis] as number;
  const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const channel = (i: number) => Math.floor(i / inner) % size;
  const scales = new Float32Array(size);
  for (let i = 0; i < x.length; i++)
    scales[channel(i)] = Math.max(scales[channel(i)] as number, Math.abs(x[i] as number) / 127);
  for (let c = 0; c < size; c++) scales[c] ||= 1;
  const q = Int8Array.from(x, (value, i) => Math.round(value / (scales[channel(i)] as number)));
  const lost = x.reduce((sum, value, i) => sum + (value - (q[i] as number) * (scales[channel(i)] as number)) ** 2, 0);
  return {
    values: { name: `${name}/int8`, type: "int8", shape, bytes: new Uint8Array(q.buffer) },
    scales: { name: `${name}/scale`, type: "float32", shape: [size], bytes: new Uint8Array(scales.buffer) },
    ...{ axis, lost },
  };
}
