import { fromBinary } from "@bufbuild/protobuf";
import { AttributeProto_AttributeType, ModelProtoSchema, TensorProto_DataType } from "onnx-buf";
import * as ort from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { encodeModel, type Model } from "../../export/index.ts";
import { checkGraph } from "../../runtime/graph-check.ts";

const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Repeats every pixel of x twice along both axes, crops a row from the end, and is leaky: one node of every attribute type. */
const model: Model = {
  name: "größer",
  inputs: [{ name: "bild ж", type: "float32", shape: ["N", 1, 2, 2] }],
  outputs: [{ name: "出力", type: "float32", shape: ["N", 1, 3, 4] }],
  nodes: [
    {
      op: "Resize",
      name: "Resize_0",
      inputs: ["bild ж", "", "scales"],
      outputs: ["large"],
      attributes: { mode: "nearest", coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" },
    },
    {
      op: "Slice",
      name: "Slice_1",
      inputs: ["large", "starts", "ends", "axes"],
      outputs: ["cut"],
      attributes: {},
    },
    {
      op: "LeakyRelu",
      name: "LeakyRelu_2",
      inputs: ["cut"],
      outputs: ["leaky"],
      attributes: { alpha: { float: 0.25 } },
    },
    { op: "Softmax", name: "Softmax_3", inputs: ["leaky"], outputs: ["soft"], attributes: { axis: -1 } },
    { op: "Transpose", name: "Transpose_4", inputs: ["soft"], outputs: ["出力"], attributes: { perm: [0, 1, 2, 3] } },
  ],
  initializers: [
    { name: "scales", type: "float32", shape: [4], bytes: bytesOf(Float32Array.of(1, 1, 2, 2)) },
    { name: "starts", type: "int64", shape: [1], bytes: bytesOf(BigInt64Array.of(0n)) },
    { name: "ends", type: "int64", shape: [1], bytes: bytesOf(BigInt64Array.of(-1n)) },
    { name: "axes", type: "int64", shape: [1], bytes: bytesOf(BigInt64Array.of(2n)) },
    { name: "unused", type: "uint8", shape: [0], bytes: new Uint8Array(0) },
  ],
  metadata: { clusters: '["Häuser","猫"]', empty: "" },
};

test("a graph of more nodes than a call takes arguments is written whole", () => {
  const nodes = Array.from({ length: 20_000 }, (_, i) => ({
    ...{ op: "Neg", name: `Neg_${i}`, attributes: {} },
    ...{ inputs: [i === 0 ? "x" : `y${i - 1}`], outputs: [`y${i}`] },
  }));
  const port = { type: "float32", shape: [1] } as const;
  const ports = { inputs: [{ name: "x", ...port }], outputs: [{ name: "y19999", ...port }] };
  const chain = { ...ports, name: "chain", nodes, initializers: [], metadata: {} };
  expect(fromBinary(ModelProtoSchema, encodeModel(chain)).graph?.node).toHaveLength(20_000);
});

describe("an independent decoder of onnx.proto reads", () => {
  const decoded = fromBinary(ModelProtoSchema, encodeModel(model));
  const graph = decoded.graph!;
  const attribute = (node: number, name: string) => graph.node[node]!.attribute.find((a) => a.name === name)!;

  test("opset 17 of the default domain, IR version 8 and the producer", () => {
    expect(decoded.irVersion).toBe(8n);
    expect(decoded.opsetImport.map(({ domain, version }) => [domain, version])).toEqual([["", 17n]]);
    expect(decoded.producerName).toBe("subspan");
  });

  test("the metadata", () => {
    expect(Object.fromEntries(decoded.metadataProps.map(({ key, value }) => [key, value]))).toEqual(model.metadata);
  });

  test("names outside ASCII", () => {
    expect(graph.name).toBe("größer");
    expect(graph.input[0]!.name).toBe("bild ж");
    expect(graph.output[0]!.name).toBe("出力");
  });

  test("nodes in order, an absent optional input as an empty name", () => {
    expect(graph.node.map(({ opType }) => opType)).toEqual(model.nodes.map(({ op }) => op));
    expect(graph.node.map(({ name }) => name)).toEqual(model.nodes.map(({ name }) => name));
    expect(graph.node[0]!.input).toEqual(["bild ж", "", "scales"]);
  });

  test("each attribute with its type: text, float, negative integer, integers", () => {
    const { STRING, FLOAT, INT, INTS } = AttributeProto_AttributeType;
    expect(attribute(0, "mode")).toMatchObject({ type: STRING, s: new TextEncoder().encode("nearest") });
    expect(attribute(2, "alpha")).toMatchObject({ type: FLOAT, f: 0.25 });
    expect(attribute(3, "axis")).toMatchObject({ type: INT, i: -1n });
    expect(attribute(4, "perm")).toMatchObject({ type: INTS, ints: [0n, 1n, 2n, 3n] });
  });

  test("dimensions, as sizes and as a symbol", () => {
    const type = graph.input[0]!.type!.value;
    if (type.case !== "tensorType") throw new Error(`expected a tensor, got ${type.case}`);
    expect(type.value.elemType).toBe(TensorProto_DataType.FLOAT);
    expect(type.value.shape!.dim.map(({ value }) => value.value)).toEqual(["N", 1n, 2n, 2n]);
  });

  test("initializers with their bytes, whole numbers of 64 bits among them", () => {
    const [scales, , ends, , unused] = graph.initializer;
    expect(scales).toMatchObject({ dims: [4n], dataType: TensorProto_DataType.FLOAT });
    expect(ends).toMatchObject({ name: "ends", dims: [1n], dataType: TensorProto_DataType.INT64 });
    expect(Array.from(ends!.rawData)).toEqual(Array(8).fill(255));
    expect(unused).toMatchObject({ dims: [0n], dataType: TensorProto_DataType.UINT8 });
  });

  test("whole numbers of more than 32 bits", () => {
    const long = { ...model.nodes[3]!, attributes: { axis: -(2 ** 40), far: [2 ** 52, -(2 ** 52)] } };
    const { graph } = fromBinary(ModelProtoSchema, encodeModel({ ...model, nodes: [long] }));
    expect(graph!.node[0]!.attribute.map(({ i, ints }) => [i, ints])).toEqual([
      [-(2n ** 40n), []],
      [0n, [2n ** 52n, -(2n ** 52n)]],
    ]);
  });
});

test("subspan's own checking reader reads what the writer wrote", () => {
  const summary = checkGraph(encodeModel(model));
  expect(summary.inputs).toEqual([{ name: "bild ж", dtype: "float32", shape: ["N", 1, 2, 2] }]);
  expect(summary.operators).toEqual({ LeakyRelu: 1, Resize: 1, Slice: 1, Softmax: 1, Transpose: 1 });
  expect(summary.metadata).toEqual(model.metadata);
});

test("ONNX Runtime loads and runs it", async () => {
  const session = await ort.InferenceSession.create(encodeModel(model), { logSeverityLevel: 3 });
  const x = new ort.Tensor("float32", Float32Array.of(0, 0, 1, 1), [1, 1, 2, 2]);
  const { 出力: y } = await session.run({ "bild ж": x });
  expect(y!.dims).toEqual([1, 1, 3, 4]);
  expect(Array.from(y!.data as Float32Array)).toEqual(Array(12).fill(0.25));
  await session.release();
});

test("equal models are equal bytes", () => expect(encodeModel(model)).toEqual(encodeModel(structuredClone(model))));
