import {
  type Comparison,
  compareOutputs,
  graphOutputs,
  LEAST_AGREEMENT,
  type LowPrecision,
  lowerPrecision,
  type Model,
  type Rows,
  type VariantParity,
  withTolerance,
} from "../export/index.ts";
import { SAME } from "../models/assignment/nystrom.ts";

/**
 * In place of SAME: the squared distance of a training sample's unit latent to its own landmark once that is rounded. Of the
 * bundles of docs/variants.md it is below these, and above a tenth of them; their unseen samples are farther from any landmark.
 */
const TOLERANCE: Readonly<Record<LowPrecision, number>> = { fp16: 1e-5, int8: 1e-3 };

/** What variants are compared on: samples, and what they are in words. */
export interface Held {
  readonly what: string;
  readonly rows: Rows;
}

export interface Variants {
  /** Whether there are any. */
  readonly made: boolean;
  readonly models: Readonly<Partial<Record<LowPrecision, Model>>>;
  readonly parity: Readonly<Record<string, VariantParity>>;
}

export interface VariantOptions {
  readonly precisions: readonly LowPrecision[];
  /** Whether the network of the int8 variant computes in int8 too. */
  readonly activations: boolean;
  /** A model as the bytes that are written. */
  readonly encode: (model: Model) => Uint8Array;
}

/**
 * A clusterer's graph in lower precisions, each compared with the graph itself on samples that training saw and on others.
 */
export async function variants(model: Model, on: readonly Held[], options: VariantOptions): Promise<Variants> {
  const { precisions, activations, encode } = options;
  if (precisions.length === 0) return { made: false, models: {}, parity: {} };
  const input = (model.inputs[0] as Model["inputs"][number]).name;
  const whole = encode(model);
  const expected = await each(on, ({ rows }) => graphOutputs(whole, input, rows));
  const made = await each(precisions, async (precision) => {
    const variant = withTolerance(lowerPrecision(model, precision, { activations }), SAME, TOLERANCE[precision]);
    const graph = encode(variant);
    const comparisons = await each(on, async ({ what, rows }, i) =>
      compareOutputs(
        `model.onnx, on ${what}`,
        expected[i] as (typeof expected)[number],
        await graphOutputs(graph, input, rows),
      ),
    );
    return { precision, variant, parity: parityOf(precision, comparisons, graph.length, whole.length) };
  });
  return {
    made: true,
    models: Object.fromEntries(made.map(({ precision, variant }) => [precision, variant])),
    parity: Object.fromEntries(made.map(({ precision, parity }) => [precision, parity])),
  };
}

function parityOf(
  precision: LowPrecision,
  comparisons: readonly Comparison[],
  bytes: number,
  of: number,
): VariantParity {
  const leastAgreement = LEAST_AGREEMENT[precision];
  const agrees = comparisons.every(({ labelAgreement }) => labelAgreement >= leastAgreement);
  return { bytes, size: Number((bytes / of).toFixed(4)), leastAgreement, agrees, comparisons };
}

/** One after the other: each takes all cores. */
async function each<T, R>(items: readonly T[], make: (item: T, i: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const [i, item] of items.entries()) results.push(await make(item, i));
  return results;
}
