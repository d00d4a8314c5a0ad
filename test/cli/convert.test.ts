import { readdir, readFile, writeFile } from "node:fs/promises";
import * as tfl from "@tensorflow/tfjs-layers";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeNpz } from "../../train/index.ts";
import { graphModel, node, placeholder, saved, writeModel } from "../export/tfjs-models.ts";
import { subspan, temporaryFolder } from "./tiny-cli.ts";

let at: (name: string) => string;
let remove: () => Promise<void>;
let dense: string;
let graph: string;

beforeAll(async () => {
  ({ path: at, remove } = await temporaryFolder());
  const kernelInitializer = tfl.initializers.glorotUniform({ seed: 1 });
  const hidden = tfl.layers.dense({
    units: 3,
    inputShape: [2],
    activation: "relu",
    name: "hidden",
    kernelInitializer,
  });
  const { json, weights } = await saved(
    tfl.sequential({ layers: [hidden, tfl.layers.dense({ units: 2, name: "scores", kernelInitializer })] }),
  );
  dense = await writeModel(at("dense"), json, weights);
  const info = (name: string) => ({ name, dtype: "DT_FLOAT", tensorShape: {} });
  const nodes = [placeholder("x", [-1, -1]), node("Sum", "total", ["x", "axis"]), node("Log", "out", ["total"])];
  const signature = { inputs: { values: info("x:0") }, outputs: { logarithm: info("out:0") } };
  const made = graphModel(nodes, { axis: { dtype: "int32", shape: [], values: [1] } }, { signature });
  graph = await writeModel(at("graph"), made.json, made.weights);
});
afterAll(() => remove());

describe("convert", () => {
  test("writes what ONNX Runtime loads, and says what it takes and gives", async () => {
    const out = at("new/dense.onnx");
    const { code, stdout, stderr } = await subspan("convert", dense, "--out", out);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining("tracing") });
    expect(stdout).toMatch(/inputs +hidden_input: float32 \[N, 2\]\noutputs +scores: float32 \[N, 2\]\n/);
    const session = await InferenceSession.create(out);
    const { scores } = await session.run({ hidden_input: new Tensor("float32", new Float32Array(6), [3, 2]) });
    expect(scores?.dims).toEqual([3, 2]);
    await session.release();
  });

  test("--check shows how far each output is from tfjs's", async () => {
    const { code, stdout } = await subspan("convert", dense, "--out", at("checked.onnx"), "--check");
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^output +shape +max abs +max rel .*\nscores +\[2, 2\] +(0|\d\.\de-\d+) +(0|\d\.\de-\d+)\none run: tfjs .* m?s, ONNX Runtime .* m?s\n/,
    );
  });

  test("--json tells all of it", async () => {
    const { stdout, stderr } = await subspan("convert", dense, "--out", at("json.onnx"), "--check", "--json");
    expect(stderr).toBe("");
    const { bytes } = JSON.parse(stdout) as { bytes: number };
    expect(JSON.parse(stdout)).toMatchObject({
      path: at("json.onnx"),
      inputs: [{ name: "hidden_input", type: "float32", shape: ["N", 2] }],
      outputs: [{ name: "scores", type: "float32", shape: ["N", 2] }],
      check: { outputs: { scores: { shape: [2, 2], maxAbs: expect.any(Number), maxRel: expect.any(Number) } } },
    });
    expect((await readFile(at("json.onnx"))).length).toBe(bytes);
  });

  test("--signature and --shape name and size the ports, --inputs checks on the user's arrays", async () => {
    await writeNpz(at("values.npz"), { values: { data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [2, 3] } });
    const options = ["--signature", "--shape", "values=N,3", "--inputs", at("values.npz"), "--json"];
    const { code, stdout } = await subspan("convert", graph, "--out", at("graph.onnx"), ...options);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      inputs: [{ name: "values", shape: ["N", 3] }],
      outputs: [{ name: "logarithm", shape: ["N"] }],
      check: { outputs: { logarithm: { shape: [2] } } },
    });
  });
});

describe("an axis that is open beside the batch", () => {
  const rows = async (name: string, layer: tfl.layers.Layer) => {
    const { json, weights } = await saved(tfl.sequential({ layers: [layer, tfl.layers.globalAveragePooling1d({})] }));
    return writeModel(at(name), json, weights);
  };
  const convolution = { name: "windows", filters: 2, kernelSize: 9, inputShape: [null, 3] };

  test("is checked at a size that windows fit into", async () => {
    const path = await rows("sequence", tfl.layers.conv1d({ ...convolution, padding: "valid" }));
    const { code, stdout } = await subspan(
      ...["convert", path, "--shape", "windows_input=1,T,3", "--check", "--json", "--out", at("sequence.onnx")],
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ inputs: [{ shape: [1, "T", 3] }] });
  });

  test("is refused where windows start elsewhere at another size, and the message says what to fix", async () => {
    const path = await rows("strided", tfl.layers.conv1d({ ...convolution, padding: "same", strides: 2 }));
    const { code, stderr } = await subspan("convert", path, "--shape", "windows_input=1,T,3", "--out", at("s.onnx"));
    expect(code).toBe(1);
    expect(stderr).toMatch(/T has to be fixed, for instance: --shape windows_input=1,64,3 /);
  });
});

describe("what cannot be converted leaves no file", () => {
  const refused = async (...argv: string[]) => {
    const before = await readdir(at("."));
    const { code, stdout, stderr } = await subspan("convert", ...argv, "--out", at("refused.onnx"));
    expect(await readdir(at("."))).toEqual(before);
    expect(stdout).toBe("");
    return { code, message: stderr.trimEnd().split("\n").at(-1) };
  };

  test("a size that the model leaves open", async () => {
    expect(await refused(graph)).toEqual({
      code: 2,
      message:
        "subspan: input x: shape [?, ?] leaves sizes open; give it whole, such as x=N,64 (--shape, or shapes in convertModel)",
    });
  });

  test("a model that is not there", async () => {
    expect(await refused("no/model.json")).toEqual({ code: 1, message: "subspan: no/model.json: no such file" });
  });

  test("a weight that is NaN", async () => {
    const { json, weights } = graphModel([placeholder("x", [-1, 2]), node("Mul", "y", ["x", "w"])], {
      w: { shape: [2], values: [1, Number.NaN] },
    });
    const path = await writeModel(at("nan"), json, weights);
    expect(await refused(path)).toEqual({ code: 1, message: "subspan: weight w: value 1 of [2] is NaN" });
  });

  test.each([
    [["--shape", "x"], "--shape: expected name=sizes, such as image=N,224,224,3, got x"],
    [["--shape", "x=N,-1"], "input x: expected shape [?, ?], got [N, -1]"],
    [["--inputs", "no.npz", "--shape", "x=N,3"], "no.npz: no such file or folder"],
  ])("%j", async (options, message) => {
    expect((await refused(graph, ...options)).message).toBe(`subspan: ${message}`);
  });

  test("inputs that do not fit the model", async () => {
    const shape = ["--shape", "x=N,3"];
    const inputs = async (data: Float32Array<ArrayBuffer>, shape: number[], name = "x") => {
      await writeNpz(at("inputs.npz"), { [name]: { data, shape }, other: { data, shape } });
      return ["--inputs", at("inputs.npz")];
    };
    const wide = await inputs(new Float32Array(4), [1, 4]);
    expect((await refused(graph, ...shape, ...wide)).message).toMatch(
      /inputs\.npz: x: expected shape \[N,3\], got \[1,4\]$/,
    );
    const misnamed = await inputs(new Float32Array(3), [1, 3], "y");
    expect((await refused(graph, ...shape, ...misnamed)).message).toMatch(/no array x; it holds y, other$/);
  });

  test("a name that is no ONNX file's", async () => {
    const { code, stderr } = await subspan("convert", dense, "--out", at("dense/model.json"));
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining("ends with .onnx") });
  });
});

test("a file that is there stays until the new one is whole", async () => {
  await writeFile(at("kept.onnx"), "old");
  expect((await subspan("convert", graph, "--out", at("kept.onnx"))).code).toBe(2);
  expect(await readFile(at("kept.onnx"), "utf8")).toBe("old");
  expect((await subspan("convert", dense, "--out", at("kept.onnx"))).code).toBe(0);
  expect((await readFile(at("kept.onnx"))).length).toBeGreaterThan(100);
});
