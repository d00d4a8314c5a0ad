/** What an epoch came to so far: sums of its loss terms, over how many steps, and the seconds these took. */
export interface EpochSums {
  readonly sums: Readonly<Record<string, number>>;
  readonly steps: number;
  readonly seconds: number;
}

/** Means of loss terms over an epoch. */
export class Means {
  readonly #sums: Record<string, number>;
  readonly #before: number;
  readonly #began = performance.now();
  #count: number;

  /** @param from - what the epoch came to before it was stopped. */
  constructor({ sums, steps, seconds }: EpochSums = { sums: {}, steps: 0, seconds: 0 }) {
    this.#sums = { ...sums };
    this.#count = steps;
    this.#before = seconds;
  }

  /** To go on from, in another process. */
  get soFar(): EpochSums {
    return { sums: this.#sums, steps: this.#count, seconds: this.seconds };
  }

  /** Since the epoch began, but for the time that it stood still. */
  get seconds(): number {
    return this.#before + (performance.now() - this.#began) / 1000;
  }

  add(terms: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(terms)) this.#sums[name] = (this.#sums[name] ?? 0) + value;
    this.#count++;
  }

  get result(): { readonly loss: number; readonly terms: Readonly<Record<string, number>> } {
    const terms = Object.fromEntries(
      Object.entries(this.#sums).map(([name, sum]) => [name, sum / Math.max(1, this.#count)]),
    );
    return { terms, loss: Object.values(terms).reduce((a, b) => a + b, 0) };
  }
}

/** Speed so far and the time it leaves, in units of images through the encoder. */
export class Pace {
  #total: number;
  readonly #began = performance.now();
  #done = 0;

  constructor(total: number) {
    this.#total = total;
  }

  /** Leaves out what was done before this process. */
  skip(images: number): void {
    this.#total -= images;
  }

  add(images: number): void {
    this.#done += images;
  }

  estimate(cost: number): { samplesPerSecond: number; secondsLeft: number } {
    const rate = this.#done / ((performance.now() - this.#began) / 1000);
    return { samplesPerSecond: rate / cost, secondsLeft: Math.max(0, (this.#total - this.#done) / rate) };
  }
}
