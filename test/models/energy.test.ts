import * as tf from "@tensorflow/tfjs-core";
import "../../models/gradients.ts";
import { describe, expect, test } from "vitest";
import {
  coefficients,
  dictionaryOf,
  type EnergyNetwork,
  effectiveRank,
  elasticNet,
  energySpec,
  gibbs,
  leastSquaresGain,
  minimumEnergy,
  othersOf,
  selfExpression,
  similarities,
  softThreshold,
} from "../../models/energy.ts";
import { unitRows } from "../../models/layers.ts";
import type { Parameters } from "../../models/parameters.ts";
import { Random } from "../../train/random.ts";
import { compare, draws, type Feeds, maxAbsDifference, runEager } from "../export/run-model.ts";
import { elasticNet as coordinateDescent, elasticNetObjective } from "./elastic-net.ts";
import { gradientError, type ScalarFunction, withGradients } from "./gradient-check.ts";

const [B, M, D] = [4, 6, 3];
const small = { latent: D, hidden: [5], width: 4, refinements: 0, gamma: 20, lambda: 0.9 };
const networks: Record<string, EnergyNetwork> = {
  "soft threshold": { ...small, minimiser: "soft-threshold", temperature: 1, gain: "learned" },
  "Gibbs, learned gain": { ...small, minimiser: "gibbs", temperature: 0.2, gain: "learned" },
  "Gibbs, best gain": { ...small, minimiser: "gibbs", temperature: 0.2, gain: "least-squares", hidden: [] },
};

function initial(network: EnergyNetwork): Feeds {
  return Object.fromEntries(
    Object.entries(energySpec(network)).map(([name, { shape, limit }]) => {
      const random = new Random(3, name);
      const length = shape.reduce((a, b) => a * b, 1);
      // Biases and scalars too away from 0, so that a gradient's every path counts.
      const draw = () => random.uniform(-1, 1) * (limit > 0 ? limit : shape.length > 0 ? 0.1 : 0.05);
      return [name, { data: Float32Array.from({ length }, draw), shape: [...shape] }];
    }),
  );
}

const data: Feeds = {
  latents: { data: draws(B * D, -1, 1, 1), shape: [B, D] },
  atoms: { data: draws(M * D, -1, 1, 2), shape: [M, D] },
};
const own = () => othersOf(tf.tensor1d([0, 1, 2, 3], "int32"), tf.tensor1d([3, 7, 1, 8, 9, 1], "int32"));
const rows = (x: ArrayLike<number>, width: number) =>
  Array.from({ length: x.length / width }, (_, i) =>
    Array.from({ length: width }, (_, j) => x[i * width + j] as number),
  );
const numbers = (fn: () => tf.Tensor): number[] => {
  tf.setBackend("cpu");
  return tf.tidy(() => Array.from(fn().dataSync()));
};

describe.each(Object.entries(networks))("%s", (_, network) => {
  const parameters = initial(network);
  const feeds = { ...parameters, ...data };
  const named = (x: Parameters) => {
    const [latents, atoms] = [unitRows(x.latents as tf.Tensor2D), unitRows(x.atoms as tf.Tensor2D)];
    const c = coefficients(network, x, latents, dictionaryOf(x, atoms), own());
    return { latents, atoms, c };
  };
  const objective: ScalarFunction = (x) => {
    const { latents, atoms, c } = named(x);
    return tf.add(selfExpression(latents, c, atoms, 20), elasticNet(c, 0.9));
  };

  test("value and gradients are the same traced as eager", async () => {
    const inputs = Object.fromEntries(
      Object.entries(feeds).map(([name, { shape }]) => [name, { type: "float32", shape } as const]),
    );
    const { difference, eager } = await compare(withGradients(objective, Object.keys(feeds)), { inputs }, feeds);
    expect(difference).toBeLessThanOrEqual(1e-5);
    for (const name of Object.keys(feeds))
      expect(Math.max(...Array.from(eager[`gradient/${name}`]!.data, Math.abs))).toBeGreaterThan(0);
  });

  // Where |s| is near b the coefficient has a corner; the step is short enough to stay on one side of it with these numbers.
  test.each(Object.keys(feeds))("its gradient by %s agrees with finite differences", (name) => {
    expect(gradientError(objective, feeds, name, 1e-3)).toBeLessThan(2e-2);
  });

  test("a sample is not rebuilt from itself", () => {
    const { c } = runEager((x) => ({ c: named(x).c }), feeds, {});
    const of = rows(c!.data, M);
    expect([of[3]![0], of[1]![2], of[1]![5]].map((value) => Math.abs(value!))).toEqual([0, 0, 0]);
    expect(of.flat().filter((value) => value !== 0).length).toBeGreaterThan((B * M) / 2);
  });

  test("the objective is the elastic net's that coordinate descent minimises", () => {
    const { c, latents, atoms, value } = runEager((x) => ({ ...named(x), value: objective(x) }), feeds, {});
    const [coefficientRows, latentRows] = [rows(c!.data, M), rows(latents!.data, D)];
    const expected = latentRows.map((z, i) =>
      elasticNetObjective(z, atoms!.data, coefficientRows[i]!, { gamma: 20, lambda: 0.9 }),
    );
    expect(value!.data[0]).toBeCloseTo(expected.reduce((a, b) => a + b) / B, 4);
  });
});

describe("refined similarities", () => {
  const [N, SIZE, WIDTH] = [40, 60, 5];
  const network = (change: Partial<EnergyNetwork> = {}): EnergyNetwork => ({
    ...{
      ...small,
      minimiser: "soft-threshold",
      temperature: 1,
      gain: "learned",
      latent: WIDTH,
      gamma: 3,
      refinements: 10,
    },
    ...change,
  });
  const parametersOf = (net: EnergyNetwork): Feeds => {
    const specs = Object.entries(energySpec(net));
    const all = specs.map(([name, { shape, limit, centre = 0 }]) => {
      const random = new Random(5, name);
      const draw = () => centre + random.uniform(-limit, limit);
      return [name, { data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, draw), shape: [...shape] }];
    });
    return Object.fromEntries(all) as Feeds;
  };
  const points: Feeds = {
    latents: { data: draws(N * WIDTH, -1, 1, 4), shape: [N, WIDTH] },
    atoms: { data: draws(SIZE * WIDTH, -1, 1, 5), shape: [SIZE, WIDTH] },
  };
  // Every other sample is an atom.
  const atomOf = (i: number) => (i % 2 === 0 ? i : -1);
  const masked = () =>
    othersOf(
      tf.range(0, N, 1, "int32"),
      tf.tensor1d(
        Array.from({ length: SIZE }, (_, j) => (j % 2 ? N + j : j)),
        "int32",
      ),
    );
  const solved = (net: EnergyNetwork) => (x: Parameters) => {
    const [z, d] = [unitRows(x.latents as tf.Tensor2D), unitRows(x.atoms as tf.Tensor2D)];
    return { z, d, c: coefficients(net, x, z, dictionaryOf(x, d), masked()) };
  };
  /** How far above the elastic net's minimum an untrained network's coefficients are, relative to it. */
  const excess = (net: EnergyNetwork): number => {
    const { z, d, c } = runEager(solved(net), { ...parametersOf(net), ...points }, {});
    const weights = { gamma: net.gamma, lambda: net.lambda };
    const best = coordinateDescent(z!.data, d!.data, WIDTH, { ...weights, own: atomOf });
    const each = rows(z!.data, WIDTH).map((row, i) =>
      elasticNetObjective(row, d!.data, Array.from(c!.data).slice(i * SIZE, (i + 1) * SIZE), weights),
    );
    return each.reduce((sum, value) => sum + value) / N / best.objective - 1;
  };

  test("are near the elastic net's minimum, even before training", () => {
    const [none, ten, many] = [0, 10, 60].map((refinements) => excess(network({ refinements }))) as number[];
    expect(none).toBeGreaterThan(0.5);
    expect(ten).toBeLessThan(0.05);
    expect(many).toBeLessThan(0.005);
  });

  test("need more steps where misfit weighs more", () => {
    const [ten, many] = [10, 60].map((refinements) => excess(network({ gamma: 20, refinements }))) as number[];
    expect(ten).toBeGreaterThan(0.05);
    expect(many).toBeLessThan(0.02);
  });

  test("without absolute values end in the ridge's solution", () => {
    expect(excess(network({ lambda: 0, refinements: 60 }))).toBeLessThan(1e-3);
  });

  test("leave a sample's own atom out", () => {
    const { c } = runEager(solved(network()), { ...parametersOf(network()), ...points }, {});
    for (let i = 0; i < N; i += 2) expect(Math.abs(c!.data[i * SIZE + i]!)).toBe(0);
  });

  test("and their gradients are the same traced as eager, and reach every parameter", async () => {
    const net = network({ refinements: 2 });
    const feeds = { ...parametersOf(net), ...points };
    const inputs = Object.fromEntries(
      Object.entries(feeds).map(([name, { shape }]) => [name, { type: "float32", shape } as const]),
    );
    const loss: ScalarFunction = (x) => {
      const { z, d, c } = solved(net)(x);
      return tf.add(selfExpression(z, c, d, net.gamma), elasticNet(c, net.lambda));
    };
    const { difference, eager } = await compare(withGradients(loss, Object.keys(feeds)), { inputs }, feeds);
    expect(difference).toBeLessThanOrEqual(1e-4);
    for (const name of Object.keys(feeds))
      expect(Math.max(...Array.from(eager[`gradient/${name}`]!.data, Math.abs)), name).toBeGreaterThan(0);
  });
});

describe("Gibbs weights of refined similarities", () => {
  const network: EnergyNetwork = {
    ...{ ...small, minimiser: "gibbs", temperature: 0.05, gain: "learned", refinements: 100 },
  };
  const feeds = { ...initial(network), "energy.gain": { data: Float32Array.of(0), shape: [] }, ...data };
  const fitted = (net: EnergyNetwork) => {
    const { z, d, c } = runEager(
      (x) => {
        const [z, d] = [unitRows(x.latents as tf.Tensor2D), unitRows(x.atoms as tf.Tensor2D)];
        return { z, d, c: coefficients(net, x, z, dictionaryOf(x, d)) };
      },
      feeds,
      {},
    );
    const tensor = (array: typeof z) => tf.tensor2d(array!.data as Float32Array, array!.shape as [number, number]);
    return { z: () => tensor(z), d: () => tensor(d), c: () => tensor(c) };
  };

  test("are those of what each atom explains of what is left over", () => {
    const { z, d, c } = fitted(network);
    const explained = () => tf.matMul(tf.sub(z(), tf.matMul(c(), d())), d(), false, true) as tf.Tensor2D;
    expect(
      maxAbsDifference(
        numbers(() => gibbs(explained(), 0.05)),
        numbers(c),
      ),
    ).toBeLessThan(1e-3);
  });

  test("rebuild latents that a new network's do not", () => {
    const misfit = (net: EnergyNetwork) => {
      const { z, d, c } = fitted(net);
      return numbers(() => selfExpression(z(), c(), d(), 2))[0] as number;
    };
    expect(misfit({ ...network, refinements: 0 })).toBeGreaterThan(0.5);
    expect(misfit({ ...network, refinements: 10 })).toBeLessThan(0.25);
  });
});

describe("a threshold above all similarities", () => {
  const network = { ...networks["soft threshold"]!, refinements: 0 };
  const feeds = { ...initial(network), "energy.threshold": { data: Float32Array.of(2), shape: [] }, ...data };
  const rebuilt = (x: Parameters) => {
    const [z, d] = [unitRows(x.latents as tf.Tensor2D), unitRows(x.atoms as tf.Tensor2D)];
    return { z, d, c: coefficients(network, x, z, dictionaryOf(x, d), own()) };
  };

  test("leaves each sample an atom that is not itself", () => {
    const { c } = runEager((x) => ({ c: rebuilt(x).c }), feeds, {});
    for (const row of rows(c!.data, M)) expect(Math.max(...row.map(Math.abs))).toBeGreaterThan(0);
    expect([c!.data[3 * M]!, c!.data[M + 2]!, c!.data[M + 5]!].map(Math.abs)).toEqual([0, 0, 0]);
  });

  test("is not the end of learning", () => {
    const names = Object.keys(feeds).filter((name) => /query|key/.test(name));
    const loss: ScalarFunction = (x) => {
      const { z, d, c } = rebuilt(x);
      return selfExpression(z, c, d, 3);
    };
    const gradients = runEager(withGradients(loss, names), feeds, {});
    for (const name of names)
      expect(Math.max(...Array.from(gradients[`gradient/${name}`]!.data, Math.abs)), name).toBeGreaterThan(0);
  });
});

describe("similarities", () => {
  test("stay within -1..1, whatever the parameters", () => {
    const network = networks["soft threshold"]!;
    const parameters = initial(network);
    for (const array of Object.values(parameters)) array.data = array.data.map((value) => 100 * value) as Float32Array;
    const { s } = runEager(
      (x) => ({ s: similarities(x, x.latents as tf.Tensor2D, dictionaryOf(x, x.atoms as tf.Tensor2D).keys) }),
      { ...parameters, ...data },
      {},
    );
    expect(Math.max(...Array.from(s!.data, Math.abs))).toBeLessThanOrEqual(1);
    expect(Math.max(...Array.from(s!.data, Math.abs))).toBeGreaterThan(0.4);
  });

  test.each([16, 128])("of a new network mostly exceed its threshold: it can learn, d = %i", (latent) => {
    const network = { ...networks["soft threshold"]!, latent, hidden: [256, 256], width: 128 };
    const parameters = Object.fromEntries(
      Object.entries(energySpec(network)).map(([name, { shape, limit }]) => [
        name,
        {
          data: draws(
            shape.reduce((a, b) => a * b, 1),
            -limit,
            limit,
            name.length,
          ),
          shape: [...shape],
        },
      ]),
    );
    const z = () => unitRows(tf.tensor2d(draws(20 * latent), [20, latent]));
    const { c } = runEager((x) => ({ c: coefficients(network, x, z(), dictionaryOf(x, z())) }), parameters, {});
    expect(c!.data.length).toBe(400);
    expect(Array.from(c!.data).filter((value) => value !== 0).length).toBeGreaterThan(200);
  });
});

describe("softThreshold", () => {
  const s = [-0.9, -0.31, -0.3, -0.1, 0, 0.2, 0.3, 0.4, 1];
  const at = (values: number[], b = 0.3) => numbers(() => softThreshold(tf.tensor2d([values]), tf.scalar(b)));

  test("takes the coefficient of least energy", () => {
    const energy = (c: number, pull: number) => c ** 2 / 2 - pull * c + 0.3 * Math.abs(c);
    const grid = Array.from({ length: 2001 }, (_, i) => (i - 1000) / 1000);
    for (const [i, c] of at(s).entries()) {
      const best = grid.reduce((a, b) => (energy(b, s[i]!) < energy(a, s[i]!) ? b : a));
      expect(c).toBeCloseTo(best, 3);
      expect(numbers(() => minimumEnergy(tf.tensor2d([[c]])))[0]).toBeCloseTo(energy(best, s[i]!), 5);
    }
  });

  test("is odd", () => {
    const turned = at(s.map((value) => -value));
    expect(turned.map((value) => 0 - value)).toEqual(at(s).map((value) => 0 + value));
  });

  test("with b = 0 is s", () => {
    expect(at(s, 0)).toEqual(Array.from(Float32Array.from(s)));
  });

  test("learns nothing from similarities below the threshold, and moves the threshold by the others", () => {
    const [ds, db] = tf.tidy(() => {
      const fn = (x: tf.Tensor, b: tf.Tensor) => tf.sum(softThreshold(x as tf.Tensor2D, b as tf.Scalar));
      return tf
        .grads(fn)([tf.tensor2d([s]), tf.scalar(0.3)])
        .map((gradient) => Array.from(gradient.dataSync()));
    }) as [number[], number[]];
    expect(ds).toEqual([1, 1, 0, 0, 0, 0, 0, 1, 1]);
    expect(db).toEqual([2 - 2]);
  });
});

describe("gibbs", () => {
  const s = () => tf.tensor2d([0.5, -0.5, 0.1, 0, 0.2, -0.1, 0.3, -0.4], [2, 4]);

  test("minimises the free energy over the simplex", () => {
    const tau = 0.3;
    const [first] = rows(
      numbers(() => gibbs(s(), tau)),
      4,
    ) as [number[]];
    const both = [0.5, -0.5, 0.1, 0, -0.5, 0.5, -0.1, 0];
    const energy = (a: readonly number[]) =>
      a.reduce((sum, value, j) => sum - value * both[j]! + tau * value * Math.log(value), 0);
    const softmax = both.map((value) => Math.exp(value / tau));
    const total = softmax.reduce((p, q) => p + q);
    const a = softmax.map((value) => value / total);
    for (const j of [0, 1, 2, 3]) expect(first[j]!).toBeCloseTo(a[j]! - a[j + 4]!, 6);
    const random = new Random(1, "simplex");
    for (let trial = 0; trial < 200; trial++) {
      const other = a.map((value) => value * random.uniform(0.5, 2));
      const sum = other.reduce((p, q) => p + q);
      expect(energy(other.map((value) => value / sum))).toBeGreaterThanOrEqual(energy(a));
    }
  });

  test("is odd, and absolute values sum to at most 1, which they near far from 0", () => {
    const plain = numbers(() => gibbs(s(), 0.1));
    expect(numbers(() => gibbs(tf.neg(s()), 0.1))).toEqual(plain.map((value) => 0 - value));
    const sum = (values: number[]) => values.reduce((total, value) => total + Math.abs(value), 0);
    expect(sum(plain.slice(4))).toBeLessThan(1);
    expect(sum(numbers(() => gibbs(s(), 0.01)).slice(4))).toBeCloseTo(1, 6);
  });

  test("gives what is left out to the others, and is 0 where all is left out", () => {
    const others = () => tf.tensor2d([0, 1, 1, 1, 0, 0, 0, 0], [2, 4]);
    const [first, second] = rows(
      numbers(() => tf.mul(gibbs(s(), 0.01, others()), others())),
      4,
    );
    expect(first![0]).toBe(0);
    expect(first![1]).toBeCloseTo(-1, 5);
    expect(second!.map((value) => value + 0)).toEqual([0, 0, 0, 0]);
  });
});

test("leastSquaresGain leaves a residual at right angles to what it scales", () => {
  const [z, r] = [() => tf.tensor2d(draws(6), [2, 3]), () => tf.tensor2d(draws(6, -1, 1, 9), [2, 3])];
  const products = numbers(() => tf.sum(tf.mul(r(), tf.sub(z(), tf.mul(r(), leastSquaresGain(z(), r())))), 1));
  expect(maxAbsDifference(products, [0, 0])).toBeLessThan(1e-5);
});

describe("known values", () => {
  test("unit latents that are not rebuilt cost gamma / 2", () => {
    const z = () => unitRows(tf.tensor2d(draws(12), [4, 3]));
    expect(numbers(() => selfExpression(z(), tf.zeros([4, 5]), tf.ones([5, 3]), 200))[0]).toBeCloseTo(100, 4);
  });

  test("elasticNet weighs absolute values by lambda and half the squares by the rest", () => {
    expect(numbers(() => elasticNet(tf.tensor2d([1, -2, 0, 3], [2, 2]), 0.9))[0]).toBeCloseTo(
      (0.9 * 6 + 0.05 * 14) / 2,
      6,
    );
  });

  test("effectiveRank counts directions, not lengths or signs", () => {
    const at = (values: number[][]) => numbers(() => effectiveRank(tf.tensor2d(values)))[0];
    expect(
      at([
        [1, 0, 0],
        [0, 5, 0],
        [0, 0, -0.1],
      ]),
    ).toBeCloseTo(3, 5);
    expect(
      at([
        [1, 1, 0],
        [3, 3, 0],
        [-1, -1, 0],
      ]),
    ).toBeCloseTo(1, 5);
    // Eigenvalues 3 and 1 of four unit latents.
    expect(
      at([
        [1, 0],
        [1, 0],
        [-1, 0],
        [0, 1],
      ]),
    ).toBeCloseTo(16 / 10, 5);
  });
});
