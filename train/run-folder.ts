import { appendFileSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../export/files.ts";
import { type Arrays, PRESETS } from "../models/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import type { NumberArray } from "../runtime/samples.ts";
import { readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { ENGINES, TRAINING_DEVICES } from "./executors/index.ts";
import { type EpochRow, keptEvents, metricsCsv } from "./run-log.ts";
import { Targets } from "./targets.ts";
import type { Position, TrainingState } from "./training-state.ts";

export const RUN_FORMAT_VERSION = 1;

const runConfigSchema = z.object({
  formatVersion: z.literal(RUN_FORMAT_VERSION),
  method: z.string(),
  preset: z.enum(PRESETS),
  /** The method's hyperparameters, every one. */
  config: z.record(z.string(), z.unknown()),
  seed: z.int(),
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
 * - `checkpoints/last.safetensors`, and `last.previous.safetensors`, which the last one replaced.
 *
 * There is no `best` checkpoint: nothing that is measured without labels says which epoch is best, so the last one counts.
 */
export class RunFolder {
  readonly path: string;
  #rows: EpochRow[] = [];

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes a folder for a new run.
   *
   * @param overwrite - removes what is there, if that is a run.
   * @throws {SubspanError} USAGE if something is there that may not go.
   */
  static async create(path: string, config: RunConfig, env: object, overwrite: boolean): Promise<RunFolder> {
    if (await isTaken(path, overwrite)) await rm(path, { recursive: true });
    await mkdir(path, { recursive: true });
    const folder = new RunFolder(path);
    await writeFileAtomic(join(path, "env.json"), `${JSON.stringify(env, null, 2)}\n`);
    await writeFileAtomic(join(path, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
    await writeFile(join(path, "events.jsonl"), "");
    return folder;
  }

  /** @throws {SubspanError} RUN_INVALID if this is no run. */
  async config(): Promise<RunConfig> {
    const path = join(this.path, "config.json");
    const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
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
    appendFileSync(join(this.path, "events.jsonl"), `${JSON.stringify(event)}\n`);
    if (event.type === "epoch") this.#rows.push(event as unknown as EpochRow);
  }

  /** Forgets what was logged after a position: a run that was killed may have gone further than its checkpoint. */
  async rewind(position: Position): Promise<void> {
    const path = join(this.path, "events.jsonl");
    const { lines, rows } = keptEvents(await readFile(path, "utf8").catch(() => ""), position);
    this.#rows = rows;
    await writeFileAtomic(path, lines);
  }

  async save(state: TrainingState, finished?: Finished): Promise<void> {
    await writeFileAtomic(join(this.path, "metrics.csv"), metricsCsv(this.#rows));
    await writeCheckpoint(this.#checkpoint, toCheckpoint(state, finished));
  }

  /** The last checkpoint. Nothing, if none was written yet. @throws {SubspanError} RUN_INVALID if none can be read. */
  async load(): Promise<RunState | undefined> {
    const written = await readdir(join(this.path, "checkpoints")).catch(() => []);
    if (!written.some((name) => name.endsWith(".safetensors"))) return undefined;
    const checkpoint = await readCheckpoint(this.#checkpoint);
    const state = fromCheckpoint(this.#checkpoint, checkpoint);
    return checkpoint.problem === undefined ? state : { ...state, problem: checkpoint.problem };
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }

  get #checkpoint(): string {
    return join(this.path, "checkpoints", "last.safetensors");
  }
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
  { parameters, moments, targets, watched, position }: TrainingState,
  finished: Finished | undefined,
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
  const metadata: Record<string, string> = { format: "subspan-run", position: JSON.stringify(position) };
  if (moments !== undefined) metadata.t = String(moments.t);
  if (finished !== undefined) {
    tensors.labels = list(finished.labels);
    metadata.finished = JSON.stringify({ sizes: finished.sizes, metrics: finished.metrics });
  }
  return { tensors, metadata };
}

const count = z.int().nonnegative();
const positionSchema = z.object({ phase: count, epoch: count, step: count });
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
  };
  if (metadata.finished === undefined) return { training };
  const labels = tensors.labels?.data;
  if (!(labels instanceof Int32Array)) throw new SubspanError("RUN_INVALID", `${path}: it has no labels`);
  return {
    training,
    finished: { structure: take("structure"), labels, ...read(finishedSchema, metadata.finished, "closing notes") },
  };
}
