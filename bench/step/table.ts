import { ENGINES, type Row } from "./contest.ts";

const HEAD = [
  ...["workload", "batch", "subspan ms"],
  ...ENGINES.flatMap((engine) => [`${engine} ms`, "ratio", "of least"]),
  ...["GFLOP/s", "of MatMul"],
];

function cellsOf({ workload, batch, subspan, engines, gigaflops, share }: Row): string[] {
  const times = ENGINES.flatMap((engine) => {
    const found = engines[engine];
    return found === undefined
      ? ["-", "-", "-"]
      : [milliseconds(found.milliseconds), found.ratio.toFixed(2), found.ratioOfLeast.toFixed(2)];
  });
  return [workload, String(batch), milliseconds(subspan), ...times, gigaflops.toFixed(0), share.toFixed(2)];
}

const milliseconds = (value: number): string => value.toFixed(value < 100 ? 1 : 0);

/** The rows as Markdown, and a line for each contestant that is not in one, with its reason. */
export function table(rows: readonly Row[]): string {
  const cells = [HEAD, ...rows.map(cellsOf)];
  const widths = HEAD.map((_, i) => Math.max(...cells.map((row) => (row[i] as string).length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i] as number)).join(" | ")} |`;
  const [head, ...body] = cells.map(line) as [string, ...string[]];
  const rule = line(widths.map((width) => "-".repeat(width)));
  const absent = rows.flatMap((row) =>
    Object.entries(row.absent).map(([engine, reason]) => `${engine} has no part in ${row.workload}: ${reason}`),
  );
  return [head, rule, ...body, "", ...new Set(absent)].join("\n");
}
