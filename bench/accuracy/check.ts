import { FIGURES, grouped, type Row, spread } from "./rows.ts";

/** Figures where less is better; how sure the graph is in the mean is neither good nor bad. */
const LESS_IS_BETTER: readonly string[] = ["calibration_error"];
const NEUTRAL: readonly string[] = ["mean_confidence"];
/** A spread of few seeds may be next to nothing by chance, and that of one is none: less than this is no fall. */
export const LEAST_SPREAD = 0.005;

/**
 * Figures whose mean fell below the stored mean by more than the stored spread, one line each.
 *
 * @param stored - rows of one group, one a seed.
 * @param fresh - rows of the same group, made now.
 */
export function falls(stored: readonly Row[], fresh: readonly Row[]): string[] {
  return FIGURES.filter((figure) => !NEUTRAL.includes(figure)).flatMap((figure) => {
    const before = spread(stored, figure);
    const now = spread(fresh, figure);
    if (before === undefined || now === undefined) return [];
    const fall = (before.mean - now.mean) * (LESS_IS_BETTER.includes(figure) ? -1 : 1);
    const allowed = Math.max(before.deviation, LEAST_SPREAD);
    if (fall <= allowed) return [];
    const { method, data, preset, settings, note } = fresh[0] as Row;
    const run = [method, data, preset, settings, note].filter((word) => word !== "").join(", ");
    const figures = `${before.mean.toFixed(4)} ± ${before.deviation.toFixed(4)} before, ${now.mean.toFixed(4)} now`;
    return [`${run}: ${figure.replaceAll("_", " ")} is worse by ${fall.toFixed(4)} (${figures})`];
  });
}

/** Of every group whose seeds were run more than once: the newest row of each such seed, and the one it replaced. */
export function replaced(rows: readonly Row[]): { readonly stored: Row[]; readonly fresh: Row[] }[] {
  return [...grouped(rows).values()].flatMap((seeds) => {
    const twice = [...seeds.values()].filter((of) => of.length > 1);
    if (twice.length === 0) return [];
    return [{ stored: twice.map((of) => of.at(-2) as Row), fresh: twice.map((of) => of.at(-1) as Row) }];
  });
}
