import { expect, test } from "vitest";
import { ALLOWED_OPERATORS, checkGraph } from "../../runtime/graph-check.ts";
import { SPEC } from "../../runtime/graph-schema.ts";
import { ATTRIBUTE, GRAPH, MODEL, NODE, TENSOR } from "../../runtime/onnx-schema.ts";
import { attribute, type FieldList, message, model, node, smallModel, tensor, toyModel, value, varint } from "./toy.ts";

const identity = node("Identity", ["x"], ["y"]);
const shape = (...dims: bigint[]) => tensor("s", [dims.length], BigInt64Array.from(dims));
const graphAttribute = message([ATTRIBUTE.name, "body"], [ATTRIBUTE.g, message()], [ATTRIBUTE.type, 5]);
const raw = (...fields: FieldList) => message([TENSOR.name, "s"], ...fields);
const float2 = [
  [TENSOR.dims, 2],
  [TENSOR.dataType, 1],
] as const;

test("a graph in order is summed up", () => {
  const bytes = toyModel();
  const summary = checkGraph(bytes);
  expect(summary).toMatchObject({ irVersion: 8, opset: 17, nodes: 8, parameterBytes: 16 + 4 + 4 + 48 });
  expect(summary.inputs).toEqual([{ name: "images", dtype: "uint8", shape: ["N", 2, 2, 1] }]);
  expect(summary.outputs[0]).toEqual({ name: "label", dtype: "int64", shape: ["N"] });
  expect(summary.operators).toMatchObject({ MatMul: 1, Softmax: 1 });
  expect(Object.keys(summary.metadata)).toEqual(["subspan.manifest"]);
});

test("bytes inside a larger buffer, at an odd offset, are read the same", () => {
  const bytes = toyModel();
  const inside = new Uint8Array(bytes.length + 7);
  inside.set(bytes, 3);
  expect(checkGraph(inside.subarray(3, 3 + bytes.length))).toEqual(checkGraph(bytes));
});

const refused: Record<string, Uint8Array> = {
  "another IR": message([MODEL.irVersion, 9], [MODEL.graph, message()]),
  "another opset": message([MODEL.irVersion, 8], [MODEL.graph, message()], [MODEL.opsetImport, message([2, 18])]),
  "another domain": model([], [MODEL.opsetImport, message([1, "com.microsoft"], [2, 1])]),
  "a node of another domain": smallModel([message([NODE.opType, "Gelu"], [NODE.domain, "com.microsoft"])]),
  "an unknown operator": smallModel([node("Evil", ["x"], ["y"])]),
  Loop: smallModel([node("Loop", ["x"], ["y"], [graphAttribute])]),
  "a graph in an attribute": smallModel([node("Relu", ["x"], ["y"], [graphAttribute])]),
  functions: model([], [MODEL.functions, message()]),
  "training info": model([], [MODEL.trainingInfo, message()]),
  "a sparse initializer": smallModel([identity], [], [GRAPH.sparseInitializer, message()]),
  "a quantization annotation": smallModel([identity], [], [14, message()]),
  "external data": smallModel([identity], [raw(...float2, [TENSOR.externalData, message([1, "location"])])]),
  "an external location": smallModel([identity], [raw(...float2, [TENSOR.dataLocation, 1])]),
  "a tensor of strings": smallModel([identity], [raw([TENSOR.dims, 1], [TENSOR.dataType, 8])]),
  "an unknown field": model([], [99, "?"]),
  "100,001 nodes": smallModel(Array.from({ length: 100_001 }, () => identity)),
  "a ConstantOfShape bomb": smallModel([node("ConstantOfShape", ["s"], ["y"])], [shape(1_000_000n, 1_000_000n)]),
  "an Expand bomb": smallModel([node("Expand", ["x", "s"], ["y"])], [shape(2n ** 62n, 2n)]),
  "a bomb from a Constant node": smallModel([
    node("Constant", [], ["s"], [attribute("value", shape(2n ** 40n))]),
    node("ConstantOfShape", ["s"], ["y"]),
  ]),
  "a Tile bomb": smallModel([node("Tile", ["x", "s"], ["y"])], [shape(2n ** 20n, 2n ** 20n)]),
  "a Pad bomb": smallModel([node("Pad", ["x", "s"], ["y"])], [shape(0n, 0n, 0n, 2n ** 40n)]),
  "a pads attribute": smallModel([node("MaxPool", ["x"], ["y"], [attribute("pads", [0, 2 ** 31])])]),
};

test.each(Object.entries(refused))("%s is refused", (_, bytes) => {
  expect(() => checkGraph(bytes)).toThrow(expect.objectContaining({ code: "GRAPH_REFUSED" }));
});

const invalid: Record<string, Uint8Array> = {
  nothing: message([MODEL.irVersion, 8]),
  "a 2 GB length": Buffer.concat([message([MODEL.irVersion, 8]), varint(7 * 8 + 2), varint(2 ** 31), Buffer.from("x")]),
  "a length of 2^63": Buffer.concat([message([MODEL.irVersion, 8]), varint(7 * 8 + 2), varint(2n ** 63n)]),
  "an endless varint": Buffer.concat([varint(8), Buffer.alloc(12, 0xff)]),
  "two graphs": model([], [MODEL.graph, message()]),
  "a group": Uint8Array.of(7 * 8 + 3, 7 * 8 + 4),
  "an input nothing makes": smallModel([node("Relu", ["z"], ["y"])]),
  "nodes out of order": smallModel([node("Relu", ["z"], ["y"]), node("Relu", ["x"], ["z"])]),
  "a cycle": smallModel([node("Add", ["x", "z"], ["y"]), node("Relu", ["y"], ["z"])]),
  "a name taken by a node": smallModel([node("Relu", ["x"], ["y"]), node("Abs", ["x"], ["y"])]),
  "a name taken by an initializer": smallModel([identity], [tensor("x", [1], Float32Array.of(1))]),
  "an output nothing makes": smallModel([node("Relu", ["x"], ["z"])]),
  "a second output of a name": smallModel([identity], [], [GRAPH.output, value("y", 1, ["N", 2])]),
  "a tensor one element short": smallModel([identity], [raw(...float2, [TENSOR.rawData, Buffer.alloc(4)])]),
  "a tensor of half elements": smallModel([identity], [raw(...float2, [TENSOR.rawData, Buffer.alloc(9)])]),
  "dimensions that overflow": smallModel(
    [identity],
    [raw([TENSOR.dims, 2 ** 32], [TENSOR.dims, 2 ** 32], [TENSOR.dataType, 1], [TENSOR.rawData, Buffer.alloc(0)])],
  ),
  "negative dimensions": smallModel([identity], [raw([TENSOR.dims, -2], [TENSOR.dims, -1], [TENSOR.dataType, 1])]),
  "an attribute twice": smallModel([node("ArgMax", ["x"], ["y"], [attribute("axis", 1), attribute("axis", 0)])]),
  "a value its attribute's type hides": smallModel([
    node("Relu", ["x"], ["y"], [message([ATTRIBUTE.name, "a"], [ATTRIBUTE.t, message()], [ATTRIBUTE.type, 2])]),
  ]),
  "text that is not UTF-8": smallModel([message([NODE.opType, Uint8Array.of(0xff)])]),
};

test.each(Object.entries(invalid))("%s is invalid", (_, bytes) => {
  expect(() => checkGraph(bytes)).toThrow(expect.objectContaining({ code: "GRAPH_INVALID" }));
});

test("every field that may stand in a message is one of its schema, of a kind there is", () => {
  for (const { name, fields, one, many } of Object.values(SPEC))
    for (const [number, kind] of [one, many].flatMap(Object.entries)) {
      expect(Object.values(fields).map(String), name).toContain(number);
      expect(["varint", "fixed64", "fixed32", "bytes"], name).toContain(kind);
    }
});

test("a refusal names the field that ONNX gives it", () => {
  const external = smallModel([identity], [raw(...float2, [TENSOR.externalData, message([1, "location"])])]);
  expect(() => checkGraph(external)).toThrow("TensorProto: externalData is not allowed");
});

test("a refusal names the node and the operator", () => {
  expect(() => checkGraph(smallModel([node("Evil", ["x"], ["y"])]))).toThrow('node "y" (Evil): the operator is not');
});

test("a model cut anywhere is refused, never half read", () => {
  const bytes = toyModel();
  const typed = expect.objectContaining({ code: expect.stringMatching(/^GRAPH_/) });
  for (let end = 0; end < bytes.length; end++) {
    let error: unknown;
    try {
      checkGraph(bytes.subarray(0, end));
    } catch (thrown) {
      error = thrown;
    }
    if (error !== undefined) expect(error).toEqual(typed);
    else expect(bytes.length - end).toBeGreaterThan(200); // whole but for the metadata, which comes last
  }
});

test("packed and unpacked numbers are the same dimensions", () => {
  const packed = raw([TENSOR.dims, Uint8Array.of(1, 2)], [TENSOR.dataType, 1], [TENSOR.rawData, Buffer.alloc(8)]);
  expect(checkGraph(smallModel([identity], [packed])).parameterBytes).toBe(8);
});

test("nothing allowed runs code, loops, draws or holds strings", () => {
  const banned =
    /^(If|Loop|Scan|Sequence.*|Optional.*|String.*|Random.*|Bernoulli|Multinomial|Dropout|Concat.*Sequence)$/;
  expect([...ALLOWED_OPERATORS].filter((name) => banned.test(name))).toEqual([]);
});

test("100,000 nodes are checked within seconds", () => {
  const nodes = Array.from({ length: 99_999 }, (_, i) => node("Relu", [i === 0 ? "x" : `v${i - 1}`], [`v${i}`]));
  const bytes = smallModel([...nodes, node("Relu", ["v99998"], ["y"])]);
  const start = performance.now();
  expect(checkGraph(bytes).nodes).toBe(100_000);
  expect(performance.now() - start).toBeLessThan(5000);
});
