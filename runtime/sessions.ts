import type { Bundle } from "./bundle.ts";
import type { Engine, Outputs } from "./engine.ts";
import { type Part, partOf } from "./part.ts";
import type { Batch } from "./samples.ts";

/** Graphs open at once: each holds its weights. */
const MOST_OPEN = 3;

/**
 * Runs what is asked for on a graph that computes nothing else. Sets of outputs that need the same nodes share one; it is
 * opened when the first of them is asked for, and of too many the one longest unused is closed. One run at a time.
 */
export class Sessions {
  readonly #engine: Engine;
  readonly #bundle: Bundle;
  /** Outputs asked for, in order -> the name of the part that makes them. */
  readonly #parts = new Map<string, string>();
  /** Names of the open parts, the one longest unused first. */
  readonly #open: Set<string>;

  /** @param part - is open already. */
  constructor(engine: Engine, bundle: Bundle, { name }: Part) {
    this.#engine = engine;
    this.#bundle = bundle;
    this.#open = new Set([name]);
  }

  async run(batch: Batch, fetches: readonly string[]): Promise<Outputs> {
    return this.#engine.run(batch, fetches, await this.#opened(fetches));
  }

  release(): Promise<void> {
    return this.#engine.release();
  }

  /** The name of the open part that makes these. */
  async #opened(fetches: readonly string[]): Promise<string> {
    const asked = [...new Set(fetches)].sort().join();
    let name = this.#parts.get(asked) ?? "";
    if (!this.#open.has(name)) {
      const part = await partOf(this.#bundle, fetches);
      name = part.name;
      if (!this.#open.has(name)) await this.#add(part);
      this.#parts.set(asked, name);
    }
    this.#open.delete(name); // and in again, as the last used
    this.#open.add(name);
    return name;
  }

  async #add(part: Part): Promise<void> {
    const [oldest = ""] = this.#open;
    if (this.#open.size === MOST_OPEN && this.#open.delete(oldest)) await this.#engine.close(oldest);
    await this.#engine.open(part);
  }
}
