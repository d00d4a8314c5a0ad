import { ELEMENT_TYPE, type ElementType } from "../../runtime/onnx-schema.ts";
import { valuesOf } from "../constants.ts";
import type { GraphNode, Initializer } from "../graph.ts";
import type { Model } from "../proto.ts";
import { elementTypes } from "./element-types.ts";
import { halves } from "./half.ts";
import { networkNodes } from "./network.ts";

/** Constants of more elements are stored as float16; smaller ones are not worth their rounding. */
const STORED = 1024;
/** What computes in float16 if its values come so: nothing that adds up or divides. */
const FOLLOWS = new Set(
  `Add Clip Concat Elu Expand Flatten Gather Identity LeakyRelu MaxPool Pad Relu Reshape Sigmoid Slice Split Squeeze Tanh Tile
  Transpose Unsqueeze`.split(/\s+/),
);
type Float = "float16" | "float32";

/**
 * The model with large constants stored as float16, and the network's layers computed in it. All that comes after the network
 * is computed in float32 from there (see `networkNodes`), and so is a layer whose weights float16 cannot hold. Inputs and
 * outputs keep their types.
 */
export function float16Model(model: Model): Model {
  const types = elementTypes(model);
  const layers = networkNodes(model);
  const results = new Set(model.outputs.map(({ name }) => name));
  const constants = new Map(model.initializers.map((constant) => [constant.name, constant]));
  const initializers: Initializer[] = [];
  const nodes: GraphNode[] = [];
  /** The names that a float32 value of the model goes by, in each type it is there in. */
  const forms = new Map<string, Partial<Record<Float, string>>>();
  for (const { name, type } of model.inputs) if (type === "float32") forms.set(name, { float32: name });
  for (const constant of model.initializers) {
    const half = isLarge(constant) ? asHalf(constant) : undefined;
    initializers.push(half ?? constant);
    if (half !== undefined) forms.set(constant.name, { float16: half.name });
    else if (constant.type === "float32") forms.set(constant.name, { float32: constant.name });
  }

  const isFloat = (name: string) => types.get(name) === "float32";
  /** A small constant that a layer's neighbour needs in both types is stored in both; all else is cast, once. */
  const form = (name: string, type: Float): string => {
    const known = forms.get(name) as Partial<Record<Float, string>>;
    const found = known[type];
    if (found !== undefined) return found;
    const constant = constants.get(name);
    const half = type === "float16" && constant !== undefined ? asHalf(constant) : undefined;
    const cast = half?.name ?? `${name}/${type}`;
    if (half !== undefined) initializers.push(half);
    else nodes.push(castTo(type, (known.float16 ?? known.float32) as string, cast));
    forms.set(name, { ...known, [type]: cast });
    return cast;
  };
  const hasHalf = (name: string) => {
    const constant = constants.get(name);
    if (constant === undefined || forms.get(name)?.float16 !== undefined) return forms.get(name)?.float16 !== undefined;
    return asHalf(constant) !== undefined;
  };
  const isHalf = (node: GraphNode): boolean => {
    const floats = node.inputs.filter(isFloat);
    if (node.outputs.some((name) => results.has(name))) return false;
    if (layers.has(node)) return floats.slice(1).every(hasHalf);
    return FOLLOWS.has(node.op) && floats.length > 0 && floats.every(hasHalf) && !floats.every((name) => isSmall(name));
  };
  const isSmall = (name: string) => constants.has(name) && forms.get(name)?.float16 === undefined;

  for (const node of model.nodes) {
    const type = isHalf(node) ? "float16" : "float32";
    const inputs = node.inputs.map((name) => (isFloat(name) ? form(name, type) : name));
    const outputs = node.outputs.map((name) => (isFloat(name) && type === "float16" ? `${name}/float16` : name));
    nodes.push({ ...node, inputs, outputs });
    for (const [i, name] of node.outputs.entries())
      if (isFloat(name)) forms.set(name, { [type]: outputs[i] as string });
  }
  return { ...model, nodes, initializers: used(initializers, nodes) };
}

/** The constants that nodes read. */
export function used(initializers: readonly Initializer[], nodes: readonly GraphNode[]): Initializer[] {
  const read = new Set(nodes.flatMap(({ inputs }) => inputs));
  return initializers.filter(({ name }) => read.has(name));
}

export const isLarge = ({ type, shape }: Initializer) =>
  type === "float32" && shape.reduce((a, b) => a * b, 1) > STORED;

/** A float32 constant as float16; undefined if that cannot hold it. */
export function asHalf(constant: Initializer): Initializer | undefined {
  const bits = halves(valuesOf(constant) as Float32Array);
  const name = `${constant.name}/float16`;
  return bits && { name, type: "float16", shape: constant.shape, bytes: new Uint8Array(bits.buffer) };
}

export const castTo = (type: ElementType, input: string, output: string): GraphNode => ({
  op: "Cast",
  name: output,
  inputs: [input],
  outputs: [output],
  attributes: { to: ELEMENT_TYPE[type] },
});
