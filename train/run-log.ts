import type { TrainEvent } from "./events.ts";
import type { Position } from "./training-state.ts";

/** What a row of metrics.csv is made of. */
export type EpochRow = Extract<TrainEvent, { readonly type: "epoch" }>;

const COLUMNS = ["phase", "epoch", "loss", "seconds", "changed", "effectiveRank", "moved"] as const;

/** One row an epoch. Terms are columns in the order they first came; phases have different ones. */
export function metricsCsv(rows: readonly EpochRow[]): string {
  const terms = [...new Set(rows.flatMap((row) => Object.keys(row.terms)))];
  const lines = rows.map((row) => {
    const cells = { ...row, epoch: row.epoch + 1, seconds: row.seconds.toFixed(3) };
    const watched = COLUMNS.map((column) => cells[column] ?? "");
    return [...watched, ...terms.map((term) => row.terms[term] ?? "")].map(csvField).join(",");
  });
  return `${[[...COLUMNS, ...terms].map(csvField).join(","), ...lines].join("\n")}\n`;
}

/** A field as RFC 4180 has it: quoted where it must be. */
function csvField(value: string | number): string {
  const text = String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * The events of a log up to a position, and its epochs. It ends before the first event that lies beyond; lines that are no
 * events, as one that was cut off while it was written, are left out.
 *
 * @param hasBegun - whether the phase of the position is under way there: then what its beginning told stays.
 */
export function keptEvents(
  text: string,
  position: Position,
  hasBegun: boolean,
): { readonly lines: string; readonly rows: EpochRow[] } {
  const kept: string[] = [];
  const rows: EpochRow[] = [];
  let phase = 0;
  for (const line of text.split("\n")) {
    const event = parsedEvent(line);
    if (event === undefined) continue;
    if (CLOSING.includes(event.type)) break;
    if (event.type === "phase") phase = event.index;
    const isOfBeginning = hasBegun && phase === position.phase && BEGINNING.includes(event.type);
    if (!isOfBeginning && !isBefore(eventPosition(event, phase), position)) break;
    if (event.type === "epoch") rows.push(event);
    kept.push(`${line}\n`);
  }
  return { lines: kept.join(""), rows };
}

type LoggedEvent = TrainEvent | { readonly type: "saved" | "resumed" | "clusters" | "diverged" | "finishing" };

/** All phases are over, or there is no going on: a run that is resumed does this part again. */
const CLOSING: readonly string[] = ["cut", "diverged", "finishing", "finish", "done"];
/** What a phase tells before its first step. */
const BEGINNING: readonly string[] = ["phase", "clustering", "warning"];

/** Undefined for a line that is no event, as one that was cut off while it was written. */
export function parsedEvent(line: string): LoggedEvent | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && "type" in value ? (value as LoggedEvent) : undefined;
  } catch {
    return undefined;
  }
}

/** Where training stood just before the event; what tells nothing of it stays with what was before it. */
function eventPosition(event: LoggedEvent, phase: number): Position | undefined {
  if (event.type === "phase" || event.type === "clustering") return { phase, epoch: 0, step: 0 };
  if (event.type === "step") return { phase, epoch: event.epoch, step: event.step };
  if (event.type === "epoch") return { phase, epoch: event.epoch, step: Number.MAX_SAFE_INTEGER };
  return undefined;
}

function isBefore(a: Position | undefined, b: Position): boolean {
  if (a === undefined) return true;
  return (
    a.phase - b.phase < 0 || (a.phase === b.phase && (a.epoch < b.epoch || (a.epoch === b.epoch && a.step < b.step)))
  );
}
