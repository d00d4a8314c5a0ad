import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeNpz } from "../../train/data/index.ts";
import { Random } from "../../train/random.ts";
import { subspan, temporaryFolder } from "../cli/tiny-cli.ts";
import { tinyImages } from "./tiny.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const at = (name: string) => folder.path(name);

beforeAll(async () => {
  folder = await temporaryFolder();
  const { samples, truth } = tinyImages(60);
  const shuffled = new Random(1, "labels").permutation(60).map((i) => truth[i] as number);
  const x = { data: samples.data as Uint8Array<ArrayBuffer>, shape: samples.shape };
  for (const [name, labels] of Object.entries({ true: truth, shuffled }))
    await writeNpz(at(`${name}.npz`), { x, y: { data: labels as Int32Array<ArrayBuffer>, shape: [60] } });
});
afterAll(() => folder.remove());

/** Settings with which each method trains in a second or two, all its phases included. */
const METHODS = {
  dscdan:
    "latent=6 neighbours=8 pretraining.epochs=2 pretraining.batch=30 joint.rounds=1 joint.epochs=2 joint.batch=30",
  udll:
    'layers=[{"kernel":3,"channels":4}] pretraining.epochs=3 pretraining.batch=30 fineTuning.steps=6 fineTuning.first=4 ' +
    "fineTuning.every=2 affinity.rank=4 affinity.kept=0.3",
  ebse:
    "latent=8 width=8 energy.hidden=[16] energy.width=16 queue=20 warmup.epochs=6 warmup.batch=30 head.epochs=4 head.batch=30 " +
    "joint.rounds=1 joint.epochs=2 joint.batch=30 anchors=20 nonzeros=5 neighbours=8",
};

test.each(Object.entries(METHODS))("labels change no bit of what %s learns", async (method, settings) => {
  const set = settings.split(" ").flatMap((setting) => ["--set", setting]);
  const trained = async (labels: string) => {
    const out = at(`${method}-${labels}`);
    const data = ["--data", at(`${labels}.npz`), "--clusters", "3"];
    const { code, stderr, stdout } = await subspan(
      "train",
      "--method",
      method,
      ...data,
      "--seed",
      "1",
      "--out",
      out,
      ...set,
    );
    expect(code, stderr).toBe(0);
    return {
      weights: await readFile(`${out}/checkpoints/last.safetensors`),
      scores: stdout.match(/ACC[\s\S]*?%/)?.[0],
    };
  };
  const [own, shuffled] = [await trained("true"), await trained("shuffled")];
  expect(own.weights.equals(shuffled.weights)).toBe(true);
  expect(own.weights.length).toBeGreaterThan(1000);
  expect(own.scores, "other labels, other scores").not.toBe(shuffled.scores);
});
