import { SubspanError } from "../runtime/errors.ts";
import { type DeviceRequest, loadClusterer, type Samples } from "../runtime/node.ts";
import type { NumberArray } from "../runtime/samples.ts";
import type { Columns } from "./label-files.ts";
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

/** Samples handed to the stream at once: it copies what it is given. */
const CHUNK = 4096;

/** Assigns samples [from, to) of a source. @throws {SubspanError} INTERRUPTED, or what assigning throws. */
export async function assignSamples(
  clusterer: OpenClusterer,
  samples: Samples,
  range: AssignRange = {},
): Promise<Columns & { readonly latent?: NumberArray }> {
  const { from = 0, to = samples.shape[0], batchSize = 256, signal, reporter, latents = false } = range;
  const n = to - from;
  const columns: Columns = {
    index: Int32Array.from({ length: n }, (_, i) => from + i),
    label: new Int32Array(n),
    confidence: new Float32Array(n),
    novelty: new Float32Array(n),
  };
  const outputs = ["label", "confidence", "novelty", ...(latents ? (["latent"] as const) : [])] as const;
  let latent: NumberArray | undefined;
  for await (const part of clusterer.assignStream(chunks(samples, from, to), { batchSize, outputs })) {
    if (signal?.aborted) throw new SubspanError("INTERRUPTED", "stopped; nothing was written");
    columns.label.set(part.label, part.start);
    columns.confidence.set(part.confidence, part.start);
    columns.novelty.set(part.novelty, part.start);
    if (latents) {
      const width = part.latent.shape[1] as number;
      latent ??= { data: new Float32Array(n * width), shape: [n, width] };
      latent.data.set(part.latent.data, part.start * width);
    }
    if ((part.start + part.count) % (32 * batchSize) === 0)
      reporter?.doing(`assigned ${grouped(part.start + part.count)} of ${grouped(n)}`);
  }
  return { ...columns, ...(latent && { latent }) };
}

function* chunks({ data, shape }: Samples, from: number, to: number) {
  const [, ...sample] = shape;
  const size = sample.reduce((a, b) => a * b, 1);
  for (let start = from; start < to; start += CHUNK) {
    const end = Math.min(start + CHUNK, to);
    yield { data: data.subarray(start * size, end * size), shape: [end - start, ...sample] };
  }
}
