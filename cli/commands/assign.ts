import { loadSource } from "../../train/index.ts";
import { assignSamples, CLUSTERER_OPTIONS, openClusterer } from "../assigning.ts";
import type { Command, CommandContext } from "../command.ts";
import { labelWriter } from "../label-files.ts";
import { shardOf } from "../options.ts";
import { createReporter } from "../progress.ts";
import { grouped, percent, table } from "../text.ts";

export const assign: Command = {
  usage: "assign <bundle> <source>",
  description: "Assign samples to the clusters of a bundle",
  options: [
    ["--out <file>", "labels.csv, .jsonl or .npz: index, label, confidence and novelty of each sample"],
    ["--shard <i/S>", "Only part i of S, counted from 0: one for each of S machines"],
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
  const write = out === undefined ? undefined : labelWriter(out);
  const shard = shardOf(options.text("shard") ?? "0/1");
  const batchSize = options.integer("batch-size", 1) ?? 256;
  const json = options.has("json");
  const reporter = createReporter(io, json);
  try {
    const clusterer = await openClusterer(bundle, options, reporter);
    try {
      const { samples } = await loadSource(source);
      const [from, to] = shardRange(shard, samples.shape[0], batchSize);
      const began = performance.now();
      const columns = await assignSamples(clusterer, samples, { from, to, batchSize, signal, reporter });
      const seconds = (performance.now() - began) / 1000;
      if (out !== undefined) await write?.(out, columns);
      reporter.close();
      const { clusters, device, manifest } = clusterer.info;
      const rows = clusterRows(columns, clusters);
      if (json) {
        const sizes = rows.map(({ size }) => size);
        io.stdout.write(`${JSON.stringify({ samples: to - from, from, to, sizes, device, seconds, out })}\n`);
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
    } finally {
      await clusterer.dispose();
    }
  } finally {
    reporter.close();
  }
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

/** Size and mean confidence of each cluster. */
function clusterRows({ label, confidence }: { label: Int32Array; confidence: Float32Array }, clusters: number) {
  const rows = Array.from({ length: clusters }, () => ({ size: 0, confidence: 0 }));
  label.forEach((k, i) => {
    const row = rows[k] as { size: number; confidence: number };
    row.size++;
    row.confidence += ((confidence[i] as number) - row.confidence) / row.size;
  });
  return rows;
}
