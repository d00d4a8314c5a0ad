import type { NumberArray } from "../../../runtime/samples.ts";
import type { Neighbours } from "../../../train/spectral/neighbours.ts";

/** The k nearest neighbours by the definition: all distances in float64, rounded once, sorted by distance, then index. */
export function referenceNeighbours(points: NumberArray, k: number, queries?: NumberArray): Neighbours {
  const [n = 0, d = 0] = points.shape;
  const [count = 0] = (queries ?? points).shape;
  const from = (queries ?? points).data;
  const indices = new Int32Array(count * k);
  const squaredDistances = new Float32Array(count * k);
  for (let i = 0; i < count; i++) {
    const distances = Float32Array.from({ length: n }, (_, j) => {
      let sum = 0;
      for (let c = 0; c < d; c++) sum += (from[i * d + c]! - points.data[j * d + c]!) ** 2;
      return sum;
    });
    const others = Array.from({ length: n }, (_, j) => j).filter((j) => queries !== undefined || j !== i);
    others.sort((a, b) => distances[a]! - distances[b]! || a - b);
    for (let l = 0; l < k; l++) {
      indices[i * k + l] = others[l]!;
      squaredDistances[i * k + l] = distances[others[l]!]!;
    }
  }
  return { n: count, k, indices, squaredDistances };
}
