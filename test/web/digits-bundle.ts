import { join } from "node:path";
import sharp from "sharp";
import { dscdan, type Method } from "../../models/index.ts";
import type { Samples } from "../../runtime/samples.ts";
import { AUGMENTATIONS, type Dataset, loadSource, subset } from "../../train/data/index.ts";
import { exportRun } from "../../train/export-run.ts";
import { finishTraining } from "../../train/finish.ts";
import { Trainer } from "../../train/trainer.ts";

/** The digits of the small bundle: few, and unlike each other. */
const CLASSES = [0, 1, 4];

/** A bundle trained in seconds, with variants, and which of its clusters most of each class is in. */
export interface DigitsBundle {
  readonly path: string;
  readonly clusterOf: ReadonlyMap<number, number>;
}

/** Trains on 240 real digits of three classes and exports a bundle. */
export async function trainDigits(folder: string): Promise<DigitsBundle> {
  const { samples, labels: truth } = of(await loadSource("digits:train"), 240);
  const method = dscdan as unknown as Method;
  const config = dscdan.schema.parse({
    ...{ clusters: CLASSES.length, latent: 8, width: 8, neighbours: 8, eigenvectors: CLASSES.length },
    pretraining: { epochs: 8, batch: 40 },
    joint: { rounds: 0 },
  }) as object;
  const common = { method, config, samples, augmentation: AUGMENTATIONS.digits, seed: 1 };
  const { parameters } = await new Trainer(common).train();
  const { structure, labels, metrics } = await finishTraining({ ...common, parameters });
  const path = join(folder, "tiny-digits");
  await exportRun({
    ...{ method, config, samples, parameters, structure, labels, out: path, parts: false, withCoefficients: false },
    precision: ["fp32", "fp16", "int8"],
    run: {
      name: "tiny-digits",
      seed: 1,
      data: { name: "digits", fingerprint: "0123456789abcdef", samples: 240 },
      metrics,
      preset: "quick",
    },
    created: "2026-01-02T03:04:05Z",
  });
  const most = (digit: number) => {
    const votes = new Float64Array(CLASSES.length);
    for (const [i, label] of labels.entries()) if (truth![i] === digit) votes[label] = votes[label]! + 1;
    return votes.indexOf(Math.max(...votes));
  };
  return { path, clusterOf: new Map(CLASSES.map((digit) => [digit, most(digit)])) };
}

/** An image file in memory, as Playwright gives it to a page. */
export interface ImageFile {
  readonly name: string;
  readonly mimeType: string;
  readonly buffer: Buffer;
}

let unseen: Promise<Dataset> | undefined;

/** Digits nobody trained on, as PNG files; more files than digits show some again. */
export async function digitFiles(count: number): Promise<ImageFile[]> {
  unseen ??= loadSource("digits:unseen");
  const { samples } = of(await unseen, 250);
  const [n, height, width] = (samples as Extract<Samples, { kind: "images" }>).shape;
  const size = height * width;
  const pngs = Array.from({ length: Math.min(n, count) }, (_, i) =>
    sharp(samples.data.subarray(i * size, (i + 1) * size) as Uint8Array, { raw: { width, height, channels: 1 } })
      .png({ compressionLevel: 1 })
      .toBuffer(),
  );
  const buffers = await Promise.all(pngs);
  return Array.from({ length: count }, (_, i) => {
    const name = `digit-${String(i).padStart(4, "0")}.png`;
    return { name, mimeType: "image/png", buffer: buffers[i % buffers.length] as Buffer };
  });
}

/** The first `count` digits of the classes. */
function of(dataset: Dataset, count: number): Dataset {
  const own = Array.from(dataset.labels as Int32Array).flatMap((label, i) => (CLASSES.includes(label) ? [i] : []));
  return subset(dataset, Int32Array.from(own.slice(0, count)));
}
