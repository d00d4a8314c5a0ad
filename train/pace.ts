/** Means of loss terms over an epoch. */
export class Means {
  readonly #sums: Record<string, number> = {};
  #count = 0;

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
