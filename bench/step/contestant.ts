import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import * as tf from "@tensorflow/tfjs-core";
import { trace } from "../../export/index.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { CompiledFunction, OnnxExecutor } from "../../train/executors/onnx.ts";
import type { Workload } from "./workload.ts";

/** What takes turns: it runs steps when it is asked, and is quiet otherwise. */
export interface Contestant {
  /** Milliseconds of each of `steps` steps. */
  run(steps: number): Promise<readonly number[]>;
  close(): Promise<void>;
}

/** What a contestant has to say before it starts. */
export interface Ready {
  /** The engine and its version. */
  readonly engine: string;
  /** How many numbers it trains. */
  readonly parameters: number;
  /** The loss of the first step, and how long that took: milliseconds. */
  readonly loss: number;
  readonly first: number;
  /** Operations of a step's convolutions and matrix products, forward and backward, where it counts them. */
  readonly flops?: number;
}

export async function timed(steps: number, step: () => Promise<unknown>): Promise<number[]> {
  const milliseconds: number[] = [];
  for (let i = 0; i < steps; i++) {
    const began = performance.now();
    await step();
    milliseconds.push(performance.now() - began);
  }
  return milliseconds;
}

export const total = (terms: Readonly<Record<string, number>>): number =>
  Object.values(terms).reduce((sum, term) => sum + term, 0);

/** Our engine, in this process. */
export async function subspan(
  { definition, state, frozen, feed }: Workload,
  threads: number,
): Promise<Contestant & { readonly loss: number }> {
  const step = await new OnnxExecutor({ threads }).prepare(definition, state, frozen);
  const loss = total(await step.run(feed, LEARNING_RATE));
  const run = (steps: number) => timed(steps, () => step.run(feed, LEARNING_RATE));
  return { loss, run, close: () => step.dispose() };
}

/** Of every contestant. */
export const LEARNING_RATE = 1e-3;

const SIDE = 1024;
export const MATMUL_FLOPS = 2 * SIDE ** 3;

/** A 1024 x 1024 x 1024 MatMul: what the machine gives ONNX Runtime at best. */
export async function matMul(threads: number): Promise<Contestant> {
  const port = { type: "float32", shape: [SIDE, SIDE] } as const;
  const product = ({ a, b }: Record<string, tf.Tensor>) => ({ y: tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D) });
  const compiled = await CompiledFunction.compile(trace(product, { inputs: { a: port, b: port } }), { threads });
  const matrix: NumberArray = { data: new Float32Array(SIDE * SIDE).fill(0.5), shape: [SIDE, SIDE] };
  return {
    run: (steps) => timed(steps, () => compiled.run({ a: matrix, b: matrix })),
    close: () => compiled.dispose(),
  };
}

/** An operator over inputs of some shapes, and the milliseconds that a step spends in it. */
export interface Operator {
  readonly name: string;
  readonly shapes: string;
  readonly milliseconds: number;
}

/** A contestant in a process of its own, which answers a line of JSON with a line of JSON (see bench/peers/README.md). */
export class Peer implements Contestant {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<string>;

  private constructor([command, ...argv]: readonly string[], threads: number) {
    const count = { OMP_NUM_THREADS: `${threads}`, TF_NUM_INTRAOP_THREADS: `${threads}` };
    const env = { ...process.env, ...count, TF_CPP_MIN_LOG_LEVEL: "3" };
    this.#process = spawn(command as string, argv, { stdio: ["pipe", "pipe", "inherit"], env });
    this.#ended = new Promise((resolve) => {
      this.#process.once("error", ({ message }) => resolve(message));
      this.#process.once("exit", (code, signal) => resolve(`it ended with ${signal ?? code}`));
    });
    this.#process.stdin.on("error", () => {}); // of a process that has ended; that is told below
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  /** @throws {Error} with the reason for which it cannot take part. */
  static async open(command: readonly string[], question: { readonly threads: number }): Promise<[Peer, Ready]> {
    const peer = new Peer(command, question.threads);
    try {
      return [peer, (await peer.#ask(question)) as unknown as Ready];
    } catch (error) {
      await peer.close();
      throw error;
    }
  }

  async #ask(question: object): Promise<Record<string, unknown>> {
    this.#process.stdin.write(`${JSON.stringify(question)}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(await this.#ended);
    const answer = JSON.parse(value) as Record<string, unknown>;
    if (answer.error !== undefined) throw new Error(String(answer.error));
    return answer;
  }

  async run(steps: number): Promise<readonly number[]> {
    return (await this.#ask({ steps })).milliseconds as number[];
  }

  /** What the operators of a step take, most first; PyTorch's alone. */
  async operators(steps: number): Promise<readonly Operator[]> {
    return (await this.#ask({ operators: steps })).operators as Operator[];
  }

  async close(): Promise<void> {
    this.#process.stdin.end();
    await this.#ended;
  }
}
