import type { PhaseStart } from "../models/index.ts";
import type { NumberArray, Samples } from "../runtime/samples.ts";

/** Mean and log deviation of each feature of vectors, [d]. */
export function featureStatistics({ data, shape }: Samples): NonNullable<PhaseStart["features"]> {
  const [n, d] = shape as readonly number[] as [number, number];
  const sums = new Float64Array(d);
  const squares = new Float64Array(d);
  data.forEach((value, i) => {
    sums[i % d]! += value;
  });
  data.forEach((value, i) => {
    squares[i % d]! += (value - sums[i % d]! / n) ** 2;
  });
  const logs = squares.map((sum) => (sum > 0 ? Math.log(Math.sqrt(sum / n)) : 0));
  const vector = (values: Float64Array): NumberArray => ({ data: Float32Array.from(values), shape: [d] });
  return { mean: vector(sums.map((sum) => sum / n)), logDeviation: vector(logs) };
}
