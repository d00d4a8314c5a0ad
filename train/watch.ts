import type { Arrays, Phase } from "../models/index.ts";
import type { NumberArray } from "../runtime/samples.ts";
import { refinedAffinity } from "./spectral/index.ts";

/** What a phase knows after an epoch of its own course. */
export interface Watched {
  /** Why the phase ends here; absent: it goes on. */
  readonly stop?: string;
  /** How far the mean affinity moved, relative to its norm, where one was taken. */
  readonly moved?: number;
}

/** The name under which the affinity that coefficients settled to, [n, n], is a parameter. */
export const AFFINITY = "affinity";
const LOSSES = "losses";
const COUNT = "count";

/** Watches a phase to end it early, without labels: by the mean losses of its epochs, or by the affinity it settles to. */
export class Watch {
  readonly #phase: Pick<Phase, "stop" | "affinity">;
  readonly #losses: number[];
  #mean: NumberArray | undefined;
  #count: number;

  /** @param arrays - of a watch to go on with. */
  constructor(phase: Pick<Phase, "stop" | "affinity">, arrays: Arrays = {}) {
    this.#phase = phase;
    this.#losses = Array.from(arrays[LOSSES]?.data ?? []);
    this.#mean = arrays[AFFINITY];
    this.#count = arrays[COUNT]?.data[0] ?? 0;
  }

  /** @param epoch - from 0. @param loss - its mean. @param parameters - after it. */
  async epoch(epoch: number, loss: number, parameters: () => Arrays): Promise<Watched> {
    const { stop, affinity } = this.#phase;
    if (stop !== undefined) {
      this.#losses.push(Math.fround(loss)); // as a checkpoint keeps it
      const mean = (from: number, to?: number) => {
        const some = this.#losses.slice(from, to);
        return some.reduce((a, b) => a + b, 0) / some.length;
      };
      const before = mean(-2 * stop.epochs, -stop.epochs);
      if (this.#losses.length >= 2 * stop.epochs && mean(-stop.epochs) > before * (1 - stop.improvement)) {
        return { stop: `the last ${stop.epochs} epochs lowered the loss by less than ${100 * stop.improvement} %` };
      }
    }
    const done = epoch + 1;
    if (affinity === undefined || done < affinity.first || (done - affinity.first) % affinity.every !== 0) return {};
    const moved = await this.#take(parameters());
    if (moved === undefined) return {};
    if (!(moved < affinity.tolerance)) return { moved };
    return { moved, stop: `the mean affinity moved by ${moved.toPrecision(2)}, less than ${affinity.tolerance}` };
  }

  /** Adds the affinity of the coefficients as they are to the mean. @returns how far that moved the mean, if there was one. */
  async #take(parameters: Arrays): Promise<number | undefined> {
    const { of, refinement } = this.#phase.affinity as NonNullable<Phase["affinity"]>;
    const taken = (await refinedAffinity(parameters[of] as NumberArray, refinement)).affinity;
    const old = this.#mean;
    this.#count++;
    if (old === undefined) {
      this.#mean = taken;
      return undefined;
    }
    let [change, norm] = [0, 0];
    const data = old.data.map((value, i) => {
      const step = ((taken.data[i] as number) - value) / this.#count;
      change += step * step;
      norm += value * value;
      return value + step;
    });
    this.#mean = { data, shape: old.shape };
    return Math.sqrt(change / norm);
  }

  /** What a checkpoint keeps of it. */
  get arrays(): Arrays {
    return {
      ...(this.#losses.length > 0 ? { [LOSSES]: vector(this.#losses) } : {}),
      ...(this.#mean === undefined ? {} : { [AFFINITY]: this.#mean, [COUNT]: vector([this.#count]) }),
    };
  }

  /** New parameters when the phase ends: the mean affinity, where it takes any. */
  async end(parameters: Arrays): Promise<Arrays> {
    if (this.#phase.affinity === undefined) return {};
    if (this.#mean === undefined) await this.#take(parameters);
    return { [AFFINITY]: this.#mean as NumberArray };
  }
}

const vector = (values: readonly number[]): NumberArray => ({
  data: Float32Array.from(values),
  shape: [values.length],
});
