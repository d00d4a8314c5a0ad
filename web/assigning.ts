import {
  type Clusterer,
  type NumberArray,
  type OutputName,
  type PixelInput,
  SubspanError,
  type WebImage,
} from "../runtime/web.ts";

/** What the page gives a clusterer: an image file, pixels, or a row of features. */
export type Given = Blob | PixelInput | Float32Array;

/** What a clusterer says of one sample. */
export interface Verdict {
  readonly label: number;
  readonly confidence: number;
  readonly novelty: number;
  /** [K] */
  readonly probabilities: Float32Array;
  /** [k] */
  readonly embedding: Float32Array;
}

/** Something to assign, or why it cannot be. */
export interface Sample {
  readonly name: string;
  readonly given: Given | SubspanError;
}

export interface Outcome {
  readonly sample: Sample;
  /** The verdict, or why there is none. */
  readonly result: Verdict | Error;
}

const OUTPUTS: readonly OutputName[] = ["label", "confidence", "novelty", "probabilities", "embedding"];
/** Samples read and run at once. */
export const CHUNK = 64;

export async function verdicts(
  clusterer: Clusterer<WebImage>,
  given: readonly Given[] | Given,
  signal?: AbortSignal,
): Promise<Verdict[]> {
  const options = { outputs: OUTPUTS, ...(signal && { signal }) };
  const { count, label, confidence, novelty, probabilities, embedding } = await clusterer.assign(given, options);
  const row = ({ data, shape }: NumberArray, i: number) => data.slice(i * shape[1]!, (i + 1) * shape[1]!);
  return Array.from({ length: count }, (_, i) => ({
    label: label[i]!,
    confidence: confidence[i]!,
    novelty: novelty[i]!,
    probabilities: row(probabilities, i),
    embedding: row(embedding, i),
  }));
}

/**
 * Assigns up to CHUNK samples. What cannot be read or assigned is an outcome too: the others go on.
 *
 * @throws {SubspanError} INTERRUPTED, DISPOSED.
 */
export async function outcomes(
  clusterer: Clusterer<WebImage>,
  samples: readonly Sample[],
  signal: AbortSignal,
): Promise<Outcome[]> {
  const given = samples.flatMap((sample) => (sample.given instanceof Error ? [] : [sample.given]));
  const results = (await together(clusterer, given, signal)).values();
  return samples.map((sample) => ({
    sample,
    result: sample.given instanceof Error ? sample.given : results.next().value!,
  }));
}

/** In one run, or each by itself if that fails: then the fault is that of one sample alone. */
async function together(
  clusterer: Clusterer<WebImage>,
  given: readonly Given[],
  signal: AbortSignal,
): Promise<(Verdict | Error)[]> {
  try {
    return await verdicts(clusterer, given, signal);
  } catch (error) {
    if (isEnd(error)) throw error;
  }
  const alone: (Verdict | Error)[] = [];
  for (const one of given) {
    try {
      alone.push(...(await verdicts(clusterer, one, signal)));
    } catch (error) {
      if (isEnd(error)) throw error;
      alone.push(error as Error);
    }
  }
  return alone;
}

const isEnd = (error: unknown) =>
  !(error instanceof Error) || (error instanceof SubspanError && ["DISPOSED", "INTERRUPTED"].includes(error.code));

/** How far a sample is from all that was seen in training, by its novelty: the share of training samples that are nearer. */
export function familiarity(novelty: number): "familiar" | "unusual" | "unlike" {
  if (novelty < 0.95) return "familiar";
  return novelty < 0.995 ? "unusual" : "unlike";
}

/** A table of outcomes, in their order; failures have an error and no label. */
export function csvOf(all: readonly Outcome[], nameOf: (cluster: number) => string): string {
  const field = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const number = (value: number) => String(Number(value.toPrecision(7)));
  const lines = all.map(({ sample, result }, index) => {
    const start = `${index},${field(sample.name)}`;
    if (result instanceof Error) return `${start},,,,,${field(result.message)}`;
    const { label, confidence, novelty } = result;
    return `${start},${label},${field(nameOf(label))},${number(confidence)},${number(novelty)},`;
  });
  return `${["index,file,label,name,confidence,novelty,error", ...lines].join("\n")}\n`;
}
