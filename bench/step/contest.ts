import { existsSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { median } from "../median.ts";
import { type Contestant, MATMUL_FLOPS, matMul, Peer, type Ready, subspan } from "./contestant.ts";
import { nameOf, parameterCount, type Spec, workloadOf } from "./workload.ts";

export const PYTHON = ".venv/bench/bin/python";
const TFJS = [process.execPath, fileURLToPath(import.meta.resolve("../peers/tfjs.js"))];

interface Entry {
  readonly command: readonly string[];
  /** What it is asked for, beside the workload. */
  readonly ask: object;
}

/** Each engine that we are compared with, in its forms; the fastest of them counts. */
const torch = (variants: readonly string[]): Entry[] =>
  variants.map((variant) => ({ command: [PYTHON, "bench/peers/serve.py"], ask: { variant } }));
const IMAGES = torch(["channels_last", "channels_last_fused", "contiguous_fused"]);
const MATRICES = torch(["contiguous", "contiguous_fused"]);
export const ENGINES = ["PyTorch", "tfjs-node", "jax-js", "tfjs WASM"] as const;
export type Engine = (typeof ENGINES)[number];

function entriesOf(engine: Engine, { workload }: Spec): readonly Entry[] {
  switch (engine) {
    case "PyTorch":
      return workload === "energy" ? MATRICES : IMAGES;
    case "tfjs-node":
      return [{ command: TFJS, ask: { backend: "tensorflow" } }];
    case "tfjs WASM":
      return [{ command: TFJS, ask: { backend: "wasm" } }];
    case "jax-js":
      return [{ command: [process.execPath, "bench/peers/jax_step.mjs"], ask: {} }];
  }
}

/** Milliseconds. Until the threads of the one have stopped spinning, the next would be measured beside them. */
const PAUSE = 250;
/**
 * Steps that are counted of a contestant's turn, after one that finds threads asleep and caches cold, as no step of a training
 * does; one that takes longer than so many milliseconds a step has one turn of one step.
 */
export const STEPS = 6;
const SLOW = 10_000;
/**
 * How near losses of the first step are: tfjs's from the same weights and data; the others' from their own, drawn by the same
 * rules. From one seed to another the energy head's is 430 to 780.
 */
const SAME = 1.001;
const SAME_ORDER = 2;

/** Milliseconds of an engine's steps, and ours divided by them: medians, and the least of each. */
export interface Times {
  readonly milliseconds: number;
  readonly ratio: number;
  readonly least: number;
  readonly ratioOfLeast: number;
}

export interface Row {
  readonly workload: string;
  readonly batch: number;
  /** Milliseconds, medians; and the least, which is a step that no other load disturbed. */
  readonly subspan: number;
  readonly least: number;
  readonly engines: Readonly<Partial<Record<Engine, Times>>>;
  /** Why the others are not there. */
  readonly absent: Readonly<Partial<Record<Engine, string>>>;
  readonly versions: readonly string[];
  readonly parameters: number;
  /** Of the first step: ours, and each engine's. */
  readonly loss: Readonly<Record<string, number>>;
  /** GFLOP/s of ours, and what share that is of a MatMul's. */
  readonly gigaflops: number;
  readonly share: number;
}

/** All contestants in turns on one workload. @throws {Error} where PyTorch is missing, or a peer computes something else. */
export async function contest(spec: Spec, rounds: number, threads: number): Promise<Row> {
  const workload = workloadOf(spec);
  const parameters = parameterCount(workload);
  const ours = await subspan(workload, threads);
  const turns: Turn[] = [new Turn("subspan", ours, 0), new Turn("MatMul", await matMul(threads), 0)];
  const found: { readonly engine: Engine; readonly ready: Ready }[] = [];
  const absent: Partial<Record<Engine, string>> = {};
  for (const engine of ENGINES) {
    for (const { command, ask } of entriesOf(engine, spec)) {
      const opened = await Peer.open(command, { ...spec, ...ask, threads }).catch(({ message }: Error) => {
        if (engine === "PyTorch") throw new Error(`PyTorch: ${message}`);
        absent[engine] = message;
      });
      if (opened === undefined) continue;
      const [peer, ready] = opened;
      check(engine, ready, parameters, ours.loss);
      turns.push(new Turn(engine, peer, ready.first));
      found.push({ engine, ready });
    }
  }
  for (const turn of turns) await turn.warmUp();
  for (let round = 0; round < rounds; round++) {
    for (const turn of turns) await turn.take(round);
  }
  for (const turn of turns) await turn.close();
  const best = (name: string, of: (values: readonly number[]) => number) =>
    Math.min(...turns.filter((turn) => turn.name === name).map(({ milliseconds }) => of(milliseconds)));
  const fastest = (values: readonly number[]) => Math.min(...values);
  const [own, least] = [best("subspan", median), best("subspan", fastest)];
  const times = (engine: Engine): Times => {
    const [milliseconds, theirs] = [best(engine, median), best(engine, fastest)];
    return { milliseconds, ratio: own / milliseconds, least: theirs, ratioOfLeast: least / theirs };
  };
  const engines = Object.fromEntries(found.map(({ engine }) => [engine, times(engine)]));
  const gigaflops = (found.find(({ ready }) => ready.flops !== undefined)?.ready.flops as number) / own / 1e6;
  return {
    ...{ workload: nameOf(spec), batch: spec.batch, subspan: own, least, engines, absent, parameters },
    versions: [...new Set(found.map(({ ready }) => ready.engine))],
    loss: { subspan: ours.loss, ...Object.fromEntries(found.map(({ engine, ready }) => [engine, ready.loss])) },
    ...{ gigaflops, share: gigaflops / (MATMUL_FLOPS / best("MatMul", median) / 1e6) },
  };
}

/** One contestant and the milliseconds of its steps. */
class Turn {
  readonly name: string;
  readonly milliseconds: number[] = [];
  readonly #contestant: Contestant;
  readonly #slow: boolean;

  /** @param first - milliseconds of its first step. */
  constructor(name: string, contestant: Contestant, first: number) {
    this.name = name;
    this.#contestant = contestant;
    this.#slow = first > SLOW;
  }

  async warmUp(): Promise<void> {
    if (!this.#slow) await this.#contestant.run(STEPS);
  }

  async take(round: number): Promise<void> {
    if (this.#slow && round > 0) return;
    const milliseconds = await this.#contestant.run(this.#slow ? 1 : 1 + STEPS);
    this.milliseconds.push(...milliseconds.slice(this.#slow ? 0 : 1));
    await setTimeout(PAUSE);
  }

  close(): Promise<void> {
    return this.#contestant.close();
  }
}

function check(engine: Engine, { parameters, loss }: Ready, expected: number, ours: number): void {
  if (parameters !== expected) throw new Error(`${engine} trains ${parameters} numbers, subspan ${expected}`);
  if (!(Math.max(loss / ours, ours / loss) < (engine.startsWith("tfjs") ? SAME : SAME_ORDER)))
    throw new Error(`${engine}'s first loss is ${loss}, subspan's ${ours}`);
}

/** One step of an autoencoder of 4 images of 8 x 8 against tfjs's CPU backend, which is too slow for more. */
export async function tiny(threads: number): Promise<{ readonly subspan: number; readonly tfjsCpu: number }> {
  const spec: Spec = { workload: "autoencoder", decoder: "subpixel", batch: 4, side: 8 };
  const ours = await subspan(workloadOf(spec), threads);
  await ours.run(3);
  const own = median(await ours.run(9));
  await ours.close();
  const [cpu] = await Peer.open(TFJS, { ...spec, backend: "cpu", threads } as Spec & { threads: number });
  const tfjsCpu = median(await cpu.run(3));
  await cpu.close();
  return { subspan: own, tfjsCpu };
}

export const isTorchThere = (): boolean => existsSync(PYTHON);
