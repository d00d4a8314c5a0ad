import { describe, expect, test } from "vitest";
import {
  checkParity,
  compareOutputs,
  eagerOutputs,
  encodeModel,
  graphOutputs,
  type Outputs,
  type Rows,
  trace,
} from "../../export/index.ts";
import { INPUTS, toyFunction, toyRows } from "./toy-clusterer.ts";

const model = encodeModel(trace(toyFunction(), { inputs: INPUTS, outputs: { label: "int64" } }));

describe("parity", async () => {
  const got = await graphOutputs(model, "features", toyRows);

  test("of a graph with its function is near 0", () => {
    const comparison = compareOutputs("eager", eagerOutputs(toyFunction(), "features", toyRows), got);
    expect(comparison).toMatchObject({ samples: 6, labelAgreement: 1, ties: 0, labelAgreementOutsideTies: 1 });
    for (const { maxAbs } of Object.values(comparison.outputs)) expect(maxAbs).toBeLessThan(1e-6);
    expect(checkParity([comparison]).comparisons).toEqual([comparison]);
  });

  test("is the same in small batches and large ones, and for no samples", async () => {
    expect(await graphOutputs(model, "features", toyRows, 4)).toEqual(got);
    const none = await graphOutputs(model, "features", { data: new Float32Array(), shape: [0, 4] });
    expect(none.probabilities?.shape).toEqual([0, 3]);
    expect(compareOutputs("none", none, none)).toMatchObject({ samples: 0, labelAgreement: 1 });
  });

  test("fails where an output is off, and says which", () => {
    const comparison = compareOutputs("another", eagerOutputs(toyFunction(0.01), "features", toyRows), got);
    expect(comparison.outputs.latent?.maxAbs).toBeCloseTo(0.01, 5);
    expect(() => checkParity([comparison])).toThrow(
      /(latent|embedding|probabilities|confidence) is 0.0.* from another, at most 0.001/,
    );
  });

  test("fails where numbers are missing or not finite", () => {
    const latent = { data: new Float32Array(24).fill(Number.NaN), shape: [6, 4] };
    const comparison = compareOutputs("another", { label: got.label, latent } as Outputs, got);
    expect(() => checkParity([comparison])).toThrow(/latent is Infinity from another/);
    const shorter = compareOutputs("another", { label: got.label, latent: { data: [], shape: [] } } as never, got);
    expect(() => checkParity([shorter])).toThrow(/latent is Infinity/);
  });

  test("fails where a label differs, unless two probabilities are all but equal", () => {
    const label = { data: Int32Array.of(0, 1, 2, 0, 2, 0), shape: [6] };
    const comparison = compareOutputs("another", { label }, got);
    expect(comparison).toMatchObject({ ties: 0, labelAgreement: 5 / 6 });
    expect(() => checkParity([comparison])).toThrow(/16.67 % of 6 labels differ from another/);
    const probabilities = { data: Float32Array.from((got.probabilities as Rows).data), shape: [6, 3] };
    probabilities.data.set([0.49996, 0.50001, 0], 15);
    const tied = compareOutputs("another", { label }, { ...got, probabilities });
    expect(tied).toMatchObject({ ties: 1, labelAgreement: 5 / 6, labelAgreementOutsideTies: 1 });
    expect(() => checkParity([tied])).not.toThrow();
  });

  test("tells the largest difference from that of 99 in 100", () => {
    const values = new Float32Array(1000);
    const off = values.slice();
    off.set([0.5, 0.25], 10);
    const rows = (data: Float32Array) => ({ label: got.label, latent: { data, shape: [1000, 1] } }) as Outputs;
    const { outputs } = compareOutputs("another", rows(values), { ...got, ...rows(off) });
    expect(outputs.latent).toEqual({ maxAbs: 0.5, p99Abs: 0 });
  });
});
