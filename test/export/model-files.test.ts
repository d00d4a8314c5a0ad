import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { convertModel, loadModel } from "../../export/index.ts";
import { SubspanError } from "../../runtime/errors.ts";
import { graphModel, type ModelJson, node, placeholder, saved, writeModel } from "./tfjs-models.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "subspan-model-"));
});
afterEach(() => rm(folder, { recursive: true }));

const dense = () => {
  const hidden = tfl.layers.dense({ units: 3, inputShape: [4], name: "hidden" });
  return tfl.sequential({ layers: [hidden, tfl.layers.dense({ units: 2, name: "scores" })] });
};

/** Writes the model after `change`, and tries to load it. */
async function refusal(
  given: { json: ModelJson; weights: Uint8Array },
  change: (json: ModelJson) => unknown = () => {},
): Promise<Error & { code: string }> {
  change(given.json);
  return loadModel(await writeModel(folder, given.json, given.weights)).then(
    () => expect.unreachable("it was loaded"),
    (error) => error,
  );
}

const invalid = (message: string) => ({ code: "MODEL_INVALID", message: `${join(folder, "model.json")}: ${message}` });
const layersOf = (json: ModelJson) => (json.modelTopology as { config: { layers: LayerJson[] } }).config.layers;
interface LayerJson {
  name: string;
  class_name: string;
  config: Record<string, unknown>;
  inbound_nodes: [string, number, number, object][][];
}

describe("a model is loaded", () => {
  test("of layers, its weights in two files that end within a weight", async () => {
    const model = dense();
    const { json, weights } = await saved(model);
    const loaded = (await loadModel(await writeModel(folder, json, weights))) as tfl.LayersModel;
    const x = tf.ones([2, 4]);
    expect((loaded.predict(x) as tf.Tensor).arraySync()).toEqual((model.predict(x) as tf.Tensor).arraySync());
  });

  test("of a graph, its weights quantised to bytes and in half precision", async () => {
    const { json } = graphModel(
      [placeholder("x", [-1, 2]), node("Mul", "scaled", ["x", "w"]), node("AddV2", "y", ["scaled", "b"])],
      { w: { shape: [2], values: [0, 0] }, b: { shape: [], values: [0] } },
    );
    const [w, b] = json.weightsManifest[0]!.weights;
    Object.assign(w!, { quantization: { dtype: "uint8", scale: 0.5, min: -1 } });
    Object.assign(b!, { quantization: { dtype: "float16" } });
    // 4 and 6 steps of a half above -1; 1.5 in half precision.
    const weights = Uint8Array.of(4, 6, 0x00, 0x3e);
    const model = await loadModel(await writeModel(folder, json, weights));
    const y = model.predict(tf.tensor2d([[1, 10]])) as tf.Tensor;
    expect(y.arraySync()).toEqual([[2.5, 21.5]]);
  });
});

describe("files that are not as model.json says are refused by name", () => {
  test("no model.json", async () => {
    const path = join(folder, "gone.json");
    await expect(loadModel(path)).rejects.toMatchObject({ code: "MODEL_MISSING", message: `${path}: no such file` });
  });

  test("a folder", async () => {
    await expect(loadModel(folder)).rejects.toMatchObject({ code: "MODEL_INVALID" });
  });

  test("no JSON", async () => {
    const path = join(folder, "model.json");
    await writeFile(path, "{");
    await expect(loadModel(path)).rejects.toMatchObject({ message: expect.stringMatching(/^.*model\.json: not JSON/) });
  });

  test.each<[string, (json: ModelJson) => void, string]>([
    [
      "no topology",
      (json) => Object.assign(json, { modelTopology: {} }),
      "modelTopology: expected a graph (node: name, op, input) or layers (model_config: class_name, config)",
    ],
    [
      "a weight of another type",
      (json) => Object.assign(json.weightsManifest[0]!.weights[1]!, { dtype: "float8" }),
      'weightsManifest.0.weights.1.dtype: Invalid option: expected one of "float32"|"int32"|"bool"|"string"|"complex64"',
    ],
    [
      "a weight twice",
      (json) => json.weightsManifest[0]!.weights.push(json.weightsManifest[0]!.weights[0]!),
      "weight hidden/kernel is in the weights manifest twice",
    ],
    [
      "a weight larger than its file",
      (json) => Object.assign(json.weightsManifest[0]!.weights[0]!, { shape: [4, 4] }),
      "hidden/kernel to scores/bias take 108 bytes, expected in weights.1of2.bin (46 bytes), weights.2of2.bin (46 bytes), which hold 92",
    ],
    [
      "weights past the end of what ONNX can hold",
      (json) => Object.assign(json.weightsManifest[0]!.weights[0]!, { shape: [2 ** 20, 2 ** 20] }),
      "4398046511148 bytes of weights, more than an ONNX file can hold",
    ],
  ])("%s", async (_, change, message) => {
    expect(await refusal(await saved(dense()), change)).toMatchObject(invalid(message));
  });

  test("a missing weight file", async () => {
    const { json, weights } = await saved(dense());
    const path = await writeModel(folder, json, weights);
    await rm(join(folder, "weights.2of2.bin"));
    await expect(loadModel(path)).rejects.toMatchObject(invalid("weight file weights.2of2.bin is missing"));
  });

  test("a truncated weight file", async () => {
    const { json, weights } = await saved(dense());
    const path = await writeModel(folder, json, weights);
    await truncate(join(folder, "weights.2of2.bin"), 10);
    await expect(loadModel(path)).rejects.toThrow("weights.2of2.bin (10 bytes), which hold 56");
  });

  test("a folder as weight file", async () => {
    const given = await saved(dense());
    const path = await writeModel(folder, given.json, given.weights);
    await rm(join(folder, "weights.1of2.bin"));
    await mkdir(join(folder, "weights.1of2.bin"));
    await expect(loadModel(path)).rejects.toMatchObject(invalid("weight file weights.1of2.bin is no file"));
  });
});

describe("weight files outside the model's folder are refused", () => {
  const outside = (name: string) =>
    invalid(`weight file ${name} is outside the model's folder; only files inside it are read`);

  test.each(["../weights.bin", "/etc/hostname", "inner/../../weights.bin"])("%s", async (name) => {
    const { json, weights } = await saved(dense());
    const path = await writeModel(join(folder, "model"), json, weights);
    await writeFile(join(folder, "weights.bin"), weights);
    json.weightsManifest[0]!.paths = [name];
    await writeFile(path, JSON.stringify(json));
    await expect(loadModel(path)).rejects.toMatchObject({
      ...outside(name),
      message: outside(name).message.replace(folder, join(folder, "model")),
    });
  });

  test("also where a link leads there, and not those in folders within", async () => {
    const { json, weights } = await saved(dense());
    json.weightsManifest[0]!.paths = ["inner/weights.bin"];
    await mkdir(join(folder, "model", "inner"), { recursive: true });
    await writeFile(join(folder, "model", "model.json"), JSON.stringify(json));
    const inner = join(folder, "model", "inner", "weights.bin");
    await writeFile(inner, weights);
    await loadModel(join(folder, "model", "model.json"));
    await rm(inner);
    await writeFile(join(folder, "elsewhere.bin"), weights);
    await symlink(join(folder, "elsewhere.bin"), inner);
    await expect(loadModel(join(folder, "model", "model.json"))).rejects.toThrow(
      "weight file inner/weights.bin is outside the model's folder",
    );
  });
});

/** x -> a -> b -> c, each a dense layer. */
function chain(): tfl.LayersModel {
  const x = tfl.input({ shape: [2], name: "x" });
  let y = x;
  for (const name of ["a", "b", "c"]) y = tfl.layers.dense({ units: 2, name }).apply(y) as tfl.SymbolicTensor;
  return tfl.model({ inputs: x, outputs: y });
}

describe("topologies that tfjs cannot build are refused by name", () => {
  test.each<[string, (json: ModelJson) => void, string]>([
    [
      "an unknown layer",
      (json) => Object.assign(layersOf(json)[2]!, { class_name: "Lambda" }),
      "layer b is of class Lambda, which tfjs does not know; register your own with tf.serialization.registerClass and call convertModel",
    ],
    [
      "an unknown layer inside another",
      (json) => {
        const inner = { class_name: "Whatever", config: { name: "inner" } };
        Object.assign(layersOf(json)[2]!, { class_name: "TimeDistributed", config: { name: "b", layer: inner } });
      },
      "layer inner is of class Whatever, which tfjs does not know; register your own with tf.serialization.registerClass and call convertModel",
    ],
    [
      "layers in a ring, for which tfjs would wait for ever",
      (json) => {
        layersOf(json)[1]!.inbound_nodes[0]![0]![0] = "c";
      },
      "its layers cannot be called in any order: a waits for c, b waits for a, c waits for b",
    ],
    [
      "a layer that is not there",
      (json) => {
        layersOf(json)[3]!.inbound_nodes[0]![0]![0] = "d";
      },
      "its layers cannot be called in any order: c waits for d",
    ],
    [
      "a weight of a shape its layer does not take",
      (json) => Object.assign(layersOf(json)[2]!.config, { units: 3 }),
      "weight a/kernel or b/kernel or c/kernel: its layer takes shape [2,3], got [2,2]",
    ],
  ])("%s", async (_, change, message) => {
    expect(await refusal(await saved(chain()), change)).toMatchObject(invalid(message));
  });

  test("a weight that is missing, in tfjs's words", async () => {
    const { json, weights } = await saved(chain());
    json.weightsManifest[0]!.weights.splice(0, 1);
    expect(await refusal({ json, weights: weights.subarray(16) })).toMatchObject(
      invalid("tfjs cannot build the model: 1 of 6 weights are not set: a/kernel"),
    );
  });

  test.each<[string, Parameters<typeof graphModel>[0], string]>([
    [
      "nodes that are not there",
      [placeholder("x", [-1]), node("Neg", "y", ["z:0"])],
      "node y takes z:0, which is not in the graph",
    ],
    ["two nodes of a name", [placeholder("x", [-1]), node("Neg", "x", ["x"])], "two nodes are named x"],
  ])("%s", async (_, nodes, message) => {
    expect(await refusal(graphModel(nodes, { w: { shape: [1], values: [1] } }))).toMatchObject(invalid(message));
  });
});

/** Every place in a JSON value, as the object or array it is in and its key there. */
function places(value: unknown): [Record<string, unknown>, string][] {
  if (typeof value !== "object" || value === null) return [];
  const within = value as Record<string, unknown>;
  return Object.keys(within).flatMap((key) => [[within, key] as [typeof within, string], ...places(within[key])]);
}

describe("whatever is wrong in model.json, it converts or one of our errors tells", () => {
  const recurrent = () => {
    const x = tfl.input({ shape: [2, 3], name: "x" });
    const gru = tfl.layers.gru({ units: 2, recurrentInitializer: "glorotUniform" }) as tfl.RNN;
    const y = tfl.layers
      .bidirectional({ layer: gru, mergeMode: "concat", name: "both" })
      .apply(x) as tfl.SymbolicTensor;
    return saved(
      tfl.model({ inputs: x, outputs: tfl.layers.dense({ units: 2, name: "y" }).apply(y) as tfl.SymbolicTensor }),
    );
  };
  const computed = async () => {
    const one = { dtype: "int32" as const, shape: [1], values: [1] };
    const nodes = [
      placeholder("x", [-1, 2]),
      node("Shape", "shape", ["x"]),
      node("Slice", "batch", ["shape", "zero", "one"]),
      node("ConcatV2", "flat", ["batch", "one", "axis"]),
      node("Reshape", "y", ["x", "shape"]),
    ];
    const signature = { inputs: { a: { name: "x:0" } }, outputs: { b: { name: "y:0" }, c: { name: "flat:0" } } };
    return graphModel(
      nodes,
      { one, zero: { ...one, values: [0] }, axis: { ...one, shape: [], values: [0] } },
      { signature },
    );
  };

  test.each([
    ["of layers", recurrent],
    ["of a graph", computed],
  ])("%s", async (_, make) => {
    const given = await make();
    const junk = fc.constantFrom(
      null,
      -1,
      1e9,
      0.5,
      "",
      "x",
      [],
      {},
      [[]],
      true,
      "__proto__",
      [["x", 0, 0]],
      undefined,
    );
    const damage = fc.asyncProperty(fc.nat(), junk, async (at, value) => {
      const json = structuredClone(given.json);
      const all = places({ ...json, weightsManifest: json.weightsManifest.map(({ weights }) => weights) });
      const [within, key] = all[at % all.length] as (typeof all)[number];
      within[key] = structuredClone(value);
      const path = await writeModel(folder, json, given.weights);
      const error = await loadModel(path)
        .then(convertModel)
        .then(
          () => undefined,
          (error) => error,
        );
      if (error !== undefined) expect(error).toBeInstanceOf(SubspanError);
    });
    await fc.assert(damage, { numRuns: 150, seed: 1 });
  });
});
