import { createHash } from "node:crypto";
import { appendFileSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { z } from "zod";
import { withPath, writeFileAtomic } from "../export/files.ts";
import { type Arrays, PRESETS } from "../models/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import type { NumberArray } from "../runtime/samples.ts";
import { readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { ENGINES, TRAINING_DEVICES } from "./executors/index.ts";
import { flatten } from "./hyperparameters.ts";
import { MOST_SEED } from "./random.ts";
import { type EpochRow, keptEvents, metricsCsv } from "./run-log.ts";
import { Targets } from "./targets.ts";
import type { TrainingState } from "./training-state.ts";

export const RUN_FORMAT_VERSION = 1;

const runConfigSchema = z.object({
  formatVersion: z.literal(RUN_FORMAT_VERSION),
  method: z.string(),
  preset: z.enum(PRESETS),
  /** The method's hyperparameters, every one. */
  config: z.record(z.string(), z.unknown()),
  seed: z.int().min(0).max(MOST_SEED),
  /** What the run was begun with; it may go on with others. */
  engine: z.enum(ENGINES),
  device: z.enum(TRAINING_DEVICES),
  /** What was asked for: a name or a path. */
  source: z.string(),
  data: z.object({
    name: z.string(),
    kind: z.enum(["images", "features"]),
    /** Of one sample. */
    shape: z.array(z.int().positive()),
    samples: z.int().positive(),
    fingerprint: z.string(),
  }),
  /** Of subspan, when the run began. */
  version: z.string(),
});

/** All that decides what a run computes, resolved: `config.json`. */
export type RunConfig = Readonly<z.infer<typeof runConfigSchema>>;

/** What training ended with: the cluster structure that places samples, and what it says of the training samples. */
export interface Finished {
  readonly structure: Arrays;
  /** Clusters of the training samples, [n]. */
  readonly labels: Int32Array;
  /** Samples in each cluster, [K]. */
  readonly sizes: readonly number[];
  /** Seen without labels: agreement of views, mean confidence and the like. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** What a run's last checkpoint holds. */
export interface RunState {
  readonly training: TrainingState;
  readonly finished?: Finished;
  /** Set where the last checkpoint was damaged and this is the one before it. */
  readonly problem?: string;
}

/**
 * The files of one run.
 *
 * - `config.json`: what decides what it computes; `env.json`: what it runs on.
 * - `events.jsonl`: what happened, one object a line, in order; epochs and steps count from 0.
 * - `metrics.csv`: one row an epoch, counted from 1; an empty field is a term the phase has not.
 * - `checkpoints/last.safetensors`, and `last.previous.safetensors`, which the last one replaced;
 *   `cut.safetensors` where training had no time to end: it would go on from there.
 *
 * There is no `best` checkpoint: nothing that is measured without labels says which epoch is best, so the last one counts.
 */
export class RunFolder {
  readonly path: string;
  readonly #given: string;
  #rows: EpochRow[] = [];
  #digest: string | undefined;

  /** @param path - may be relative: it stays where it is when the process goes elsewhere. */
  constructor(path: string) {
    this.path = resolve(path);
    this.#given = path;
  }

  /**
   * Makes a folder for a new run.
   *
   * @param overwrite - removes what is there, if that is a run.
   * @throws {SubspanError} USAGE if something is there that may not go.
   */
  static async create(path: string, config: RunConfig, env: object, overwrite: boolean): Promise<RunFolder> {
    const folder = new RunFolder(path);
    if (await isTaken(path, overwrite)) await folder.#setAside();
    await mkdir(folder.path, { recursive: true });
    await writeFileAtomic(join(folder.path, "env.json"), `${JSON.stringify(env, null, 2)}\n`);
    await writeFileAtomic(join(folder.path, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
    await writeFile(join(folder.path, "events.jsonl"), "");
    return folder;
  }

  /** @throws {SubspanError} RUN_INVALID if this is no run. */
  async config(): Promise<RunConfig> {
    const path = join(this.#given, "config.json");
    const text = await readFile(join(this.path, "config.json"), "utf8").catch((cause: NodeJS.ErrnoException) => {
      const wrong = cause.code === "ENOENT" ? "no run is there" : cause.message;
      throw new SubspanError("RUN_INVALID", `${path}: ${wrong}`, { cause });
    });
    try {
      return runConfigSchema.parse(JSON.parse(text));
    } catch (cause) {
      const wrong = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message;
      throw new SubspanError("RUN_INVALID", `${path}: ${wrong}`, { cause: cause as Error });
    }
  }

  /** Adds an event. A line takes microseconds, a step milliseconds. */
  log(event: { readonly type: string }): void {
    const path = join(this.path, "events.jsonl");
    try {
      appendFileSync(path, `${JSON.stringify(event)}\n`);
    } catch (error) {
      throw withPath(path, error as NodeJS.ErrnoException);
    }
    if (event.type === "epoch") this.#rows.push(event as unknown as EpochRow);
  }

  /** Forgets what was logged after a position: a run that was killed may have gone further than its checkpoint. */
  async rewind({ position, moments }: Pick<TrainingState, "position" | "moments">): Promise<void> {
    const path = join(this.path, "events.jsonl");
    const { lines, rows } = keptEvents(await readFile(path, "utf8").catch(() => ""), position, moments !== undefined);
    this.#rows = rows;
    await writeFileAtomic(path, lines);
  }

  async save(state: TrainingState, finished?: Finished): Promise<void> {
    this.#digest ??= digestOf(await this.config());
    await writeFileAtomic(join(this.path, "metrics.csv"), metricsCsv(this.#rows));
    await writeCheckpoint(this.#checkpoint("last"), toCheckpoint(state, finished, this.#digest));
    await rm(this.#replaced, { recursive: true, force: true });
  }

  /** Keeps the last checkpoint as that from which training would go on, whatever is saved after it; not one that is finished. */
  async keepCut(): Promise<void> {
    if ((await this.load())?.finished === undefined) await copyFile(this.#checkpoint("last"), this.#checkpoint("cut"));
  }

  /** Training came to its end: it does not go on from anywhere. */
  async dropCut(): Promise<void> {
    await rm(this.#checkpoint("cut"), { force: true });
  }

  /**
   * The last checkpoint. Nothing, if none was written yet.
   *
   * @throws {SubspanError} RUN_INVALID if none can be read, or it is of a run that was begun otherwise.
   */
  async load(): Promise<RunState | undefined> {
    if (!(await this.#written()).some((name) => name.startsWith("last."))) return undefined;
    return this.#read(this.#checkpoint("last"));
  }

  /** The state that training goes on from where it had no time to end. */
  async loadCut(): Promise<TrainingState | undefined> {
    if (!(await this.#written()).includes(basename(this.#checkpoint("cut")))) return undefined;
    return (await this.#read(this.#checkpoint("cut"))).training;
  }

  async #read(path: string): Promise<RunState> {
    const checkpoint = await readCheckpoint(path);
    const { run } = checkpoint.metadata;
    if (run !== undefined && run !== digestOf(await this.config())) {
      const message = `${path}: is not of the run that config.json tells of: one of them was changed or replaced`;
      throw new SubspanError("RUN_INVALID", message);
    }
    const state = fromCheckpoint(path, checkpoint);
    return checkpoint.problem === undefined ? state : { ...state, problem: checkpoint.problem };
  }

  /** Takes back what `create` did: the run that was to be replaced is there again. */
  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
    await rename(this.#replaced, this.path).catch(() => {});
  }

  /** A run that was never saved replaces none: what it was to replace stays aside. */
  async #setAside(): Promise<void> {
    if ((await this.#written()).length > 0) {
      await rm(this.#replaced, { recursive: true, force: true });
      await rename(this.path, this.#replaced);
    } else await rm(this.path, { recursive: true });
  }

  /** The checkpoints that are there. */
  #written(): Promise<readonly string[]> {
    return readdir(join(this.path, "checkpoints")).catch(() => []);
  }

  /** Where the run that this one replaces is until this one is saved for the first time. */
  get #replaced(): string {
    return join(dirname(this.path), `.${basename(this.path)}.replaced`);
  }

  #checkpoint(name: "last" | "cut"): string {
    return join(this.path, "checkpoints", `${name}.safetensors`);
  }
}

/** A digest of all that decides what a run computes; a checkpoint carries it. */
function digestOf({ method, config, seed, data }: RunConfig): string {
  const settings = Object.entries(flatten(config)).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([method, settings, seed, data.fingerprint]))
    .digest("hex");
}

/** What a run begins with, as it will be read. @throws {SubspanError} USAGE naming what is missing or of another kind. */
export function checkedRunConfig(config: RunConfig): RunConfig {
  const { success, error } = runConfigSchema.safeParse(config);
  if (success) return config;
  throw new SubspanError("USAGE", `a run: ${z.prettifyError(error).replaceAll("\n", " ")}`);
}

/** Whether a run is in the folder, which may go. @throws {SubspanError} USAGE if something is there that may not. */
export async function isTaken(path: string, overwrite: boolean): Promise<boolean> {
  const found = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [] as string[];
    throw new SubspanError("USAGE", `${path}: ${error.code === "ENOTDIR" ? "is a file" : error.message}`);
  });
  if (found.length === 0) return false;
  const isRun = found.includes("config.json") && found.includes("events.jsonl");
  if (!isRun) throw new SubspanError("USAGE", `${path}: holds files that are no run; choose another folder`);
  if (!overwrite)
    throw new SubspanError("USAGE", `${path}: holds a run already; resume it, overwrite it, or choose another folder`);
  return true;
}

type Tensors = Record<string, NumberArray<Float32Array | Int32Array>>;

const list = (data: Int32Array) => ({ data, shape: [data.length] });

function toCheckpoint(
  { parameters, moments, targets, watched, epoch, position }: TrainingState,
  finished: Finished | undefined,
  run: string,
) {
  const tensors: Tensors = {};
  const put = (kind: string, arrays: Arrays = {}) => {
    for (const [name, array] of Object.entries(arrays)) tensors[`${kind}/${name}`] = array;
  };
  put("parameter", parameters);
  put("m", moments?.m);
  put("v", moments?.v);
  put("watched", watched);
  put("structure", finished?.structure);
  if (targets !== undefined) {
    tensors["target/values"] = targets.values;
    tensors["target/offsets"] = list(targets.offsets);
    tensors["target/columns"] = list(targets.columns);
  }
  const metadata: Record<string, string> = { format: "subspan-run", run, position: JSON.stringify(position) };
  if (epoch !== undefined) metadata.epoch = JSON.stringify(epoch);
  if (moments !== undefined) metadata.t = String(moments.t);
  if (finished !== undefined) {
    tensors.labels = list(finished.labels);
    metadata.finished = JSON.stringify({ sizes: finished.sizes, metrics: finished.metrics });
  }
  return { tensors, metadata };
}

const count = z.int().nonnegative();
const positionSchema = z.object({ phase: count, epoch: count, step: count });
const epochSchema = z.object({ sums: z.record(z.string(), z.number()), steps: count, seconds: z.number() });
const finishedSchema = z.object({ sizes: z.array(count), metrics: z.record(z.string(), z.number()) });

function fromCheckpoint(path: string, { tensors, metadata }: { tensors: Tensors; metadata: Record<string, string> }) {
  const take = (kind: string): Arrays =>
    Object.fromEntries(
      Object.entries(tensors)
        .filter(([name]) => name.startsWith(`${kind}/`))
        .map(([name, array]) => [name.slice(kind.length + 1), array as NumberArray]),
    );
  const read = <T>(schema: z.ZodType<T>, text: string | undefined, what: string): T => {
    try {
      return schema.parse(JSON.parse(text ?? ""));
    } catch (cause) {
      throw new SubspanError("RUN_INVALID", `${path}: its ${what} cannot be read`, { cause });
    }
  };
  const target = take("target") as Readonly<Record<string, NumberArray<never>>>;
  const targets =
    target.values && new Targets(target.values as NumberArray, target.offsets!.data, target.columns!.data);
  const training: TrainingState = {
    parameters: take("parameter"),
    position: read(positionSchema, metadata.position, "position"),
    watched: take("watched"),
    ...(metadata.t === undefined ? {} : { moments: { m: take("m"), v: take("v"), t: Number(metadata.t) } }),
    ...(targets === undefined ? {} : { targets }),
    ...(metadata.epoch !== undefined && { epoch: read(epochSchema, metadata.epoch, "epoch") }),
  };
  if (metadata.finished === undefined) return { training };
  const labels = tensors.labels?.data;
  if (!(labels instanceof Int32Array)) throw new SubspanError("RUN_INVALID", `${path}: it has no labels`);
  return {
    training,
    finished: { structure: take("structure"), labels, ...read(finishedSchema, metadata.finished, "closing notes") },
  };
}
