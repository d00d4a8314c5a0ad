/**
 * Trains, finishes and scores over seeds: what the exported graph gives seen and unseen samples, and what other ways to cluster the
 * same samples give. Labels are read after training alone; the map from clusters to labels is fitted on the seen samples and kept
 * for the unseen ones.
 *
 *     npm run bench:accuracy -- --preset quick                              dscdan on the digits, seeds 0, 1, 2
 *     npm run bench:accuracy -- --method udll --data ../shared/data/coil20.npz --preset best --seeds 5 --split 0.2
 *     npm run bench:accuracy -- --data ../shared/data/mnist-test.npz --peers
 *     npm run bench:accuracy -- --preset quick --set augmentation=none --note "no augmentation"
 *     npm run bench:accuracy -- --ablations --method ebse --seeds 1
 *     npm run bench:accuracy -- --check --method dscdan --preset quick      runs again, fails if a figure fell
 *     npm run bench:accuracy -- --check --stored                            compares rows with those they replaced
 *     npm run bench:accuracy -- --report                                    the tables alone
 *
 * `--seeds 5` is 0 to 4, `--seeds 3,` is 3. `--split 0.2` holds out a fifth, drawn by the seed, as unseen. `--seconds` is how
 * long SENet trains; unless said, as long as the stored runs of `ebse` with the preset did on the same data. `--untimed` leaves the
 * seconds out, where the machine does other work. Each finished seed is a row of docs/accuracy.csv; the tables of docs/accuracy.md
 * are made from the newest row of each seed. A check writes nothing.
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { settingsOf } from "../cli/options.ts";
import { writeFileAtomic } from "../export/files.ts";
import { PRESETS, type Preset } from "../models/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import { type Dataset, loadSource, subset } from "../train/data/index.ts";
import { Random } from "../train/random.ts";
import type { RunEvent } from "../train/run.ts";
import { ABLATION, ABLATION_DATA, ABLATIONS } from "./accuracy/ablations.ts";
import { falls, replaced } from "./accuracy/check.ts";
import { trainAndScore } from "./accuracy/ours.ts";
import { PEERS, runPeer } from "./accuracy/peers.ts";
import { report } from "./accuracy/report.ts";
import { appendRow, groupOf, newest, type Row, readRows, rowOf, spread } from "./accuracy/rows.ts";
import { seedsOf } from "./accuracy/seeds.ts";

const { values: options } = parseArgs({
  options: {
    data: { type: "string", multiple: true },
    unseen: { type: "string" },
    outliers: { type: "string" },
    split: { type: "string" },
    method: { type: "string", multiple: true },
    peers: { type: "boolean", default: false },
    ablations: { type: "boolean", default: false },
    preset: { type: "string", default: "quick" },
    set: { type: "string", multiple: true, default: [] },
    seconds: { type: "string" },
    seeds: { type: "string" },
    seed: { type: "string" },
    note: { type: "string", default: "" },
    untimed: { type: "boolean", default: false },
    check: { type: "boolean", default: false },
    stored: { type: "boolean", default: false },
    report: { type: "boolean", default: false },
    docs: { type: "string", default: "docs" },
  },
});
const CSV = `${options.docs}/accuracy.csv`;
const REPORT = `${options.docs}/accuracy.md`;

/** One group of rows to be made. */
interface Plan {
  readonly method: string;
  readonly source: string;
  readonly set: readonly string[];
  readonly note: string;
}

function plans(): Plan[] {
  const { ablations, peers, set, note } = options;
  const methods = options.method ?? (ablations ? Object.keys(ABLATIONS) : peers ? [] : ["dscdan"]);
  if (ablations)
    return methods.flatMap((method) =>
      (ABLATIONS[method] ?? []).map((change) => ({
        ...{ method, source: options.data?.[0] ?? (ABLATION_DATA[method] as string) },
        ...{ set: [...set, ...change.set], note: `${ABLATION}${change.name}` },
      })),
    );
  const all = [...methods, ...(peers ? Object.keys(PEERS) : [])];
  const sources = options.data ?? ["digits:train"];
  return sources.flatMap((source) => all.map((method) => ({ method, source, set, note })));
}

/** What a run on these samples is tested with, where nothing else is said. */
const UNSEEN: Readonly<Record<string, string>> = { "digits:train": "digits:unseen" };
const FASHION = "../shared/data/fashion-mnist-test.npz";
const OUTLIERS: Readonly<Record<string, string>> = {
  "digits:train": FASHION,
  "mnist-test.npz": FASHION,
  "fashion-mnist-test.npz": "../shared/data/mnist-test.npz",
};

async function optional(source: string | undefined): Promise<Dataset | undefined> {
  return source === undefined ? undefined : loadSource(source);
}

interface Parts {
  readonly data: Dataset;
  readonly unseen?: Dataset | undefined;
  readonly outliers?: Dataset | undefined;
}

async function loaded(source: string): Promise<Parts> {
  const data = await loadSource(source);
  if (data.labels === undefined) throw new SubspanError("USAGE", `${source} has no labels to score against`);
  const unlike = options.outliers ?? OUTLIERS[data.name];
  const outliers = unlike === options.outliers || existsSync(unlike ?? "") ? await optional(unlike) : undefined;
  return { data, outliers, unseen: await optional(options.unseen ?? UNSEEN[source]) };
}

/** A share of the samples held out, drawn by the seed: files may be sorted by class. */
function parted(parts: Parts, seed: number): Parts {
  if (options.split === undefined) return parts;
  const share = Number(options.split);
  const n = parts.data.samples.shape[0];
  const held = Math.round(share * n);
  if (!(held > 0 && held < n)) throw new SubspanError("USAGE", `--split: expected a share of 1, got ${options.split}`);
  const order = new Random(seed, "split").permutation(n);
  return { ...parts, unseen: subset(parts.data, order.slice(0, held)), data: subset(parts.data, order.slice(held)) };
}

function progress(seed: number) {
  return (event: RunEvent) => {
    if (event.type === "epoch")
      console.error(
        `seed ${seed}  ${event.phase} ${event.epoch + 1}/${event.epochs}  loss ${event.loss.toPrecision(5)}`,
      );
  };
}

async function run({ method, set, note }: Plan, parts: Parts, seed: number): Promise<Row> {
  const { data, unseen, outliers } = parted(parts, seed);
  const settings = settingsOf(set);
  const isPeer = method in PEERS;
  const preset = isPeer ? "" : options.preset;
  const measured = isPeer
    ? await runPeer(method, { data, settings, seed, seconds: await budget(data.name) })
    : await trainAndScore(
        { ...{ method, settings, seed, data, unseen, outliers }, preset: preset as Preset },
        progress(seed),
      );
  const told = options.untimed ? { ...measured, train_seconds: undefined, finish_seconds: undefined } : measured;
  return rowOf({ ...wordsOf({ method, set, note }, data.name), seed: String(seed), commit: COMMIT }, told);
}

/** Seconds to train that a peer gets. @throws {SubspanError} USAGE. */
async function budget(data: string): Promise<number> {
  const isEbse = (row: Row) =>
    row.method === "ebse" && row.data === data && row.preset === options.preset && row.note === "";
  const runs = newest(await readRows(CSV)).findLast(([row]) => row && isEbse(row));
  const stored = spread(runs ?? [], "train_seconds");
  const seconds = options.seconds === undefined ? (stored?.mean ?? DEFAULT_SECONDS) : Number(options.seconds);
  if (seconds > 0) return seconds;
  throw new SubspanError("USAGE", `--seconds: expected a number above 0, got ${options.seconds}`);
}
const DEFAULT_SECONDS = 300;

const wordsOf = ({ method, set, note }: Omit<Plan, "source">, data: string) => ({
  ...{ method, data, note, settings: set.join(" "), split: options.split ?? "" },
  preset: method in PEERS ? "" : options.preset,
});

/** The commit that ran, with "+" where files were changed since. */
function commit(): string {
  try {
    const git = (...argv: string[]) => execFileSync("git", argv, { encoding: "utf8", stdio: "pipe" }).trim();
    return git("describe", "--always", "--abbrev=7", "--dirty=+", "--exclude=*");
  } catch {
    return "";
  }
}
const COMMIT = commit();

const asked = options.seeds ?? (options.seed === undefined ? undefined : `${options.seed},`);

async function bench(): Promise<void> {
  for (const plan of plans()) {
    const parts = await loaded(plan.source);
    for (const seed of seedsOf(asked ?? "0,1,2")) {
      const row = await run(plan, parts, seed);
      console.log(JSON.stringify(row));
      await appendRow(CSV, row);
    }
    await writeReport();
  }
}

/** Runs stored seeds again. */
async function rerun(): Promise<string[]> {
  const rows = newest(await readRows(CSV));
  const failures: string[] = [];
  for (const plan of plans()) {
    const parts = await loaded(plan.source);
    const group = groupOf(wordsOf(plan, parts.data.name));
    const wanted = asked === undefined ? undefined : seedsOf(asked).map(String);
    const stored = (rows.find(([row]) => groupOf(row as Row) === group) ?? []).filter(
      ({ seed }) => wanted?.includes(seed as string) ?? true,
    );
    if (stored.length === 0) failures.push(`nothing is stored for ${group}`);
    const fresh: Row[] = [];
    for (const { seed } of stored) {
      fresh.push(await run(plan, parts, Number(seed)));
      console.log(JSON.stringify(fresh.at(-1)));
    }
    failures.push(...falls(stored, fresh));
  }
  return failures;
}

async function check(): Promise<void> {
  const pairs = options.stored ? replaced(await readRows(CSV)) : [];
  const failures = options.stored ? pairs.flatMap(({ stored, fresh }) => falls(stored, fresh)) : await rerun();
  if (options.stored && pairs.length === 0) failures.push("nothing to compare: no seed is stored twice");
  for (const failure of failures) console.error(failure);
  if (failures.length > 0) process.exitCode = 1;
  else console.error("no figure fell by more than its spread");
}

async function writeReport(): Promise<void> {
  const tables = `<!-- runs -->\n\n${report(await readRows(CSV))}\n\n<!-- end of runs -->`;
  const text = existsSync(REPORT) ? await readFile(REPORT, "utf8") : tables;
  await writeFileAtomic(
    REPORT,
    text.replace(/<!-- runs -->[\s\S]*<!-- end of runs -->/, () => tables),
  );
}

if (!PRESETS.includes(options.preset as Preset))
  throw new SubspanError("USAGE", `--preset: expected ${PRESETS.join(", ")}, got ${options.preset}`);
if (options.check) await check();
else if (options.report) await writeReport();
else await bench();
