/** Seeds are 32 bits of a generator's key. */
export const MOST_SEED = 2 ** 32 - 1;

/** A generator's whole state: what a checkpoint keeps. */
export interface RandomState {
  readonly key: readonly [number, number];
  /** Draws of 32 bits already taken. */
  readonly position: number;
}

/**
 * Counter-based random numbers, Philox 4x32 with 10 rounds. The i-th draw is a pure function of (seed, stream, i), so every
 * purpose has its own stream, no stream disturbs another, and any stream resumes at any draw.
 *
 * @see Salmon et al. 2011, Parallel Random Numbers: As Easy as 1, 2, 3, SC '11.
 */
export class Random {
  readonly #key: readonly [number, number];
  #position = 0;
  readonly #block = new Uint32Array(4);

  /** @param stream - the purpose ("init", "shuffle", "noise", "augment", "k-means"): equal seed and stream, equal draws. */
  constructor(seed: number, stream: string) {
    this.#key = [seed >>> 0, fnv1a(stream)];
  }

  static restore({ key, position }: RandomState): Random {
    const random = new Random(key[0], "");
    (random.#key as [number, number])[1] = key[1];
    random.#position = position;
    if (position % 4 !== 0) philox(random.#block, random.#key, Math.floor(position / 4));
    return random;
  }

  get state(): RandomState {
    return { key: this.#key, position: this.#position };
  }

  /** 32 random bits. */
  bits(): number {
    const lane = this.#position % 4;
    if (lane === 0) philox(this.#block, this.#key, this.#position / 4);
    this.#position++;
    return this.#block[lane] as number;
  }

  /** Uniform in [low, high). */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * (this.bits() / 2 ** 32);
  }

  /** Uniform among the integers 0..n-1; the bias of the scaling is below n / 2^32. */
  integer(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  /** Standard normal, by the Box-Muller transform (one of the pair is dropped, so that a draw is always two uniforms). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log((this.bits() + 1) / (2 ** 32 + 1)));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** 0..n-1 in random order (Fisher-Yates). */
  permutation(n: number): Int32Array {
    const order = Int32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const swapped = order[i] as number;
      order[i] = order[j] as number;
      order[j] = swapped;
    }
    return order;
  }
}

/** Fills `out` with block number `counter` of the stream `key`. */
function philox(out: Uint32Array, key: readonly [number, number], counter: number): void {
  let [k0, k1] = key;
  let c0 = counter >>> 0;
  let c1 = Math.floor(counter / 2 ** 32) >>> 0;
  let c2 = 0;
  let c3 = 0;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const low0 = Math.imul(0xd2511f53, c0) >>> 0;
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit integers, without BigInt. */
function multiplyHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0;
}

/** FNV-1a, 32 bits: a stream's name as half of the key. */
function fnv1a(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
