import { SubspanError } from "../runtime/errors.ts";
import { type DeviceRequest, loadClusterer, type Samples } from "../runtime/node.ts";
import type { NumberArray } from "../runtime/samples.ts";
import { type Columns, joinedColumns } from "./label-files.ts";
import type { Options } from "./options.ts";
import type { Reporter } from "./progress.ts";
import { grouped } from "./text.ts";

export type OpenClusterer = Awaited<ReturnType<typeof loadClusterer>>;

/** Devices a clusterer can be asked to run on in Node. */
const DEVICES = ["auto", "cpu", "cuda", "webgpu"] as const satisfies readonly DeviceRequest[];

/** How `assign` and `evaluate` say where and in what portions a clusterer runs. */
export const CLUSTERER_OPTIONS = [
  ["--device <name>", `${DEVICES.join(", ")}; auto unless said`],
  ["--batch-size <n>", "Samples a run; 256 unless said"],
] as const;

export async function openClusterer(bundle: string, options: Options, reporter: Reporter): Promise<OpenClusterer> {
  const device = options.choice("device", DEVICES) ?? "auto";
  const clusterer = await loadClusterer(bundle, { device });
  const { info } = clusterer;
  if (device !== "auto" && device !== info.device)
    reporter.note(`running on ${info.device}: ${info.failures.map(({ device, reason }) => `${device}: ${reason}`)}`);
  return clusterer;
}

export interface AssignRange {
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

/** Assigns samples [from, to) of a source, batch after batch. */
async function* assignBatches(
  clusterer: OpenClusterer,
  samples: Samples,
  range: AssignRange,
): AsyncGenerator<Assigned> {
  const { from = 0, to = samples.shape[0], batchSize = 256, signal, reporter, latents = false } = range;
  const outputs = ["label", "confidence", "novelty", ...(latents ? (["latent"] as const) : [])] as const;
  for await (const part of clusterer.assignStream(chunks(samples, from, to), { batchSize, outputs })) {
    if (signal?.aborted) throw new SubspanError("INTERRUPTED", "stopped; nothing was written");
    const { start, count, label, confidence, novelty, latent } = part;
    const index = Int32Array.from({ length: count }, (_, i) => from + start + i);
    yield { index, label, confidence, novelty, ...(latents && { latent }) };
    if ((start + count) % (32 * batchSize) === 0)
      reporter?.doing(`assigned ${grouped(start + count)} of ${grouped(to - from)}`);
  }
}

/** Assigns samples [from, to) of a source, some thousand at once. @throws {SubspanError} INTERRUPTED, or what assigning throws. */
export async function* assignParts(
  clusterer: OpenClusterer,
  samples: Samples,
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

/** Assigns samples [from, to) of a source. @throws {SubspanError} as `assignParts`. */
export async function assignSamples(
  clusterer: OpenClusterer,
  samples: Samples,
  range: AssignRange = {},
): Promise<Assigned> {
  const batches: Assigned[] = [];
  for await (const batch of assignBatches(clusterer, samples, range)) batches.push(batch);
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

function* chunks({ data, shape }: Samples, from: number, to: number) {
  const [, ...sample] = shape;
  const size = sample.reduce((a, b) => a * b, 1);
  for (let start = from; start < to; start += CHUNK) {
    const end = Math.min(start + CHUNK, to);
    yield { data: data.subarray(start * size, end * size), shape: [end - start, ...sample] };
  }
}
