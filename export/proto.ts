import {
  ATTRIBUTE,
  ATTRIBUTE_TYPE,
  DIMENSION,
  ELEMENT_TYPE,
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
} from "../runtime/onnx-schema.ts";
import type { Attribute, GraphNode, GraphPort, Initializer } from "./graph.ts";

export interface Model {
  readonly name: string;
  readonly inputs: readonly GraphPort[];
  readonly outputs: readonly GraphPort[];
  readonly nodes: readonly GraphNode[];
  readonly initializers: readonly Initializer[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** An ONNX ModelProto as bytes: opset 17, IR version 8, tensors inside the file. */
export function encodeModel(model: Model): Uint8Array<ArrayBuffer> {
  const m = new Message();
  m.integer(MODEL.irVersion, IR_VERSION);
  m.text(MODEL.producerName, "subspan");
  m.message(MODEL.graph, encodeGraph(model));
  for (const [domain, version] of operatorSets(model))
    m.message(
      MODEL.opsetImport,
      new Message().text(OPERATOR_SET.domain, domain).integer(OPERATOR_SET.version, version),
    );
  for (const [key, value] of Object.entries(model.metadata)) {
    m.message(MODEL.metadataProps, new Message().text(STRING_ENTRY.key, key).text(STRING_ENTRY.value, value));
  }
  return m.finish();
}

/** The domain and the name of an operator: "Conv" is ONNX's own, "domain:Conv" another's. */
function operatorOf(op: string): [domain: string, name: string] {
  const [name, domain = ""] = op.split(":").reverse() as [string, string?];
  return [domain, name];
}

function operatorSets({ nodes }: Model): ReadonlyMap<string, number> {
  const others = nodes.map(({ op }) => operatorOf(op)[0]).filter((domain) => domain !== "");
  return new Map([["", OPSET], ...others.map((domain): [string, number] => [domain, 1])]);
}

function encodeGraph({ name, inputs, outputs, nodes, initializers }: Model): Message {
  const g = new Message();
  for (const node of nodes) g.message(GRAPH.node, encodeNode(node));
  g.text(GRAPH.name, name);
  for (const tensor of initializers) g.message(GRAPH.initializer, encodeTensor(tensor));
  for (const port of inputs) g.message(GRAPH.input, encodePort(port));
  for (const port of outputs) g.message(GRAPH.output, encodePort(port));
  return g;
}

function encodeNode({ op, name, inputs, outputs, attributes }: GraphNode): Message {
  const n = new Message();
  for (const input of inputs) n.text(NODE.input, input);
  for (const output of outputs) n.text(NODE.output, output);
  const [domain, type] = operatorOf(op);
  n.text(NODE.name, name).text(NODE.opType, type);
  if (domain !== "") n.text(NODE.domain, domain);
  for (const [key, value] of Object.entries(attributes)) n.message(NODE.attribute, encodeAttribute(key, value));
  return n;
}

function encodeAttribute(name: string, value: Attribute): Message {
  const a = new Message().text(ATTRIBUTE.name, name);
  if (typeof value === "number") return a.integer(ATTRIBUTE.i, value).integer(ATTRIBUTE.type, ATTRIBUTE_TYPE.int);
  if (typeof value === "string") return a.text(ATTRIBUTE.s, value).integer(ATTRIBUTE.type, ATTRIBUTE_TYPE.string);
  if ("float" in value) return a.float(ATTRIBUTE.f, value.float).integer(ATTRIBUTE.type, ATTRIBUTE_TYPE.float);
  if ("floats" in value) {
    for (const item of value.floats) a.float(ATTRIBUTE.floats, item);
    return a.integer(ATTRIBUTE.type, ATTRIBUTE_TYPE.floats);
  }
  for (const item of value) a.integer(ATTRIBUTE.ints, item);
  return a.integer(ATTRIBUTE.type, ATTRIBUTE_TYPE.ints);
}

function encodeTensor({ name, type, shape, bytes }: Initializer): Message {
  const t = new Message();
  for (const dim of shape) t.integer(TENSOR.dims, dim);
  return t.integer(TENSOR.dataType, ELEMENT_TYPE[type]).text(TENSOR.name, name).bytes(TENSOR.rawData, bytes);
}

function encodePort({ name, type, shape }: GraphPort): Message {
  const dims = new Message();
  for (const dim of shape) {
    const d = new Message();
    dims.message(SHAPE.dim, typeof dim === "number" ? d.integer(DIMENSION.value, dim) : d.text(DIMENSION.param, dim));
  }
  const tensor = new Message().integer(TENSOR_TYPE.elemType, ELEMENT_TYPE[type]).message(TENSOR_TYPE.shape, dims);
  return new Message()
    .text(VALUE_INFO.name, name)
    .message(VALUE_INFO.type, new Message().message(TYPE.tensorType, tensor));
}

const utf8 = new TextEncoder();

/** One protobuf message being written: chunks and their length, joined once at the end (weights are copied once). */
class Message {
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  integer(field: number, value: number): this {
    this.#push(varint(field << 3), varint(value));
    return this;
  }

  float(field: number, value: number): this {
    this.#push(varint((field << 3) | 5), new Uint8Array(Float32Array.of(value).buffer));
    return this;
  }

  text(field: number, value: string): this {
    return this.bytes(field, utf8.encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    this.#push(varint((field << 3) | 2), varint(value.length), value);
    return this;
  }

  message(field: number, value: Message): this {
    this.#push(varint((field << 3) | 2), varint(value.#length));
    for (const chunk of value.#chunks) this.#push(chunk); // not spread: a call takes some 120,000 arguments
    return this;
  }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.#length);
    let offset = 0;
    for (const chunk of this.#chunks) {
      out.set(chunk, offset);
      offset += chunk.length;
    }
    return out;
  }

  #push(...chunks: Uint8Array[]): void {
    for (const chunk of chunks) {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
    }
  }
}

/** Base-128 varint; negative integers as 64-bit two's complement. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}
