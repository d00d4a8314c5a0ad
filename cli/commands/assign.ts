import { sha256 } from "../../runtime/bundle.ts";
import { SubspanError } from "../../runtime/errors.ts";
import { loadSource } from "../../train/index.ts";
import { assignParts, CLUSTERER_OPTIONS, openClusterer } from "../assigning.ts";
import type { Command, CommandContext } from "../command.ts";
import { type Columns, labelFormat } from "../label-files.ts";
import { shardOf } from "../options.ts";
import { createReporter } from "../progress.ts";
import { isThere, writeRecord } from "../shards.ts";
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
  const shard = options.has("shard") ? shardOf(options.text("shard") as string) : undefined;
  const batchSize = options.integer("batch-size", 1) ?? 256;
  const json = options.has("json");
  const reporter = createReporter(io, json);
  try {
    const clusterer = await openClusterer(bundle, options, reporter);
    try {
      const dataset = await loadSource(source, { skip: !options.has("strict") });
      const { samples, skipped = [] } = dataset;
      for (const { message } of skipped) reporter.note(`left out: ${message}`);
      const [from, to] = shardRange(shard ?? { index: 0, count: 1 }, samples.shape[0], batchSize);
      const { clusters, device, manifest } = clusterer.info;
      const plan = shard && {
        ...{ ...shard, samples: samples.shape[0], from, to, batchSize, device },
        ...{ source: dataset.fingerprint, model: await sha256(clusterer.bundle.model) },
      };
      if (out !== undefined && plan !== undefined && (await isThere(out, plan))) {
        reporter.close();
        if (json) io.stdout.write(`${JSON.stringify({ samples: to - from, from, to, out, done: "before" })}\n`);
        reporter.note(
          `${out} holds shard ${plan.index}/${plan.count} already, whole and of the same samples and bundle`,
        );
        return;
      }
      const tally = new Tally(clusters, indicesLeft(samples.shape[0], skipped));
      const began = performance.now();
      const parts = tally.counted(assignParts(clusterer, samples, { from, to, batchSize, signal, reporter }));
      if (out !== undefined && format !== undefined) await format.write(out, parts);
      else for await (const _ of parts);
      if (out !== undefined && plan !== undefined) await writeRecord(out, plan);
      const seconds = (performance.now() - began) / 1000;
      reporter.close();
      const { rows } = tally;
      if (json) {
        const sizes = rows.map(({ size }) => size);
        const result = { samples: to - from, from, to, sizes, device, seconds, out, skipped: skipped.length };
        io.stdout.write(`${JSON.stringify(result)}\n`);
      } else if (out === undefined) {
        const cells = rows.map(({ size, confidence }, k) => [
          manifest.clusterNames?.[k] ?? String(k),
          grouped(size),
          size === 0 ? "" : percent(confidence),
        ]);
        io.stdout.write(table([["cluster", "samples", "mean confidence"], ...cells]));
      }
      const rate = grouped((to - from) / Math.max(seconds, 1e-6));
      reporter.note(
        `${grouped(to - from)} samples on ${device}, ${rate} a second${out === undefined ? "" : `, in ${out}`}`,
      );
      if (skipped.length > 0) {
        const all = skipped.length + samples.shape[0];
        throw new SubspanError(
          "SOURCE_INVALID",
          `${source}: ${skipped.length} of ${all} files were left out, listed above`,
        );
      }
    } finally {
      await clusterer.dispose();
    }
  } finally {
    reporter.close();
  }
}

/** The place among all files of each that was read; undefined if all were. */
function indicesLeft(n: number, skipped: readonly { readonly index: number }[]): Int32Array | undefined {
  if (skipped.length === 0) return undefined;
  const out = new Set(skipped.map(({ index }) => index));
  const all = Array.from({ length: n + skipped.length }, (_, i) => i);
  return Int32Array.from(all.filter((i) => !out.has(i)));
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

/** Size and mean confidence of each cluster, of what passes. */
class Tally {
  readonly rows: readonly { size: number; confidence: number }[];
  readonly #indices: Int32Array | undefined;

  /** @param indices - of the samples among all files of a folder, if some of these were left out. */
  constructor(clusters: number, indices: Int32Array | undefined) {
    this.rows = Array.from({ length: clusters }, () => ({ size: 0, confidence: 0 }));
    this.#indices = indices;
  }

  async *counted(parts: AsyncIterable<Columns>): AsyncIterable<Columns> {
    for await (const part of parts) {
      part.label.forEach((k, i) => {
        const row = this.rows[k] as { size: number; confidence: number };
        row.size++;
        row.confidence += ((part.confidence[i] as number) - row.confidence) / row.size;
      });
      yield this.#indices ? { ...part, index: part.index.map((i) => this.#indices?.[i] as number) } : part;
    }
  }
}
