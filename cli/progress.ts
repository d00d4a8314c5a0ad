import { clearestFirst, type RunEvent } from "../train/index.ts";
import type { Io, Output } from "./command.ts";
import { clock, duration, fit, grouped, percent, short } from "./text.ts";

type StepEvent = Extract<RunEvent, { readonly type: "step" }>;
type EpochEvent = Extract<RunEvent, { readonly type: "epoch" }>;
type ClustersEvent = Extract<RunEvent, { readonly type: "clusters" }>;
type ClusteringEvent = Extract<RunEvent, { readonly type: "clustering" }>;

/** Shows what goes on, apart from results. */
export interface Reporter {
  event(event: RunEvent): void;
  /** What is going on now; on a terminal the line is gone when the next thing comes. */
  doing(text: string): void;
  /** Something to keep. */
  note(text: string): void;
  close(): void;
}

/** `json`: events as lines on stdout and nothing else. */
export function createReporter({ stdout, stderr }: Io, json: boolean, now = () => performance.now()): Reporter {
  if (json) return new JsonReporter(stdout);
  return stderr.isTTY ? new BarReporter(stderr, now) : new LineReporter(stderr);
}

class JsonReporter implements Reporter {
  readonly #out: Output;

  constructor(out: Output) {
    this.#out = out;
  }

  event(event: RunEvent): void {
    this.#out.write(`${JSON.stringify(event)}\n`);
  }

  doing(): void {}
  note(): void {}
  close(): void {}
}

class LineReporter implements Reporter {
  readonly #out: Output;

  constructor(out: Output) {
    this.#out = out;
  }

  event(event: RunEvent): void {
    const line = eventLine(event);
    if (line !== undefined) this.note(line);
  }

  doing(text: string): void {
    this.note(text);
  }

  note(text: string): void {
    this.#out.write(`${text}\n`);
  }

  close(): void {}
}

/** What plain output says of an event; nothing for those that come too often or change nothing. */
function eventLine(event: RunEvent): string | undefined {
  switch (event.type) {
    case "phase":
      return `${event.phase}: ${epochs(event)} (phase ${event.index + 1} of ${event.phases})`;
    case "epoch":
      return `${event.phase} ${event.epoch + 1}/${event.epochs}  ${epochFigures(event)}  ${duration(event.seconds)}`;
    case "clustering":
      return clusteringLine(event);
    case "clusters":
      return clustersLine(event);
    case "resumed":
      return resumedLine(event);
    case "finish":
      return finishLine(event);
    case "warning":
    case "cut":
      return warningLine(event);
    default:
      return undefined;
  }
}

const REFRESH_MILLISECONDS = 100;
const CLEAR_LINE = "\r\u001b[K";

/** One line that is drawn over, and one that stays for each phase. */
class BarReporter implements Reporter {
  readonly #out: Output;
  readonly #now: () => number;
  #drawn = Number.NEGATIVE_INFINITY;
  #phaseSeconds = 0;

  constructor(out: Output, now: () => number) {
    this.#out = out;
    this.#now = now;
  }

  event(event: RunEvent): void {
    if (event.type === "step") this.#step(event);
    else if (event.type === "epoch") this.#epoch(event);
    else if (event.type === "clustering") this.note(clusteringLine(event));
    else if (event.type === "clusters") this.note(clustersLine(event));
    else if (event.type === "resumed") this.note(resumedLine(event));
    else if (event.type === "warning" || event.type === "cut") this.note(warningLine(event));
    else if (event.type === "finishing") this.doing("final clusters");
    else if (event.type === "finish") this.doing(finishLine(event));
    else if (event.type === "phase") {
      this.#phaseSeconds = 0;
      this.doing(`${event.phase}: getting ready`);
    }
  }

  #step(event: StepEvent): void {
    if (this.#now() - this.#drawn < REFRESH_MILLISECONDS) return;
    this.#drawn = this.#now();
    this.#draw(renderBar(event, this.#width));
  }

  #epoch(event: EpochEvent): void {
    this.#phaseSeconds += event.seconds;
    if (event.epoch + 1 === event.epochs || event.stop !== undefined) this.note(phaseLine(event, this.#phaseSeconds));
  }

  doing(text: string): void {
    this.#draw(fit(text, this.#width));
  }

  note(text: string): void {
    this.#out.write(`${CLEAR_LINE}${text}\n`);
  }

  close(): void {
    this.#out.write(CLEAR_LINE);
  }

  get #width(): number {
    // The last column stays free: some terminals wrap when it is written.
    return (this.#out.columns ?? 80) - 1;
  }

  #draw(text: string): void {
    this.#out.write(`${CLEAR_LINE}${text}`);
  }
}

const BAR_WIDTH = { least: 8, most: 30 };

/**
 * Where training stands, in one line of at most `width` characters: phase, epoch, a bar of the phase, loss, speed, time left.
 * Where there is no room for all, the terms of the loss go first, then the bar shrinks.
 */
export function renderBar(event: StepEvent, width: number): string {
  const { phase, epoch, epochs, step, steps, loss, terms, samplesPerSecond, secondsLeft } = event;
  const before = `${phase} ${epoch + 1}/${epochs} `;
  const speed = `${grouped(samplesPerSecond)} samples/s  ${clock(secondsLeft)} left`;
  const names = Object.entries(terms).map(([name, value]) => `${name} ${short(value)}`);
  const detail = names.length > 1 ? ` (${names.join(", ")})` : "";
  const room = (after: string) => width - before.length - after.length;
  const full = `  loss ${short(loss)}${detail}  ${speed}`;
  const after = room(full) >= BAR_WIDTH.least ? full : `  loss ${short(loss)}  ${speed}`;
  const cells = Math.min(BAR_WIDTH.most, Math.max(BAR_WIDTH.least, room(after)));
  const done = Math.round((cells * (epoch + (step + 1) / steps)) / epochs);
  return fit(`${before}${"█".repeat(done)}${"░".repeat(cells - done)}${after}`, width);
}

function epochFigures({ loss, terms, changed, moved, stop }: EpochEvent): string {
  const names = Object.entries(terms).map(([name, value]) => `${name} ${short(value)}`);
  const detail = names.length > 1 ? ` (${names.join(", ")})` : "";
  const figures = [
    `loss ${short(loss)}${detail}`,
    ...(changed === undefined ? [] : [`${percent(changed)} changed cluster`]),
    ...(Number.isFinite(moved) ? [`mean affinity moved ${percent(moved as number)}`] : []),
    ...(stop === undefined ? [] : [`ends: ${stop}`]),
  ];
  return figures.join("  ");
}

const epochs = ({ epochs }: { readonly epochs: number }) => `${epochs} epoch${epochs === 1 ? "" : "s"}`;

const phaseLine = (event: EpochEvent, seconds: number) =>
  `${event.phase}: ${epochs({ epochs: event.epoch + 1 })}  ${epochFigures(event)}  ${duration(seconds)}`;

function clusteringLine({ eigenvectors, sizes, seconds }: ClusteringEvent): string {
  return `clustering: ${sizesText(sizes)} with ${eigenvectors} eigenvectors  ${duration(seconds)}`;
}

/** How many candidates a line tells. */
const CANDIDATES = 5;

/** "10 clusters, the clearest eigengap after pretraining: 10 0.412, 9 0.201, ...". */
function clustersLine({ clusters, candidates, after, seconds }: ClustersEvent): string {
  const clearest = clearestFirst(candidates).slice(0, CANDIDATES);
  const gaps = clearest.map(({ clusters, gap }) => `${clusters} (${gap.toFixed(3)})`).join(", ");
  return `${clusters} clusters, the clearest eigengap after ${after}; candidates: ${gaps}  ${duration(seconds)}`;
}

/** "10 clusters of 812 to 1,034 samples". */
export function sizesText(sizes: readonly number[]): string {
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const range = least === most ? grouped(least) : `${grouped(least)} to ${grouped(most)}`;
  return `${sizes.length} clusters of ${range} samples`;
}

const finishLine = ({ stage, seconds }: Extract<RunEvent, { readonly type: "finish" }>) =>
  `final clusters: ${stage}  ${duration(seconds)}`;

const warningLine = ({ message }: { readonly message: string }) => `warning: ${message}`;

type ResumedEvent = Extract<RunEvent, { readonly type: "resumed" }>;

function resumedLine({ phase, epoch, engine, device, problem }: ResumedEvent): string {
  const text = `going on from phase ${phase + 1}, epoch ${epoch + 1}, with ${engine} on ${device}`;
  return problem === undefined ? text : `${text}, of the checkpoint before the last: ${problem.replaceAll("\n", " ")}`;
}
