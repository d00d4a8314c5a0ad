import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { methodNamed } from "../../models/index.ts";
import { exportRun } from "../../train/export-run.ts";
import { writeReport } from "../../train/report.ts";
import { barChart, lineChart } from "../../train/report-charts.ts";
import { type FinishedRun, startRun } from "../../train/run.ts";
import { tinyImages } from "./tiny.ts";
import { TINY_METHODS } from "./tiny-methods.ts";

const { samples } = tinyImages(60);
const data = { name: "tiny <b>", samples, fingerprint: "fedcba9876543210" };
const settings = TINY_METHODS.dscdan;
let root: string;
let run: FinishedRun;
let page: string;

function start(folder: string, seed: number, hooks: object = {}) {
  const options = { folder: join(root, folder), method: "dscdan", preset: "quick", seed, source: "tiny" } as const;
  return startRun(
    { ...options, settings: { ...settings, clusters: "auto" }, data },
    { session: { threads: 1 }, ...hooks },
  );
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "subspan-report-"));
  run = await start("run", 1);
  page = await readFile(await writeReport(run.folder), "utf8");
}, 60_000);
afterAll(() => rm(root, { recursive: true, force: true }));

async function bundle(): Promise<string> {
  const method = methodNamed("dscdan");
  const { parameters, structure, labels, metrics, sizes } = run;
  const config = method.schema.parse({ ...settings, clusters: sizes.length }) as object;
  const about = { name: "tiny", seed: 1, data: { name: "tiny", fingerprint: data.fingerprint, samples: 60 }, metrics };
  const { path } = await exportRun({
    ...{ method, config, samples, parameters, structure, labels, run: { ...about, preset: "quick" } },
    ...{ out: join(root, "bundle"), parts: false, withCoefficients: false, precision: ["fp32"] },
  });
  return path;
}

describe("the report of a run", () => {
  test("needs no script and nothing from elsewhere", () => {
    expect(page).not.toMatch(/<script|<link|https?:|url\(|@import/);
    expect(page).toMatch(/^<!doctype html>/);
  });

  test("shows its phases, clusters, eigengaps, the choice of K, settings and environment", () => {
    for (const heading of [
      "Outcome",
      "Clusters",
      "Choosing K",
      "Loss",
      "Eigengaps",
      "Settings",
      "Data and environment",
    ])
      expect(page).toContain(`<h2>${heading}</h2>`);
    for (const phase of ["pretraining", "joint 1"]) expect(page).toContain(`<h3>${phase}</h3>`);
    for (const [cluster, size] of run.sizes.entries()) expect(page).toContain(`<title>${cluster}: ${size}</title>`);
    expect(page).toContain('<th>pretraining.epochs</th><td>2</td><td class="note">the preset has 10</td>');
    expect(page).toContain("<th>onnxruntime</th>");
  });

  test("shows a name as it is", () => {
    expect(page).toContain("tiny &lt;b&gt;");
    expect(page).not.toContain("tiny <b>");
  });

  test("is the same again, and ends with what a log was cut off in", async () => {
    expect(await readFile(await writeReport(run.folder), "utf8")).toBe(page);
    await appendFile(join(run.folder, "events.jsonl"), '{"type":"epo');
    expect(await readFile(await writeReport(run.folder), "utf8")).toBe(page);
  });

  test("says on what else a run went on", async () => {
    await start("moved", 3);
    const log = join(root, "moved/events.jsonl");
    const { environment } = JSON.parse(
      await readFile(join(root, "moved/env.json"), "utf8").then((env) => `{"environment":${env}}`),
    );
    const resumed = { type: "resumed", phase: 1, epoch: 0, step: 0, engine: "tfjs-node", device: "cpu" };
    await appendFile(log, `${JSON.stringify({ ...resumed, environment })}\n`);
    await appendFile(
      log,
      `${JSON.stringify({ ...resumed, environment: { ...environment, libtensorflow: "2.9.1" } })}\n`,
    );
    const moved = await readFile(await writeReport(join(root, "moved")), "utf8");
    expect(moved.match(/from epoch/g)).toHaveLength(1);
    expect(moved).toContain("<th>from epoch 1 of phase 2</th><td>libtensorflow 2.9.1</td>");
  });

  test("has pictures of a bundle that was exported from it, of no other", async () => {
    const path = await bundle();
    const pictured = await readFile(await writeReport(run.folder, { bundle: path }), "utf8");
    expect(pictured.match(/<img alt="typical sample/g)).toHaveLength(run.sizes.filter((size) => size > 0).length);
    expect(pictured).toContain('aria-label="Samples in the embedding"');
    await start("other", 2);
    const other = writeReport(join(root, "other"), { bundle: path });
    await expect(other).rejects.toMatchObject({
      code: "RUN_INVALID",
      message: expect.stringContaining("not exported from"),
    });
  });

  test("says of a run that was stopped that it is not finished", async () => {
    const controller = new AbortController();
    const onEvent = ({ type, phase }: { type: string; phase?: string }) => {
      if (type === "epoch" && phase === "pretraining") controller.abort();
    };
    await expect(start("stopped", 1, { signal: controller.signal, onEvent })).rejects.toMatchObject({
      code: "INTERRUPTED",
    });
    const stopped = await readFile(await writeReport(join(root, "stopped")), "utf8");
    expect(stopped).toContain("It is not finished");
    expect(stopped).not.toContain("<h2>Clusters</h2>");
  });

  test("cannot be written where there is no run", async () => {
    await expect(writeReport(join(root, "nothing"))).rejects.toMatchObject({ code: "RUN_INVALID" });
  });
});

describe("a chart", () => {
  const line = (ys: number[]) => lineChart("Loss", "epoch", [{ name: "loss", points: ys.map((y, i) => [i + 1, y]) }]);
  const heights = (chart: string) =>
    (/points="([^"]+)"/.exec(chart)?.[1] ?? "").split(" ").map((point) => Number(point.split(",")[1]));

  test("is linear from 0 where values are alike, logarithmic where they differ twentyfold", () => {
    const [a, b, c] = heights(line([3, 2, 1])) as [number, number, number];
    expect(b - a).toBeCloseTo(c - b, 1);
    const [p, q, r] = heights(line([100, 10, 1])) as [number, number, number];
    expect(q - p).toBeCloseTo(r - q, 1);
  });

  test.each([[[5]], [[2, 2, 2]], [[0, 0]], [[-1, 1]], [[1e-9, 1e9]]])("of %j has finite places", (ys) => {
    expect(line(ys)).not.toMatch(/NaN|Infinity/);
    expect(
      barChart(
        "Sizes",
        ys.map((value, i) => ({ name: String(i), value })),
      ),
    ).not.toMatch(/NaN|Infinity|height="-/);
  });

  test("of nothing is nothing", () => {
    expect(line([])).toBe("");
    expect(barChart("Sizes", [])).toBe("");
  });
});
