import { join } from "node:path";
import { writeFileAtomic } from "../../export/files.ts";
import { checkDestination } from "../../export/index.ts";
import { PRESETS, type Preset } from "../../models/index.ts";
import { loadClusterer } from "../../runtime/node.ts";
import { type Dataset, loadSource, readRun, type Settings, startRun } from "../../train/index.ts";
import { Stopwatch } from "../../train/stopwatch.ts";
import { assignSamples } from "../assigning.ts";
import type { Command, CommandContext } from "../command.ts";
import { exportFinished } from "../exporting.ts";
import { createReporter, type Reporter } from "../progress.ts";
import { classNames, fitMap, type Scores, scoreCells, scoresOf } from "../scores.ts";
import { duration, grouped, size, table } from "../text.ts";
import { resumable, unlabelled } from "./train.ts";

/** What quickstart does, as data: tests do the same on less. */
export interface Plan {
  readonly run: string;
  readonly bundle: string;
  readonly seen: string;
  readonly unseen: string;
  readonly settings: Settings;
}

const DIGITS: Plan = {
  run: "runs/quickstart",
  bundle: "bundles/digits",
  seen: "digits:train",
  unseen: "digits:unseen",
  settings: { clusters: 10 },
};

export const quickstart: Command = {
  usage: "quickstart",
  description: "See it work: cluster 9,000 handwritten digits, export the graph, assign 1,000 it never saw",
  options: [
    ["--preset <name>", `${PRESETS.join(", ")}; quick unless said`],
    ["--seed <n>", "0 unless said"],
    ["--json", "Events and the summary as JSON lines"],
  ],
  examples: ["quickstart", "quickstart --seed 1", "quickstart --preset best"],
  run: (context) => runPlan(DIGITS, context),
};

/** What `summary.json` holds. */
interface Summary {
  readonly seen: Scores;
  readonly unseen: Scores;
  readonly seconds: {
    readonly train: number;
    readonly export: number;
    readonly assign: number;
    readonly total: number;
  };
  readonly bundle: string;
  readonly bytes: number;
  readonly preset: Preset;
  readonly seed: number;
}

/** Trains, exports, assigns with what was exported, scores, and tells. */
export async function runPlan(plan: Plan, context: CommandContext): Promise<void> {
  const { options, io, program } = context;
  const preset = options.choice("preset", PRESETS) ?? "quick";
  const seed = options.integer("seed", 0) ?? 0;
  const reporter = createReporter(io, options.has("json"));
  try {
    const summary = await allStages(plan, context, reporter, preset, seed);
    await writeFileAtomic(join(plan.run, "summary.json"), `${JSON.stringify(summary, null, 2)}\n`);
    reporter.close();
    if (options.has("json")) io.stdout.write(`${JSON.stringify({ type: "summary", ...summary })}\n`);
    else io.stdout.write(summaryText(plan, summary, program));
  } finally {
    reporter.close();
  }
}

async function allStages(
  plan: Plan,
  { signal, program }: CommandContext,
  reporter: Reporter,
  preset: Preset,
  seed: number,
): Promise<Summary> {
  const began = performance.now();
  await checkDestination(plan.bundle, true); // before minutes of training, not after
  reporter.doing(`reading ${plan.seen}`);
  const [seen, unseen] = [await loadSource(plan.seen), await loadSource(plan.unseen)];
  const count = grouped(seen.samples.shape[0]);
  reporter.note(`training on ${count} samples without their labels (preset ${preset}, seed ${seed})`);
  const { settings, run: folder, bundle } = plan;
  const data = unlabelled(seen);
  const job = { folder, method: "dscdan", preset, settings, seed, source: plan.seen, data, overwrite: true };
  const stopwatch = new Stopwatch();
  await resumable(folder, program, () => startRun(job, { signal, onEvent: (event) => reporter.event(event) }));
  const train = stopwatch.lap();
  const exported = await exportFinished(await readRun(folder), seen, {
    ...{ out: bundle, parts: false, withCoefficients: false, precision: ["fp32"], overwrite: true },
    ...{ signal, reporter, program },
  });
  const exportSeconds = stopwatch.lap();
  reporter.doing(`assigning with ${bundle}`);
  const clusterer = await loadClusterer(bundle, { device: "cpu" });
  const assigned = async (dataset: Dataset) => (await assignSamples(clusterer, dataset.samples, { signal })).label;
  const [ofSeen, ofUnseen] = [await assigned(seen), await assigned(unseen)];
  await clusterer.dispose();
  const assign = stopwatch.lap();
  // Labels are used from here on, and for nothing but these figures.
  const map = fitMap(ofSeen, classNames(seen));
  return {
    seen: scoresOf(ofSeen, classNames(seen), map),
    unseen: scoresOf(ofUnseen, classNames(unseen), map),
    seconds: { train, export: exportSeconds, assign, total: (performance.now() - began) / 1000 },
    ...{ bundle, bytes: exported.bytes, preset, seed },
  };
}

function summaryText({ bundle, seen: source, unseen: others, settings }: Plan, summary: Summary, program: string) {
  const { seen, unseen, seconds, bytes } = summary;
  const scores = table([
    ["samples", "ACC", "NMI", "ARI"],
    ["seen in training", ...scoreCells(seen)],
    ["never seen", ...scoreCells(unseen)],
  ]);
  const stages = table([
    ["train", "export", "assign", "total"],
    [seconds.train, seconds.export, seconds.assign, seconds.total].map(duration),
  ]);
  return `
${scores}
${stages}
${bundle} holds the whole clusterer: one ONNX graph, ${size(bytes)} with its notes.
Labels were used for the figures above and for nothing else.

What to try next:
  ${program} assign ${bundle} ${others} --out labels.csv
  ${program} evaluate ${bundle} ${others} --seen ${source}
  ${program} train --method dscdan --data ${source} --clusters ${settings.clusters} --preset best --out runs/best
`;
}
