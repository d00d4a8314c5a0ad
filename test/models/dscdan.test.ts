import { describe, expect, test } from "vitest";
import { dscdan, type Phase, type SampleType } from "../../models/index.ts";
import type { Samples } from "../../runtime/samples.ts";
import { batchPorts } from "../../train/batches.ts";
import { compileStep } from "../../train/step.ts";
import "../../models/gradients.ts";

const IMAGE: SampleType = { kind: "images", shape: [8, 8, 1] };
const SAMPLES: Samples = { kind: "images", shape: [0, 8, 8, 1], data: new Uint8Array() };

interface Settings {
  readonly [name: string]: unknown;
}

/** The terms of each phase's loss, read from the traced step, and the names of its parameters. */
function termsOf(settings: Settings) {
  const config = dscdan.schema.parse({ clusters: 3, latent: 4, width: 2, discriminator: 4, head: [6], ...settings });
  const specs = dscdan.parameters(config, IMAGE);
  const shapes = (keep: (name: string) => boolean) =>
    Object.fromEntries(Object.entries(specs).flatMap(([name, { shape }]) => (keep(name) ? [[name, shape]] : [])));
  const step = (phase: Phase) => {
    const isTrained = (name: string) => phase.trainable.some((prefix) => name.startsWith(prefix));
    const model = compileStep({
      trainable: shapes(isTrained),
      frozen: shapes((name) => !isTrained(name)),
      batch: batchPorts({ ...phase, batch: 16 }, SAMPLES, 3),
      loss: phase.loss,
    });
    return model.outputs.flatMap(({ name }) => (name.startsWith("term/") ? [name.slice(5)] : [])).sort();
  };
  const phases = dscdan.phases(config, IMAGE);
  return { phases: phases.map((phase) => [phase.name, step(phase)]), parameters: Object.keys(specs) };
}

const WEIGHTS = { reconstruction: 1, globalInformation: 1, localInformation: 1 };
const PUBLISHED = {
  estimator: "jensen-shannon",
  pretraining: { epochs: 1, ...WEIGHTS, prior: 1 },
  spectral: { epochs: 1 },
  joint: { rounds: 1, epochs: 1, ...WEIGHTS, clusterPrior: 1, spectral: 1, assignment: 0 },
};

test("the published method has its five terms", () => {
  expect(termsOf(PUBLISHED).phases).toEqual([
    ["pretraining", ["global", "local", "prior", "reconstruction"]],
    ["spectral net", ["spectral"]],
    ["joint 1", ["global", "local", "prior", "reconstruction", "spectral"]],
  ]);
});

describe("a weight of 0 takes out one term of both phases", () => {
  const cases = [
    ["reconstruction", { reconstruction: 0 }, { reconstruction: 0 }, "decoder."],
    ["global", { globalInformation: 0 }, { globalInformation: 0 }, "global."],
    ["local", { localInformation: 0 }, { localInformation: 0 }, "local."],
    ["prior", { prior: 0 }, { clusterPrior: 0 }, "clusters."],
    ["spectral", {}, { spectral: 0 }, undefined],
  ] as const;
  test.each(cases)("%s, and the networks it alone needs", (term, pretraining, joint, prefix) => {
    const found = termsOf({
      ...PUBLISHED,
      pretraining: { ...PUBLISHED.pretraining, ...pretraining },
      joint: { ...PUBLISHED.joint, ...joint },
    });
    const all = termsOf(PUBLISHED);
    const without = (terms: unknown) => (terms as string[]).filter((name) => name !== term);
    expect(found.phases[0]?.[1]).toEqual(without(all.phases[0]?.[1]));
    expect(found.phases[2]?.[1]).toEqual(without(all.phases[2]?.[1]));
    if (prefix !== undefined) {
      expect(all.parameters.some((name) => name.startsWith(prefix))).toBe(true);
      expect(found.parameters.some((name) => name.startsWith(prefix))).toBe(false);
    }
  });
});

test("the presets are valid and every hyperparameter of theirs exists", () => {
  for (const preset of Object.values(dscdan.presets))
    expect(() => dscdan.schema.parse({ clusters: 10, ...preset })).not.toThrow();
  expect(() => dscdan.schema.parse({ clusters: 10, epochs: 3 })).toThrow(/epochs/);
});
