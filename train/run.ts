import { type Arrays, type Method, methodNamed, type Preset } from "../models/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import { packageVersion } from "../runtime/node-version.ts";
import { AUTO, type ClusterChoice, chooseClusters, PROVISIONAL } from "./choose-clusters.ts";
import { AUGMENTATIONS, type Augmentation } from "./data/index.ts";
import { environment } from "./environment.ts";
import type { TrainEvent } from "./events.ts";
import type { Executor, SessionSettings } from "./executors/executor.ts";
import { type Compute, computeOf, type EngineName, openExecutor, type TrainingDevice } from "./executors/index.ts";
import { type FinishEvent, finishTraining } from "./finish.ts";
import { checkedConfig, resolveConfig, type Settings } from "./hyperparameters.ts";
import { lopsided } from "./lopsided.ts";
import { MOST_SEED } from "./random.ts";
import { checkUnchanged } from "./run-changes.ts";
import {
  checkedRunConfig,
  type Finished,
  isTaken,
  RUN_FORMAT_VERSION,
  type RunConfig,
  RunFolder,
  type RunState,
} from "./run-folder.ts";
import { lockRun, refuseLocked } from "./run-lock.ts";
import { checkTrainable, type TrainingData } from "./trainable.ts";
import { Trainer } from "./trainer.ts";
import type { Position, TrainingState } from "./training-state.ts";

export type { TrainingData };

/** What a run tells while it goes on; `events.jsonl` has the same. */
export type RunEvent =
  | TrainEvent
  /** How many clusters there are to be, where that was not told. */
  | ClusterChoice
  /** The state is on disk; training would go on from here. */
  | ({ readonly type: "saved" } & Position)
  /** Training goes on from here, on what it runs now; `problem` says what was wrong with a newer checkpoint. */
  | ({ readonly type: "resumed"; readonly problem?: string; readonly environment?: object } & Position & Compute)
  /** All phases are done; the final clusters are sought, stage by stage. */
  | { readonly type: "finishing" }
  | FinishEvent
  /** Training cannot go on from what it learned. */
  | { readonly type: "diverged"; readonly message: string }
  | {
      readonly type: "done";
      readonly sizes: readonly number[];
      readonly metrics: Readonly<Record<string, number>>;
      /** Of this process. */
      readonly seconds: number;
    };

export interface RunHooks {
  readonly onEvent?: (event: RunEvent) => void;
  /** Stops training after the step under way; the state is saved first. */
  readonly signal?: AbortSignal;
  /** After this, training ends with the epoch under way, as if it were finished. */
  readonly maxMilliseconds?: number;
  readonly session?: Omit<SessionSettings, "device">;
}

export interface RunOptions {
  readonly folder: string;
  readonly method: string;
  readonly preset: Preset;
  /** Hyperparameters over the preset's. `clusters: "auto"` has their number chosen: see `chooseClusters`. */
  readonly settings: Settings;
  readonly seed: number;
  /** How the data was asked for: a later resume or export asks for it again. */
  readonly source: string;
  readonly data: TrainingData;
  /** Whether a run that is in the folder may go. */
  readonly overwrite?: boolean;
  /** What computes its steps, onnx unless given; and where, by default where the engine does first of all. */
  readonly engine?: EngineName;
  readonly device?: TrainingDevice;
}

/** What a resumed run is expected to be; whatever is given must be so. */
export interface ResumeOptions {
  readonly folder: string;
  readonly data: TrainingData;
  readonly method?: string;
  readonly preset?: Preset;
  readonly settings?: Settings;
  readonly seed?: number;
  /** What computes the rest; unless given, what the run was begun with. No engine is part of what a run is. */
  readonly engine?: EngineName;
  readonly device?: TrainingDevice;
}

/** A run as its folder has it. */
export interface Run {
  readonly folder: string;
  readonly config: RunConfig;
  readonly method: Method;
  /** The method's own settings, parsed. */
  readonly settings: object;
  readonly state?: RunState;
}

export interface FinishedRun extends Finished {
  readonly folder: string;
  readonly config: RunConfig;
  readonly parameters: Arrays;
  /** Of this process. */
  readonly seconds: number;
  /** Whether the run was finished before, and nothing had to be done. */
  readonly before: boolean;
}

/**
 * Trains a method on samples and keeps the run in a folder. Nothing is written before the settings and the data fit.
 *
 * @throws {SubspanError} USAGE for settings that do not exist and a folder that is taken; SHAPE_MISMATCH or TOO_FEW_SAMPLES for
 *   samples the method cannot train on; DEVICE_UNAVAILABLE or DEPENDENCY_MISSING for an engine that is not there;
 *   TRAINING_DIVERGED; INTERRUPTED, the state saved.
 */
export async function startRun(options: RunOptions, hooks: RunHooks = {}): Promise<FinishedRun> {
  const { data, folder: path, overwrite = false } = options;
  const method = methodNamed(options.method);
  checkSeed(options.seed);
  const isTold = options.settings.clusters !== AUTO;
  const asked = trainableSettings(method, options, isTold ? {} : { clusters: PROVISIONAL });
  if (hooks.signal?.aborted) throw new SubspanError("INTERRUPTED", "stopped before training began; nothing is written");
  const compute = computeOf(options.engine, options.device);
  const executor = await openExecutor(compute, hooks.session);
  if (await isTaken(path, overwrite)) await refuseLocked(path);
  const choice = isTold ? undefined : await clustersOf(options, method, executor, hooks);
  const settings = choice ? trainableSettings(method, options, { clusters: choice.clusters }) : asked;
  const config = checkedRunConfig(runConfig(options, settings, compute));
  let folder = new RunFolder(path);
  const unlock = await lockRun(path, async () => {
    folder = await RunFolder.create(path, config, environment(executor), overwrite);
  });
  if (choice !== undefined) folder.log(choice);
  let began = false;
  const onEvent = (event: RunEvent) => {
    began ||= event.type === "step";
    hooks.onEvent?.(event);
  };
  try {
    const run = { folder: path, config, method, settings };
    return await train(run, folder, data, undefined, executor, { ...hooks, ...timeAfter(choice, hooks), onEvent });
  } catch (error) {
    // Nothing was learned, so nothing is lost; the same command works once its cause is gone.
    if (!began && (await folder.load()) === undefined) await folder.remove();
    throw error;
  } finally {
    await unlock();
  }
}

/** @throws {SubspanError} USAGE for a seed that another would be equal to. */
function checkSeed(seed: number): void {
  if (Number.isInteger(seed) && seed >= 0 && seed <= MOST_SEED) return;
  throw new SubspanError("USAGE", `seed: expected an integer from 0 to ${MOST_SEED}, got ${seed}`);
}

/** What is left of the time that a run may take. */
function timeAfter(
  choice: ClusterChoice | undefined,
  { maxMilliseconds }: RunHooks,
): Pick<RunHooks, "maxMilliseconds"> {
  if (choice === undefined || maxMilliseconds === undefined) return {};
  return { maxMilliseconds: Math.max(0, maxMilliseconds - 1e3 * choice.seconds) };
}

/** The number of clusters that the samples themselves say, told by an event. */
async function clustersOf(
  { data, seed, settings: { clusters: _, ...settings } }: RunOptions,
  method: Method,
  executor: Executor,
  { signal, onEvent, maxMilliseconds }: RunHooks,
): Promise<ClusterChoice> {
  const choice = await chooseClusters({
    ...{ method, settings, samples: data.samples, seed, executor },
    augmentation: (config) => augmentationOf(method, config),
    ...(onEvent && { onEvent }),
    ...(signal && { signal }),
    ...(maxMilliseconds === undefined ? {} : { deadline: performance.now() + maxMilliseconds }),
  });
  onEvent?.(choice);
  return choice;
}

/**
 * Goes on with a run. With ONNX Runtime on the CPU the result is bit-equal to that of a run that was never stopped. A run that
 * had no time to end goes on where it was cut; a finished one is answered as it is.
 *
 * @throws {SubspanError} RUN_INVALID if there is no run, if anything that decides its result is to be other than it was, or if
 *   the data is other data; then as `startRun`.
 */
export async function resumeRun(options: ResumeOptions, hooks: RunHooks = {}): Promise<FinishedRun> {
  const run = await readRun(options.folder);
  checkUnchanged(run, options);
  const { state } = run;
  const folder = new RunFolder(options.folder);
  const cut = state?.finished && (await folder.loadCut());
  if (state?.finished !== undefined && cut === undefined) {
    const { folder, config } = run;
    return { folder, config, parameters: state.training.parameters, ...state.finished, seconds: 0, before: true };
  }
  const compute = computeToResume(run.config, options);
  const executor = await openExecutor(compute, hooks.session);
  const unlock = await lockRun(options.folder);
  try {
    const from = cut ?? state?.training;
    const { position } = from ?? { position: { phase: 0, epoch: 0, step: 0 } };
    await folder.rewind(from ?? { position });
    const problem = state?.problem === undefined ? {} : { problem: state.problem };
    const now = { environment: environment(executor) };
    const resumed = { type: "resumed", ...position, ...compute, ...problem, ...now } as const;
    folder.log(resumed);
    hooks.onEvent?.(resumed);
    return await train(run, folder, options.data, from, executor, hooks);
  } finally {
    await unlock();
  }
}

/** @throws {SubspanError} RUN_INVALID if there is no run, or it cannot be read. */
export async function readRun(folder: string): Promise<Run> {
  const files = new RunFolder(folder);
  const config = await files.config();
  const method = methodNamed(config.method);
  const state = await files.load();
  return { folder, config, method, settings: checkedConfig(method, config.config), ...(state && { state }) };
}

/** How far the views of a run's samples may be from them. */
export function augmentationOf(method: Method, settings: object): Augmentation {
  const augmentation = method.augmentation(settings);
  if (typeof augmentation !== "string") return augmentation as Augmentation;
  return AUGMENTATIONS[augmentation as keyof typeof AUGMENTATIONS];
}

async function train(
  { folder: path, config, method, settings }: Run,
  folder: RunFolder,
  data: TrainingData,
  from: TrainingState | undefined,
  executor: Executor,
  hooks: RunHooks,
): Promise<FinishedRun> {
  const began = performance.now();
  const emit = (event: RunEvent) => {
    folder.log(event);
    hooks.onEvent?.(event);
  };
  const { signal, maxMilliseconds, session } = hooks;
  const common = {
    method,
    config: settings,
    samples: data.samples,
    augmentation: augmentationOf(method, settings),
    seed: config.seed,
    ...(session && { session }),
  };
  const trainer = new Trainer({
    ...common,
    executor,
    onEvent: emit,
    save: async (state) => {
      await folder.save(state);
      emit({ type: "saved", ...state.position });
    },
    ...(signal && { signal }),
    ...(maxMilliseconds === undefined ? {} : { deadline: began + maxMilliseconds }),
  });
  const state = await trainer.train(from).catch(async (error: unknown) => {
    if (!(error instanceof SubspanError) || error.code !== "TRAINING_DIVERGED") throw error;
    emit({ type: "diverged", message: error.message });
    const kept = (await folder.load()) === undefined ? "no epoch was done before" : `${path} keeps the last good state`;
    throw new SubspanError("TRAINING_DIVERGED", `${error.message}; ${kept}`, { cause: error });
  });
  if (trainer.wasCut) await folder.keepCut();
  emit({ type: "finishing" });
  const { parameters } = state;
  const { structure, labels, sizes, metrics } = await finishTraining({
    ...common,
    parameters,
    onEvent: emit,
    ...(signal && { signal }),
  });
  const finished = { structure, labels, sizes, metrics };
  await folder.save({ parameters, position: state.position }, finished);
  if (!trainer.wasCut) await folder.dropCut();
  const seconds = (performance.now() - began) / 1000;
  const wrong = lopsided(sizes);
  if (wrong !== undefined) emit({ type: "warning", message: wrong });
  emit({ type: "done", sizes, metrics, seconds });
  return { folder: path, config, parameters, ...finished, seconds, before: false };
}

/** Complete settings with which the method can train on the samples. @throws {SubspanError} as `checkTrainable`, and USAGE. */
function trainableSettings(method: Method, { preset, settings, data }: RunOptions, over: Settings): object {
  const complete = resolveConfig(method, preset, { ...settings, ...over });
  checkTrainable(method, complete, data);
  return complete;
}

function runConfig({ method, preset, seed, source, data }: RunOptions, settings: object, compute: Compute): RunConfig {
  const { name, samples, fingerprint } = data;
  const { kind, shape } = samples;
  return {
    formatVersion: RUN_FORMAT_VERSION,
    method,
    preset,
    config: settings as Record<string, unknown>,
    seed,
    ...compute,
    source,
    data: { name, kind, shape: shape.slice(1), samples: shape[0], fingerprint },
    version: packageVersion(),
  };
}

/** As asked, else as the run was begun; another engine computes on its own device. */
function computeToResume(config: RunConfig, { engine = config.engine, device }: ResumeOptions): Compute {
  return computeOf(engine, device ?? (engine === config.engine ? config.device : undefined));
}
