import type { Arrays, Method, Phase, PhaseStart, SampleType } from "../models/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import type { NumberArray, Samples } from "../runtime/samples.ts";
import { Batches, batchPorts } from "./batches.ts";
import type { Augmentation } from "./data/index.ts";
import type { TrainEvent } from "./events.ts";
import type { AnyArray, Executor, SessionSettings } from "./executors/executor.ts";
import { OnnxExecutor } from "./executors/onnx.ts";
import { featureStatistics } from "./feature-statistics.ts";
import { checkedSum } from "./finite.ts";
import { BatchFunction, samplePort } from "./inference.ts";
import { scheduledRate } from "./learning-rate.ts";
import { clusterSizes, lopsided } from "./lopsided.ts";
import { Means, Pace } from "./pace.ts";
import { PhaseRun, type SizedPhase } from "./phase-run.ts";
import { priorLaplacian } from "./prior-graph.ts";
import { Random } from "./random.ts";
import { anchorNeighbourhoods, latentRank } from "./self-expressive.ts";
import { unitRows } from "./spectral/index.ts";
import { clusterLatents } from "./structure.ts";
import { Targets } from "./targets.ts";
import type { Position, TrainingState } from "./training-state.ts";

/** Samples encoded at once outside training steps. */
export const INFERENCE_BATCH = 500;
/** Samples that effective rank is watched on: it is at most the width of a latent. */
const RANK_SAMPLES = 1000;

export interface TrainerOptions {
  readonly method: Method;
  readonly config: object;
  readonly samples: Samples;
  readonly augmentation: Augmentation;
  readonly seed: number;
  /** Computes the steps; unless given, ONNX Runtime does, with `session`. */
  readonly executor?: Executor;
  readonly session?: SessionSettings;
  readonly onEvent?: (event: TrainEvent) => void;
  /** Called after every epoch, and when the run is stopped. */
  readonly save?: (state: TrainingState) => Promise<void>;
  readonly signal?: AbortSignal;
  /** Milliseconds of `performance.now()` after which training ends as if it were finished. */
  readonly deadline?: number;
}

/** First values of a method's parameters. */
export function initialParameters(method: Method, config: object, sample: SampleType, seed: number): Arrays {
  const random = new Random(seed, "init");
  return Object.fromEntries(
    Object.entries(method.parameters(config, sample)).map(([name, { shape, limit, centre = 0 }]) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const draw = () => centre + random.uniform(-limit, limit);
      return [name, { data: Float32Array.from({ length: size }, draw), shape }];
    }),
  );
}

export function sampleType({ kind, shape }: Samples): SampleType {
  return { kind, shape: shape.slice(1) };
}

/** Trains a method on samples: phase after phase, epoch after epoch. It knows nothing of the method but its phases. */
export class Trainer {
  readonly #options: TrainerOptions;
  readonly #phases: readonly Phase[];
  readonly #executor: Executor;
  readonly #batches: Batches;
  readonly #pace: Pace;
  /** Phases that there was no time for, and what was done of the one that it ended in. */
  readonly #leftOut: string[] = [];

  constructor(options: TrainerOptions) {
    this.#options = options;
    this.#phases = options.method.phases(options.config, sampleType(options.samples));
    this.#executor = options.executor ?? new OnnxExecutor(options.session);
    this.#batches = new Batches(options.samples, options.augmentation);
    const epochs = this.#phases.reduce((sum, phase) => sum + phase.epochs * phaseCost(phase), 0);
    this.#pace = new Pace(epochs * options.samples.shape[0]);
  }

  /** Images that went through the encoder before a position. */
  #imagesBefore({ phase: index, epoch, step }: Position): number {
    const n = this.#options.samples.shape[0];
    return this.#phases.slice(0, index + 1).reduce((sum, phase, i) => {
      const samples = i < index ? phase.epochs * n : epoch * n + step * batchSize(phase, n);
      return sum + samples * phaseCost(phase);
    }, 0);
  }

  /**
   * @param from - a state to resume from; else training starts anew.
   * @returns the state after the last phase.
   * @throws {SubspanError} TRAINING_DIVERGED naming the term, INTERRUPTED once `signal` is aborted and the state saved.
   */
  async train(from?: TrainingState): Promise<TrainingState> {
    const { method, config, samples, seed } = this.#options;
    let state: TrainingState = from ?? {
      parameters: initialParameters(method, config, sampleType(samples), seed),
      position: { phase: 0, epoch: 0, step: 0 },
    };
    this.#pace.skip(this.#imagesBefore(state.position));
    for (let index = state.position.phase; index < this.#phases.length; index++) {
      if (this.#isLate({ phase: index, epoch: 0 })) this.#leftOut.push(`without ${this.#phases[index]?.name}`);
      else state = await this.#runPhase(index, state);
    }
    if (this.wasCut) this.#emit({ type: "cut", message: `the time was over: it ended ${this.#leftOut.join(", ")}` });
    return state;
  }

  /** Whether the deadline ended training before its last epoch. */
  get wasCut(): boolean {
    return this.#leftOut.length > 0;
  }

  /** Whether there is no time for this epoch. For the first there always is: without it nothing would be learned. */
  #isLate({ phase, epoch }: Omit<Position, "step">): boolean {
    return (phase > 0 || epoch > 0) && this.#secondsToDeadline() < 0;
  }

  #secondsToDeadline(): number {
    return ((this.#options.deadline ?? Number.POSITIVE_INFINITY) - performance.now()) / 1000;
  }

  #emit(event: TrainEvent): void {
    this.#options.onEvent?.(event);
  }

  async #runPhase(index: number, start: TrainingState): Promise<TrainingState> {
    const { config, method, samples, save } = this.#options;
    const declared = this.#phases[index] as Phase;
    const phase = { ...declared, batch: batchSize(declared, samples.shape[0]) };
    const { name, epochs } = phase;
    this.#emit({ type: "phase", phase: name, index, phases: this.#phases.length, epochs });
    const begun = start.moments === undefined ? { ...start, ...(await this.#begin(phase, index, start)) } : start;
    const ports = batchPorts(phase, samples, method.spectral(config).clusters);
    const run = await PhaseRun.prepare(this.#executor, phase, index, begun, ports);
    try {
      const first = start.position.epoch;
      for (let epoch = first; epoch < epochs; epoch++) {
        if (this.#isLate({ phase: index, epoch })) {
          this.#leftOut.push(`in ${name} after epoch ${epoch} of ${epochs}`);
          break;
        }
        const means = new Means(epoch === first ? start.epoch : undefined);
        const isLast = await this.#epoch(run, epoch, epoch === first ? start.position.step : 0, means);
        const state = isLast ? await run.end() : run.stateAt({ epoch: epoch + 1, step: 0 });
        await save?.(state);
        if (isLast) return state;
      }
      return await run.end();
    } finally {
      await run.dispose();
    }
  }

  /** An epoch from a step of it on. @returns whether the phase ends with it. */
  async #epoch(run: PhaseRun, epoch: number, first: number, means: Means): Promise<boolean> {
    const { phase, watch } = run;
    await this.#steps(run, epoch, first, means);
    const { loss, terms } = means.result;
    run.checkFinite(epoch);
    const changed = phase.targets && (await this.#updateTargets(run.stateAt({ epoch, step: 0 })));
    const watched = await watch.epoch(epoch, loss, () => run.parameters);
    const effectiveRank = phase.rank && (await this.#rank(run.parameters));
    this.#emit({
      ...{ type: "epoch", phase: phase.name, epoch, epochs: phase.epochs, loss, terms },
      seconds: means.seconds,
      ...(typeof changed === "number" && { changed }),
      ...(effectiveRank && { effectiveRank }),
      ...watched,
    });
    return epoch + 1 === phase.epochs || watched.stop !== undefined;
  }

  async #steps(run: PhaseRun, epoch: number, first: number, means: Means): Promise<void> {
    const { phase } = run;
    const order = this.#order(run.index, epoch);
    const steps = Math.floor(order.length / phase.batch);
    for (let step = first; step < steps; step++) {
      if (this.#options.signal?.aborted) await this.#interrupt(run, { epoch, step }, means);
      const rows = order.subarray(step * phase.batch, (step + 1) * phase.batch);
      const [before, all] = [epoch * steps + step, phase.epochs * steps];
      const learningRate = scheduledRate(phase, before, all);
      const terms = await run.step(this.#feed(run, { epoch, step }, rows, before / all), learningRate);
      const loss = checkedSum(terms, phase.name, epoch, step);
      means.add(terms);
      this.#emit({
        ...{ type: "step", phase: phase.name, epoch, epochs: phase.epochs, step, steps },
        ...{ loss, terms, learningRate, ...this.#estimate(phase) },
      });
      await yieldToEvents();
    }
  }

  /** All samples as an epoch meets them. */
  #order(index: number, epoch: number): Int32Array {
    const { samples, seed } = this.#options;
    const n = samples.shape[0];
    if (this.#phases[index]?.batch === "all") return Int32Array.from({ length: n }, (_, i) => i);
    return new Random(seed, `shuffle ${index}.${epoch}`).permutation(n);
  }

  /** @param progress - share of the phase's steps that are done. */
  #feed(run: PhaseRun, { epoch, step }: { epoch: number; step: number }, rows: Int32Array, progress: number) {
    const { seed } = this.#options;
    const at = `${run.index}.${epoch}.${step}`;
    const streams = { augment: new Random(seed, `augment ${at}`), noise: new Random(seed, `noise ${at}`) };
    return this.#batches.feed(run.phase.inputs, rows, { ...streams, targets: run.targets, progress });
  }

  /** Speed and the time left, after one more step. */
  #estimate(phase: SizedPhase): { readonly samplesPerSecond: number; readonly secondsLeft: number } {
    this.#pace.add(phase.batch * phaseCost(phase));
    const { samplesPerSecond, secondsLeft } = this.#pace.estimate(phaseCost(phase));
    return { samplesPerSecond, secondsLeft: Math.max(0, Math.min(secondsLeft, this.#secondsToDeadline())) };
  }

  async #interrupt(run: PhaseRun, position: Omit<Position, "phase">, means: Means): Promise<never> {
    const { name, epochs } = run.phase;
    const { epoch } = position;
    run.checkFinite(epoch);
    await this.#options.save?.(run.stateAt(position, means.soFar));
    throw new SubspanError("INTERRUPTED", `stopped in ${name}, epoch ${epoch + 1} of ${epochs}; the state is saved`);
  }

  /** Latents of all samples, [n, d]. */
  async encode(parameters: Arrays): Promise<NumberArray> {
    const { config, method } = this.#options;
    const itself = (rows: Int32Array) => this.#batches.rows(rows);
    const [latents] = await this.#overSamples((x, arrays) => method.encode(config, arrays, x), parameters, [itself]);
    return latents as NumberArray;
  }

  /** Effective rank of the latents of the first samples. */
  async #rank(parameters: Arrays): Promise<number> {
    const { config, method, samples } = this.#options;
    const encoder = await BatchFunction.compile(
      (x, arrays) => method.encode(config, arrays, x),
      samplePort(samples),
      parameters,
      this.#executor.session,
    );
    try {
      const n = Math.min(samples.shape[0], RANK_SAMPLES);
      return latentRank(
        await encoder.run(n, INFERENCE_BATCH, (rows) => this.#batches.rows(rows)),
        this.#executor.session,
      );
    } finally {
      await encoder.dispose();
    }
  }

  /** A function of all samples, once for each version of them. */
  async #overSamples(
    fn: Parameters<typeof BatchFunction.compile>[0],
    arrays: Arrays,
    versions: readonly ((rows: Int32Array) => AnyArray)[],
  ): Promise<NumberArray[]> {
    const { samples } = this.#options;
    const compiled = await BatchFunction.compile(fn, samplePort(samples), arrays, this.#executor.session);
    try {
      const results: NumberArray[] = [];
      for (const version of versions) results.push(await compiled.run(samples.shape[0], INFERENCE_BATCH, version));
      return results;
    } finally {
      await compiled.dispose();
    }
  }

  /** What the phase finds out about all samples first: the parameters and the targets it begins with. */
  async #begin(
    phase: Phase,
    index: number,
    { parameters, targets }: TrainingState,
  ): Promise<Pick<TrainingState, "parameters" | "targets">> {
    const { config, method, samples, seed } = this.#options;
    const n = samples.shape[0];
    const began = performance.now();
    const random = new Random(seed, `begin ${index}`);
    const needsLatents = phase.targets || phase.graph !== undefined || phase.latents === true;
    const known: PhaseStart = {
      ...{ samples: n, parameters, random },
      ...(samples.kind === "features" && { features: featureStatistics(samples) }),
      ...(needsLatents && { latents: await this.encode(parameters) }),
    };
    const latents = known.latents as NumberArray;
    if (!phase.targets) {
      const laplacian = phase.graph && { laplacian: await priorLaplacian(latents, phase.graph.neighbours) };
      const begun = { ...parameters, ...phase.begin?.({ ...known, ...laplacian }) };
      return { parameters: begun, ...(targets && { targets }) };
    }
    const settings = method.spectral(config);
    const drawn = new Random(seed, `cluster ${index}`);
    const clustering =
      settings.anchors === undefined
        ? await clusterLatents(latents, settings, drawn)
        : await anchorNeighbourhoods(method, config, parameters, latents, drawn, this.#executor.session);
    const { labels, affinity, eigenvectors } = clustering;
    const { clusters } = settings;
    const sizes = clusterSizes(labels, clusters);
    this.#emit({ type: "clustering", eigenvectors, sizes, seconds: (performance.now() - began) / 1000 });
    const wrong = lopsided(sizes);
    if (wrong !== undefined) this.#emit({ type: "warning", message: `${phase.name} begins with this: ${wrong}` });
    const found = { ...known, clustering: { latents: unitRows(latents), labels, clusters } };
    return {
      parameters: { ...parameters, ...phase.begin?.(found) },
      targets: Targets.fromClustering(labels, affinity, clusters),
    };
  }

  /** Moves the soft labels towards what the network now predicts, for each sample and one view of it. */
  async #updateTargets({ parameters, targets, position: { phase, epoch } }: TrainingState): Promise<number> {
    const { config, method, seed } = this.#options;
    const random = new Random(seed, `predict ${phase}.${epoch}`);
    const predict: Parameters<typeof BatchFunction.compile>[0] = (x, arrays) => {
      if (method.predict === undefined) throw new Error(`${method.name} has targets and no predictions`);
      return method.predict(config, arrays, x);
    };
    const [clean, viewed] = (await this.#overSamples(predict, parameters, [
      (rows) => this.#batches.rows(rows),
      (rows) => this.#batches.views(rows, random),
    ])) as [NumberArray, NumberArray];
    return (targets as Targets).update(clean.data.map((q, i) => (q + (viewed.data[i] as number)) / 2));
  }
}

/** Relative work of a sample in a phase: how many images it runs through the encoder. */
function phaseCost({ inputs }: Phase): number {
  return Object.values(inputs).filter(
    ({ source }) => source === "sample" || source === "view" || source === "neighbour",
  ).length;
}

/** Samples a step of a phase on n samples. */
function batchSize({ batch }: Phase, n: number): number {
  return batch === "all" ? n : Math.min(batch, n);
}

/** A step blocks the event loop while it computes; signals and progress bars get their turn here. */
function yieldToEvents(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
