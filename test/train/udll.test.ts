import { describe, expect, test } from "vitest";
import { methodNamed } from "../../models/index.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { AUGMENTATIONS } from "../../train/data/index.ts";
import { finishTraining } from "../../train/finish.ts";
import { merge, type Settings } from "../../train/hyperparameters.ts";
import { accuracy } from "../../train/metrics.ts";
import { Random } from "../../train/random.ts";
import { Trainer } from "../../train/trainer.ts";
import { CLUSTERS, type Images, SIDE, tinyImages } from "./tiny.ts";
import { TINY_METHODS } from "./tiny-methods.ts";

const method = methodNamed("udll");
const PIXELS = SIDE * SIDE;

function optionsOf(samples: Images, settings: object) {
  const config = method.schema.parse(merge(TINY_METHODS.udll as Settings, settings as Settings)) as object;
  return { method, config, samples, augmentation: AUGMENTATIONS.none, seed: 4, session: { threads: 1 } };
}

async function trained(samples: Images, settings: object) {
  const options = optionsOf(samples, settings);
  const { parameters } = await new Trainer(options).train();
  return { parameters, ...(await finishTraining({ ...options, parameters })) };
}

/** Images of three independent subspaces of two dimensions, to the bit: sums of two images of small whole numbers. */
function subspaceImages(perSubspace: number): { readonly samples: Images; readonly truth: Int32Array } {
  const random = new Random(2, "subspaces");
  const whole = (below: number) => Array.from({ length: PIXELS }, () => random.integer(below));
  const bases = Array.from({ length: CLUSTERS }, () => [whole(13), whole(13)] as const);
  const n = CLUSTERS * perSubspace;
  const data = new Uint8Array(n * PIXELS);
  const truth = Int32Array.from({ length: n }, (_, i) => i % CLUSTERS);
  truth.forEach((subspace, i) => {
    const [a, b] = bases[subspace] as (typeof bases)[number];
    const [p, q] = [1 + random.integer(10), 1 + random.integer(10)];
    for (let at = 0; at < PIXELS; at++) {
      data[i * PIXELS + at] = p * (a[at] as number) + q * (b[at] as number);
    }
  });
  return { samples: { kind: "images", data, shape: [n, SIDE, SIDE, 1] }, truth };
}

test("a union of subspaces without noise is recovered exactly", async () => {
  const { samples, truth } = subspaceImages(20);
  const { labels } = await trained(samples, {
    pretraining: { epochs: 40 },
    fineTuning: { steps: 60, first: 40, every: 10 },
    eigenvectors: CLUSTERS,
  });
  expect(accuracy(labels, truth).accuracy).toBe(1);
});

describe("the order of the samples changes nothing but the order", async () => {
  // Without pretraining, whose batches are drawn by the samples' places, every step is on all samples.
  const settings = {
    pretraining: { epochs: 0 },
    fineTuning: { steps: 20, first: 10, every: 5 },
    eigenvectors: CLUSTERS,
  };
  const { samples } = tinyImages(45);
  const order = new Random(9, "order").permutation(45);
  const shuffled = {
    ...samples,
    data: Uint8Array.from(
      samples.data,
      (_, at) => samples.data[(order[Math.floor(at / PIXELS)] as number) * PIXELS + (at % PIXELS)] as number,
    ),
  };
  const [before, after] = [await trained(samples, settings), await trained(shuffled, settings)];

  test("of weights and coefficients, up to rounding", () => {
    const { coefficients, ...weights } = before.parameters;
    for (const name of Object.keys(weights).filter((name) => /^(en|de)coder/.test(name))) {
      const other = after.parameters[name] as NumberArray;
      // Twenty updates of 1e-3 each, in float32, whose sums run in another order.
      weights[name]?.data.forEach((value, at) => {
        expect(Math.abs(value - (other.data[at] as number)), name).toBeLessThan(1e-4);
      });
    }
    const moved = after.parameters.coefficients as NumberArray;
    order.forEach((from, i) => {
      order.forEach((by, j) => {
        const [a, b] = [coefficients?.data[from * 45 + by] as number, moved.data[i * 45 + j] as number];
        expect(Math.abs(a - b)).toBeLessThan(1e-4);
      });
    });
  });

  test("of the clusters", () => {
    const unshuffled = Array.from(order, (from) => before.labels[from] as number);
    expect(accuracy(after.labels, unshuffled).accuracy).toBe(1);
  });
});
