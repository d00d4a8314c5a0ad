/**
 * A clusterer's assignment in another engine: its graph node by node in PyTorch (bench/peers/assign.py) and tfjs-node
 * (tfjs-assign.ts), or written by hand in PyTorch and NumPy (assign_numpy.py).
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { fromBinary } from "@bufbuild/protobuf";
import { type AttributeProto, ModelProtoSchema, type TensorProto } from "onnx-buf";
import type { Samples } from "./samples.ts";

const PYTHON = ".venv/bench/bin/python";
const python = (script: string) => () => (existsSync(PYTHON) ? [PYTHON, `bench/peers/${script}`] : undefined);
const PEERS = {
  pytorch: python("assign.py"),
  numpy: python("assign_numpy.py"),
  tfjs: () => [process.execPath, fileURLToPath(new URL("../peers/tfjs-assign.js", import.meta.url))],
} as const;
export type PeerName = keyof typeof PEERS;
const DTYPE: Readonly<Record<number, string>> = { 1: "float32", 2: "uint8", 6: "int32", 7: "int64", 9: "bool" };

export interface AssigningPeer {
  readonly engine: string;
  readonly labels: readonly number[];
  /** Milliseconds of each of some rounds. */
  time(rounds: number): Promise<readonly number[]>;
  close(): Promise<void>;
}

/** Starts a peer on a batch of images. @returns nothing where it is not set up. */
export async function openPeer(
  name: PeerName,
  model: Uint8Array,
  images: Samples,
  threads: number,
): Promise<AssigningPeer | undefined> {
  const command = PEERS[name]();
  if (command === undefined) return undefined;
  const folder = await mkdtemp(join(tmpdir(), "subspan-peer-"));
  const [graph, weights, pixels] = ["graph.json", "weights.bin", "images.bin"].map((name) => join(folder, name));
  const { json, bytes } = graphJson(model);
  await Promise.all([writeFile(graph!, json), writeFile(weights!, bytes), writeFile(pixels!, images.data)]);
  const [program, ...argv] = command as [string, ...string[]];
  const count = `${threads}`;
  const env = {
    ...process.env,
    OPENBLAS_NUM_THREADS: count,
    TF_NUM_INTRAOP_THREADS: count,
    TF_CPP_MIN_LOG_LEVEL: "3",
  };
  const child = spawn(program, argv, { stdio: ["pipe", "pipe", "inherit"], env });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (request: object) => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error(`${argv.join(" ")} ended`);
    return JSON.parse(value);
  };
  const close = async () => {
    child.stdin.end();
    await rm(folder, { recursive: true });
  };
  const { engine, labels } = await ask({ graph, weights, images: pixels, shape: images.shape, threads });
  if (engine !== undefined)
    return { engine, labels, time: async (rounds) => (await ask({ rounds })).milliseconds, close };
  await close();
  return undefined;
}

/** A graph as the peers read it: nodes as JSON, and all constants in one file, each at a multiple of 8 bytes. */
function graphJson(model: Uint8Array): { readonly json: string; readonly bytes: Uint8Array } {
  const { graph } = fromBinary(ModelProtoSchema, model);
  if (graph === undefined) throw new Error("the model has no graph");
  const tensors: Record<string, object> = {};
  const parts: Uint8Array[] = [];
  let offset = 0;
  const add = (name: string, { dims, dataType, rawData }: TensorProto) => {
    tensors[name] = { dtype: DTYPE[dataType], shape: dims.map(Number), offset };
    const padded = new Uint8Array(Math.ceil(rawData.length / 8) * 8);
    padded.set(rawData);
    parts.push(padded);
    offset += padded.length;
  };
  const value = ({ type, i, f, s, ints, floats, t }: AttributeProto, name: string) => {
    if (type === 2) return Number(i);
    if (type === 1) return f;
    if (type === 3) return new TextDecoder().decode(s);
    if (type === 7) return ints.map(Number);
    if (type === 6) return floats;
    add(name, t as TensorProto);
    return { tensor: name };
  };
  for (const tensor of graph.initializer) add(tensor.name, tensor);
  const nodes = graph.node.flatMap(({ opType, input, output, attribute }, n) => {
    const attributes = Object.fromEntries(attribute.map((a) => [a.name, value(a, `${n}.${a.name}`)]));
    if (opType !== "Constant") return [{ op: opType, inputs: input, outputs: output, attributes }];
    tensors[output[0] as string] = tensors[`${n}.value`] as object;
    return [];
  });
  const json = JSON.stringify({ input: graph.input[0]?.name, label: "label", nodes, tensors });
  return { json, bytes: Buffer.concat(parts) };
}
