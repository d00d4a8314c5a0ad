import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ABLATIONS } from "../../bench/accuracy/ablations.ts";
import { falls, LEAST_SPREAD, replaced } from "../../bench/accuracy/check.ts";
import { report } from "../../bench/accuracy/report.ts";
import { appendRow, newest, type Row, readRows, rowOf, spread } from "../../bench/accuracy/rows.ts";
import { seedsOf } from "../../bench/accuracy/seeds.ts";
import { settingsOf } from "../../cli/options.ts";
import { methodNamed } from "../../models/index.ts";
import { resolveConfig } from "../../train/hyperparameters.ts";

const row = (seed: number, measured: Record<string, number>, words: Record<string, string> = {}): Row =>
  rowOf({ method: "ebse", data: "mnist-test.npz", preset: "best", ...words, seed: String(seed) }, measured);

test("a number of seeds counts from 0, a list is a list, even of one", () => {
  expect(seedsOf("5")).toEqual([0, 1, 2, 3, 4]);
  expect(seedsOf("0,1,7")).toEqual([0, 1, 7]);
  expect(seedsOf("2,")).toEqual([2]);
  for (const wrong of ["", "0", "a", "1.5", "-1", ","])
    expect(() => seedsOf(wrong), wrong).toThrow(expect.objectContaining({ code: "USAGE" }));
});

test("rows are read as they were added; a cell that would break its line is refused", async () => {
  const folder = await mkdtemp(join(tmpdir(), "subspan-rows-"));
  try {
    const csv = join(folder, "accuracy.csv");
    const rows = [row(0, { seen_acc: 0.5, train_seconds: 12.34 }), row(1, { seen_acc: 0.25 }, { note: "a, b" })];
    for (const one of rows) await appendRow(csv, one);
    expect(await readRows(csv)).toEqual(rows);
    expect((await readFile(csv, "utf8")).split("\n")[1]).toContain(";0;12.3;;0.5000;");
    expect(await readRows(join(folder, "none.csv"))).toEqual([]);
  } finally {
    await rm(folder, { recursive: true });
  }
  expect(() => row(0, {}, { note: "a;b" })).toThrow(expect.objectContaining({ code: "USAGE" }));
});

test("the newest row of a seed counts; mean and deviation are over those that have the figure", () => {
  const rows = [row(0, { seen_acc: 0.1 }), row(1, { seen_acc: 0.4 }), row(0, { seen_acc: 0.2 }), row(2, {})];
  const [group] = newest(rows);
  expect(group?.map(({ seen_acc }) => seen_acc)).toEqual(["0.2000", "0.4000", ""]);
  expect(spread(group as Row[], "seen_acc")).toMatchObject({ mean: expect.closeTo(0.3), count: 2 });
  expect(spread(group as Row[], "seen_acc")?.deviation).toBeCloseTo(Math.SQRT2 / 10, 12);
  expect(spread(group as Row[], "unseen_acc")).toBeUndefined();
});

test("a mean that falls by more than its spread is named; one within it, or better, is not", () => {
  const stored = [0.9, 0.92, 0.94].map((acc, seed) => row(seed, { seen_acc: acc, calibration_error: 0.05 }));
  const made = (acc: number, error = 0.05) => [row(0, { seen_acc: acc, calibration_error: error })];
  expect(falls(stored, made(0.901))).toEqual([]);
  expect(falls(stored, made(0.99))).toEqual([]);
  expect(falls(stored, made(0.89))).toEqual([
    "ebse, mnist-test.npz, best: seen acc is worse by 0.0300 (0.9200 ± 0.0200 before, 0.8900 now)",
  ]);
  expect(falls(stored, made(0.92, 0.05 + 2 * LEAST_SPREAD))).toEqual([expect.stringContaining("calibration error")]);
  expect(falls(stored, made(0.92, 0.05 - 2 * LEAST_SPREAD))).toEqual([]);
});

test("what is compared of stored rows are seeds that ran twice, with what they replaced", () => {
  const rows = [row(0, { seen_acc: 0.9 }), row(1, { seen_acc: 0.5 }), row(0, { seen_acc: 0.8 })];
  const [pair, ...more] = replaced(rows);
  expect(more).toEqual([]);
  expect([pair?.stored, pair?.fresh]).toEqual([[rows[0]], [rows[2]]]);
  expect(falls(pair?.stored ?? [], pair?.fresh ?? [])).toHaveLength(1);
});

test("the report sets the preset of ebse that took as long against SENet in points, and published figures beside their method", () => {
  const scores = (acc: number) => ({
    seen_acc: acc,
    seen_nmi: acc,
    seen_ari: acc,
    train_seconds: 1,
    finish_seconds: 1,
  });
  const fashion = { data: "fashion-mnist-test.npz" };
  const text = report([
    row(0, scores(0.9)),
    row(0, { ...scores(0.1), train_seconds: 9 }, { preset: "quick" }),
    row(0, scores(0.7), { method: "senet", preset: "" }),
    row(0, scores(0.6), fashion),
    row(0, scores(0.5), { ...fashion, method: "senet", preset: "" }),
    row(0, scores(0.4), { method: "kmeans", preset: "" }),
  ]);
  expect(text).toContain("| method | mnist-test.npz | fashion-mnist-test.npz |");
  expect(text).toContain("| ebse best | 0.900 | 0.600 |");
  expect(text).toContain("| kmeans | 0.400 |  |");
  expect(text).toContain("| mean of 2 |  |  | +15.0 | +15.0 | +15.0 |");
  expect(text).toMatch(/\| kmeans \|.*\| 0\.546 \/ 0\.501 \/ - \(Guo et al\./);
});

test("the report says what training is worth over closed-form ridge, and when it is nothing", () => {
  const on = (method: string, acc: number) =>
    row(0, { seen_acc: acc }, { method, data: "coil20.npz", preset: method === "udll" ? "best" : "" });
  const text = report([on("udll", 0.97), on("ridge", 0.88), on("autoencoder-ridge", 0.975)]);
  expect(text).toContain("+9.0 points of ACC over closed-form ridge on pixels;");
  expect(text).toContain("-0.5 points of ACC over closed-form ridge on its pretrained latents, within the spread");
});

test("ablations are in a table of their own, as changes of what is unchanged", () => {
  const ablation = (name: string, acc: number) => row(0, { seen_acc: acc }, { note: `ablation: ${name}` });
  const text = report([ablation("no change", 0.9), ablation("without the queue", 0.85)]);
  expect(text).toMatch(/\| without the queue \|.*\| -5\.0 \|/);
  expect(text.match(/without the queue/g)).toHaveLength(1);
});

test.each(Object.entries(ABLATIONS))("every ablation of %s is settings that it has", (name, changes) => {
  const method = methodNamed(name);
  const configs = changes.map(({ set }) => resolveConfig(method, "quick", { clusters: 10, ...settingsOf(set) }));
  expect(new Set(configs.map((config) => JSON.stringify(config))).size).toBe(changes.length);
});
