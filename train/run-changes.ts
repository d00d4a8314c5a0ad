import type { Method, Preset } from "../models/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import { AUTO } from "./choose-clusters.ts";
import { checkedConfig, flatten, merge, type Settings } from "./hyperparameters.ts";
import type { RunConfig } from "./run-folder.ts";
import type { TrainingData } from "./trainable.ts";

interface Begun {
  readonly folder: string;
  readonly config: RunConfig;
  readonly method: Method;
}

/** What a run may be asked to go on with; what is not said is as it was. */
interface Asked {
  readonly data: TrainingData;
  readonly method?: string;
  readonly preset?: Preset;
  readonly settings?: Settings;
  readonly seed?: number;
}

/** @throws {SubspanError} RUN_INVALID if anything that decides a run's result is to be other than it was. */
export function checkUnchanged(run: Begun, { data, method, preset, settings = {}, seed }: Asked): void {
  const { config } = run;
  const was = { method: config.method, preset: config.preset, seed: config.seed };
  const asked = { method: method ?? was.method, preset: preset ?? was.preset, seed: seed ?? was.seed };
  const changes = differences(was, asked);
  if (asked.method === was.method) {
    // A number of clusters that was to be chosen was chosen when the run began.
    const { clusters, ...others } = settings;
    const told = clusters === undefined || clusters === AUTO ? others : settings;
    const now = checkedConfig(run.method, merge(config.config, told)) as Settings;
    changes.push(...differences(flatten(config.config), flatten(now)));
  }
  if (changes.length > 0) {
    const hint = "resume it as it was, or train into another folder";
    throw new SubspanError("RUN_INVALID", `${run.folder}: was begun otherwise: ${changes.join(", ")}; ${hint}`);
  }
  checkSameData(run, data);
}

/** "key (was a, now b)" for every key that differs. */
function differences(was: Settings, now: Settings): string[] {
  const keys = [...new Set([...Object.keys(was), ...Object.keys(now)])];
  const text = (value: unknown) => (value === undefined ? "not set" : JSON.stringify(value));
  return keys
    .filter((key) => text(was[key]) !== text(now[key]))
    .map((key) => `${key} (was ${text(was[key])}, now ${text(now[key])})`);
}

/** @throws {SubspanError} RUN_INVALID if the data is not what the run was trained on. */
export function checkSameData({ folder, config }: Omit<Begun, "method">, data: TrainingData): void {
  if (data.fingerprint === config.data.fingerprint) return;
  const was = `${config.data.name} (${config.data.samples} samples, ${config.data.fingerprint.slice(0, 12)})`;
  const is = `${data.name} (${data.samples.shape[0]} samples, ${data.fingerprint.slice(0, 12)})`;
  throw new SubspanError("RUN_INVALID", `${folder}: was trained on ${was}, which is not ${is}`);
}
