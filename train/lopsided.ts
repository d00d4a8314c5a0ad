/** Of all samples: a cluster that holds more is no cluster, but what is left where nothing was told apart. */
const NEARLY_ALL = 0.9;

/**
 * What is wrong with clusters by their sizes alone, in words; nothing where all hold samples and none nearly all of them. Every
 * method gives K clusters whatever it learned, so nothing else says that it learned nothing.
 *
 * @param sizes - samples in each cluster, [K].
 */
export function lopsided(sizes: readonly number[]): string | undefined {
  const n = sizes.reduce((sum, size) => sum + size, 0);
  const most = Math.max(...sizes);
  const empty = sizes.filter((size) => size === 0).length;
  if (most > NEARLY_ALL * n)
    return `cluster ${sizes.indexOf(most)} holds ${most} of ${n} samples: they may not have been told apart`;
  if (empty > 0) return `${empty} of ${sizes.length} clusters hold no sample`;
  return undefined;
}

/** Samples in each cluster. */
export function clusterSizes(labels: Int32Array, clusters: number): number[] {
  const sizes = Array<number>(clusters).fill(0);
  for (const label of labels) sizes[label] = (sizes[label] as number) + 1;
  return sizes;
}
