import { readFile, realpath, stat } from "node:fs/promises";
import { dirname, resolve, sep } from "node:path";
import type { io } from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { type GraphModel, loadGraphModel } from "@tensorflow/tfjs-converter";
import { type LayersModel, loadLayersModel } from "@tensorflow/tfjs-layers";
import { z } from "zod";
import { SubspanError } from "../runtime/errors.ts";
import { checkGraphTopology, checkLayersTopology } from "./model-topology.ts";
import { quietly } from "./quiet.ts";

/** A file is read whole, and what is made of it must be one ONNX file: protobuf ends at 2 GiB. */
const MOST_BYTES = 2 ** 31 - 1;

const WEIGHT = z.object({
  name: z.string(),
  shape: z.array(z.number().int().nonnegative()),
  dtype: z.enum(["float32", "int32", "bool", "string", "complex64"]),
  group: z.enum(["model", "optimizer"]).optional(),
  quantization: z
    .object({
      dtype: z.enum(["uint8", "uint16", "float16"]),
      scale: z.number().optional(),
      min: z.number().optional(),
    })
    .optional(),
});

const GROUP = z.object({ paths: z.array(z.string().min(1)), weights: z.array(WEIGHT) });

const NODE = z.looseObject({ name: z.string(), op: z.string(), input: z.array(z.string()).optional() });
const GRAPH = z.looseObject({ node: z.array(NODE) });
const LAYERS = z.looseObject({ class_name: z.string(), config: z.unknown() });

/** model.json, as far as it matters here; the rest is tfjs's to judge. */
const MODEL = z.object({
  modelTopology: z.union([GRAPH, z.looseObject({ model_config: LAYERS }), LAYERS]),
  weightsManifest: z.array(GROUP),
  signature: z.looseObject({}).nullish(),
  userDefinedMetadata: z.looseObject({}).nullish(),
  modelInitializer: z.looseObject({}).nullish(),
  initializerSignature: z.looseObject({}).nullish(),
});

type Group = z.infer<typeof GROUP>;
type Weight = z.infer<typeof WEIGHT>;

const BYTES = { float32: 4, int32: 4, bool: 1, complex64: 8, uint8: 1, uint16: 2, float16: 2, string: 4 } as const;

const invalid = (file: string, wrong: string, cause?: unknown) =>
  new SubspanError("MODEL_INVALID", `${file}: ${wrong}`, { cause });

/**
 * Loads a Layers or Graph model from disk: a model.json and the weight files beside it. Nothing outside the folder of model.json
 * is read, and nothing is built before every weight file has the size that the weights manifest says.
 *
 * @throws {SubspanError} MODEL_MISSING or MODEL_INVALID, naming the file, weight, layer or node.
 */
export async function loadModel(path: string): Promise<LayersModel | GraphModel> {
  const artifacts = await readModel(path);
  return quietly(() => build(artifacts)).catch((error) => {
    const [why = ""] = (error as Error).message.split("\n");
    throw invalid(path, error instanceof SubspanError ? why : `tfjs cannot build the model: ${why}`, error);
  });
}

type Artifacts = io.ModelArtifacts & Pick<z.infer<typeof MODEL>, "modelTopology">;

async function build(artifacts: Artifacts): Promise<LayersModel | GraphModel> {
  const { modelTopology: topology } = artifacts;
  if ("node" in topology) {
    checkGraphTopology((topology as z.infer<typeof GRAPH>).node);
    return loadGraphModel({ load: async () => artifacts });
  }
  checkLayersTopology(("model_config" in topology ? topology.model_config : topology) as z.infer<typeof LAYERS>);
  return loadLayers(artifacts);
}

async function loadLayers(artifacts: Artifacts): Promise<LayersModel> {
  try {
    return await loadLayersModel({ load: async () => artifacts });
  } catch (error) {
    // tfjs tells the shapes of a weight that does not fit, but not which weight it is.
    const [, expected, found] = /^Shape mismatch: (.*) vs\. (.*)$/.exec((error as Error).message) ?? [];
    if (found === undefined) throw error;
    const names = artifacts.weightSpecs?.filter(({ shape }) => JSON.stringify(shape) === found).map(({ name }) => name);
    const why = `weight ${names?.join(" or ")}: its layer takes shape ${expected}, got ${found}`;
    throw new SubspanError("MODEL_INVALID", why, { cause: error });
  }
}

async function readModel(path: string): Promise<Artifacts> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") throw new SubspanError("MODEL_MISSING", `${path}: no such file`, { cause: error });
    throw invalid(path, `cannot be read (${error.message})`, error);
  });
  const parsed = MODEL.safeParse(json(path, text));
  if (!parsed.success) throw invalid(path, complaint(parsed.error), parsed.error);
  const model = parsed.data;
  const weightSpecs = model.weightsManifest.flatMap(({ weights }) => weights);
  const names = weightSpecs.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw invalid(path, `weight ${twice} is in the weights manifest twice`);
  const files = await Promise.all(model.weightsManifest.map((group) => weightFiles(path, group)));
  const weightData = await Promise.all(files.flat().map(async (file) => arrayBuffer(await readFile(file))));
  const { weightsManifest, ...rest } = model;
  return { ...rest, weightSpecs, weightData } as Artifacts;
}

function json(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(path, `not JSON (${(error as Error).message})`, error);
  }
}

/** Which field is wrong. A topology that is neither a graph nor layers is said so: zod lists why it is not each of them. */
function complaint({ issues }: z.ZodError): string {
  const { path, message } = issues[0] as z.core.$ZodIssue;
  const place = path.join(".");
  if (place !== "modelTopology") return `${place || "its content"}: ${message}`;
  return "modelTopology: expected a graph (node: name, op, input) or layers (model_config: class_name, config)";
}

/** The paths of a group's files, which are there, inside the folder of model.json, and together of the size of its weights. */
async function weightFiles(path: string, { paths, weights }: Group): Promise<string[]> {
  const folder = await realpath(dirname(path));
  const files = await Promise.all(paths.map((name) => weightFile(path, folder, name)));
  const found = files.reduce((sum, { size }) => sum + size, 0);
  const expected = weights.reduce((sum, weight) => sum + byteLength(weight), 0);
  const isOpen = weights.some(({ dtype }) => dtype === "string");
  if (expected > MOST_BYTES) throw invalid(path, `${expected} bytes of weights, more than an ONNX file can hold`);
  if (isOpen ? found >= expected : found === expected) return files.map(({ file }) => file);
  const sizes = files.map(({ size }, i) => `${paths[i]} (${size} bytes)`).join(", ");
  const [first, last] = [weights[0]?.name, weights.at(-1)?.name];
  throw invalid(
    path,
    `${first} to ${last} take ${expected} bytes, expected in ${sizes || "no file"}, which hold ${found}`,
  );
}

async function weightFile(path: string, folder: string, name: string): Promise<{ file: string; size: number }> {
  const within = folder.endsWith(sep) ? folder : folder + sep;
  const inside = (file: string) => {
    if (file.startsWith(within)) return file;
    throw invalid(path, `weight file ${name} is outside the model's folder; only files inside it are read`);
  };
  const file = await realpath(inside(resolve(folder, name))).catch((error) => {
    throw error instanceof SubspanError ? error : invalid(path, `weight file ${name} is missing`, error);
  });
  const found = await stat(inside(file));
  if (!found.isFile()) throw invalid(path, `weight file ${name} is no file`);
  return { file, size: found.size };
}

/** Bytes a weight takes in the files, quantised or not; of strings the least. */
function byteLength({ shape, dtype, quantization }: Weight): number {
  return shape.reduce((size, dim) => size * dim, 1) * BYTES[quantization?.dtype ?? dtype];
}

const arrayBuffer = ({ buffer, byteOffset, byteLength }: Buffer): ArrayBuffer =>
  buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
