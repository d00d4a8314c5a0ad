import type { NumberArray } from "../../../runtime/samples.ts";
import { Random } from "../../../train/random.ts";
import { unitRows } from "../../../train/spectral/index.ts";

export interface SubspaceOptions {
  readonly clusters: number;
  readonly dimension: number;
  readonly perCluster: number;
  /** Of the space around; the subspaces are independent where it is at least clusters * dimension. */
  readonly width: number;
  /** Which samples are drawn; the subspaces are those of `clusters`, `dimension` and `width`. */
  readonly seed?: number;
}

/** Unit latents of a union of random subspaces, without noise, the clusters in turn. */
export function subspaces({ clusters, dimension, perCluster, width, seed = 0 }: SubspaceOptions): {
  readonly latents: NumberArray;
  readonly truth: Int32Array;
} {
  const ofBases = new Random(0, "bases");
  const ofSamples = new Random(seed, "samples");
  const n = clusters * perCluster;
  const bases = Float64Array.from({ length: clusters * dimension * width }, () => ofBases.normal());
  const truth = Int32Array.from({ length: n }, (_, i) => i % clusters);
  const data = new Float32Array(n * width);
  for (let i = 0; i < n; i++) {
    const row = new Float64Array(width);
    for (let b = 0; b < dimension; b++) {
      const weight = ofSamples.normal();
      for (let j = 0; j < width; j++) row[j]! += weight * bases[(truth[i]! * dimension + b) * width + j]!;
    }
    data.set(row, i * width);
  }
  return { latents: unitRows({ data, shape: [n, width] }), truth };
}
