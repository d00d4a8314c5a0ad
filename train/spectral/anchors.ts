import { SubspanError } from "../../runtime/errors.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import type { Random } from "../random.ts";
import { draw, runningSum } from "./kmeans-start.ts";
import { nearestNeighbours } from "./neighbours.ts";
import { unitRows } from "./partition.ts";

/**
 * Points that stand for all, by k-means++: each next one is drawn in proportion to its squared distance to the nearest
 * so far.
 *
 * A new pick that is at least twice as far from a point's nearest pick as the point is cannot be nearer to the point:
 * on clustered points that saves most distances, and changes none.
 *
 * @param points - [n, d]. @param count - at most; there are fewer picks than that if there are fewer distinct points.
 * @returns which points, in the order they were drawn.
 * @throws {SubspanError} SHAPE_MISMATCH, NOT_FINITE, OUT_OF_RANGE if `count` is below 1 or there is no point.
 * @see Arthur & Vassilvitskii 2007, k-means++, SODA; Raff 2021, Exact Acceleration of K-Means++ and K-Means||, IJCAI.
 */
export function anchorPicks(points: NumberArray, count: number, random: Random): Int32Array {
  const { data, n, d } = parse(points, count);
  const squared = new Float64Array(n).fill(Number.POSITIVE_INFINITY);
  const nearest = new Int32Array(n).fill(-1);
  const picks: number[] = [];
  for (let pick = random.integer(n); ; pick = draw(runningSum(squared), random)) {
    const apart = picks.map((other) => squaredDistance(data, d, other, pick));
    let total = 0;
    for (let i = 0; i < n; i++) {
      const known = squared[i]!;
      if (nearest[i]! < 0 || apart[nearest[i]!]! < 4 * known) {
        const distance = squaredDistance(data, d, i, pick, known);
        if (distance < known) {
          squared[i] = distance;
          nearest[i] = picks.length;
        }
      }
      total += squared[i]!;
    }
    picks.push(pick);
    if (picks.length === count || total === 0) return Int32Array.from(picks);
  }
}

/**
 * Centres that stand for all: k-means by direction from the picks of `anchorPicks`, each centre the mean of the points
 * nearest to it, brought to length 1. A centre that is nearest to no point stays.
 *
 * @param points - unit rows, [n, d]. @param iterations - of Lloyd; each takes a search for n nearest of the centres.
 * @returns [at most count, d], unit rows.
 * @throws {SubspanError} as `anchorPicks`.
 */
export async function anchorCentres(
  points: NumberArray,
  count: number,
  { iterations, random }: { readonly iterations: number; readonly random: Random },
): Promise<NumberArray> {
  const picks = anchorPicks(points, count, random);
  const { data, n, d } = parse(points, count);
  let centres: NumberArray = { data: new Float32Array(picks.length * d), shape: [picks.length, d] };
  for (const [to, from] of picks.entries()) centres.data.set(data.subarray(from * d, (from + 1) * d), to * d);
  for (let iteration = 0; iteration < iterations; iteration++) {
    const { indices } = await nearestNeighbours(centres, 1, { queries: points });
    const sums = new Float64Array(centres.data.length);
    const used = new Uint8Array(picks.length);
    for (let i = 0; i < n; i++) {
      const to = indices[i]!;
      used[to] = 1;
      for (let j = 0; j < d; j++) sums[to * d + j]! += data[i * d + j]!;
    }
    for (const [at, isUsed] of used.entries())
      if (isUsed === 0) sums.set(centres.data.subarray(at * d, (at + 1) * d), at * d);
    const { data: unit } = unitRows({ data: sums, shape: centres.shape });
    centres = { data: Float32Array.from(unit), shape: centres.shape };
  }
  return centres;
}

function parse({ data, shape }: NumberArray, count: number): { data: Float32Array; n: number; d: number } {
  const [n = 0, d = 0] = shape;
  if (shape.length !== 2 || data.length !== n * d)
    throw new SubspanError("SHAPE_MISMATCH", `points: expected [n, d], got [${shape}] with ${data.length} numbers`);
  if (!Number.isInteger(count) || count < 1 || n < 1)
    throw new SubspanError("OUT_OF_RANGE", `anchors: expected 1 or more of 1 or more points, got ${count} of ${n}`);
  if (!data.every(Number.isFinite)) throw new SubspanError("NOT_FINITE", "points: anchors need finite numbers");
  return { data, n, d };
}

/**
 * The squared distance of points i and j, or infinity once it exceeds `limit`; four sums, so that none waits for
 * another.
 */
function squaredDistance(
  data: Float32Array,
  d: number,
  i: number,
  j: number,
  limit = Number.POSITIVE_INFINITY,
): number {
  const offset = (j - i) * d;
  const end = (i + 1) * d;
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let a = i * d;
  for (; a + 32 <= end; ) {
    for (const stop = a + 32; a < stop; a += 4) {
      const [d0, d1] = [data[a]! - data[a + offset]!, data[a + 1]! - data[a + 1 + offset]!];
      const [d2, d3] = [data[a + 2]! - data[a + 2 + offset]!, data[a + 3]! - data[a + 3 + offset]!];
      s0 += d0 * d0;
      s1 += d1 * d1;
      s2 += d2 * d2;
      s3 += d3 * d3;
    }
    if (s0 + s1 + s2 + s3 > limit) return Number.POSITIVE_INFINITY;
  }
  for (; a < end; a++) s0 += (data[a]! - data[a + offset]!) ** 2;
  return s0 + s1 + s2 + s3;
}
