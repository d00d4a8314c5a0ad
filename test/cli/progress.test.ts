import { describe, expect, test } from "vitest";
import { createReporter, renderBar } from "../../cli/progress.ts";
import type { RunEvent } from "../../train/index.ts";
import { collector } from "./tiny-cli.ts";

const step = {
  type: "step",
  phase: "pretraining",
  epoch: 2,
  epochs: 12,
  step: 9,
  steps: 35,
  loss: 4.30612,
  terms: { global: 4.2001, prior: 0.10602 },
  learningRate: 1e-3,
  samplesPerSecond: 1234.5,
  secondsLeft: 75.2,
} as const;

describe("the bar", () => {
  test("shows phase, epoch, terms, speed and time left", () => {
    expect(renderBar(step, 110)).toBe(
      "pretraining 3/12 █████░░░░░░░░░░░░░░░░░░░░░░  loss 4.306 (global 4.2, prior 0.106)  1,235 samples/s  1:15 left",
    );
  });

  test("leaves out the terms first, then shrinks, then is cut", () => {
    expect(renderBar(step, 80)).toBe(
      "pretraining 3/12 ████░░░░░░░░░░░░░░░░░░░  loss 4.306  1,235 samples/s  1:15 left",
    );
    expect(renderBar(step, 64)).toBe("pretraining 3/12 ██░░░░░░  loss 4.306  1,235 samples/s  1:15 le…");
  });

  test.each([20, 40, 60, 79, 100, 200])("is never wider than %d columns", (width) => {
    expect(renderBar(step, width).length).toBeLessThanOrEqual(width);
  });

  test("is full at the end of a phase", () => {
    expect(renderBar({ ...step, epoch: 11, step: 34 }, 100)).not.toContain("░");
  });

  test("does not name the only term twice", () => {
    expect(renderBar({ ...step, terms: { global: 4.3 } }, 100)).not.toContain("global");
  });
});

const EVENTS: RunEvent[] = [
  { type: "resumed", phase: 0, epoch: 1, step: 0, engine: "onnx", device: "cpu" },
  { type: "phase", phase: "joint 1", index: 1, phases: 3, epochs: 2 },
  { type: "clustering", eigenvectors: 12, sizes: [900, 1100], seconds: 2.04 },
  step,
  {
    type: "epoch",
    phase: "joint 1",
    epoch: 0,
    epochs: 2,
    loss: 0.5,
    terms: { assignment: 0.5 },
    seconds: 4,
    changed: 0.01,
  },
  { type: "epoch", phase: "joint 1", epoch: 1, epochs: 2, loss: 0.4, terms: { assignment: 0.4 }, seconds: 60 },
  { type: "saved", phase: 2, epoch: 0, step: 0 },
  { type: "finishing" },
  { type: "finish", stage: "encode", seconds: 1 },
  { type: "warning", message: "1 of 2 clusters hold no sample" },
];

describe("progress", () => {
  test("is plain lines without a terminal: phases, epochs, clusterings", () => {
    const io = collector();
    const reporter = createReporter(io, false);
    for (const event of EVENTS) reporter.event(event);
    reporter.close();
    expect(io.text).toEqual({
      out: "",
      err: `going on from phase 1, epoch 2, with onnx on cpu
joint 1: 2 epochs (phase 2 of 3)
clustering: 2 clusters of 900 to 1,100 samples with 12 eigenvectors  2.0 s
joint 1 1/2  loss 0.5  1.0 % changed cluster  4.0 s
joint 1 2/2  loss 0.4  1:00
final clusters: encode  1.0 s
warning: 1 of 2 clusters hold no sample
`,
    });
  });

  test("is events on stdout, and nothing else, as JSON", () => {
    const io = collector();
    const reporter = createReporter(io, true);
    for (const event of EVENTS) reporter.event(event);
    reporter.doing("anything");
    reporter.note("anything");
    reporter.close();
    expect(io.text.err).toBe("");
    expect(
      io.text.out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual(EVENTS);
  });

  test("on a terminal is one line drawn over, at most ten times a second, and a line a phase", () => {
    const io = collector({ columns: 81 });
    let time = 0;
    const reporter = createReporter(io, false, () => time);
    reporter.event(EVENTS[1] as RunEvent);
    for (let i = 0; i < 100; i++, time += 10) reporter.event({ ...step, step: i % 35 });
    for (const event of EVENTS.slice(4, 6)) reporter.event(event);
    reporter.close();
    const lines = io.text.err.split("\r\u001b[K");
    expect(lines.filter((line) => line.startsWith("pretraining"))).toHaveLength(10);
    expect(lines.filter((line) => line.endsWith("\n"))).toEqual(["joint 1: 2 epochs  loss 0.4  1:04\n"]);
    expect(lines.at(-1)).toBe("");
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
  });
});
