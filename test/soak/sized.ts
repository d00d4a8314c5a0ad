/**
 * `npm run soak` runs these tests with the figures that the server is held to, for some twenty minutes, on a quiet machine;
 * `npm test` runs the same in short, beside other work.
 */
const LONG = process.env.SUBSPAN_SOAK !== undefined;

export const sized = <T>(short: T, long: T): T => (LONG ? long : short);

/** Milliseconds that something may take: twenty times as many where others share the machine. */
export const within = (milliseconds: number): number => sized(20 * milliseconds, milliseconds);

/** Of a list of milliseconds or of anything, what 99 of 100 do not exceed. */
export const p99 = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.ceil(0.99 * values.length) - 1] ?? Number.NaN;
