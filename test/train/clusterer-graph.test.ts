import { describe, expect, test } from "vitest";
import { eagerOutputs, encodeModel, graphOutputs, type Outputs, type Rows } from "../../export/index.ts";
import { PARITY_TOLERANCE } from "../../export/parity.ts";
import type { Readout } from "../../models/index.ts";
import { checkGraph } from "../../runtime/graph-check.ts";
import { clustererGraph, clustererParts, exportedModel } from "../../train/clusterer-graph.ts";
import { runModel } from "../export/run-model.ts";
import { CLUSTERS, definitionOf, SIDE, tinyImages, tinyRun } from "./tiny.ts";

const READOUTS: readonly Readout[] = ["nystrom", "centres", "head"];

function worst(a: Outputs, b: Outputs): number {
  const differences = Object.entries(a).flatMap(([name, { data }]) =>
    data.length === b[name]?.data.length
      ? Array.from(data, (value, i) => Math.abs(value - (b[name]?.data[i] as number)))
      : [Number.POSITIVE_INFINITY],
  );
  return differences.reduce((x, y) => Math.max(x, y), 0);
}

describe.each(READOUTS)("the graph of a clusterer with the read-out %s", async (readout) => {
  const definition = definitionOf(await tinyRun({ readout }));
  const graph = clustererGraph(definition);
  const model = encodeModel(exportedModel("tiny", graph));
  const whole = await graphOutputs(model, "images", tinyImages(300, 9).samples);
  const k = definition.structure.weights?.shape[0];

  test("has the ports of the contract, and is allowed", () => {
    const { inputs, outputs } = checkGraph(model);
    expect(inputs).toEqual([{ name: "images", dtype: "uint8", shape: ["N", SIDE, SIDE, 1] }]);
    expect(outputs).toEqual([
      { name: "label", dtype: "int64", shape: ["N"] },
      { name: "confidence", dtype: "float32", shape: ["N"] },
      { name: "novelty", dtype: "float32", shape: ["N"] },
      { name: "probabilities", dtype: "float32", shape: ["N", CLUSTERS] },
      { name: "embedding", dtype: "float32", shape: ["N", k] },
      { name: "latent", dtype: "float32", shape: ["N", 6] },
    ]);
  });

  test.each([0, 1, 2, 7, 300])("gives %i samples what it gives them among others", async (n) => {
    const { data } = tinyImages(300, 9).samples;
    const part = { data: data.slice(0, n * SIDE * SIDE), shape: [n, SIDE, SIDE, 1] };
    const outputs = await graphOutputs(model, "images", part, 1000);
    for (const [name, { shape, data }] of Object.entries(outputs)) {
      const expected = whole[name] as Rows;
      expect(shape).toEqual([n, ...expected.shape.slice(1)]);
      const first = { [name]: { data: expected.data.slice(0, data.length), shape } };
      expect(worst(first, { [name]: { data, shape } })).toBeLessThan(1e-5);
    }
  });

  test("computes what the method does eagerly", () => {
    const { samples } = tinyImages(24, 9);
    const eager = eagerOutputs(graph.fn, "images", samples);
    const first = Object.fromEntries(
      Object.entries(eager).map(([name, { data, shape }]) => [
        name,
        { data: (whole[name] as Rows).data.slice(0, data.length), shape },
      ]),
    );
    const { novelty, ...others } = eager;
    expect(worst(others, first)).toBeLessThan(1e-4); // distances to near landmarks are small differences
    // A rank among distances that lie close together in so small a run: rounding moves it past some of them.
    expect(worst({ novelty: novelty as Rows }, first)).toBeLessThan(PARITY_TOLERANCE.noveltyMaxAbs);
  });

  test("is its parts, one after the other", async () => {
    const { encoder, head, assign } = clustererParts(definition);
    const { samples } = tinyImages(50, 9);
    const asFloats = (data: ArrayLike<number>) => Float32Array.from(data);
    const run = (part: typeof encoder, feeds: Parameters<typeof runModel>[1]) =>
      runModel(exportedModel("part", part as NonNullable<typeof part>), feeds);
    const { latent } = await run(encoder, { images: { data: samples.data, shape: [...samples.shape] } });
    const feeds = { latent: { data: asFloats(latent?.data ?? []), shape: [50, 6] } };
    const { embedding } = await run(head, feeds);
    const outputs = await run(assign, {
      ...feeds,
      embedding: { data: asFloats(embedding?.data ?? []), shape: [50, k as number] },
    });
    const composed = { ...outputs, latent, embedding } as unknown as Outputs;
    const expected = await graphOutputs(model, "images", samples);
    expect(Object.keys(composed).sort()).toEqual(Object.keys(expected).sort());
    expect(worst(expected, composed)).toBeLessThan(1e-6);
  });

  test("holds its landmarks once", () => {
    const { initializers } = exportedModel("tiny", graph);
    expect(initializers.filter(({ shape }) => shape[0] === 120 && shape[1] === 6)).toHaveLength(1);
  });
});
