import { InferenceSession } from "onnxruntime-node";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type OutputName, readBundle } from "../../runtime/node.ts";
import { LIMITS } from "../../serve/limits.ts";
import { ServedModel } from "../../serve/workers/served-model.ts";
import { shared } from "../../serve/workers/shared-bundle.ts";
import { toyModel } from "../runtime/toy.ts";

const opened = vi.spyOn(InferenceSession, "create");
const settings = { device: "cpu", strict: true, threads: 1, maxBatch: 64, dtype: "fp32", limits: LIMITS } as const;
let model: ServedModel;
beforeAll(async () => {
  const bundle = await shared(await readBundle(toyModel()));
  model = await ServedModel.open({ model: 1, name: "toy", version: "1", bundle }, settings);
});
afterAll(async () => {
  await model.dispose();
  opened.mockRestore();
});

const job = (names: readonly OutputName[]) => {
  const inputs = [{ name: "images", shape: [1, 2, 2, 1], datatype: "UINT8", data: [0, 255, 0, 0] }];
  const outputs = names.map((name) => ({ name }));
  const body = [new TextEncoder().encode(JSON.stringify({ inputs, outputs }))];
  return { kind: "infer", contentType: "application/json", body } as const;
};

test("no request opens a session, whichever outputs it asks for, alone or with others", async () => {
  const before = opened.mock.calls.length;
  expect(before).toBeGreaterThan(0);
  const names: readonly OutputName[] = ["label", "confidence", "novelty", "probabilities", "embedding", "latent"];
  const sets = Array.from({ length: 2 ** names.length }, (_, set) => names.filter((_, i) => (set >> i) & 1));
  const answers = [];
  for (const set of sets) answers.push(await model.answer([job(set)]));
  answers.push(await model.answer(sets.map(job)));
  expect(opened.mock.calls.length).toBe(before);
  const told = answers.flatMap(({ bytes, replies }) =>
    replies.map(({ from, to }) => JSON.parse(Buffer.from(bytes, from, to - from).toString()).outputs),
  );
  const asked = sets.map((set) => (set.length === 0 ? names : set));
  expect(told.map((outputs) => outputs.map(({ name }: { name: string }) => name))).toEqual([...asked, ...asked]);
  expect(told.at(-1)).toEqual(told[2 ** names.length - 1]);
});
