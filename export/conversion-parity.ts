import * as tf from "@tensorflow/tfjs-core";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { SubspanError } from "../runtime/errors.ts";
import type { ModelFunction } from "./model-function.ts";
import type { Outputs, Rows } from "./parity.ts";
import { quietly } from "./quiet.ts";

/** How far an output of a converted model is from tfjs's. */
export interface ConversionDifference {
  readonly shape: readonly number[];
  readonly maxAbs: number;
  /** `maxAbs` as a share of the output's scale, its largest number. */
  readonly maxRel: number;
  /** How far tfjs's own output moves when its inputs move by rounding; only worked out where the difference is large. */
  readonly rounding?: number;
}

/**
 * What may be between a model and its graph: a share of the output's scale; 1e-6, which ONNX Runtime's Sigmoid is accurate to,
 * however small a probability is; or some times what rounding of the inputs alone does, where a network amplifies it.
 */
export const CONVERSION_TOLERANCE = { maxRel: 1e-4, maxAbs: 1e-6, roundings: 4 } as const;

/** A model and its graph on the same inputs. */
export interface ConversionCheck {
  readonly outputs: Readonly<Record<string, ConversionDifference>>;
  /** One run of each: tfjs on its CPU backend, ONNX Runtime on its CPU provider after a first run. */
  readonly milliseconds: { readonly tfjs: number; readonly onnx: number };
}

/** Inputs of a model by name. */
export type Feeds = Readonly<Record<string, Rows>>;

/**
 * Runs a model on tfjs's CPU backend and its graph on ONNX Runtime's CPU provider, on the same inputs.
 *
 * @throws {SubspanError} PARITY_FAILED where either engine does not take these inputs.
 */
export async function compareConversion(fn: ModelFunction, graph: Uint8Array, feeds: Feeds): Promise<ConversionCheck> {
  const tfjs = await runOnTfjs(fn, feeds);
  const onnx = await runOnOnnx(fn, graph, feeds);
  const milliseconds = { tfjs: tfjs.milliseconds, onnx: onnx.milliseconds };
  const outputs = each(fn, (name) => difference(tfjs.outputs[name] as Rows, onnx.outputs[name] as Rows));
  if (Object.values(outputs).every(isClose)) return { outputs, milliseconds };
  const moved = await runOnTfjs(fn, rounded(feeds));
  const own = (name: string) => difference(tfjs.outputs[name] as Rows, moved.outputs[name] as Rows).maxAbs;
  const explained = each(fn, (name) => ({ ...(outputs[name] as ConversionDifference), rounding: own(name) }));
  return { outputs: explained, milliseconds };
}

const each = <T>({ outputs }: ModelFunction, of: (name: string) => T): Record<string, T> =>
  Object.fromEntries(outputs.map((name) => [name, of(name)] as const));

function isClose({ maxAbs, maxRel, rounding = 0 }: ConversionDifference): boolean {
  const { maxRel: share, maxAbs: floor, roundings } = CONVERSION_TOLERANCE;
  return maxRel <= share || maxAbs <= floor || maxAbs <= roundings * rounding;
}

/** The inputs moved by one unit in the last place, by turns up and down. */
function rounded(feeds: Feeds): Feeds {
  const moved = ({ data, shape }: Rows): Rows => {
    if (!(data instanceof Float32Array)) return { data, shape };
    return { data: data.map((value, i) => value * (1 + (i % 2 === 0 ? 2 ** -23 : -(2 ** -23)))), shape };
  };
  return Object.fromEntries(Object.entries(feeds).map(([name, rows]) => [name, moved(rows)]));
}

/** @throws {SubspanError} PARITY_FAILED naming the output that is off. */
export function checkConversion({ outputs }: ConversionCheck): void {
  const off = Object.entries(outputs).find(([, difference]) => !isClose(difference));
  if (off === undefined) return;
  const [name, { maxAbs, maxRel, rounding = 0 }] = off;
  const much = `${maxRel.toPrecision(3)} of its scale (${maxAbs.toPrecision(3)}) from tfjs's`;
  const allowed = `at most ${CONVERSION_TOLERANCE.maxRel} may be, and rounding explains ${rounding.toPrecision(3)}`;
  throw new SubspanError("PARITY_FAILED", `output ${name} is ${much}; ${allowed}`);
}

interface Run {
  readonly outputs: Outputs;
  readonly milliseconds: number;
}

function runOnTfjs({ run, inputs }: ModelFunction, feeds: Feeds): Promise<Run> {
  return quietly(() => {
    const previous = tf.getBackend();
    tf.setBackend("cpu");
    const outputs: Record<string, Rows> = {};
    const began = performance.now();
    try {
      tf.tidy(() => {
        const tensors = Object.entries(inputs).map(([name, { type }]) => {
          const { data, shape } = feeds[name] as Rows;
          return [name, tf.tensor(data, [...shape], type as "float32")] as const;
        });
        for (const [name, tensor] of Object.entries(run(Object.fromEntries(tensors))))
          outputs[name] = { data: tensor.dataSync<"float32">(), shape: tensor.shape };
      });
      return { outputs, milliseconds: performance.now() - began };
    } catch (error) {
      throw unfit("tfjs", feeds, error);
    } finally {
      if (previous) tf.setBackend(previous);
    }
  });
}

async function runOnOnnx({ inputs }: ModelFunction, graph: Uint8Array, feeds: Feeds): Promise<Run> {
  const session = await InferenceSession.create(graph, { executionProviders: ["cpu"], logSeverityLevel: 3 });
  try {
    const tensors = Object.entries(inputs).map(([name, { type }]) => {
      const { data, shape } = feeds[name] as Rows;
      return [name, new Tensor(type as "float32", data as Float32Array, [...shape])] as const;
    });
    await session.run(Object.fromEntries(tensors));
    const began = performance.now();
    const fetches = await session.run(Object.fromEntries(tensors));
    const milliseconds = performance.now() - began;
    const outputs = Object.entries(fetches).map(([name, { data, dims }]) => [name, { data, shape: dims }]);
    return { outputs: Object.fromEntries(outputs) as Outputs, milliseconds };
  } catch (error) {
    throw unfit("ONNX Runtime", feeds, error);
  } finally {
    await session.release();
  }
}

function unfit(engine: string, feeds: Feeds, error: unknown): SubspanError {
  const shapes = Object.entries(feeds).map(([name, { shape }]) => `${name} [${shape}]`);
  const message = `${engine} cannot run the model on ${shapes.join(", ")}: ${(error as Error).message}`;
  return new SubspanError("PARITY_FAILED", message, { cause: error });
}

function difference(expected: Rows, got: Rows): ConversionDifference {
  const { shape } = expected;
  const infinite = { shape, maxAbs: Number.POSITIVE_INFINITY, maxRel: Number.POSITIVE_INFINITY };
  if (String(got.shape) !== String(shape)) return infinite;
  let [maxAbs, scale] = [0, 0];
  for (let i = 0; i < expected.data.length; i++) {
    const [a, b] = [expected.data[i] as number, got.data[i] as number];
    if (Object.is(a, b)) {
      if (Number.isFinite(a)) scale = Math.max(scale, Math.abs(a));
      continue;
    }
    if (!Number.isFinite(a) || !Number.isFinite(b)) return infinite;
    maxAbs = Math.max(maxAbs, Math.abs(a - b));
    scale = Math.max(scale, Math.abs(a));
  }
  return { shape, maxAbs, maxRel: maxAbs === 0 ? 0 : maxAbs / scale };
}
