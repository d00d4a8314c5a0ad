/**
 * The name most like what somebody wrote, if one is near: at most two edits away, and fewer than half the letters written.
 *
 * @see Damerau 1964, A Technique for Computer Detection and Correction of Spelling Errors.
 */
export function nearestName(written: string, names: readonly string[]): string | undefined {
  const near = names
    .map((name) => ({ name, edits: edits(name.toLowerCase(), written.toLowerCase()) }))
    .filter(({ edits }) => edits <= 2 && 2 * edits < written.length)
    .sort((a, b) => a.edits - b.edits)[0];
  return near?.name ?? names.find((name) => written.length >= 3 && name.startsWith(written));
}

/** " Did you mean NAME?", or nothing. */
export function didYouMean(written: string, names: readonly string[]): string {
  const near = nearestName(written, names);
  return near === undefined ? "" : ` Did you mean ${near}?`;
}

/** Insertions, deletions, substitutions and swaps of neighbours from a to b. */
function edits(a: string, b: string): number {
  let [before, row] = [[] as number[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? (before[j - 2] as number) + 1 : substituted;
      next.push(Math.min(substituted, swapped, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    [before, row] = [row, next];
  }
  return row[b.length] as number;
}
