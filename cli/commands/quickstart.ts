import { join } from "node:path";
import { writeFileAtomic } from "../../export/files.ts";
import { PRESETS } from "../../models/index.ts";
import { loadClusterer } from "../../runtime/node.ts";
import { type Dataset, loadSource, readRun, startRun } from "../../train/index.ts";
import { assignSamples } from "../assigning.ts";
import type { Command, CommandContext } from "../command.ts";
import { exportFinished } from "../exporting.ts";
import { createReporter, type Reporter } from "../progress.ts";
import { classNames, fitMap, type Scores, scoreCells, scoresOf } from "../scores.ts";
import { duration, grouped, size, table } from "../text.ts";
import { resumable, unlabelled } from "./train.ts";

const RUN = "runs/quickstart";
const BUNDLE = "bundles/digits";
const SEEN = "digits:train";
const UNSEEN = "digits:unseen";
const CLUSTERS = 10;

export const quickstart: Command = {
  usage: "quickstart",
  description: "See it work: cluster 9,000 handwritten digits, export the graph, assign 1,000 it never saw",
  options: [
    ["--preset <name>", `${PRESETS.join(", ")}; quick unless said`],
    ["--seed <n>", "0 unless said"],
    ["--json", "Events and the summary as JSON lines"],
  ],
  examples: ["quickstart", "quickstart --seed 1", "quickstart --preset best"],
  run,
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
  readonly preset: string;
  readonly seed: number;
}

async function run(context: CommandContext): Promise<void> {
  const { options, io, program } = context;
  const preset = options.choice("preset", PRESETS) ?? "quick";
  const seed = options.integer("seed", 0) ?? 0;
  const reporter = createReporter(io, options.has("json"));
  try {
    const summary = await allStages(context, reporter, preset, seed);
    await writeFileAtomic(join(RUN, "summary.json"), `${JSON.stringify(summary, null, 2)}\n`);
    reporter.close();
    if (options.has("json")) io.stdout.write(`${JSON.stringify({ type: "summary", ...summary })}\n`);
    else io.stdout.write(summaryText(summary, program));
  } finally {
    reporter.close();
  }
}

async function allStages(
  { signal, program }: CommandContext,
  reporter: Reporter,
  preset: Summary["preset"] & (typeof PRESETS)[number],
  seed: number,
): Promise<Summary> {
  const began = performance.now();
  const since = stopwatch();
  reporter.doing(`reading ${SEEN}`);
  const [seen, unseen] = [await loadSource(SEEN), await loadSource(UNSEEN)];
  reporter.note(`training on ${grouped(seen.samples.shape[0])} digits without their labels (${preset}, seed ${seed})`);
  const data = unlabelled(seen);
  const job = { folder: RUN, method: "dscdan", preset, settings: { clusters: CLUSTERS }, seed, source: SEEN, data };
  since();
  await resumable(RUN, program, () =>
    startRun({ ...job, overwrite: true }, { signal, onEvent: (event) => reporter.event(event) }),
  );
  const train = since();
  const exported = await exportFinished(await readRun(RUN), seen, {
    ...{ out: BUNDLE, parts: false, withCoefficients: false, precision: ["fp32"], overwrite: true },
    ...{ signal, reporter, program },
  });
  const exportSeconds = since();
  reporter.doing(`assigning with ${BUNDLE}`);
  const clusterer = await loadClusterer(BUNDLE, { device: "cpu" });
  const assigned = async (dataset: Dataset) => (await assignSamples(clusterer, dataset.samples, { signal })).label;
  const [ofSeen, ofUnseen] = [await assigned(seen), await assigned(unseen)];
  await clusterer.dispose();
  const assign = since();
  // Labels are used from here on, and for nothing but these figures.
  const map = fitMap(ofSeen, classNames(seen));
  return {
    seen: scoresOf(ofSeen, classNames(seen), map),
    unseen: scoresOf(ofUnseen, classNames(unseen), map),
    seconds: { train, export: exportSeconds, assign, total: (performance.now() - began) / 1000 },
    bundle: BUNDLE,
    bytes: exported.bytes,
    preset,
    seed,
  };
}

/** Seconds since it was last asked. */
function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const seconds = (now - last) / 1000;
    last = now;
    return seconds;
  };
}

function summaryText({ seen, unseen, seconds, bundle, bytes }: Summary, program: string): string {
  const scores = table([
    ["digits", "ACC", "NMI", "ARI"],
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
${bundle} holds the whole clusterer: one ONNX graph, ${size(bytes)} in all.
Labels were used for the figures above and for nothing else.

What to try next:
  ${program} assign ${bundle} ${UNSEEN} --out labels.csv
  ${program} evaluate ${bundle} ${UNSEEN} --seen ${SEEN}
  ${program} train --method dscdan --data ${SEEN} --clusters ${CLUSTERS} --preset best --out runs/best
`;
}
