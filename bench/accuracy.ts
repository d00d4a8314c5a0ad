/**
 * Trains, finishes and scores over seeds: what the exported graph gives seen and unseen samples. Labels are read after training
 * alone; the map from clusters to labels is fitted on the seen samples and kept for the unseen ones.
 *
 *     npm run bench:accuracy -- --preset quick                       seeds 0, 1, 2 on the digits
 *     npm run bench:accuracy -- --data images.npz --preset best      in-sample only
 *     npm run bench:accuracy -- --preset quick --set augmentation=none --note "no augmentation"
 *
 * Rows are added to docs/accuracy.csv; the tables of docs/accuracy.md are made from it.
 */
import { existsSync } from "node:fs";
import { appendFile, readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { writeFileAtomic } from "../export/files.ts";
import { methodNamed, type Preset } from "../models/index.ts";
import type { NumberArray } from "../runtime/samples.ts";
import { runInBatches } from "../train/batch-outputs.ts";
import { Batches } from "../train/batches.ts";
import { clustererGraph, exportedModel } from "../train/clusterer-graph.ts";
import { type Dataset, loadSource } from "../train/data/index.ts";
import { CompiledFunction } from "../train/executors/onnx.ts";
import { finishTraining } from "../train/finish.ts";
import { merge, resolveConfig, type Settings } from "../train/hyperparameters.ts";
import * as metrics from "../train/metrics.ts";
import { augmentationOf } from "../train/run.ts";
import { INFERENCE_BATCH, sampleType, Trainer } from "../train/trainer.ts";

const { values: options } = parseArgs({
  options: {
    data: { type: "string", default: "digits:train" },
    unseen: { type: "string" },
    preset: { type: "string", default: "quick" },
    seeds: { type: "string", default: "0,1,2" },
    set: { type: "string", multiple: true, default: [] },
    note: { type: "string", default: "" },
    report: { type: "boolean", default: false },
  },
});

const CSV = "docs/accuracy.csv";
const REPORT = "docs/accuracy.md";
const COLUMNS = [
  ...["data", "preset", "settings", "seed", "train_seconds", "finish_seconds", "seen_acc", "seen_nmi", "seen_ari"],
  ...["unseen_acc", "unseen_nmi", "unseen_ari", "calibration_error", "mean_confidence", "novelty_auroc", "note"],
] as const;
type Row = Record<(typeof COLUMNS)[number], string>;

/** `a.b=value` as { a: { b: value } }; values are JSON where they parse as it. */
function settingsOf(pairs: readonly string[]): Settings {
  return pairs.reduce<Settings>((all, pair) => {
    const [path, ...rest] = pair.split("=");
    const text = rest.join("=");
    let value: unknown = text;
    try {
      value = JSON.parse(text);
    } catch {
      // A word.
    }
    const nested = (path as string).split(".").reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
    return merge(all, nested as Settings);
  }, {});
}

interface Outputs {
  readonly label: Int32Array;
  readonly confidence: Float32Array;
  readonly novelty: Float32Array;
}

async function assign(graph: CompiledFunction, { samples }: Dataset): Promise<Outputs> {
  const batches = new Batches(samples, augmentationNone);
  const outputs = await runInBatches(graph, samples.shape[0], INFERENCE_BATCH, (rows) => ({
    [samples.kind]: batches.rows(rows),
  }));
  const of = (name: string) => (outputs[name] as NumberArray).data;
  return { label: Int32Array.from(of("label"), Number), confidence: of("confidence"), novelty: of("novelty") };
}
const augmentationNone = { rotation: 0, shift: 0, scale: 0, anisotropy: 0, shear: 0, flip: 0, brightness: 0, erase: 0 };

const digits = (value: number | undefined, places = 4) => (value === undefined ? "" : value.toFixed(places));

async function run(
  seed: number,
  data: Dataset,
  unseen: Dataset | undefined,
  outliers: Dataset | undefined,
): Promise<Row> {
  const method = methodNamed("dscdan");
  const truth = data.labels as Int32Array;
  const clusters = new Set(truth).size;
  const config = resolveConfig(method, options.preset as Preset, merge({ clusters }, settingsOf(options.set)));
  const augmentation = augmentationOf(method, config);
  const { samples } = data;
  const began = performance.now();
  const trainer = new Trainer({
    ...{ method, config, samples, augmentation, seed },
    onEvent: (event) => {
      if (event.type === "epoch")
        console.error(`seed ${seed}  ${event.phase} ${event.epoch + 1}/${event.epochs}  loss ${event.loss.toFixed(3)}`);
    },
  });
  const { parameters } = await trainer.train();
  const trained = performance.now();
  const finished = await finishTraining({ method, config, samples, augmentation, seed, parameters });
  const done = performance.now();
  const definition = { method, config, parameters, structure: finished.structure, sample: sampleType(samples) };
  const traced = exportedModel("bench", clustererGraph(definition));
  const graph = await CompiledFunction.compile(traced);
  const seen = await assign(graph, data);
  const map = metrics.clusterMap(seen.label, truth);
  const row = {
    ...{
      data: data.name,
      preset: options.preset,
      settings: options.set.join(" "),
      seed: String(seed),
      note: options.note,
    },
    train_seconds: digits((trained - began) / 1000, 0),
    finish_seconds: digits((done - trained) / 1000, 1),
    seen_acc: digits(metrics.mappedAccuracy(seen.label, truth, map)),
    seen_nmi: digits(metrics.normalizedMutualInformation(seen.label, truth)),
    seen_ari: digits(metrics.adjustedRandIndex(seen.label, truth)),
    ...{
      unseen_acc: "",
      unseen_nmi: "",
      unseen_ari: "",
      calibration_error: "",
      mean_confidence: "",
      novelty_auroc: "",
    },
  };
  if (unseen?.labels !== undefined) {
    const found = await assign(graph, unseen);
    const right = Uint8Array.from(found.label, (label, i) => Number(map.get(label) === unseen.labels?.[i]));
    row.unseen_acc = digits(metrics.mappedAccuracy(found.label, unseen.labels, map));
    row.unseen_nmi = digits(metrics.normalizedMutualInformation(found.label, unseen.labels));
    row.unseen_ari = digits(metrics.adjustedRandIndex(found.label, unseen.labels));
    row.calibration_error = digits(metrics.expectedCalibrationError(found.confidence, right as never));
    row.mean_confidence = digits(found.confidence.reduce((a, b) => a + b, 0) / found.confidence.length);
    if (outliers !== undefined)
      row.novelty_auroc = digits(metrics.auroc(found.novelty, (await assign(graph, outliers)).novelty));
  }
  await graph.dispose();
  return row;
}

/** A CSV of plain cells: none of ours holds a quote or a line break. */
async function readRows(): Promise<Row[]> {
  if (!existsSync(CSV)) return [];
  const [, ...lines] = (await readFile(CSV, "utf8")).trim().split("\n");
  return lines.map((line) => Object.fromEntries(line.split(";").map((cell, i) => [COLUMNS[i], cell])) as Row);
}

const FIGURES = ["seen_acc", "seen_nmi", "seen_ari", "unseen_acc", "unseen_nmi", "unseen_ari"] as const;

/** Mean and standard deviation over the rows; "" where none has the figure. */
function spread(rows: readonly Row[], column: keyof Row, places = 4): string {
  const values = rows
    .map((row) => row[column])
    .filter((cell) => cell !== "")
    .map(Number);
  if (values.length === 0) return "";
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / Math.max(1, values.length - 1));
  return values.length === 1 ? mean.toFixed(places) : `${mean.toFixed(places)} ± ${deviation.toFixed(places)}`;
}

/** The tables of docs/accuracy.md, between its markers, from all rows. */
async function writeReport(): Promise<void> {
  const rows = await readRows();
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = [row.data, row.preset, row.settings, row.note].join(";");
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const head = [
    "data",
    "preset",
    "settings",
    "seeds",
    "train s",
    ...FIGURES.map((name) => name.replace("_", " ")),
    "calibration error",
    "novelty AUROC",
    "note",
  ];
  const lines = [...groups.values()].map((group) => {
    const { data, preset, settings, note } = group[0] as Row;
    const seeds = group.map(({ seed }) => seed).join(" ");
    const figures = FIGURES.map((column) => spread(group, column));
    const cells = [
      data,
      preset,
      settings,
      seeds,
      spread(group, "train_seconds", 0),
      ...figures,
      spread(group, "calibration_error"),
      spread(group, "novelty_auroc"),
      note,
    ];
    return `| ${cells.join(" | ")} |`;
  });
  const table = [`| ${head.join(" | ")} |`, `|${head.map(() => " --- |").join("")}`, ...lines].join("\n");
  const text = await readFile(REPORT, "utf8");
  await writeFileAtomic(
    REPORT,
    text.replace(/<!-- runs -->[\s\S]*<!-- end of runs -->/, `<!-- runs -->\n\n${table}\n\n<!-- end of runs -->`),
  );
}

if (!options.report) {
  const data = await loadSource(options.data);
  const unseenSource = options.unseen ?? (options.data === "digits:train" ? "digits:unseen" : undefined);
  const unseen = unseenSource === undefined ? undefined : await loadSource(unseenSource);
  const fashion = "../shared/data/fashion-mnist-test.npz";
  const outliers = options.data.startsWith("digits") && existsSync(fashion) ? await loadSource(fashion) : undefined;
  if (!existsSync(CSV)) await writeFileAtomic(CSV, `${COLUMNS.join(";")}\n`);
  for (const seed of options.seeds.split(",").map(Number)) {
    const row = await run(seed, data, unseen, outliers);
    console.log(JSON.stringify(row));
    await appendFile(CSV, `${COLUMNS.map((column) => row[column]).join(";")}\n`);
  }
}
await writeReport();
