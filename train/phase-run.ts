import type { PortType } from "../export/index.ts";
import type { Arrays, Phase } from "../models/index.ts";
import { type AnyArray, type Executor, initialState, type Step } from "./executors/executor.ts";
import { checkFinite } from "./finite.ts";
import { filterArrays, shapes, startsWithAny } from "./named-arrays.ts";
import type { EpochSums } from "./pace.ts";
import type { Targets } from "./targets.ts";
import type { Position, TrainingState } from "./training-state.ts";
import { Watch } from "./watch.ts";

/** A phase of so many samples a step. */
export type SizedPhase = Phase & { readonly batch: number };

/** A phase under way: its step, ready to run, what the step leaves alone, and what it watches of itself. */
export class PhaseRun {
  readonly phase: SizedPhase;
  /** Of the phase among its method's. */
  readonly index: number;
  readonly watch: Watch;
  readonly #begun: TrainingState;
  readonly #step: Step;

  private constructor(phase: SizedPhase, index: number, begun: TrainingState, step: Step) {
    this.phase = phase;
    this.index = index;
    this.watch = new Watch(phase, begun.watched);
    this.#begun = begun;
    this.#step = step;
  }

  /** @param begun - its first state, or, with moments, one to go on from. @param batch - what a step is fed. */
  static async prepare(
    executor: Executor,
    phase: SizedPhase,
    index: number,
    begun: TrainingState,
    batch: Readonly<Record<string, PortType>>,
  ): Promise<PhaseRun> {
    const { parameters, moments } = begun;
    const trained = filterArrays(parameters, (name) => startsWithAny(name, phase.trainable));
    const buffers = filterArrays(parameters, (name) => startsWithAny(name, phase.updated ?? []));
    const frozen = filterArrays(parameters, (name) => !(name in trained) && !(name in buffers));
    const { loss, update } = phase;
    const definition = {
      ...{ trainable: shapes(trained), frozen: shapes(frozen), buffers: shapes(buffers) },
      ...{ batch, loss, ...(update && { update }) },
    };
    const state = moments === undefined ? initialState(trained, buffers) : { parameters: trained, buffers, ...moments };
    return new PhaseRun(phase, index, begun, await executor.prepare(definition, state, frozen));
  }

  /** One update. @returns the terms of the loss before it. */
  step(feed: Readonly<Record<string, AnyArray>>, learningRate: number): Promise<Record<string, number>> {
    return this.#step.run(feed, learningRate);
  }

  /** The soft labels, where the phase has them. */
  get targets(): Targets | undefined {
    return this.#begun.targets;
  }

  /** All of the method's, those that the phase leaves alone too. */
  get parameters(): Arrays {
    const { parameters, buffers } = this.#step.state;
    return { ...this.#begun.parameters, ...parameters, ...buffers };
  }

  /** What training resumes from after so many epochs and steps of the next, which came to `sums`. */
  stateAt(position: Omit<Position, "phase">, sums?: EpochSums): TrainingState {
    const { parameters, buffers, ...moments } = this.#step.state;
    const { parameters: others, targets } = this.#begun;
    return {
      parameters: { ...others, ...parameters, ...buffers },
      ...{ moments, position: { phase: this.index, ...position }, watched: this.watch.arrays },
      ...(targets && { targets }),
      ...(sums && { epoch: sums }),
    };
  }

  /** The state in which the next phase begins. */
  async end(): Promise<TrainingState> {
    const { parameters } = this;
    const { targets } = this.#begun;
    return {
      parameters: { ...parameters, ...(await this.watch.end(parameters)) },
      ...(targets && { targets }),
      position: { phase: this.index + 1, epoch: 0, step: 0 },
    };
  }

  /** @throws {SubspanError} TRAINING_DIVERGED naming the first parameter that is not finite. */
  checkFinite(epoch: number): void {
    checkFinite(this.#step.state.parameters, this.phase.name, epoch);
  }

  dispose(): Promise<void> {
    return this.#step.dispose();
  }
}
