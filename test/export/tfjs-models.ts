import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { GraphModel } from "@tensorflow/tfjs-converter";
import { io, tensor } from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";

/** What model.json holds. */
export type ModelJson = io.ModelJSON & { modelTopology: Record<string, unknown> };

/** Writes model.json and its weights, in two files where there is enough for two. @returns the path of model.json. */
export async function writeModel(folder: string, json: ModelJson, weights: Uint8Array): Promise<string> {
  await mkdir(folder, { recursive: true });
  const [group] = json.weightsManifest;
  const size = Math.ceil(weights.length / (group?.paths.length ?? 1));
  await Promise.all(
    (group?.paths ?? []).map((name, i) => writeFile(join(folder, name), weights.subarray(i * size, (i + 1) * size))),
  );
  await writeFile(join(folder, "model.json"), JSON.stringify(json));
  return join(folder, "model.json");
}

/** A Layers model as `model.save` writes it. */
export async function saved(model: LayersModel): Promise<{ json: ModelJson; weights: Uint8Array }> {
  let artifacts: io.ModelArtifacts | undefined;
  await model.save(
    io.withSaveHandler(async (given) => {
      artifacts = given;
      return { modelArtifactsInfo: io.getModelArtifactsInfoForJSON(given) };
    }),
  );
  const { modelTopology, weightSpecs = [], weightData } = artifacts as io.ModelArtifacts;
  const json = {
    format: "layers-model",
    modelTopology: modelTopology as ModelJson["modelTopology"],
    weightsManifest: [{ paths: ["weights.1of2.bin", "weights.2of2.bin"], weights: weightSpecs }],
  };
  return { json, weights: new Uint8Array(weightData as ArrayBuffer) };
}

type Dtype = "float32" | "int32" | "bool";
const DT = { float32: "DT_FLOAT", int32: "DT_INT32", bool: "DT_BOOL" } as const;

/** A node as TensorFlow's GraphDef has it in JSON. */
export interface GraphDefNode {
  readonly name: string;
  readonly op: string;
  readonly input?: readonly string[];
  readonly attr?: Readonly<Record<string, unknown>>;
}

export const node = (op: string, name: string, input: string[] = [], attr = {}): GraphDefNode => ({
  name,
  op,
  input,
  attr: { T: { type: DT.float32 }, ...attr },
});

/** An input; -1 is an open size. */
export const placeholder = (name: string, sizes: readonly number[], dtype: Dtype = "float32"): GraphDefNode => {
  const dim = sizes.map((size) => ({ size: String(size) }));
  return { name, op: "Placeholder", attr: { dtype: { type: DT[dtype] }, shape: { shape: { dim } } } };
};

export type Constants = Readonly<Record<string, { dtype?: Dtype; shape: number[]; values: number[] }>>;

interface Functions {
  readonly signature: { name: string; inputArg: object[]; outputArg: object[] };
  readonly nodeDef: readonly GraphDefNode[];
  readonly ret: Readonly<Record<string, string>>;
}

export const functionDef = (
  name: string,
  args: Readonly<Record<string, Dtype>>,
  nodeDef: readonly GraphDefNode[],
  ret: Readonly<Record<string, string>>,
): Functions => ({
  signature: {
    name,
    inputArg: Object.entries(args).map(([name, dtype]) => ({ name, type: DT[dtype] })),
    outputArg: Object.keys(ret).map((name) => ({ name, type: DT.float32 })),
  },
  nodeDef,
  ret,
});

/** A Graph model of nodes and constants, as tensorflowjs_converter writes it. */
export function graphModel(
  nodes: readonly GraphDefNode[],
  constants: Constants = {},
  { signature, functions = [] }: { signature?: object; functions?: readonly Functions[] } = {},
): { json: ModelJson; weights: Uint8Array } {
  const consts = Object.entries(constants).map(([name, { dtype = "float32" }]) => ({
    name,
    op: "Const",
    attr: { dtype: { type: DT[dtype] } },
  }));
  const specs = Object.entries(constants).map(([name, { dtype = "float32", shape }]) => ({ name, shape, dtype }));
  const parts = Object.values(constants).map(({ dtype = "float32", values }) =>
    dtype === "float32"
      ? Float32Array.from(values)
      : dtype === "int32"
        ? Int32Array.from(values)
        : Uint8Array.from(values),
  );
  const bytes = parts.flatMap(({ buffer }) => Array.from(new Uint8Array(buffer)));
  return {
    json: {
      format: "graph-model",
      modelTopology: { node: [...consts, ...nodes], versions: {}, library: { function: functions } },
      weightsManifest: [{ paths: ["weights.bin"], weights: specs }],
      ...(signature && { signature }),
    },
    weights: Uint8Array.from(bytes),
  };
}

/** The same, loaded by tfjs-converter from memory. */
export async function loadedGraph(...given: Parameters<typeof graphModel>): Promise<GraphModel> {
  const { json, weights } = graphModel(...given);
  const { modelTopology, weightsManifest, signature } = json;
  const weightSpecs = weightsManifest.flatMap(({ weights }) => weights);
  const weightData = weights.buffer as ArrayBuffer;
  const model = new GraphModel({
    load: async () => ({ modelTopology, weightSpecs, weightData, ...(signature && { signature }) }),
  });
  await model.load();
  return model;
}

export { tensor };
