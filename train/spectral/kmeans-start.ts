import type { Random } from "../random.ts";

/** n samples x, [n, d], with their squared norms, to be parted into k clusters. */
export interface Problem {
  readonly x: Float64Array;
  readonly squaredNorms: Float64Array;
  readonly n: number;
  readonly d: number;
  readonly k: number;
}

/** Greedy k-means++: each next centre is the best of a few samples drawn in proportion to their squared distance. */
export function greedyStart({ x, n, d, k }: Problem, random: Random): Float64Array {
  const trials = 2 + Math.floor(Math.log(k));
  const centres = new Float64Array(k * d);
  let nearest = new Float64Array(n).fill(Number.POSITIVE_INFINITY);
  let candidate = new Float64Array(n);
  let best = new Float64Array(n);
  for (let c = 0; c < k; c++) {
    const cumulative = c === 0 ? undefined : runningSum(nearest);
    let bestSum = Number.POSITIVE_INFINITY;
    for (let trial = 0; trial < (c === 0 ? 1 : trials); trial++) {
      const chosen = cumulative === undefined ? random.integer(n) : draw(cumulative, random);
      const sum = nearestWith(x, d, chosen, nearest, candidate);
      if (sum >= bestSum) continue;
      bestSum = sum;
      centres.set(x.subarray(chosen * d, (chosen + 1) * d), c * d);
      [best, candidate] = [candidate, best];
    }
    [nearest, best] = [best, nearest];
  }
  return centres;
}

/** out_i = min(nearest_i, ||x_i - x_chosen||^2); returns their sum. */
function nearestWith(x: Float64Array, d: number, chosen: number, nearest: Float64Array, out: Float64Array): number {
  const from = chosen * d;
  let sum = 0;
  for (let i = 0; i < out.length; i++) {
    let squared = 0;
    for (let j = 0; j < d; j++) squared += (x[i * d + j]! - x[from + j]!) ** 2;
    out[i] = Math.min(nearest[i]!, squared);
    sum += out[i]!;
  }
  return sum;
}

export function runningSum(values: Float64Array): Float64Array {
  const sums = new Float64Array(values.length);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sums[i] = sum += values[i]!;
  return sums;
}

/** An index drawn in proportion to the increments of `cumulative`; evenly if they are all 0. */
export function draw(cumulative: Float64Array, random: Random): number {
  const total = cumulative.at(-1)!;
  if (total === 0) return random.integer(cumulative.length);
  const target = random.uniform(0, total);
  let low = 0;
  let high = cumulative.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cumulative[middle]! > target) high = middle;
    else low = middle + 1;
  }
  return low;
}
