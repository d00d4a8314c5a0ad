import { readFile } from "node:fs/promises";
import { z } from "zod";
import { SubspanError } from "../../runtime/errors.ts";
import { expectedCalibrationError, loadSource } from "../../train/index.ts";
import { assignSamples, CLUSTERER_OPTIONS, type OpenClusterer, openClusterer } from "../assigning.ts";
import type { Command, CommandContext } from "../command.ts";
import { createReporter, type Reporter } from "../progress.ts";
import { classNames, fitMap, type NamedMap, type Scores, scoresOf } from "../scores.ts";
import { grouped, pairs, percent } from "../text.ts";

export const evaluate: Command = {
  usage: "evaluate <bundle> <source>",
  description: "Score a bundle's clusters against the labels of a source",
  options: [
    ["--seen <source>", "Say which class a cluster is on these samples, and score the others with that"],
    ["--map <file>", "Say it by a file: what evaluate --json printed, or {cluster: class}"],
    ...CLUSTERER_OPTIONS,
    ["--json", "The result as JSON"],
  ],
  examples: [
    "evaluate bundles/digits digits:train",
    "evaluate bundles/digits digits:unseen --seen digits:train",
    "evaluate bundles/digits digits:unseen --map seen.json --json",
  ],
  run,
};

interface Evaluation extends Scores {
  /** Expected calibration error, 0..1. */
  readonly calibrationError: number;
  readonly meanConfidence: number;
  readonly samples: number;
  /** Where the map was fitted. */
  readonly mappedOn: string;
  readonly map: NamedMap;
}

async function run({ args, options, io, signal }: CommandContext): Promise<void> {
  const [bundle = "", source = ""] = args;
  const [seen, file] = [options.text("seen"), options.text("map")];
  if (seen !== undefined && file !== undefined) throw new SubspanError("USAGE", "--seen and --map: choose one");
  const given = file === undefined ? undefined : await readMap(file);
  const batchSize = options.integer("batch-size", 1) ?? 256;
  const json = options.has("json");
  const reporter = createReporter(io, json);
  try {
    const clusterer = await openClusterer(bundle, options, reporter);
    try {
      const work = { clusterer, batchSize, signal, reporter };
      const own = await assigned(source, work);
      const map =
        given ?? (seen === undefined ? fitMap(own.label, own.truth) : await mapOf(await assigned(seen, work)));
      const right = own.truth.map((name, i) => map[String(own.label[i])] === name);
      const evaluation: Evaluation = {
        ...scoresOf(own.label, own.truth, map),
        calibrationError: expectedCalibrationError(own.confidence, right),
        meanConfidence: own.confidence.reduce((sum, value) => sum + value, 0) / own.confidence.length,
        samples: own.label.length,
        mappedOn: file ?? seen ?? source,
        map,
      };
      reporter.close();
      io.stdout.write(json ? `${JSON.stringify(evaluation)}\n` : evaluationTable(evaluation));
    } finally {
      await clusterer.dispose();
    }
  } finally {
    reporter.close();
  }
}

interface Work {
  readonly clusterer: OpenClusterer;
  readonly batchSize: number;
  readonly signal: AbortSignal;
  readonly reporter: Reporter;
}

async function assigned(source: string, { clusterer, ...range }: Work) {
  const dataset = await loadSource(source);
  const truth = classNames(dataset);
  return { truth, ...(await assignSamples(clusterer, dataset.samples, range)) };
}

const mapOf = async ({ label, truth }: { label: Int32Array; truth: string[] }) => fitMap(label, truth);

const mapSchema = z.record(z.string().regex(/^\d+$/), z.union([z.string(), z.int().transform(String)]));
const fileSchema = z.union([z.object({ map: mapSchema }).transform(({ map }) => map), mapSchema]);

async function readMap(file: string): Promise<NamedMap> {
  try {
    return fileSchema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (cause) {
    const wrong = cause instanceof z.ZodError ? 'expected {"0": "class", ...}' : (cause as Error).message;
    throw new SubspanError("USAGE", `--map ${file}: ${wrong}`, { cause });
  }
}

function evaluationTable(evaluation: Evaluation): string {
  const { acc, nmi, ari, calibrationError, meanConfidence, samples, mappedOn } = evaluation;
  return pairs([
    ["ACC", percent(acc), `clusters named on ${mappedOn}`],
    ["NMI", percent(nmi)],
    ["ARI", percent(ari)],
    ["calibration error", percent(calibrationError), "|accuracy - confidence|, over 15 bins"],
    ["mean confidence", percent(meanConfidence)],
    ["samples", grouped(samples)],
  ]);
}
