import type { NumberArray } from "../runtime/samples.ts";
import { adaptiveNeighbourAffinity, nearestNeighbours, rowSums } from "./spectral/index.ts";

/**
 * The Laplacian L = D - W of the adaptive-neighbour graph of latents, [n, n], so that
 *
 *     tr(Z^T L Z) = 1/2 sum_ij w_ij |z_i - z_j|^2
 *
 * @param latents - [n, d]. @param neighbours - k of each; less where there are too few others.
 */
export async function priorLaplacian(latents: NumberArray, neighbours: number): Promise<NumberArray> {
  const n = latents.shape[0] as number;
  const nearest = await nearestNeighbours(latents, Math.min(neighbours + 1, n - 1));
  const affinity = adaptiveNeighbourAffinity(nearest);
  const data = new Float32Array(n * n);
  const degrees = rowSums(affinity);
  for (let i = 0; i < n; i++) {
    for (let e = affinity.offsets[i] as number; e < (affinity.offsets[i + 1] as number); e++) {
      data[i * n + (affinity.columns[e] as number)] = -(affinity.values[e] as number);
    }
    data[i * n + i] = (data[i * n + i] as number) + (degrees[i] as number);
  }
  return { data, shape: [n, n] };
}
