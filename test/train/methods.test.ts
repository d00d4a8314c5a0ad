import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { methodNamed } from "../../models/index.ts";
import { loadClusterer } from "../../runtime/node.ts";
import { exportRun } from "../../train/export-run.ts";
import { accuracy } from "../../train/metrics.ts";
import { type FinishedRun, resumeRun, startRun } from "../../train/run.ts";
import { tinyImages } from "./tiny.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "subspan-methods-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const { samples, truth } = tinyImages(90);
const data = { name: "tiny", samples, fingerprint: "fedcba9876543210" };

/** Settings with which each method learns the tiny images in seconds. */
const METHODS = {
  udll: {
    clusters: 3,
    layers: [{ kernel: 3, channels: 4 }],
    pretraining: { epochs: 30, batch: 30 },
    fineTuning: { steps: 30, first: 20, every: 5 },
    affinity: { rank: 4, kept: 0.3, power: 4 },
    eigenvectors: 3,
    ridge: 1,
  },
  ebse: {
    clusters: 3,
    latent: 8,
    width: 8,
    energy: { hidden: [16], width: 16 },
    queue: 40,
    augmentation: { rotation: 0, shift: 0, scale: 0, anisotropy: 0, shear: 0, flip: 0, brightness: 0.3, erase: 0 },
    warmup: { epochs: 12, batch: 30 },
    head: { epochs: 60, batch: 30, learningRate: 3e-3 },
    joint: { rounds: 1, epochs: 4, batch: 30 },
    anchors: 30,
    nonzeros: 5,
    eigenvectors: 3,
  },
} as const;

describe.each(Object.entries(METHODS))("%s", (name, settings) => {
  const method = methodNamed(name);
  const options = (folder: string, changes: object = {}) => ({
    folder: join(root, `${name}-${folder}`),
    ...{ method: name, preset: "best" as const, settings, seed: 5, source: "tiny", data },
    ...changes,
  });
  const session = { threads: 1 };
  let run: FinishedRun;
  beforeAll(async () => {
    run = await startRun(options("whole"), { session });
  });

  test("finds the classes of tiny images", () => {
    expect(accuracy(run.labels, truth).accuracy).toBeGreaterThanOrEqual(0.95);
  });

  test("stopped and resumed ends bit-equal", async () => {
    const controller = new AbortController();
    let steps = 0;
    const onEvent = ({ type }: { type: string }) => {
      if (type === "step" && ++steps === 50) controller.abort();
    };
    const stopped = startRun(options("stopped"), { session, signal: controller.signal, onEvent });
    await expect(stopped).rejects.toMatchObject({ code: "INTERRUPTED" });
    const resumed = await resumeRun({ folder: options("stopped").folder, data }, { session });
    expect(Object.keys(resumed.parameters).sort()).toEqual(Object.keys(run.parameters).sort());
    for (const [key, { data: values }] of Object.entries(run.parameters)) {
      expect(Buffer.compare(Buffer.from(values.buffer), Buffer.from(resumed.parameters[key]!.data.buffer)), key).toBe(
        0,
      );
    }
    expect(resumed.labels).toEqual(run.labels);
  });

  test("exports a graph and parts whose composition it is, with coefficients where asked", async () => {
    const config = method.schema.parse({ ...settings }) as object;
    const { parameters, structure, labels, metrics } = run;
    const { path } = await exportRun({
      ...{ method, config, samples, parameters, structure, labels },
      run: {
        name,
        seed: 5,
        data: { name: "tiny", fingerprint: data.fingerprint, samples: 90 },
        metrics,
        preset: "best",
      },
      out: join(root, `${name}-bundle`),
      parts: true,
      withCoefficients: true,
      precision: ["fp32"],
      created: "2026-01-02T03:04:05Z",
    });
    const clusterer = await loadClusterer(path, { device: "cpu" });
    const { label } = await clusterer.assign(samples);
    await clusterer.dispose();
    expect(Array.from(label)).toEqual(Array.from(labels));

    const open = (part: string) => ort.InferenceSession.create(join(path, `${part}.onnx`), { logSeverityLevel: 3 });
    const some = new ort.Tensor("uint8", samples.data.slice(0, 7 * 64), [7, 8, 8, 1]);
    const whole = await (await open("model")).run({ images: some });
    const { latent } = await (await open("encoder")).run({ images: some });
    const { coefficients } = await (await open("head")).run({ latent: latent! });
    const assigned = await (await open("assign")).run({ latent: latent!, coefficients: coefficients! });
    expect(Array.from(coefficients!.data as Float32Array)).toEqual(
      Array.from(whole.coefficients!.data as Float32Array),
    );
    expect(coefficients!.dims[0]).toBe(7);
    for (const output of ["label", "confidence", "novelty", "probabilities", "embedding"]) {
      const [part, all] = [assigned[output]!.data, whole[output]!.data].map((values) =>
        Array.from(values as never, Number),
      );
      part!.forEach((value, i) => {
        expect(Math.abs(value - (all![i] as number)), output).toBeLessThanOrEqual(1e-4);
      });
    }
  });
});

test("udll refuses more samples than it keeps pairs of, and points to ebse", async () => {
  const settings = { ...METHODS.udll, most: 50 };
  const run = startRun({
    ...{ folder: join(root, "many"), method: "udll", preset: "best", settings, seed: 1, source: "tiny", data },
  });
  await expect(run).rejects.toMatchObject({ code: "OUT_OF_RANGE", message: expect.stringMatching(/at most 50.*ebse/) });
});
