import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { VariantParity } from "../../export/index.ts";
import { loadClusterer, readBundle } from "../../runtime/node.ts";
import { type ExportOptions, exportRun } from "../../train/export-run.ts";
import { tinyImages, tinyRun } from "./tiny.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "subspan-export-"));
});
afterEach(() => {
  delete process.env.SOURCE_DATE_EPOCH;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("an exported run", async () => {
  const run = await tinyRun();
  const { method, config, samples, parameters, structure, labels, metrics, seed } = run;
  const data = { name: "tiny", fingerprint: "0123456789abcdef", samples: 120 };
  const options = (name: string, changes: Partial<ExportOptions> = {}): ExportOptions => ({
    ...{ method, config, samples, parameters, structure, labels },
    run: { name, seed, data, metrics, preset: "quick" },
    out: join(folder, name),
    parts: false,
    withCoefficients: false,
    precision: ["fp32"],
    created: "2026-01-02T03:04:05Z",
    ...changes,
  });

  test.each(["folder", "archive.subspan"])("loads and gives the labels of training: %s", async (name) => {
    const { path, bytes, parity } = await exportRun(options(name));
    expect(bytes).toBeGreaterThan(10_000);
    for (const comparison of parity.comparisons) expect(comparison.labelAgreementOutsideTies).toBe(1);
    const clusterer = await loadClusterer(path, { device: "cpu" });
    const { label, confidence, novelty } = await clusterer.assign(samples);
    await clusterer.dispose();
    expect(Array.from(label)).toEqual(Array.from(labels));
    for (const value of [...confidence, ...novelty]) expect(value >= 0 && value <= 1).toBe(true);
  });

  test("says what it is", async () => {
    const { path } = await exportRun(options("said", { parts: true }));
    const { manifest, files } = await readBundle(path);
    expect(manifest).toMatchObject({
      name: "said",
      method: "dscdan",
      readout: "nystrom",
      clusters: 3,
      clusterSizes: run.sizes,
      metrics,
      seed,
      data,
      licence: "not stated",
      created: "2026-01-02T03:04:05Z",
    });
    expect(files.map((file) => file.path)).toEqual([
      "model.onnx",
      "encoder.onnx",
      "head.onnx",
      "assign.onnx",
      "parity.json",
      "card.md",
      "preview.json",
    ]);
    const parity = JSON.parse(await readFile(join(path, "parity.json"), "utf8"));
    expect(parity.comparisons.map(({ samples }: { samples: number }) => samples)).toEqual([64, 120]);
    const { points, thumbnails } = JSON.parse(await readFile(join(path, "preview.json"), "utf8"));
    expect([points.x.length, points.label.length, thumbnails.length]).toEqual([120, 120, 3]);
    const card = await readFile(join(path, "card.md"), "utf8");
    for (const name of Object.keys(metrics)) expect(card).toMatch(new RegExp(`\\| ${name} \\| [-0-9.e]+ \\| .+ \\|`));
  });

  test("has the same bytes twice; SOURCE_DATE_EPOCH is its time", async () => {
    process.env.SOURCE_DATE_EPOCH = "1700000000";
    const { created: _, ...undated } = options("same");
    const first = await exportRun(undated);
    const second = await exportRun({ ...undated, out: join(folder, "again") });
    expect((await readBundle(first.path)).manifest.created).toBe("2023-11-14T22:13:20.000Z");
    for (const file of await readdir(first.path)) {
      const [a, b] = await Promise.all([first, second].map(({ path }) => readFile(join(path, file))));
      expect(a?.equals(b as Buffer), file).toBe(true);
    }
    process.env.SOURCE_DATE_EPOCH = "yesterday";
    await expect(exportRun({ ...undated, overwrite: true })).rejects.toMatchObject({ code: "USAGE" });
  });

  test("is not written when it is not what was trained", async () => {
    const wrong = exportRun(options("wrong", { labels: labels.map((label) => (label + 1) % 3) }));
    await expect(wrong).rejects.toMatchObject({
      code: "PARITY_FAILED",
      message: expect.stringMatching(/labels differ/),
    });
    expect((await readdir(folder)).filter((name) => name.includes("wrong"))).toEqual([]);
  });

  test("is refused early where it cannot be written", async () => {
    const none = (changes: Partial<ExportOptions>) => expect(exportRun(options("never", changes))).rejects;
    const wider = { ...samples, shape: [samples.shape[0] / 2, 8, 16, 1] } as typeof samples;
    await none({ unseen: wider }).toMatchObject({
      code: "SHAPE_MISMATCH",
      message: expect.stringMatching(/\[n, 8, 16, 1\]/),
    });
    await none({ withCoefficients: true }).toMatchObject({ code: "USAGE" });
    await none({ out: folder }).toMatchObject({ code: "USAGE", message: expect.stringMatching(/is not a bundle/) });
    expect((await readdir(folder)).filter((name) => name.includes("never"))).toEqual([]);
  });

  test("lies beside its variants, which say how they compare", async () => {
    const { samples: unseen } = tinyImages(90, 2);
    const { path, parity } = await exportRun(options("variants", { precision: ["fp32", "fp16", "int8"], unseen }));
    const card = await readFile(join(path, "card.md"), "utf8");
    for (const [precision, least] of [
      ["fp16", 0.999],
      ["int8", 0.99],
    ] as const) {
      const { variants = {} } = parity;
      const { bytes, size, leastAgreement, agrees, comparisons } = variants[precision] as VariantParity;
      const bundle = await readBundle(path, { dtype: precision });
      expect({ bytes, leastAgreement, agrees }).toEqual({
        bytes: bundle.model.length,
        leastAgreement: least,
        agrees: true,
      });
      expect(size).toBeLessThan(1);
      expect(comparisons.map(({ reference, samples }) => [reference, samples])).toEqual([
        ["model.onnx, on training samples", 120],
        ["model.onnx, on unseen samples", 90],
      ]);
      expect(card).toContain(`model.${precision}.onnx against model.onnx, on unseen samples | 90 |`);
      const clusterer = await loadClusterer(path, { device: "cpu", dtype: precision });
      const { label } = await clusterer.assign(samples);
      await clusterer.dispose();
      expect(Array.from(label)).toEqual(Array.from(labels));
    }
    const seen = await exportRun(options("views", { precision: ["fp16"] }));
    expect(seen.parity.variants?.fp16?.comparisons[1]?.reference).toBe("model.onnx, on views of training samples");
  });

  test("takes a name that no manifest would", async () => {
    const { path } = await exportRun(
      options("odd", { run: { name: "été 2/x.subspan", seed, data, metrics, preset: "best" } }),
    );
    expect((await readBundle(path)).manifest.name).toBe("clusterer-t-2-x");
  });
});
