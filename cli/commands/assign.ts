import { sha256 } from "../../runtime/bundle.ts";
import { SubspanError } from "../../runtime/errors.ts";
import { openSource, type Skipped, type Survey, survey } from "../../train/data/index.ts";
import { assignParts, CLUSTERER_OPTIONS, imagesFor, type OpenClusterer, openClusterer } from "../assigning.ts";
import type { Command, CommandContext } from "../command.ts";
import { type Columns, labelFormat, refuseToReplace } from "../label-files.ts";
import { shardOf } from "../options.ts";
import { createReporter, type Reporter } from "../progress.ts";
import { isThere, type ShardPlan, writeRecord } from "../shards.ts";
import { grouped, percent, table } from "../text.ts";

export const assign: Command = {
  usage: "assign <bundle> <source>",
  description: "Assign samples to the clusters of a bundle",
  options: [
    ["--out <file>", "labels.csv, .jsonl, .npz or .parquet: index, label, confidence and novelty of each sample"],
    ["--shard <i/S>", "Only part i of S, counted from 0: one for each of S machines; merge joins their files"],
    ["--strict", "Stop at the first image file of a folder that cannot be read; else it is left out, and told of"],
    ...CLUSTERER_OPTIONS,
    ["--json", "The result as JSON"],
  ],
  examples: [
    "assign bundles/digits digits:unseen",
    "assign bundles/digits photos/ --out labels.csv",
    "assign bundles/digits many.npz --shard 0/4 --out labels-0.npz",
  ],
  run,
};

async function run({ args, options, io, signal }: CommandContext): Promise<void> {
  const [bundle = "", source = ""] = args;
  const out = options.text("out");
  const format = out === undefined ? undefined : labelFormat(out);
  if (out !== undefined) await refuseToReplace(out, [source, ...source.split(",")]);
  const shard = options.has("shard") ? shardOf(options.text("shard") as string) : undefined;
  const batchSize = options.integer("batch-size", 1) ?? 256;
  const json = options.has("json");
  const reporter = createReporter(io, json);
  try {
    const clusterer = await openClusterer(bundle, options, reporter);
    try {
      const { clusters, device, manifest } = clusterer.info;
      const stream = await openSource(source, { skip: !options.has("strict"), ...imagesFor(manifest) });
      const surveyed = shard && (await survey(stream, signal));
      const plan = shard && surveyed && (await shardPlan(clusterer, surveyed, shard, batchSize));
      if (out !== undefined && plan !== undefined && (await isThere(out, plan))) {
        reporter.close();
        const { from, to } = plan;
        if (json) io.stdout.write(`${JSON.stringify({ samples: to - from, from, to, out, done: "before" })}\n`);
        reporter.note(
          `${out} holds shard ${plan.index}/${plan.count} already, whole and of the same samples and bundle`,
        );
        tellLeftOut(source, surveyed as Survey, reporter);
        return;
      }
      const { from = 0, to = Infinity } = plan ?? {};
      const tally = new Tally(clusters, from, stream.skipped);
      const began = performance.now();
      const range = { from, to, batchSize, signal, reporter };
      const parts = tally.counted(assignParts(clusterer, stream.parts(), range));
      if (out !== undefined && format !== undefined) await format.write(out, parts);
      else for await (const _ of parts);
      if (out !== undefined && plan !== undefined) await writeRecord(out, plan);
      const seconds = (performance.now() - began) / 1000;
      reporter.close();
      const { rows, count } = tally;
      const skipped = surveyed?.skipped ?? stream.skipped;
      if (json) {
        const sizes = rows.map(({ size }) => size);
        const result = { samples: count, from, to: from + count, sizes, device, seconds, out, skipped: skipped.length };
        io.stdout.write(`${JSON.stringify(result)}\n`);
      } else if (out === undefined) {
        const cells = rows.map(({ size, confidence }, k) => [
          manifest.clusterNames?.[k] ?? String(k),
          grouped(size),
          size === 0 ? "" : percent(confidence),
        ]);
        io.stdout.write(table([["cluster", "samples", "mean confidence"], ...cells]));
      }
      const rate = grouped(count / Math.max(seconds, 1e-6));
      reporter.note(
        `${grouped(count)} samples on ${device}, ${rate} a second${out === undefined ? "" : `, in ${out}`}`,
      );
      tellLeftOut(source, { skipped, samples: surveyed?.samples ?? count }, reporter);
    } finally {
      await clusterer.dispose();
    }
  } finally {
    reporter.close();
  }
}

/** @throws {SubspanError} SOURCE_INVALID where files were left out, once they are named. */
function tellLeftOut(
  source: string,
  { skipped, samples }: Pick<Survey, "skipped" | "samples">,
  reporter: Reporter,
): void {
  if (skipped.length === 0) return;
  for (const { message } of skipped) reporter.note(`left out: ${message}`);
  const counts = `${skipped.length} of ${skipped.length + samples} files were left out, listed above`;
  throw new SubspanError("SOURCE_INVALID", `${source}: ${counts}`);
}

async function shardPlan(
  { info, bundle }: OpenClusterer,
  { samples, fingerprint }: Survey,
  shard: { readonly index: number; readonly count: number },
  batchSize: number,
): Promise<ShardPlan> {
  const [from, to] = shardRange(shard, samples, batchSize);
  const made = { batchSize, device: info.device, source: fingerprint, model: await sha256(bundle.model) };
  return { ...shard, samples, from, to, ...made };
}

/**
 * The samples of a shard. It holds whole batches, so that each sample meets the same others as in one run over all: the last
 * bits of a matrix product depend on its size.
 */
function shardRange(
  { index, count }: { index: number; count: number },
  n: number,
  batchSize: number,
): [number, number] {
  const batches = Math.ceil(n / batchSize);
  const from = (i: number) => Math.min(n, Math.floor((i * batches) / count) * batchSize);
  return [from(index), from(index + 1)];
}

/** Counts what passes, and gives each sample its place among all files of a folder, of which some may be left out. */
class Tally {
  /** Size and mean confidence of each cluster. */
  readonly rows: readonly { size: number; confidence: number }[];
  /** Of samples that passed. */
  count = 0;
  readonly #from: number;
  readonly #skipped: readonly Skipped[];
  #left = 0;
  #place = 0;

  /** @param from - samples before the first that passes. @param skipped - grows while samples are read, ahead of them. */
  constructor(clusters: number, from: number, skipped: readonly Skipped[]) {
    this.rows = Array.from({ length: clusters }, () => ({ size: 0, confidence: 0 }));
    this.#from = from;
    this.#skipped = skipped;
  }

  async *counted(parts: AsyncIterable<Columns>): AsyncIterable<Columns> {
    for await (const part of parts) {
      if (this.count === 0) for (let before = this.#from; before > 0; before--) this.#next();
      this.count += part.index.length;
      part.label.forEach((k, i) => {
        const row = this.rows[k] as { size: number; confidence: number };
        row.size++;
        row.confidence += ((part.confidence[i] as number) - row.confidence) / row.size;
      });
      yield { ...part, index: part.index.map(() => this.#next()) };
    }
  }

  #next(): number {
    while (this.#skipped[this.#left]?.index === this.#place) {
      this.#left++;
      this.#place++;
    }
    return this.#place++;
  }
}
