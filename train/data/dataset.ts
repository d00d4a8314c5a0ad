import { createHash } from "node:crypto";
import { SubspanError } from "../../runtime/errors.ts";
import type { Samples } from "../../runtime/samples.ts";

/** Samples and, where the source has it, the truth about them. */
export interface Dataset {
  readonly name: string;
  readonly samples: Samples;
  /** Ground truth, int32 [n]. For scoring only: no training step, no choice of an epoch or a parameter may see it. */
  readonly labels?: Int32Array;
  /** What the labels stand for, where they are 0..names-1 and have names. */
  readonly labelNames?: readonly string[];
  /** sha256 of the samples' kind, shape and data; labels are not in it. */
  readonly fingerprint: string;
}

/** A file of a folder that was not read, and why. */
export interface Skipped {
  /** Among all files, in their order. */
  readonly index: number;
  /** Which names the file. */
  readonly message: string;
}

/** What a reader of one kind of source gives. */
export type Content = Omit<Dataset, "name" | "fingerprint">;

export const dataset = (name: string, content: Content): Dataset => ({
  name,
  ...content,
  fingerprint: fingerprint(content.samples),
});

/**
 * Some of the samples, in the order asked for; an index may come more than once. Labels go with their samples.
 *
 * @throws {SubspanError} OUT_OF_RANGE naming the first index that is no sample.
 */
export function subset(whole: Dataset, indices: ArrayLike<number>): Dataset {
  const { samples, labels } = whole;
  const wrong = Array.from(indices).find((i) => !Number.isInteger(i) || i < 0 || i >= samples.shape[0]);
  if (wrong !== undefined)
    throw new SubspanError("OUT_OF_RANGE", `${whole.name}: no sample ${wrong} of ${samples.shape[0]}`);
  const [, ...sample] = samples.shape;
  const size = sample.reduce((a, b) => a * b);
  const pick = <T extends Uint8Array | Float32Array | Int32Array>(data: T, size: number, out: T): T => {
    for (let i = 0; i < indices.length; i++) {
      const from = (indices[i] as number) * size;
      out.set(data.subarray(from, from + size), i * size);
    }
    return out;
  };
  const n = indices.length;
  const picked: Samples =
    samples.kind === "images"
      ? { kind: "images", data: pick(samples.data, size, new Uint8Array(n * size)), shape: shaped(n, samples.shape) }
      : { kind: "features", data: pick(samples.data, size, new Float32Array(n * size)), shape: [n, size] };
  const truth = labels && { labels: pick(labels, 1, new Int32Array(n)) };
  return { ...whole, ...dataset(whole.name, { samples: picked, ...truth }) };
}

const shaped = (n: number, [, h, w, c]: readonly [number, number, number, number]) => [n, h, w, c] as const;

/** Hashing takes at most 2 GiB a call. */
const HASHED_AT_ONCE = 2 ** 30;

function fingerprint({ kind, data, shape }: Samples): string {
  const hash = createHash("sha256").update(`${kind} [${shape}]\n`);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  for (let i = 0; i < bytes.length; i += HASHED_AT_ONCE) hash.update(bytes.subarray(i, i + HASHED_AT_ONCE));
  return hash.digest("hex");
}
