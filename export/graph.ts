import type { ElementType } from "../runtime/onnx-schema.ts";

/** An attribute of a node: an integer, a list of integers, a string, or floats (wrapped, since 1 is also an integer). */
export type Attribute =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly floats: readonly number[] };

export interface GraphNode {
  readonly op: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

export interface Initializer {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Attributes as text; unlike JSON's, it tells 0 from -0, and infinities and NaN from each other. */
export function keyOf(attributes: GraphNode["attributes"]): string {
  const exact = (value: number) => (Number.isFinite(value) ? value : `${value}`);
  return JSON.stringify(attributes, (_, value) =>
    Object.is(value, -0) ? "-0" : typeof value === "number" ? exact(value) : value,
  );
}

/** An input or output of a graph; a dimension is a size or a symbol such as "N". */
export interface GraphPort {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly (number | string)[];
}

/** An output of a graph under construction: its port and the value it gives. */
export interface GraphOutput extends GraphPort {
  readonly value: string;
}

/**
 * How images are laid out for convolutions (convolution-forms.ts): as every provider does well, as CPUs train, or as those CPUs
 * train fastest for which ONNX Runtime has kernels over channels in blocks of 8 or 16.
 */
export type ConvolutionLayout = "channels-first" | "channels-batch" | "blocks-of-8" | "blocks-of-16";

/**
 * An ONNX graph under construction. All of ONNX's operators that subspan emits are pure, so a node or constant that was
 * already added is not added again: common subexpressions never arise.
 */
export class Graph {
  readonly convolutions: ConvolutionLayout;
  readonly nodes: GraphNode[] = [];
  readonly initializers = new Map<string, Initializer>();
  readonly inputs: GraphPort[] = [];
  readonly outputs: GraphOutput[] = [];
  readonly #known = new Map<string, readonly string[]>();
  readonly #producers = new Map<string, GraphNode>();
  #count = 0;

  constructor(convolutions: ConvolutionLayout = "channels-first") {
    this.convolutions = convolutions;
  }

  /** Adds a node with one output and returns that output's name. */
  node(op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    return this.split(op, inputs, 1, attributes)[0] as string;
  }

  /** Adds a node with several outputs and returns their names. */
  split(
    op: string,
    inputs: readonly string[],
    outputCount: number,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): readonly string[] {
    const key = JSON.stringify([op, inputs, keyOf(attributes)]);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const name = `${op}_${this.#count++}`;
    const outputs = Array.from({ length: outputCount }, (_, i) => (i === 0 ? name : `${name}.${i}`));
    const node = { op, name, inputs, outputs, attributes };
    this.nodes.push(node);
    for (const output of outputs) this.#producers.set(output, node);
    this.#known.set(key, outputs);
    return outputs;
  }

  /** The node that gives a value; undefined for an input or a constant. */
  producer(value: string): GraphNode | undefined {
    return this.#producers.get(value);
  }

  /** A float32 scalar. */
  float32(value: number): string {
    return this.constant("float32", [], new Uint8Array(Float32Array.of(value).buffer));
  }

  /** A vector of int64, ONNX's form of shapes, axes and repeats. */
  int64(values: readonly number[]): string {
    return this.constant("int64", [values.length], new Uint8Array(BigInt64Array.from(values, BigInt).buffer));
  }

  /** A constant as it is; equal constants are stored once, and so are the nodes that use them. */
  constant(type: ElementType, shape: readonly number[], bytes: Uint8Array): string {
    const isSmall = bytes.length <= 64;
    const key = `${type}[${shape}]${isSmall ? bytes.join() : ""}`;
    const alike = this.#known.get(key) ?? [];
    const known = alike.find((name) => isSmall || equalBytes(this.initializers.get(name)?.bytes as Uint8Array, bytes));
    if (known !== undefined) return known;
    const name = `constant_${this.#count++}`;
    this.initializers.set(name, { name, type, shape, bytes });
    this.#known.set(key, [...alike, name]);
    return name;
  }
}

/** Compares two arrays of bytes of one length. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
