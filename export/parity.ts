import * as tf from "@tensorflow/tfjs-core";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { SubspanError } from "../runtime/errors.ts";
import type { NumberArray } from "../runtime/samples.ts";
import type { TraceFunction } from "./signature.ts";

/** n rows of an input or an output. */
export type Rows = NumberArray<Float32Array | Int32Array | Uint8Array>;
export type Outputs = Readonly<Record<string, Rows>>;

/** How far an output's numbers are from those it is compared with. */
export interface OutputParity {
  readonly maxAbs: number;
  /** 99 % of the differences are no larger. */
  readonly p99Abs: number;
}

/** A graph against one reference. */
export interface Comparison {
  /** What the reference is, in words. */
  readonly reference: string;
  readonly samples: number;
  readonly outputs: Readonly<Record<string, OutputParity>>;
  /** Share of samples with equal labels. */
  readonly labelAgreement: number;
  /** Samples whose two largest probabilities are within the tie margin: rounding may decide their label. */
  readonly ties: number;
  /** Share of the other samples with equal labels. */
  readonly labelAgreementOutsideTies: number;
}

/** A graph of lower precision against model.onnx. */
export interface VariantParity {
  readonly bytes: number;
  /** Of the bytes of model.onnx. */
  readonly size: number;
  /** The share of labels that must be those of model.onnx. */
  readonly leastAgreement: number;
  /** Whether they are in every comparison; if not, the variant is used by those alone who name it. */
  readonly agrees: boolean;
  readonly comparisons: readonly Comparison[];
}

/** What `parity.json` holds. */
export interface ParityReport {
  readonly tolerance: typeof PARITY_TOLERANCE;
  readonly comparisons: readonly Comparison[];
  /** By precision: fp16, int8. */
  readonly variants?: Readonly<Record<string, VariantParity>>;
}

/**
 * What a graph must keep to: the largest difference of any output, and where two probabilities count as equal. Novelty is a rank
 * among the training samples' distances: where many lie close together, rounding of a distance moves it past some of them.
 */
export const PARITY_TOLERANCE = { maxAbs: 1e-3, noveltyMaxAbs: 0.02, tieMargin: 1e-4 } as const;

const allowed = (output: string) => (output === "novelty" ? PARITY_TOLERANCE.noveltyMaxAbs : PARITY_TOLERANCE.maxAbs);

/** Outputs of a graph for rows of its one input, on ONNX Runtime's CPU provider; int64 labels as int32. */
export async function graphOutputs(model: Uint8Array, input: string, rows: Rows, batch = 256): Promise<Outputs> {
  const session = await InferenceSession.create(model, { executionProviders: ["cpu"], logSeverityLevel: 3 });
  try {
    const parts: Outputs[] = [];
    for (const { data, shape } of batches(rows, batch)) {
      const type = data instanceof Float32Array ? "float32" : data instanceof Int32Array ? "int32" : "uint8";
      const fetches = await session.run({ [input]: new Tensor(type as "float32", data as Float32Array, [...shape]) });
      parts.push(
        Object.fromEntries(
          Object.entries(fetches).map(([name, { data, dims }]) => [
            name,
            {
              data: data instanceof BigInt64Array ? Int32Array.from(data, Number) : (data as Float32Array),
              shape: dims,
            },
          ]),
        ),
      );
    }
    return joined(parts);
  } finally {
    await session.release();
  }
}

/** Outputs of the same function run eagerly on tfjs's CPU backend: slow, and simple enough to believe. */
export function eagerOutputs(fn: TraceFunction, input: string, rows: Rows, batch = 16): Outputs {
  const previous = tf.getBackend();
  const isProduction = tf.env().getBool("PROD");
  tf.env().set("PROD", true); // else the backend advertises a faster one on its first use
  tf.setBackend("cpu");
  try {
    const parts = batches(rows, batch).map(({ data, shape }) =>
      tf.tidy(() => {
        const tensor = tf.tensor(data, [...shape], data instanceof Float32Array ? "float32" : "int32");
        return Object.fromEntries(
          Object.entries(fn({ [input]: tensor })).map(([name, output]) => [
            name,
            { data: output.dataSync() as Float32Array, shape: output.shape },
          ]),
        );
      }),
    );
    return joined(parts);
  } finally {
    tf.env().set("PROD", isProduction);
    if (previous) tf.setBackend(previous);
  }
}

/**
 * Compares what a graph gives with what it should, output by output, as far as the reference has them.
 *
 * @param got - of a clusterer's graph: with label and probabilities.
 */
export function compareOutputs(reference: string, expected: Outputs, got: Outputs): Comparison {
  const outputs: Record<string, OutputParity> = {};
  for (const [name, rows] of Object.entries(expected))
    if (name !== "label") outputs[name] = difference(rows, got[name]);
  const [label, wanted] = [got.label as Rows, expected.label as Rows];
  const samples = label.data.length;
  const margins = [got.probabilities, expected.probabilities].flatMap((rows) => (rows ? [marginsOf(rows)] : []));
  let [equal, ties, equalOutside] = [0, 0, 0];
  for (let i = 0; i < samples; i++) {
    const isTie = margins.some((margin) => (margin[i] as number) <= PARITY_TOLERANCE.tieMargin);
    const isEqual = label.data[i] === wanted.data[i];
    if (isTie) ties++;
    if (isEqual) equal++;
    if (isEqual && !isTie) equalOutside++;
  }
  const shareOf = (count: number, all: number) => (all === 0 ? 1 : count / all);
  return {
    ...{ reference, samples, outputs, ties },
    labelAgreement: shareOf(equal, samples),
    labelAgreementOutsideTies: shareOf(equalOutside, samples - ties),
  };
}

/** @throws {SubspanError} PARITY_FAILED naming the reference and the output that is off. */
export function checkParity(comparisons: readonly Comparison[]): ParityReport {
  for (const { reference, samples, outputs, labelAgreementOutsideTies: agreement } of comparisons) {
    const off = Object.entries(outputs).find(([name, { maxAbs }]) => !(maxAbs <= allowed(name)));
    if (off !== undefined)
      throw failed(`${off[0]} is ${off[1].maxAbs} from ${reference}, at most ${allowed(off[0])} is allowed`);
    if (agreement < 1)
      throw failed(`${((1 - agreement) * 100).toFixed(2)} % of ${samples} labels differ from ${reference}, none may`);
  }
  return { tolerance: PARITY_TOLERANCE, comparisons };
}

const failed = (what: string) => new SubspanError("PARITY_FAILED", `the exported graph: ${what}`);

/** Rows in parts of `size`; of no rows one empty part, so that shapes are known. */
function batches({ data, shape }: Rows, size: number): Rows[] {
  const [n = 0, ...rest] = shape;
  const width = rest.reduce((a, b) => a * b, 1);
  return Array.from({ length: Math.max(1, Math.ceil(n / size)) }, (_, i) => {
    const [from, to] = [i * size, Math.min((i + 1) * size, n)];
    return { data: data.slice(from * width, to * width), shape: [to - from, ...rest] };
  });
}

function joined(parts: readonly Outputs[]): Outputs {
  const first = parts[0] as Outputs;
  return Object.fromEntries(
    Object.entries(first).map(([name, { data, shape }]) => {
      const all = parts.map((part) => part[name] as Rows);
      const length = all.reduce((sum, rows) => sum + rows.data.length, 0);
      const whole = new (data.constructor as Float32ArrayConstructor)(length);
      let at = 0;
      for (const rows of all) {
        whole.set(rows.data, at);
        at += rows.data.length;
      }
      const n = all.reduce((sum, rows) => sum + (rows.shape[0] as number), 0);
      return [name, { data: whole, shape: [n, ...shape.slice(1)] }];
    }),
  );
}

function difference(expected: Rows, got: Rows | undefined): OutputParity {
  if (got?.data.length !== expected.data.length)
    return { maxAbs: Number.POSITIVE_INFINITY, p99Abs: Number.POSITIVE_INFINITY };
  const differences = Float64Array.from(expected.data, (value, i) => {
    const by = Math.abs(value - (got.data[i] as number));
    return Number.isNaN(by) ? Number.POSITIVE_INFINITY : by;
  }).sort();
  const at = (share: number) => differences[Math.max(0, Math.ceil(share * differences.length) - 1)] ?? 0;
  return { maxAbs: at(1), p99Abs: at(0.99) };
}

/** The largest probability less the second of each row. */
function marginsOf({ data, shape }: Rows): Float64Array {
  const [n, clusters] = shape as [number, number];
  return Float64Array.from({ length: n }, (_, i) => {
    let [first, second] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const value of data.subarray(i * clusters, (i + 1) * clusters)) {
      if (value > first) [first, second] = [value, first];
      else if (value > second) second = value;
    }
    return first - second;
  });
}
