/** The value in the middle; of an even count the mean of the two there. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (i: number) => sorted[i] as number;
  return (at((sorted.length - 1) >> 1) + at(sorted.length >> 1)) / 2;
}
