/**
 * Times the training step of the dscdan dual autoencoder on the ONNX engine against PyTorch on the same CPU, in turns, and
 * against tfjs's CPU backend on a tiny shape. `npm run bench:step [-- --json] [-- --rounds 9]`.
 */
import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { trace } from "../export/index.ts";
import { dscdan, type Phase, type SampleType } from "../models/index.ts";
import type { NumberArray } from "../runtime/samples.ts";
import { batchPorts } from "../train/batches.ts";
import { type AnyArray, initialState, type StepState } from "../train/executors/executor.ts";
import { CompiledFunction, OnnxExecutor } from "../train/executors/onnx.ts";
import { Random } from "../train/random.ts";
import { PORT, type StepDefinition, stepFunction } from "../train/step.ts";
import { initialParameters } from "../train/trainer.ts";

type Decoder = "subpixel" | "transposed";

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean" },
    rounds: { type: "string", default: "9" },
    threads: { type: "string", default: "2" },
  },
});
const ROUNDS = Number(options.rounds);
const THREADS = Number(options.threads);
const LATENT = 32;
/** Milliseconds. */
const PAUSE = 250;
const PYTHON = ".venv/bench/bin/python";
/** The two eager forms of the peer that are fastest on CPUs; the faster of them counts. */
const VARIANTS = ["channels_last", "channels_last_fused"] as const;

/** The dual autoencoder alone: relative reconstruction, every other term switched off. */
function autoencoderStep(decoder: Decoder, batch: number, image: SampleType) {
  const config = dscdan.schema.parse({
    clusters: 10,
    latent: LATENT,
    decoder,
    augmentation: "none",
    pretraining: { batch, reconstruction: 1, globalInformation: 0 },
    joint: { rounds: 0 },
  });
  const phase = dscdan.phases(config, image)[0] as Phase;
  const all = initialParameters(dscdan as never, config, image, 0);
  const trainable = Object.fromEntries(Object.entries(all).filter(([name]) => /^(en|de)coder\./.test(name)));
  const shapes = Object.fromEntries(Object.entries(trainable).map(([name, { shape }]) => [name, shape]));
  const samples = { kind: "images", shape: [batch, ...image.shape], data: new Uint8Array() } as never;
  const definition: StepDefinition = {
    trainable: shapes,
    frozen: {},
    batch: batchPorts({ ...phase, batch }, samples, 10),
    loss: phase.loss,
  };
  const random = new Random(0, "bench");
  const feed: Record<string, AnyArray> = Object.fromEntries(
    Object.entries(definition.batch).map(([name, { type, shape }]) => {
      const size = (shape as number[]).reduce((a, b) => a * b, 1);
      const draw = () => (type === "uint8" ? random.integer(256) : random.normal());
      const data =
        type === "uint8" ? Uint8Array.from({ length: size }, draw) : Float32Array.from({ length: size }, draw);
      return [name, { data, shape: shape as number[] }];
    }),
  );
  return { definition, state: initialState(trainable), feed };
}

interface Contestant {
  readonly name: string;
  /** Milliseconds of each of `steps` steps. */
  run(steps: number): Promise<number[]>;
  close(): Promise<void>;
}

async function timed(steps: number, step: () => Promise<unknown>): Promise<number[]> {
  const milliseconds: number[] = [];
  for (let i = 0; i < steps; i++) {
    const began = performance.now();
    await step();
    milliseconds.push(performance.now() - began);
  }
  return milliseconds;
}

async function onnxContestant(
  definition: StepDefinition,
  state: StepState,
  feed: Record<string, AnyArray>,
): Promise<Contestant> {
  const step = await new OnnxExecutor({ threads: THREADS }).prepare(definition, state, {});
  return { name: "subspan", run: (steps) => timed(steps, () => step.run(feed, 1e-3)), close: () => step.dispose() };
}

/** PyTorch in a process of its own, which answers a line with a line. */
class TorchPeer implements Contestant {
  readonly name: string;
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  torch = "";
  flops = 0;

  constructor(variant: string) {
    this.name = `PyTorch ${variant}`;
    this.#process = spawn(PYTHON, ["bench/peers/autoencoder_step.py"], { stdio: ["pipe", "pipe", "inherit"] });
    this.#reader = createInterface({ input: this.#process.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  async #ask(question: object): Promise<Record<string, unknown>> {
    this.#process.stdin.write(`${JSON.stringify(question)}\n`);
    const { value, done } = await this.#lines.next();
    const answer = done ? { error: "it ended" } : (JSON.parse(value) as Record<string, unknown>);
    if (answer.error !== undefined) throw new Error(`${this.name}: ${answer.error}`);
    return answer;
  }

  async open(decoder: Decoder, batch: number, variant: string): Promise<void> {
    const ready = await this.#ask({ batch, latent: LATENT, decoder, threads: THREADS, warmup: 3, variant });
    this.torch = String(ready.torch);
    this.flops = Number(ready.flops);
  }

  async run(steps: number): Promise<number[]> {
    return (await this.#ask({ steps })).milliseconds as number[];
  }

  async close(): Promise<void> {
    this.#process.stdin.end();
    this.#reader.close();
    await new Promise((resolve) => this.#process.once("exit", resolve));
  }
}

/** Floating point operations a second of a 1024 x 1024 x 1024 MatMul, what the machine gives ONNX Runtime at best. */
async function matMulContestant(): Promise<Contestant> {
  const port = { type: "float32", shape: [1024, 1024] } as const;
  const model = trace(({ a, b }) => ({ y: tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D) }), {
    inputs: { a: port, b: port },
  });
  const compiled = await CompiledFunction.compile(model, { threads: THREADS });
  const matrix: NumberArray = { data: new Float32Array(1024 * 1024).fill(0.5), shape: [1024, 1024] };
  return {
    name: "MatMul",
    run: (steps) => timed(steps, () => compiled.run({ a: matrix, b: matrix })),
    close: () => compiled.dispose(),
  };
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number;

async function compare(decoder: Decoder, batch: number) {
  const { definition, state, feed } = autoencoderStep(decoder, batch, { kind: "images", shape: [28, 28, 1] });
  const peers = VARIANTS.map((variant) => new TorchPeer(variant));
  for (const [i, peer] of peers.entries()) await peer.open(decoder, batch, VARIANTS[i] as string);
  const contestants = [await onnxContestant(definition, state, feed), await matMulContestant(), ...peers];
  const times = new Map(contestants.map(({ name }) => [name, [] as number[]]));
  for (const contestant of contestants) await contestant.run(2);
  for (let round = 0; round < ROUNDS; round++) {
    for (const contestant of contestants) {
      times.get(contestant.name)?.push(...(await contestant.run(2)));
      // Until the threads of the one have stopped spinning, the next would be measured beside them.
      await setTimeout(PAUSE);
    }
  }
  for (const contestant of contestants) await contestant.close();
  const of = (name: string) => median(times.get(name) as number[]);
  const flops = (peers[0] as TorchPeer).flops;
  const torch = Math.min(...peers.map(({ name }) => of(name)));
  const rate = flops / of("subspan") / 1e6;
  const matMul = (2 * 1024 ** 3) / of("MatMul") / 1e6;
  return {
    decoder,
    batch,
    subspan: of("subspan"),
    torch,
    ratio: of("subspan") / torch,
    gigaflops: rate,
    matMulGigaflops: matMul,
    share: rate / matMul,
    torchVersion: (peers[0] as TorchPeer).torch,
  };
}

/** One step of a 4-image, 8 x 8 autoencoder: tfjs's CPU backend is too slow for more. */
async function tiny() {
  const { definition, state, feed } = autoencoderStep("subpixel", 4, { kind: "images", shape: [8, 8, 1] });
  const onnx = await onnxContestant(definition, state, feed);
  await onnx.run(3);
  const subspan = median(await onnx.run(9));
  await onnx.close();
  tf.setBackend("cpu");
  const eager = () =>
    tf.tidy(() => {
      const tensor = ({ data, shape }: AnyArray) => tf.tensor(data, [...shape]);
      const inputs: Record<string, tf.Tensor> = { [PORT.t]: tf.scalar(0), [PORT.learningRate]: tf.scalar(1e-3) };
      for (const [name, array] of Object.entries(state.parameters)) inputs[PORT.parameter(name)] = tensor(array);
      for (const [name, array] of Object.entries(state.m)) {
        inputs[PORT.m(name)] = tensor(array);
        inputs[PORT.v(name)] = tensor(array);
      }
      for (const [name, array] of Object.entries(feed)) inputs[PORT.batch(name)] = tensor(array);
      for (const output of Object.values(stepFunction(definition)(inputs))) output.dataSync();
    });
  const cpu = median(await timed(3, async () => eager()));
  return { subspan, tfjsCpu: cpu, ratio: subspan / cpu };
}

if (!existsSync(PYTHON)) execFileSync("bash", ["bench/environment.sh"], { stdio: "inherit" });
const rows: Awaited<ReturnType<typeof compare>>[] = [];
for (const decoder of ["subpixel", "transposed"] as const) {
  for (const batch of [128, 256]) rows.push(await compare(decoder, batch));
}
const small = await tiny();
if (options.json) console.log(JSON.stringify({ threads: THREADS, rounds: ROUNDS, rows, tiny: small }));
else {
  console.log(`dual autoencoder step, ${THREADS} threads, PyTorch ${rows[0]?.torchVersion}, median of ${2 * ROUNDS}\n`);
  console.log("decoder     batch  subspan ms  PyTorch ms  ratio  GFLOP/s  share of MatMul");
  for (const { decoder, batch, subspan, torch, ratio, gigaflops, share } of rows) {
    const cells = [subspan.toFixed(1).padStart(10), torch.toFixed(1).padStart(10), ratio.toFixed(2).padStart(5)];
    console.log(
      `${decoder.padEnd(10)} ${String(batch).padStart(6)}  ${cells.join("  ")}  ${gigaflops.toFixed(0).padStart(7)}  ${share.toFixed(2).padStart(15)}`,
    );
  }
  console.log(
    `\n4 images of 8x8: subspan ${small.subspan.toFixed(2)} ms, tfjs-backend-cpu ${small.tfjsCpu.toFixed(0)} ms, ratio ${small.ratio.toFixed(4)}`,
  );
}
