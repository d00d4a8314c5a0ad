import { SubspanError } from "./errors.ts";
import { ALLOWED_OPERATORS, SPEC } from "./graph-schema.ts";
import {
  ATTRIBUTE,
  ATTRIBUTE_TYPE,
  DIMENSION,
  ELEMENT_TYPE,
  type ElementType,
  GRAPH,
  IR_VERSION,
  MODEL,
  NODE,
  OPERATOR_SET,
  OPSET,
  SHAPE,
  STRING_ENTRY,
  TENSOR,
  TENSOR_TYPE,
  TYPE,
  VALUE_INFO,
} from "./onnx-schema.ts";
import { all, first, int64, type Message, readMessage, repeated, type Span, string } from "./protobuf.ts";

export { ALLOWED_OPERATORS } from "./graph-schema.ts";

/**
 * An input or output of a graph. A dimension is a number, or the name it goes by where it is free ("?" without one).
 */
export interface GraphValue {
  readonly name: string;
  readonly dtype: ElementType;
  readonly shape: readonly (number | string)[];
}

/** What a checked graph is, without running it. */
export interface GraphSummary {
  readonly irVersion: number;
  readonly opset: number;
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  readonly nodes: number;
  /** What each node does, in order. Inputs and outputs that are left out of it are left out here. */
  readonly steps: readonly {
    readonly operator: string;
    readonly inputs: readonly string[];
    readonly outputs: readonly string[];
  }[];
  /** Operator -> how many nodes. */
  readonly operators: Readonly<Record<string, number>>;
  /** Of initializers and constants together. */
  readonly parameterBytes: number;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Bounds on a graph. They stop a small file from asking for a huge machine; they are no sandbox. */
export const GRAPH_LIMITS = {
  modelBytes: 2 ** 31 - 1,
  nodes: 100_000,
  rank: 32,
  /** Elements a node may make from constants alone, and of one declared input or output, free dimensions left out. */
  constantElements: 2 ** 28,
  /** Each number of a pads, strides, dilations, kernel_shape, output_shape or output_padding attribute. */
  window: 2 ** 14,
} as const;

/** Bytes of an element, by the bits that end its type's name; a bool has a byte. */
const bytesOf = (dtype: ElementType) => Number(/\d+/.exec(dtype) ?? 8) / 8;
const ELEMENT_NAME = new Map(Object.entries(ELEMENT_TYPE).map(([name, code]) => [BigInt(code), name as ElementType]));
/** The typed field that may stand in place of raw_data, of all other types int32_data. */
const TYPED_DATA: Readonly<Partial<Record<ElementType, number>>> = {
  float32: TENSOR.floatData,
  int64: TENSOR.int64Data,
  float64: TENSOR.doubleData,
};
/** Constants up to this many elements are remembered, to see what shapes they ask for. */
const SMALL = 64;
const WINDOW = new Set(["pads", "strides", "dilations", "kernel_shape", "output_shape", "output_padding"]);

/** The field that holds the value of an attribute of each type. */
const VALUE_FIELD: Readonly<Record<number, number>> = {
  [ATTRIBUTE_TYPE.float]: ATTRIBUTE.f,
  [ATTRIBUTE_TYPE.int]: ATTRIBUTE.i,
  [ATTRIBUTE_TYPE.string]: ATTRIBUTE.s,
  [ATTRIBUTE_TYPE.tensor]: ATTRIBUTE.t,
  [ATTRIBUTE_TYPE.floats]: ATTRIBUTE.floats,
  [ATTRIBUTE_TYPE.ints]: ATTRIBUTE.ints,
  [ATTRIBUTE_TYPE.strings]: ATTRIBUTE.strings,
};

type Constant = readonly number[];
const product = (dims: Constant = []) => dims.reduce((a, b) => a * Math.max(0, b), 1);

/** Elements an operator makes out of its constant inputs, whatever the samples are. */
const GROWTH: Readonly<Record<string, (inputs: readonly (Constant | undefined)[]) => number>> = {
  ConstantOfShape: ([shape]) => product(shape),
  Expand: ([, shape]) => product(shape),
  Tile: ([, repeats]) => product(repeats),
  OneHot: ([, depth]) => product(depth),
  Pad: ([, pads = []]) => Math.max(0, ...pads),
  Resize: ([, , scales, sizes]) => Math.max(product(scales), product(sizes)),
  Range: ([start, limit, delta]) => (start && limit && delta ? (limit[0]! - start[0]!) / delta[0]! : 0),
};

/**
 * Checks that bytes are an ONNX model of one flat graph of allowed operators with all its data inside, in order and in
 * bounds. Reads every message once; copies nothing but names.
 *
 * @throws {SubspanError} GRAPH_INVALID for bytes that are no such model, GRAPH_REFUSED for a model that is not allowed.
 */
export function checkGraph(bytes: Uint8Array): GraphSummary {
  if (bytes.length > GRAPH_LIMITS.modelBytes)
    throw refused(`${bytes.length} bytes, ${GRAPH_LIMITS.modelBytes} are allowed`);
  const model = readMessage(bytes, { start: 0, end: bytes.length }, SPEC.model);
  const graph = first(model, MODEL.graph);
  if (graph === undefined) throw invalid("the model has no graph");
  const irVersion = Number(int64(bytes, first(model, MODEL.irVersion)));
  if (irVersion !== IR_VERSION) throw refused(`expected IR version ${IR_VERSION}, got ${irVersion}`);
  checkOpset(bytes, model);
  const metadata = readMetadata(bytes, model);
  return { irVersion, opset: OPSET, ...new GraphCheck(bytes).graph(readMessage(bytes, graph, SPEC.graph)), metadata };
}

function checkOpset(bytes: Uint8Array, model: Message): void {
  const imports = all(model, MODEL.opsetImport).map((span) => {
    const entry = readMessage(bytes, span, SPEC.operatorSet);
    const domain = string(bytes, first(entry, OPERATOR_SET.domain));
    return `"${domain}" ${int64(bytes, first(entry, OPERATOR_SET.version))}`;
  });
  const expected = `"" ${OPSET}`;
  if (imports.length !== 1 || imports[0] !== expected)
    throw refused(`expected operator set ${expected}, got ${imports.join(", ") || "none"}`);
}

function readMetadata(bytes: Uint8Array, model: Message): Record<string, string> {
  const entries = new Map<string, string>();
  for (const span of all(model, MODEL.metadataProps)) {
    const entry = readMessage(bytes, span, SPEC.stringEntry);
    const key = string(bytes, first(entry, STRING_ENTRY.key));
    if (entries.has(key)) throw invalid(`metadata "${key}" stands twice`);
    entries.set(key, string(bytes, first(entry, STRING_ENTRY.value)));
  }
  return Object.fromEntries(entries);
}

/** One walk over a graph: what is defined so far, and the constants small enough to be shapes. */
class GraphCheck {
  readonly #bytes: Uint8Array;
  readonly #defined = new Set<string>();
  readonly #constants = new Map<string, Constant>();
  readonly #operators = new Map<string, number>();
  readonly #steps: GraphSummary["steps"][number][] = [];
  #parameterBytes = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  graph(graph: Message): Omit<GraphSummary, "irVersion" | "opset" | "metadata"> {
    const nodes = all(graph, GRAPH.node);
    if (nodes.length > GRAPH_LIMITS.nodes) throw refused(`${nodes.length} nodes, ${GRAPH_LIMITS.nodes} are allowed`);
    const inputs = all(graph, GRAPH.input).map((span) => this.#value(span));
    for (const { name } of inputs) this.#define(name, "input");
    for (const span of all(graph, GRAPH.initializer)) this.#initializer(span);
    for (const span of nodes) this.#node(readMessage(this.#bytes, span, SPEC.node));
    for (const span of all(graph, GRAPH.valueInfo)) this.#value(span);
    const outputs = all(graph, GRAPH.output).map((span) => this.#value(span));
    this.#checkOutputs(outputs);
    const operators = Object.fromEntries([...this.#operators].sort());
    return {
      inputs,
      outputs,
      nodes: nodes.length,
      steps: this.#steps,
      operators,
      parameterBytes: this.#parameterBytes,
    };
  }

  #checkOutputs(outputs: readonly GraphValue[]): void {
    const names = outputs.map(({ name }) => name);
    const missing = names.find((name) => !this.#defined.has(name));
    if (missing !== undefined) throw invalid(`output "${missing}": nothing makes it`);
    if (new Set(names).size !== names.length) throw invalid(`an output stands twice: ${names.join(", ")}`);
  }

  #define(name: string, what: string): void {
    if (name === "") throw invalid(`${what} without a name`);
    if (this.#defined.has(name)) throw invalid(`${what} "${name}": the name is taken`);
    this.#defined.add(name);
  }

  #initializer(span: Span): void {
    const tensor = readMessage(this.#bytes, span, SPEC.tensor);
    const name = string(this.#bytes, first(tensor, TENSOR.name));
    this.#define(name, "initializer");
    const constant = this.#tensor(tensor, `initializer "${name}"`);
    if (constant !== undefined) this.#constants.set(name, constant);
  }

  #node(node: Message): void {
    const bytes = this.#bytes;
    const operator = string(bytes, first(node, NODE.opType));
    const inputs = all(node, NODE.input).map((span) => string(bytes, span));
    const outputs = all(node, NODE.output).map((span) => string(bytes, span));
    const where = `node "${string(bytes, first(node, NODE.name)) || outputs[0]}" (${operator})`;
    const domain = string(bytes, first(node, NODE.domain));
    if (domain !== "") throw refused(`${where}: operators of the domain "${domain}" are not allowed`);
    if (!ALLOWED_OPERATORS.has(operator)) throw refused(`${where}: the operator is not allowed`);
    const missing = inputs.find((name) => name !== "" && !this.#defined.has(name));
    if (missing !== undefined) throw invalid(`${where}: nothing before it makes its input "${missing}"`);
    const constant = this.#attributes(node, operator, where);
    const growth = GROWTH[operator]?.(inputs.map((name) => this.#constants.get(name))) ?? 0;
    if (!(growth <= GRAPH_LIMITS.constantElements)) throw refused(`${where}: a constant asks for ${growth} elements`);
    for (const name of outputs) if (name !== "") this.#define(name, `${where}: output`);
    if (constant !== undefined && outputs[0] !== undefined) this.#constants.set(outputs[0], constant);
    this.#operators.set(operator, (this.#operators.get(operator) ?? 0) + 1);
    this.#steps.push({ operator, inputs: inputs.filter(Boolean), outputs: outputs.filter(Boolean) });
  }

  /** Checks a node's attributes; the value of a small Constant node comes back. */
  #attributes(node: Message, operator: string, where: string): Constant | undefined {
    const seen = new Set<string>();
    let constant: Constant | undefined;
    for (const span of all(node, NODE.attribute)) {
      const attribute = readMessage(this.#bytes, span, SPEC.attribute);
      const name = string(this.#bytes, first(attribute, ATTRIBUTE.name));
      if (seen.has(name)) throw invalid(`${where}: attribute "${name}" stands twice`);
      seen.add(name);
      constant = this.#attribute(attribute, name, `${where}: attribute "${name}"`);
    }
    return operator === "Constant" ? constant : undefined;
  }

  /** Checks one attribute. Its numbers come back when they are few. */
  #attribute(attribute: Message, name: string, where: string): Constant | undefined {
    const bytes = this.#bytes;
    const type = Number(int64(bytes, first(attribute, ATTRIBUTE.type)));
    const allowed = [ATTRIBUTE.name, ATTRIBUTE.type, ATTRIBUTE.docString, VALUE_FIELD[type]];
    const stray = [...attribute.keys()].find((field) => !allowed.includes(field));
    if (stray !== undefined) throw invalid(`${where}: type ${type}, but a value in field ${stray}`);
    const { float, int, string: text, tensor, floats, ints, strings } = ATTRIBUTE_TYPE;
    if (type === tensor) {
      const span = first(attribute, ATTRIBUTE.t);
      if (span === undefined) throw invalid(`${where}: no tensor in it`);
      return this.#tensor(readMessage(bytes, span, SPEC.tensor), where);
    }
    if (type === int) return [Number(int64(bytes, first(attribute, ATTRIBUTE.i)))];
    if (type === float) return numbers(bytes, [first(attribute, ATTRIBUTE.f)], "float32");
    if (type === ints) {
      const { count, items } = repeated(bytes, attribute, ATTRIBUTE.ints, SPEC.attribute, SMALL);
      const values = numbers(bytes, items, "int64");
      if (WINDOW.has(name) && (count > SMALL || values.some((value) => Math.abs(value) > GRAPH_LIMITS.window)))
        throw refused(`${where}: expected numbers up to ${GRAPH_LIMITS.window}, got ${values}`);
      return count > SMALL ? undefined : values;
    }
    if (type === floats) {
      const { count, items } = repeated(bytes, attribute, ATTRIBUTE.floats, SPEC.attribute, SMALL);
      return count > SMALL ? undefined : numbers(bytes, items, "float32");
    }
    if (type !== text && type !== strings) throw refused(`${where}: attributes of type ${type} are not allowed`);
    return undefined;
  }

  /** Checks that a tensor's data is all there and inside the file. Its numbers come back when they are few. */
  #tensor(tensor: Message, where: string): Constant | undefined {
    const bytes = this.#bytes;
    if (int64(bytes, first(tensor, TENSOR.dataLocation)) !== 0n) throw refused(`${where}: external data`);
    const dtype = elementType(int64(bytes, first(tensor, TENSOR.dataType)), where);
    const dims = repeated(bytes, tensor, TENSOR.dims, SPEC.tensor, GRAPH_LIMITS.rank + 1).items.map((span) =>
      int64(bytes, span),
    );
    if (dims.length > GRAPH_LIMITS.rank) throw refused(`${where}: more than ${GRAPH_LIMITS.rank} dimensions`);
    if (dims.some((dim) => dim < 0n)) throw invalid(`${where}: negative dimensions [${dims}]`);
    const elements = dims.reduce((a, b) => a * b, 1n);
    const { stored, values } = this.#data(tensor, dtype, where);
    if (elements !== stored) throw invalid(`${where}: [${dims}] ${dtype} is ${elements} elements, got ${stored}`);
    this.#parameterBytes += Number(elements) * bytesOf(dtype);
    return values;
  }

  /** How many whole elements a tensor stores, in raw_data or in the typed field of its type, and not in both. */
  #data(tensor: Message, dtype: ElementType, where: string): { stored: bigint; values: Constant | undefined } {
    const bytes = this.#bytes;
    const raw = first(tensor, TENSOR.rawData);
    const field = TYPED_DATA[dtype] ?? TENSOR.int32Data;
    const { floatData, int32Data, int64Data, doubleData } = TENSOR;
    const typed = [floatData, int32Data, int64Data, doubleData].filter((number) => tensor.has(number));
    if (typed.some((number) => number !== field || raw !== undefined))
      throw invalid(`${where}: data in more than one field, or in another type's`);
    if (raw === undefined) {
      const { count, items } = repeated(bytes, tensor, field, SPEC.tensor, SMALL);
      return { stored: BigInt(count), values: count > SMALL ? undefined : numbers(bytes, items, dtype) };
    }
    const size = bytesOf(dtype);
    const stored = Math.floor((raw.end - raw.start) / size);
    if (stored * size !== raw.end - raw.start) throw invalid(`${where}: ${raw.end - raw.start} bytes of ${dtype}`);
    return { stored: BigInt(stored), values: stored > SMALL ? undefined : rawNumbers(bytes, raw, dtype) };
  }

  #value(span: Span): GraphValue {
    const bytes = this.#bytes;
    const value = readMessage(bytes, span, SPEC.valueInfo);
    const name = string(bytes, first(value, VALUE_INFO.name));
    const where = `value "${name}"`;
    const type = first(value, VALUE_INFO.type);
    const tensor = type && first(readMessage(bytes, type, SPEC.type), TYPE.tensorType);
    if (tensor === undefined) throw refused(`${where}: expected a tensor type`);
    const tensorType = readMessage(bytes, tensor, SPEC.tensorType);
    const dtype = elementType(int64(bytes, first(tensorType, TENSOR_TYPE.elemType)), where);
    const shape = first(tensorType, TENSOR_TYPE.shape);
    const dims = shape === undefined ? [] : all(readMessage(bytes, shape, SPEC.shape), SHAPE.dim);
    return { name, dtype, shape: dims.map((dim) => this.#dimension(dim, where)) };
  }

  #dimension(span: Span, where: string): number | string {
    const dimension = readMessage(this.#bytes, span, SPEC.dimension);
    const size = first(dimension, DIMENSION.value);
    if (size === undefined) return string(this.#bytes, first(dimension, DIMENSION.param)) || "?";
    const value = Number(int64(this.#bytes, size));
    if (value < 0 || value > GRAPH_LIMITS.constantElements) throw refused(`${where}: a dimension of ${value}`);
    return value;
  }
}

function elementType(code: bigint, where: string): ElementType {
  const name = ELEMENT_NAME.get(code);
  if (name === undefined) throw refused(`${where}: elements of type ${code} are not allowed`);
  return name;
}

/** The numbers of attribute and typed data fields. float16 comes as bits, which no shape is made of. */
function numbers(bytes: Uint8Array, items: readonly (Span | undefined)[], dtype: ElementType): number[] {
  if (dtype !== "float32" && dtype !== "float64") return items.map((span) => Number(int64(bytes, span)));
  return items.flatMap((span) => (span === undefined ? [] : rawNumbers(bytes, span, dtype)));
}

const ARRAYS = { float32: Float32Array, float64: Float64Array, int32: Int32Array, int64: BigInt64Array } as const;

function rawNumbers(bytes: Uint8Array, { start, end }: Span, dtype: ElementType): number[] {
  const copy = new Uint8Array(bytes.subarray(start, end)).buffer; // a copy is aligned, whatever `start` is
  const array = (ARRAYS as Partial<typeof ARRAYS>)[dtype as "int64"] ?? Uint8Array;
  return Array.from(new array(copy) as ArrayLike<number | bigint>, Number);
}

function invalid(message: string): SubspanError {
  return new SubspanError("GRAPH_INVALID", message);
}

function refused(message: string): SubspanError {
  return new SubspanError("GRAPH_REFUSED", message);
}
