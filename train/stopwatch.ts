/** Seconds from lap to lap. */
export class Stopwatch {
  readonly #began = performance.now();
  #last = this.#began;

  /** Seconds since the last lap, or the start. */
  lap(): number {
    const now = performance.now();
    const seconds = (now - this.#last) / 1000;
    this.#last = now;
    return seconds;
  }

  get total(): number {
    return (performance.now() - this.#began) / 1000;
  }
}
