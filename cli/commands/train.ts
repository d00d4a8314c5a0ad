import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { METHOD_NAMES, methodNamed, PRESETS, type Preset } from "../../models/index.ts";
import { SubspanError } from "../../runtime/errors.ts";
import {
  AUTO,
  computeOf,
  type Dataset,
  ENGINES,
  type EngineName,
  type FinishedRun,
  hyperparameters,
  loadSource,
  lopsided,
  MOST_SEED,
  mergeSettings,
  PROVISIONAL,
  type RunHooks,
  readRun,
  resolveConfig,
  resumeRun,
  type Settings,
  startRun,
  TRAINING_DEVICES,
  type TrainingData,
  type TrainingDevice,
  writeReport,
} from "../../train/index.ts";
import type { Command, CommandContext } from "../command.ts";
import { movedSource } from "../exporting.ts";
import { type Options, settingsOf } from "../options.ts";
import { createReporter, type Reporter, sizesText } from "../progress.ts";
import { classNames, scoreCells, scoresOf } from "../scores.ts";
import { duration, pairs, percent, shellWord, table } from "../text.ts";

export const train: Command = {
  usage: "train",
  description: "Train a clusterer on unlabelled samples",
  options: [
    ["--method <name>", `${METHOD_NAMES.join(", ")}: udll for at most 5,000 samples; needed`],
    ["--data <source>", "digits, digits:train, digits:unseen, .npz, .npy, .csv, .parquet, IDX, or a folder of images"],
    ["--clusters <k>", "How many clusters; auto chooses by the clearest eigengap, after a short pretraining"],
    ["--preset <name>", `${PRESETS.join(", ")}; best unless said`],
    ["--set <key=value>", "A hyperparameter over the preset's, such as pretraining.epochs=5; may come more than once"],
    ["--config <file>", "Hyperparameters over the preset's, as JSON"],
    ["--seed <n>", "0 unless said; equal seeds give bit-equal results"],
    ["--out <folder>", "The run's folder; runs/SOURCE-METHOD-PRESET-SEED unless said"],
    ["--resume", "Go on with the run in --out"],
    ["--overwrite", "Replace the run in --out"],
    ["--max-time <time>", "End with the epoch under way then, such as 10m; --resume goes on"],
    ["--engine <name>", `What computes training steps: ${ENGINES.join(", ")}; onnx unless said`],
    ["--device <name>", `Where: ${TRAINING_DEVICES.join(", ")}; cpu unless said`],
    ["--json", "Events as JSON lines"],
  ],
  examples: [
    "train --method dscdan --data digits:train --clusters 10 --preset quick --out runs/digits",
    "train --method dscdan --data photos/ --clusters 5 --set augmentation=objects --max-time 30m",
    "train --method ebse --data photos/ --clusters auto",
    "train --resume --out runs/digits",
  ],
  help: hyperparameterHelp,
  run,
};

const usage = (message: string) => new SubspanError("USAGE", message);

async function run(context: CommandContext): Promise<void> {
  const { options, io, signal, program } = context;
  const asked = await askedOf(options);
  const reporter = createReporter(io, options.has("json"));
  const maxMilliseconds = options.duration("max-time");
  const hooks: RunHooks = {
    onEvent: (event) => reporter.event(event),
    signal,
    ...(maxMilliseconds === undefined ? {} : { maxMilliseconds }),
  };
  try {
    const prepared = await (options.has("resume") ? resumed : started)(options, asked, reporter);
    const finished = await resumable(prepared.folder, program, () => prepared.run(hooks));
    reporter.close();
    const page = await writeReport(finished.folder).catch((error: Error) => {
      io.stderr.write(`warning: the report is not written: ${error.message}\n`);
      return undefined;
    });
    report(context, finished, prepared.dataset, page);
  } finally {
    reporter.close();
  }
}

/** Trains, and says how to go on if it is stopped, or the disk is full, where there is a run to go on with. */
export async function resumable<T>(folder: string, program: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const isFull = code === "ENOSPC" || code === "EDQUOT";
    if ((code !== "INTERRUPTED" && !isFull) || !existsSync(join(folder, "config.json"))) throw error;
    const hint = `${message}; ${isFull ? "make room and " : ""}go on with: ${program} train --resume --out ${shellWord(folder)}`;
    throw isFull ? new Error(hint, { cause: error }) : new SubspanError("INTERRUPTED", hint, { cause: error });
  }
}

/** What training gets of a data set. */
export const unlabelled = ({ name, samples, fingerprint }: Dataset): TrainingData => ({ name, samples, fingerprint });

/** What the options say of a run, whether it starts or goes on. */
interface Asked {
  readonly method?: string;
  readonly preset?: Preset;
  readonly seed?: number;
  readonly engine?: EngineName;
  readonly device?: TrainingDevice;
  readonly settings: Settings;
}

async function askedOf(options: Options): Promise<Asked> {
  const method = options.choice("method", METHOD_NAMES);
  const preset = options.choice("preset", PRESETS);
  const seed = options.integer("seed", 0, MOST_SEED);
  const engine = options.choice("engine", ENGINES);
  const device = options.choice("device", TRAINING_DEVICES);
  const clusters = options.text("clusters") === AUTO ? AUTO : options.integer("clusters", 2);
  const file = options.text("config");
  const set = settingsOf(options.list("set"));
  const settings = mergeSettings(file === undefined ? {} : await readSettings(file), set);
  if (clusters !== undefined && settings.clusters !== undefined && settings.clusters !== clusters)
    throw usage(`--clusters ${clusters}: the settings have clusters=${settings.clusters}; give one of them`);
  return {
    settings: clusters === undefined ? settings : { ...settings, clusters },
    ...(method === undefined ? {} : { method }),
    ...(preset === undefined ? {} : { preset }),
    ...(seed === undefined ? {} : { seed }),
    ...(engine === undefined ? {} : { engine }),
    ...(device === undefined ? {} : { device }),
  };
}

async function readSettings(file: string): Promise<Settings> {
  try {
    const value: unknown = JSON.parse(await readFile(file, "utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Settings;
    throw new Error("expected a JSON object");
  } catch (cause) {
    throw new SubspanError("USAGE", `--config ${file}: ${(cause as Error).message}`, { cause });
  }
}

/** A run that is ready to go. */
interface Prepared {
  readonly folder: string;
  readonly dataset: Dataset;
  run(hooks: RunHooks): Promise<FinishedRun>;
}

async function started(options: Options, asked: Asked, reporter: Reporter): Promise<Prepared> {
  const method = asked.method ?? options.required("method", "dscdan");
  const source = options.required("data", "digits:train");
  if (asked.settings.clusters === undefined)
    throw usage("--clusters is needed: how many clusters there are, such as --clusters 10 for digits, or auto");
  const { preset = "best", seed = 0 } = asked;
  // What is wrong with them is said before samples are read.
  const { clusters } = asked.settings;
  resolveConfig(methodNamed(method), preset, {
    ...asked.settings,
    clusters: clusters === AUTO ? PROVISIONAL : clusters,
  });
  computeOf(asked.engine, asked.device);
  const folder = options.text("out") ?? `runs/${[slug(source), method, preset, seed].join("-")}`;
  reporter.doing(`reading ${source}`);
  const dataset = await loadSource(source);
  const overwrite = options.has("overwrite");
  const run = { ...asked, folder, method, preset, seed, source, data: unlabelled(dataset), overwrite };
  return { folder, dataset, run: (hooks) => startRun(run, hooks) };
}

async function resumed(options: Options, asked: Asked, reporter: Reporter): Promise<Prepared> {
  if (options.has("overwrite")) throw usage("--resume goes on with a run and --overwrite removes it: choose one");
  const folder = options.required("out", "runs/digits");
  const source = options.text("data") ?? (await readRun(folder)).config.source;
  reporter.doing(`reading ${source}`);
  const dataset = await loadSource(source).catch(movedSource(options));
  return { folder, dataset, run: (hooks) => resumeRun({ folder, data: unlabelled(dataset), ...asked }, hooks) };
}

/** A source as part of a folder's name: "digits:train" -> "digits-train", "data/my set.npz" -> "my-set". */
function slug(source: string): string {
  const last = source.split(/[\\/]/).findLast((part) => part !== "") ?? source;
  return (
    last
      .replace(/\.[a-z]+$/i, "")
      .replace(/[^A-Za-z0-9]+/g, "-")
      .replace(/^-+|-+$/g, "") || "data"
  );
}

function report(
  { options, io, program }: CommandContext,
  finished: FinishedRun,
  dataset: Dataset,
  page: string | undefined,
): void {
  const { folder, seconds, sizes, metrics, labels, before } = finished;
  const scores = dataset.labels && scoresOf(labels, classNames(dataset));
  const wrong = lopsided(sizes);
  if (options.has("json")) {
    io.stdout.write(
      `${JSON.stringify({ type: "result", folder, report: page, seconds, before, sizes, warning: wrong, metrics, scores })}\n`,
    );
    return;
  }
  io.stdout.write(
    pairs([
      ["run", folder],
      ...(page === undefined ? [] : [["report", page] as const]),
      ["seconds", before ? "0, it was finished before" : duration(seconds)],
      ["clusters", sizesText(sizes)],
      ...(wrong === undefined ? [] : [["warning", wrong] as const]),
      ["agreement", `${percent(metrics.agreement ?? 0)} of samples with a view of them`],
    ]),
  );
  if (scores !== undefined) {
    io.stdout.write("\nScored after training, on labels it never saw:\n");
    io.stdout.write(table([["ACC", "NMI", "ARI"], scoreCells(scores)]));
  }
  io.stdout.write(`\nExport it with: ${program} export ${shellWord(folder)}\n`);
}

function hyperparameterHelp(options: Options): { title: string; body: string }[] {
  const name = options.choice("method", METHOD_NAMES);
  if (name === undefined) {
    return [{ title: "Hyperparameters", body: "  $ subspan train --method dscdan --help  lists them" }];
  }
  const method = methodNamed(name);
  const text = (value: unknown) =>
    value === undefined ? "needed" : typeof value === "string" ? value : JSON.stringify(value);
  const rows = hyperparameters(method).map(({ key, values, description }) => [
    `  ${key}`,
    ...PRESETS.map((preset) => text(values[preset])),
    description,
  ]);
  const body = table([["  key", ...PRESETS, "meaning"], ...rows]).trimEnd();
  return [{ title: `Hyperparameters of ${name} (${method.paper})`, body }];
}
