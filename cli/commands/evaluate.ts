import { readFile } from "node:fs/promises";
import { z } from "zod";
import { SubspanError } from "../../runtime/errors.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { auroc, type Dataset, expectedCalibrationError, loadSource, nearestLabels } from "../../train/index.ts";
import { assignSamples, CLUSTERER_OPTIONS, imagesFor, type OpenClusterer, openClusterer } from "../assigning.ts";
import type { Command, CommandContext } from "../command.ts";
import { createReporter, type Reporter } from "../progress.ts";
import { classNames, fitMap, type NamedMap, NMI_MEANS, purityOf, type Scores, scoresOf } from "../scores.ts";
import { grouped, pairs, percent } from "../text.ts";

export const evaluate: Command = {
  usage: "evaluate <bundle> <source>",
  description: "Score a bundle's clusters against the labels of a source",
  options: [
    ["--seen <source>", "Say which class a cluster is on these samples, and score the others with that"],
    ["--map <file>", "Say it by a file: what evaluate --json printed, or {cluster: class}"],
    [
      "--outliers <source>",
      "Samples of other things (labels are not needed): how well novelty tells them from the source",
    ],
    ["--nmi <mean>", `${NMI_MEANS.join(" or ")}, of the entropies that NMI is divided by; ${NMI_MEANS[0]} unless said`],
    ...CLUSTERER_OPTIONS,
    ["--json", "The result as JSON"],
  ],
  examples: [
    "evaluate bundles/digits digits:train",
    "evaluate bundles/digits digits:unseen --seen digits:train --outliers letters.npz",
    "evaluate bundles/digits digits:unseen --map seen.json --json",
  ],
  run,
};

type NmiMean = (typeof NMI_MEANS)[number];

interface Evaluation extends Scores {
  readonly nmiMean: NmiMean;
  /** Share of samples in the majority class of their cluster: an upper bound of accuracy. */
  readonly purity: number;
  /** Accuracy by the nearest seen latent: of giving a sample that one's cluster, or, with labels, that one's class. */
  readonly nearest?: { readonly clusterAcc: number; readonly classAcc: number };
  /** Expected calibration error, 0..1. */
  readonly calibrationError: number;
  readonly meanConfidence: number;
  /** Area under the ROC curve of novelty as it tells the outliers from the samples. */
  readonly novelty?: { readonly auroc: number; readonly outliers: string; readonly count: number };
  readonly samples: number;
  /** Where the map was fitted. */
  readonly mappedOn: string;
  readonly map: NamedMap;
}

async function run({ args, options, io, signal }: CommandContext): Promise<void> {
  const [bundle = "", source = ""] = args;
  const [seen, file, outliers] = ["seen", "map", "outliers"].map((name) => options.text(name));
  if (seen !== undefined && file !== undefined) throw new SubspanError("USAGE", "--seen and --map: choose one");
  const nmiMean = options.choice("nmi", NMI_MEANS) ?? NMI_MEANS[0];
  const given = file === undefined ? undefined : await readMap(file);
  const mappedOn = file ?? seen ?? source;
  const batchSize = options.integer("batch-size", 1) ?? 256;
  const json = options.has("json");
  const reporter = createReporter(io, json);
  try {
    const clusterer = await openClusterer(bundle, options, reporter);
    try {
      const work = { clusterer, batchSize, signal, reporter, latents: seen !== undefined };
      const own = await labelled(source, work);
      const ofSeen = seen === undefined ? undefined : await labelled(seen, work);
      const others = outliers === undefined ? undefined : await assigned(await read(outliers, work), work);
      const map = given ?? fitMap((ofSeen ?? own).label, (ofSeen ?? own).truth);
      checkMap(map, { clusters: clusterer.info.clusters, truth: own.truth, mappedOn, source });
      const evaluation: Evaluation = {
        ...scored(own, map, nmiMean),
        ...(ofSeen && { nearest: await byNearest(own, ofSeen, map) }),
        ...(others && {
          novelty: { auroc: auroc(own.novelty, others.novelty), outliers: outliers ?? "", count: others.label.length },
        }),
        mappedOn,
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
  readonly latents: boolean;
}

const read = (source: string, { clusterer }: Work): Promise<Dataset> => {
  const images = imagesFor(clusterer.info.manifest);
  return loadSource(source, images && { images });
};

const assigned = ({ samples }: Dataset, { clusterer, ...range }: Work) => assignSamples(clusterer, samples, range);

type Labelled = Awaited<ReturnType<typeof labelled>>;

async function labelled(source: string, work: Work) {
  const dataset = await read(source, work);
  const truth = classNames(dataset);
  return { truth, ...(await assigned(dataset, work)) };
}

function scored({ label, truth, confidence }: Labelled, map: NamedMap, nmiMean: NmiMean) {
  const right = truth.map((name, i) => map[String(label[i])] === name);
  return {
    ...scoresOf(label, truth, map, nmiMean),
    nmiMean,
    purity: purityOf(label, truth),
    calibrationError: expectedCalibrationError(confidence, right),
    meanConfidence: confidence.reduce((sum, value) => sum + value, 0) / confidence.length,
    samples: label.length,
  };
}

async function byNearest({ latent, truth }: Labelled, seen: Labelled, map: NamedMap) {
  const nearest = await nearestLabels(latent as NumberArray, seen.latent as NumberArray, [...seen.label.keys()]);
  const share = (right: (seenSample: number, sample: number) => boolean) =>
    nearest.reduce((count, j, i) => count + Number(right(j, i)), 0) / nearest.length;
  return {
    clusterAcc: share((j, i) => map[String(seen.label[j])] === truth[i]),
    classAcc: share((j, i) => seen.truth[j] === truth[i]),
  };
}

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

/**
 * A map is of this bundle's clusters, and of classes that the source has: else every score by it is 0.
 *
 * @throws {SubspanError} USAGE.
 */
function checkMap(
  map: NamedMap,
  of: {
    readonly clusters: number;
    readonly truth: readonly string[];
    readonly mappedOn: string;
    readonly source: string;
  },
): void {
  const { clusters, truth, mappedOn, source } = of;
  const other = Object.keys(map).find((cluster) => Number(cluster) >= clusters);
  if (other !== undefined)
    throw new SubspanError("USAGE", `${mappedOn}: names cluster ${other}, expected clusters 0 to ${clusters - 1}`);
  const classes = new Set(truth);
  const named = [...new Set(Object.values(map))];
  if (named.some((name) => classes.has(name))) return;
  const some = (names: readonly string[]) => `${names.slice(0, 5).join(", ")}${names.length > 5 ? ", ..." : ""}`;
  throw new SubspanError(
    "USAGE",
    `no class that ${mappedOn} names (${some(named)}) is one of ${source} (${some([...classes])}): ACC would be 0`,
  );
}

function evaluationTable(evaluation: Evaluation): string {
  const { acc, nmi, nmiMean, ari, purity, nearest, calibrationError, meanConfidence, novelty } = evaluation;
  return pairs([
    ["ACC", percent(acc), `clusters named on ${evaluation.mappedOn}`],
    ["NMI", percent(nmi), nmiMean],
    ["ARI", percent(ari)],
    ["purity", percent(purity), "an upper bound of ACC: clusters may share a class"],
    ...(nearest === undefined
      ? []
      : ([
          ["1-NN cluster", percent(nearest.clusterAcc), "ACC, were each in the cluster of the nearest seen latent"],
          ["1-NN class", percent(nearest.classAcc), "ACC of its class: what all labels of the seen would give"],
        ] as const)),
    ["calibration error", percent(calibrationError), "|accuracy - confidence|, over 15 bins"],
    ["mean confidence", percent(meanConfidence)],
    ...(novelty === undefined
      ? []
      : ([
          ["novelty AUROC", percent(novelty.auroc), `${grouped(novelty.count)} outliers of ${novelty.outliers}`],
        ] as const)),
    ["samples", grouped(evaluation.samples)],
  ]);
}
