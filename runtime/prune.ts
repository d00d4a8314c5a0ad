import { SPEC } from "./graph-schema.ts";
import { GRAPH, IR_VERSION, MODEL, NODE, OPERATOR_SET, OPSET, TENSOR, VALUE_INFO } from "./onnx-schema.ts";
import { all, first, type MessageSpec, readMessage, type Span, string } from "./protobuf.ts";

/** The fields of a graph that belong to values, and where these are named in them. */
const NAMED: Readonly<Record<number, readonly [spec: MessageSpec, names: number]>> = {
  [GRAPH.node]: [SPEC.node, NODE.output],
  [GRAPH.initializer]: [SPEC.tensor, TENSOR.name],
  [GRAPH.output]: [SPEC.valueInfo, VALUE_INFO.name],
  [GRAPH.valueInfo]: [SPEC.valueInfo, VALUE_INFO.name],
};

type Bytes = ArrayLike<number>;

/**
 * A checked model without the nodes, initializers and outputs that make none of `values`; what is kept keeps its bytes.
 * Metadata, which ONNX Runtime does not read, is left out.
 *
 * @param values - closed: with a value, all that its node reads.
 */
export function prune(bytes: Uint8Array, values: ReadonlySet<string>): Uint8Array {
  const model = readMessage(bytes, { start: 0, end: bytes.length }, SPEC.model);
  const graph = readMessage(bytes, first(model, MODEL.graph)!, SPEC.graph);
  const isKept = (field: number, span: Span) => {
    const [spec, names] = NAMED[field] ?? [];
    return !spec || all(readMessage(bytes, span, spec), names!).some((name) => values.has(string(bytes, name)));
  };
  const fields = [...graph].flatMap(([field, spans]) =>
    spans.filter((span) => isKept(field, span)).flatMap(({ start, end }) => written(field, bytes.subarray(start, end))),
  );
  return joined([
    [8 * MODEL.irVersion, IR_VERSION],
    ...written(MODEL.opsetImport, [8 * OPERATOR_SET.version, OPSET]),
    ...written(MODEL.graph, joined(fields)),
  ]);
}

/** A field of bytes, in two pieces. */
function written(field: number, bytes: Bytes): Bytes[] {
  return [[...varint(8 * field + 2), ...varint(bytes.length)], bytes];
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

function joined(pieces: readonly Bytes[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
