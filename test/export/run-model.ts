import { randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-node";
import { encodeModel, type Model, type Signature, type TraceFunction, trace } from "../../export/index.ts";
import { Random } from "../../train/random.ts";

export type Feeds = Record<string, { data: Float32Array | Int32Array | Uint8Array; shape: number[] }>;
export type Fetches = Record<string, { data: ArrayLike<number>; shape: readonly number[]; type: string }>;

/** Where test/interop/check_graphs.py finds the graphs of a test run; unset: they are not kept. */
const GRAPHS = process.env.SUBSPAN_GRAPHS;

/** Leaves a graph, and what it gave for what, for Python's ONNX tools. */
function keep(bytes: Uint8Array, types: Readonly<Record<string, string>>, feeds: Feeds, outputs: Fetches): void {
  if (GRAPHS === undefined) return;
  mkdirSync(GRAPHS, { recursive: true });
  const path = join(GRAPHS, randomUUID());
  const plain = (value: number) => (Number.isFinite(value) ? value : String(value));
  const tensor = (data: ArrayLike<number>, shape: readonly number[], type: string | undefined) => ({
    type,
    shape,
    data: Array.from(data, plain),
  });
  const inputs = Object.entries(feeds).map(([name, { data, shape }]) => [name, tensor(data, shape, types[name])]);
  const results = Object.entries(outputs).map(([name, { data, shape, type }]) => [name, tensor(data, shape, type)]);
  writeFileSync(`${path}.onnx`, bytes);
  writeFileSync(
    `${path}.json`,
    JSON.stringify({ inputs: Object.fromEntries(inputs), outputs: Object.fromEntries(results) }),
  );
}

/** Runs a traced model on ONNX Runtime's CPU provider. */
export async function runModel(model: Model, feeds: Feeds): Promise<Fetches> {
  const bytes = encodeModel(model);
  const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const types = Object.fromEntries(model.inputs.map(({ name, type }) => [name, type]));
  const tensors = Object.fromEntries(
    Object.entries(feeds).map(([name, { data, shape }]) => [
      name,
      new ort.Tensor(types[name] as "float32", data as Float32Array, shape),
    ]),
  );
  try {
    const fetches = await session.run(tensors);
    const outputs = Object.fromEntries(
      Object.entries(fetches).map(([name, { data, dims, type }]) => [
        name,
        { data: Array.from(data as Float32Array, Number), shape: dims, type },
      ]),
    );
    // ONNX's tools know its own operators alone.
    if (model.nodes.every(({ op }) => !op.includes(":"))) keep(bytes, types, feeds, outputs);
    return outputs;
  } finally {
    await session.release();
  }
}

/** The same function run eagerly on tfjs's CPU backend. */
export function runEager(
  fn: TraceFunction,
  feeds: Feeds,
  dtypes: Record<string, "float32" | "int32" | "bool">,
): Fetches {
  tf.setBackend("cpu");
  return tf.tidy(() => {
    const inputs = Object.fromEntries(
      Object.entries(feeds).map(([name, { data, shape }]) => [name, tf.tensor(data, shape, dtypes[name] ?? "float32")]),
    );
    return Object.fromEntries(
      Object.entries(fn(inputs)).map(([name, tensor]) => [
        name,
        { data: Array.from(tensor.dataSync()), shape: tensor.shape, type: tensor.dtype },
      ]),
    );
  });
}

export function maxAbsDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let worst = a.length === b.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < a.length; i++) {
    const difference = Object.is(a[i], b[i]) ? 0 : Math.abs((a[i] as number) - (b[i] as number));
    worst = Math.max(worst, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
  }
  return worst;
}

/** Both runs of `fn`, and by how much their outputs differ. */
export async function compare(fn: TraceFunction, signature: Signature, feeds: Feeds) {
  const traced = await runModel(trace(fn, signature), feeds);
  const dtypes = Object.fromEntries(
    Object.entries(signature.inputs).map(([name, { type }]) => [
      name,
      type === "float32" || type === "bool" ? type : "int32",
    ]),
  ) as Record<string, "float32" | "int32" | "bool">;
  const eager = runEager(fn, feeds, dtypes);
  const difference = Object.entries(eager).map(([name, { data }]) => maxAbsDifference(data, traced[name]?.data ?? []));
  return { traced, eager, difference: Math.max(...difference) };
}

/** Numbers in [low, high), the same every time. */
export function draws(count: number, low = -1, high = 1, seed = 5): Float32Array {
  const random = new Random(seed, "test");
  return Float32Array.from({ length: count }, () => random.uniform(low, high));
}
