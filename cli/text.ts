/** Columns as wide as their widest cell; numbers (and all that looks like one) to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const isNumber = (cell: string) => /^-?[\d.,]+( ?(%|s|MB|kB))?$/.test(cell);
  const numeric = widths.map((_, column) => rows.slice(1).every((row) => isNumber(row[column] ?? "")));
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i] as number) : cell.padEnd(widths[i] as number)))
      .join("  ");
  return rows.map((row) => `${line(row).trimEnd()}\n`).join("");
}

/** Names and what they stand for, one a line. */
export function pairs(rows: readonly (readonly [name: string, ...rest: string[]])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows
    .map(([name, ...rest]) => `${name.padEnd(width)}  ${rest.join("  ")}`.trimEnd())
    .join("\n")
    .concat("\n");
}

/** 12345 -> "12,345". */
export const grouped = (value: number) => Math.round(value).toLocaleString("en-US");

/** A share of 1 with one decimal: "97.3 %". */
export const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** Seconds as a person says them: "4.2 s", "1:05", "2:03:04". */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  return clock(seconds);
}

/** "0:07", "12:30", "1:02:03". */
export function clock(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.round(seconds);
  const two = (value: number) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** "1.9 MB". */
export function size(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Four significant digits: losses. */
export const short = (value: number) => Number(value.toPrecision(4)).toString();

/** A text within a width, its end replaced by "…" where it is too long. */
export function fit(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** A word of a command as a shell takes it. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
