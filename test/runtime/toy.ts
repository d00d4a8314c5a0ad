import { createHash } from "node:crypto";
import type { Precision } from "../../runtime/bundle.ts";
import { type GraphManifest, METADATA_KEY } from "../../runtime/manifest.ts";
import { ATTRIBUTE, ATTRIBUTE_TYPE, ELEMENT_TYPE, GRAPH, MODEL, NODE, TENSOR } from "../../runtime/onnx-schema.ts";

type Value = number | bigint | string | Uint8Array;
export type FieldList = readonly (readonly [number, Value])[];

/** A protobuf message of fields as given, right or wrong: numbers are varints, all else is bytes. */
export function message(...fields: FieldList): Uint8Array {
  return Buffer.concat(
    fields.flatMap(([number, value]) => {
      if (typeof value === "number" || typeof value === "bigint") return [varint(number * 8), varint(value)];
      const bytes = Buffer.from(value);
      return [varint(number * 8 + 2), varint(bytes.length), bytes];
    }),
  );
}

export function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Uint8Array.from([...bytes, Number(rest)]);
}

export const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

export function tensor(name: string, dims: readonly number[], data: Float32Array | BigInt64Array): Uint8Array {
  const type = data instanceof Float32Array ? ELEMENT_TYPE.float32 : ELEMENT_TYPE.int64;
  const shape = dims.map((dim) => [TENSOR.dims, dim] as const);
  return message(...shape, [TENSOR.dataType, type], [TENSOR.name, name], [TENSOR.rawData, bytesOf(data)]);
}

/** An attribute: an int, ints, or a tensor. */
export function attribute(name: string, value: number | readonly number[] | Uint8Array): Uint8Array {
  const { int, ints, tensor } = ATTRIBUTE_TYPE;
  if (typeof value === "number") return message([ATTRIBUTE.name, name], [ATTRIBUTE.i, value], [ATTRIBUTE.type, int]);
  if (value instanceof Uint8Array)
    return message([ATTRIBUTE.name, name], [ATTRIBUTE.t, value], [ATTRIBUTE.type, tensor]);
  const items = value.map((item) => [ATTRIBUTE.ints, item] as const);
  return message([ATTRIBUTE.name, name], ...items, [ATTRIBUTE.type, ints]);
}

export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: readonly Uint8Array[] = [],
): Uint8Array {
  return message(
    ...inputs.map((name) => [NODE.input, name] as const),
    ...outputs.map((name) => [NODE.output, name] as const),
    [NODE.opType, op],
    ...attributes.map((bytes) => [NODE.attribute, bytes] as const),
  );
}

export function value(name: string, type: number, shape: readonly (number | string)[]): Uint8Array {
  const dims = shape.map((dim) => [1, message([typeof dim === "number" ? 1 : 2, dim])] as const);
  return message([1, name], [2, message([1, message([1, type], [2, message(...dims)])])]);
}

/** A model around graph fields; extra model fields come last. */
export function model(graph: FieldList, ...extra: FieldList): Uint8Array {
  const opset = [MODEL.opsetImport, message([1, ""], [2, 17])] as const;
  return message([MODEL.irVersion, 8], opset, [MODEL.graph, message([GRAPH.name, "toy"], ...graph)], ...extra);
}

/** y = nodes(x), float32 [N, 2]: the smallest graph to spoil. */
export function smallModel(
  nodes: readonly Uint8Array[],
  initializers: readonly Uint8Array[] = [],
  ...extra: FieldList
): Uint8Array {
  const port = (name: string) => value(name, ELEMENT_TYPE.float32, ["N", 2]);
  return model([
    ...nodes.map((bytes) => [GRAPH.node, bytes] as const),
    ...initializers.map((bytes) => [GRAPH.initializer, bytes] as const),
    [GRAPH.input, port("x")],
    [GRAPH.output, port("y")],
    ...extra,
  ]);
}

/** The manifest of the toy clusterer: 3 clusters of 2 x 2 grey images, or of 4 features. */
export function toyManifest(kind: "images" | "features" = "images"): GraphManifest {
  const features = { name: "features", kind, shape: ["N", 4], dtype: "float32", preprocessing: "none" } as const;
  const images = { name: "images", kind, shape: ["N", 2, 2, 1], dtype: "uint8", preprocessing: "x / 255" } as const;
  return {
    formatVersion: 1,
    name: "toy",
    method: "dscdan",
    readout: "argmax",
    clusters: 3,
    input: kind === "images" ? images : features,
    outputs: [
      { name: "label", dtype: "int64", shape: ["N"] },
      { name: "confidence", dtype: "float32", shape: ["N"] },
      { name: "novelty", dtype: "float32", shape: ["N"] },
      { name: "probabilities", dtype: "float32", shape: ["N", 3] },
      { name: "embedding", dtype: "float32", shape: ["N", 3] },
      { name: "latent", dtype: "float32", shape: ["N", 4] },
    ],
    clusterSizes: [5, 3, 2],
    clusterNames: ["first", "second", "third"],
    metrics: { silhouette: 0.5 },
    seed: 1,
    data: { name: "toy", samples: 10, fingerprint: "none" },
    versions: { subspan: "0.1.0" },
    licence: "MIT",
    created: "2026-01-02T03:04:05Z",
  };
}

/**
 * A clusterer that obeys the contract: its label is the brightest of a sample's first three numbers. `width` is
 * busywork.
 */
export function toyModel(kind: "images" | "features" = "images", manifest = toyManifest(kind), width = 0): Uint8Array {
  const { float32, int64, uint8 } = ELEMENT_TYPE;
  const images = kind === "images";
  const first3 = Float32Array.from({ length: 12 }, (_, i) => (Math.floor(i / 3) === i % 3 ? 1 : 0));
  const nodes = [
    ...(images
      ? [node("Cast", ["images"], ["float"], [attribute("to", float32)]), node("Reshape", ["float", "flat"], ["rows"])]
      : [node("Identity", ["features"], ["rows"])]),
    node("Div", ["rows", images ? "white" : "one"], ["latent"]),
    ...(width === 0 ? [] : [node("MatMul", ["latent", "wide"], ["w1"]), node("MatMul", ["w1", "square"], ["w2"])]),
    ...(width === 0 ? [] : [node("MatMul", ["w2", "back"], ["w3"]), node("Add", ["w3", "latent"], ["latent2"])]),
    node("MatMul", [width === 0 ? "latent" : "latent2", "first3"], ["embedding"]),
    node("Softmax", ["embedding"], ["probabilities"]),
    node("ReduceMax", ["probabilities"], ["confidence"], [attribute("axes", [1]), attribute("keepdims", 0)]),
    node("ArgMax", ["probabilities"], ["label"], [attribute("axis", 1), attribute("keepdims", 0)]),
    node("ReduceMin", ["probabilities"], ["novelty"], [attribute("axes", [1]), attribute("keepdims", 0)]),
  ];
  const initializers = [
    tensor("flat", [2], BigInt64Array.of(0n, 4n)),
    tensor("white", [], Float32Array.of(255)),
    tensor("one", [], Float32Array.of(1)),
    tensor("first3", [4, 3], first3),
    ...(width === 0
      ? []
      : [
          tensor("wide", [4, width], new Float32Array(4 * width)),
          tensor("square", [width, width], new Float32Array(width * width)),
          tensor("back", [width, 4], new Float32Array(width * 4)),
        ]),
  ];
  const type = { label: int64 } as Readonly<Record<string, number>>;
  return model(
    [
      ...nodes.map((bytes) => [GRAPH.node, bytes] as const),
      ...initializers.map((bytes) => [GRAPH.initializer, bytes] as const),
      [GRAPH.input, value(kind, images ? uint8 : float32, images ? ["N", 2, 2, 1] : ["N", 4])],
      ...manifest.outputs.map(({ name, shape }) => [GRAPH.output, value(name, type[name] ?? float32, shape)] as const),
    ],
    [MODEL.metadataProps, message([1, METADATA_KEY], [2, JSON.stringify(manifest)])],
  );
}

export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** The toy's bundle as files. `change` spoils its manifest.json. */
export function toyBundle(
  change: (manifest: Record<string, unknown>) => unknown = (same) => same,
  model = toyModel(),
): Record<string, Uint8Array> {
  const files: Record<string, Uint8Array> = { "model.onnx": model, "card.md": Buffer.from("# toy\n") };
  const list = Object.entries(files).map(([path, bytes]) => ({ path, size: bytes.length, sha256: sha256(bytes) }));
  const manifest = change({ ...toyManifest(), files: list });
  return { "manifest.json": Buffer.from(JSON.stringify(manifest)), ...files };
}

/** A toy's bundle with variants, each of its own size, and what parity.json says of them. */
export function toyVariants(
  parity: unknown,
  variants: readonly Precision[] = ["fp16", "int8"],
): Record<string, Uint8Array> {
  const files: Record<string, Uint8Array> = { "model.onnx": toyModel() };
  for (const name of variants) files[`model.${name}.onnx`] = toyModel("images", toyManifest(), name === "fp16" ? 2 : 3);
  if (parity !== undefined)
    files["parity.json"] = Buffer.from(typeof parity === "string" ? parity : JSON.stringify(parity));
  const list = Object.entries(files).map(([path, bytes]) => ({ path, size: bytes.length, sha256: sha256(bytes) }));
  return { ...files, "manifest.json": Buffer.from(JSON.stringify({ ...toyManifest(), files: list })) };
}
