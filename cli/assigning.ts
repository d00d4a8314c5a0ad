import { SubspanError } from "../runtime/errors.ts";
import type { GraphManifest } from "../runtime/manifest.ts";
import { type DeviceRequest, loadClusterer, type Precision, type Samples } from "../runtime/node.ts";
import type { NumberArray } from "../runtime/samples.ts";
import { type Columns, joinedColumns } from "./label-files.ts";
import type { Options } from "./options.ts";
import type { Reporter } from "./progress.ts";
import { grouped } from "./text.ts";

export type OpenClusterer = Awaited<ReturnType<typeof loadClusterer>>;

/** Devices a clusterer can be asked to run on in Node. */
const DEVICES = ["auto", "cpu", "cuda", "webgpu"] as const satisfies readonly DeviceRequest[];

/** The graphs of a bundle; auto is fp16 on a GPU that computes in it, if the bundle's agrees, else fp32. */
export const DTYPES = ["auto", "fp32", "fp16", "int8"] as const satisfies readonly (Precision | "auto")[];

/** How `assign` and `evaluate` say where and in what portions a clusterer runs. */
export const CLUSTERER_OPTIONS = [
  ["--device <name>", `${DEVICES.join(", ")}; auto unless said`],
  ["--dtype <name>", `${DTYPES.join(", ")}: which of the bundle's graphs; fp32 unless said`],
  ["--batch-size <n>", "Samples a run; 256 unless said"],
] as const;

export async function openClusterer(bundle: string, options: Options, reporter: Reporter): Promise<OpenClusterer> {
  const device = options.choice("device", DEVICES) ?? "auto";
  const clusterer = await loadClusterer(bundle, { device, dtype: options.choice("dtype", DTYPES) ?? "fp32" });
  const { info } = clusterer;
  if (device !== "auto" && device !== info.device)
    reporter.note(
      `running on ${info.device}: ${info.failures.map(({ device, reason }) => `${device}: ${reason}`).join("; ")}`,
    );
  return clusterer;
}

/** What a folder's images have to be for a bundle that takes images. */
export function imagesFor({ input: { kind, shape } }: GraphManifest) {
  if (kind !== "images") return undefined;
  const [, height, width, channels] = shape as [string, number, number, number];
  return { size: [height, width], channels: channels === 1 ? 1 : 3 } as const;
}

export interface AssignRange {
  /** The samples [from, to); all unless said. */
  readonly from?: number;
  readonly to?: number;
  readonly batchSize?: number;
  readonly signal?: AbortSignal;
  readonly reporter?: Reporter;
  /** Also their latents. */
  readonly latents?: boolean;
}

/** Samples handed to the stream at once (it copies what it is given), and those that are written at once. */
const CHUNK = 4096;

type Assigned = Columns & { readonly latent?: NumberArray };

/** Parts of a source, in their order. */
type SampleParts = Iterable<Samples> | AsyncIterable<Samples>;

/** Assigns samples of a source, batch after batch. */
async function* assignBatches(
  clusterer: OpenClusterer,
  samples: SampleParts,
  range: AssignRange,
): AsyncGenerator<Assigned> {
  const { from = 0, to = Infinity, batchSize = 256, signal, reporter, latents = false } = range;
  const of = Number.isFinite(to) ? ` of ${grouped(to - from)}` : "";
  const outputs = ["label", "confidence", "novelty", ...(latents ? (["latent"] as const) : [])] as const;
  for await (const part of clusterer.assignStream(between(samples, from, to), { batchSize, outputs })) {
    if (signal?.aborted) throw new SubspanError("INTERRUPTED", "stopped; nothing was written");
    const { start, count, label, confidence, novelty, latent } = part;
    const index = Int32Array.from({ length: count }, (_, i) => from + start + i);
    yield { index, label, confidence, novelty, ...(latents && { latent }) };
    if ((start + count) % (32 * batchSize) === 0) reporter?.doing(`assigned ${grouped(start + count)}${of}`);
  }
}

/** Assigns samples that come in parts, some thousand at once. @throws {SubspanError} INTERRUPTED, or what assigning throws. */
export async function* assignParts(
  clusterer: OpenClusterer,
  samples: SampleParts,
  range: AssignRange = {},
): AsyncGenerator<Columns> {
  let held: Columns[] = [];
  let count = 0;
  for await (const batch of assignBatches(clusterer, samples, range)) {
    held.push(batch);
    count += batch.index.length;
    if (count < CHUNK) continue;
    yield joinedColumns(held);
    [held, count] = [[], 0];
  }
  if (count > 0) yield joinedColumns(held);
}

/** Assigns samples. @throws {SubspanError} as `assignParts`. */
export async function assignSamples(
  clusterer: OpenClusterer,
  samples: Samples,
  range: AssignRange = {},
): Promise<Assigned> {
  const batches: Assigned[] = [];
  for await (const batch of assignBatches(clusterer, [samples], range)) batches.push(batch);
  const columns = joinedColumns(batches);
  const width = batches[0]?.latent?.shape[1];
  if (width === undefined) return columns;
  const data = new Float32Array(columns.index.length * width);
  let at = 0;
  for (const { latent } of batches) {
    data.set((latent as NumberArray).data, at);
    at += (latent as NumberArray).data.length;
  }
  return { ...columns, latent: { data, shape: [columns.index.length, width] } };
}

/** Samples [from, to) of a source that has as many; no more of it is read. */
async function* between(parts: SampleParts, from: number, to: number) {
  let start = 0;
  for await (const { data, shape } of parts) {
    const [n, ...sample] = shape;
    const size = sample.reduce((a, b) => a * b, 1);
    const last = Math.min(n, to - start);
    for (let at = Math.max(0, from - start); at < last; at += CHUNK) {
      const end = Math.min(at + CHUNK, last);
      yield { data: data.subarray(at * size, end * size), shape: [end - at, ...sample] };
    }
    start += n;
    if (start >= to) return;
  }
  if (start < to && Number.isFinite(to))
    throw new SubspanError(
      "SOURCE_INVALID",
      `the source changed while it was read: ${start} samples, there were ${to}`,
    );
}
