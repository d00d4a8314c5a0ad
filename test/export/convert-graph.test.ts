import { deregisterOp, type GraphModel, registerOp } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import {
  type ConvertOptions,
  compareConversion,
  convertModel,
  encodeModel,
  type Feeds,
  modelFunction,
} from "../../export/index.ts";
import { draws } from "./run-model.ts";
import { functionDef, loadedGraph, node, placeholder } from "./tfjs-models.ts";

const INT = { type: "DT_INT32" };
const constant = (...values: number[]) => ({ shape: values.length === 1 ? [] : [values.length], values });
const ints = (...values: number[]) => ({ ...constant(...values), dtype: "int32" as const });
const vector = (...values: number[]) => ({ shape: [values.length], values, dtype: "int32" as const });
const matrix = (rows: number, columns: number) => ({
  shape: [rows, columns],
  values: Array.from(draws(rows * columns, -1, 1, rows)),
});

/** The largest difference from tfjs, relative to an output's scale, for drawn inputs. */
async function difference(model: GraphModel, batch = 2, options: ConvertOptions = {}): Promise<number> {
  const fn = modelFunction(model, options);
  const feeds: Feeds = Object.fromEntries(
    Object.entries(fn.inputs).map(([name, { type, shape }]) => {
      const sizes = shape.map((dim) => (typeof dim === "string" ? batch : dim));
      const values = draws(tf.util.sizeFromShape(sizes), 0, 3);
      return [name, { data: type === "float32" ? values : Int32Array.from(values), shape: sizes }] as const;
    }),
  );
  const { outputs } = await compareConversion(fn, encodeModel(convertModel(model, options)), feeds);
  return Math.max(...Object.values(outputs).map(({ maxRel }) => maxRel));
}

const refusal = (model: GraphModel, options: ConvertOptions = {}) => {
  try {
    convertModel(model, options);
  } catch (error) {
    return error as Error & { code: string };
  }
  throw new Error("it was converted");
};

/** Flatten as TensorFlow writes it, then a dense layer: the shape is computed by nodes. */
const flattened = (signature?: object) =>
  loadedGraph(
    [
      placeholder("x", [-1, 2, 3]),
      node("Shape", "shape", ["x"]),
      node("StridedSlice", "batch", ["shape", "begin", "end", "one"], { shrink_axis_mask: { i: 1 }, T: INT }),
      node("Pack", "flat", ["batch", "six"], { N: { i: 2 }, axis: { i: 0 }, T: INT }),
      node("Reshape", "reshaped", ["x", "flat"]),
      node("MatMul", "product", ["reshaped", "kernel"]),
      node("BiasAdd", "logits", ["product", "bias"]),
      node("Split", "halves", ["axis", "logits"], { num_split: { i: 2 } }),
    ],
    {
      ...{ begin: vector(0), end: vector(1), one: vector(1), six: ints(6), axis: ints(1) },
      ...{ kernel: matrix(6, 4), bias: constant(1, 2, 3, 4) },
    },
    signature === undefined ? {} : { signature },
  );

const info = (name: string) => ({ name, dtype: "DT_FLOAT", tensorShape: {} });
const SIGNATURE = {
  inputs: { pixels: info("x:0") },
  outputs: { scores: info("halves:1"), logits: info("logits:0"), again: info("logits:0") },
};

describe("a Graph model gives what tfjs gives", () => {
  test("shapes that nodes compute, at any batch", async () => {
    const model = await flattened();
    for (const batch of [1, 5]) expect(await difference(model, batch)).toBeLessThanOrEqual(1e-6);
    const { nodes } = convertModel(model);
    expect(nodes.map(({ op }) => op)).not.toContain("Gather");
  });

  test("and works on afterwards", async () => {
    const model = await flattened(SIGNATURE);
    convertModel(model);
    const [scores] = model.predict(tf.ones([1, 2, 3])) as tf.Tensor[];
    expect(scores?.shape).toEqual([1, 2]);
  });

  test("named as a trace names its own values", async () => {
    const model = await loadedGraph([
      placeholder("Neg_0", [-1, 2]),
      node("Neg", "Neg_1", ["Neg_0"]),
      node("Exp", "Exp_0", ["Neg_1"]),
    ]);
    const { inputs, outputs } = convertModel(model);
    expect(inputs.concat(outputs).map(({ name }) => name)).toEqual(["Neg_0", "Exp_0"]);
    expect(await difference(model)).toBeLessThanOrEqual(1e-6);
  });

  test("a chain longer than JavaScript's stack is deep", async () => {
    const chain = Array.from({ length: 10_000 }, (_, i) => node("Neg", `n${i}`, [i === 0 ? "x" : `n${i - 1}`]));
    expect(convertModel(await loadedGraph([placeholder("x", [-1, 3]), ...chain])).nodes).toHaveLength(10_001);
  });

  test("an output that is an input, and one that is a constant", async () => {
    const signature = { inputs: { x: info("x:0") }, outputs: { same: info("x:0"), bias: info("b:0") } };
    const model = await loadedGraph([placeholder("x", [-1, 2])], { b: constant(1, 2) }, { signature });
    expect(convertModel(model).outputs.map(({ name }) => name)).toEqual(["x_1", "b"]);
    expect(await difference(model)).toBe(0);
  });
});

describe("ports", () => {
  test("go by the nodes' names, an output after the first with its number", async () => {
    const { inputs, outputs } = convertModel(await flattened(SIGNATURE));
    expect(inputs).toEqual([{ name: "x", type: "float32", shape: ["N", 2, 3] }]);
    expect(outputs.map(({ name, shape }) => [name, shape])).toEqual([
      ["halves:1", ["N", 2]],
      ["logits", ["N", 4]],
      ["logits_1", ["N", 4]],
    ]);
  });

  test("go by the signature's names where that is asked for", async () => {
    const model = await flattened(SIGNATURE);
    const { inputs, outputs } = convertModel(model, { signature: true });
    expect(inputs.concat(outputs).map(({ name }) => name)).toEqual(["pixels", "scores", "logits", "again"]);
    expect(await difference(model, 3, { signature: true })).toBeLessThanOrEqual(1e-6);
  });

  test("a model without a signature has no such names", async () => {
    expect(refusal(await flattened(), { signature: true })).toMatchObject({ code: "USAGE" });
  });

  test("a placeholder with a default is no input", async () => {
    const model = await loadedGraph(
      [placeholder("x", [-1, 2]), node("PlaceholderWithDefault", "scale", ["two"]), node("Mul", "y", ["x", "scale"])],
      { two: constant(2) },
    );
    expect(convertModel(model).inputs.map(({ name }) => name)).toEqual(["x"]);
    expect(await difference(model)).toBe(0);
  });

  test("a shape of open rank is given", async () => {
    const shape = { shape: { unknownRank: true } };
    const x = { name: "x", op: "Placeholder", attr: { dtype: { type: "DT_FLOAT" }, shape } };
    const model = await loadedGraph([x, node("Relu", "y", ["x"])]);
    expect(refusal(model).message).toMatch(/^input x: shape \[of any rank\] leaves sizes open/);
    expect(convertModel(model, { shapes: { x: ["N", 3] } }).outputs[0]?.shape).toEqual(["N", 3]);
  });
});

/** Adds x `turns` times to a sum, in a loop whose count is a constant or comes with the data. */
const summing = (turns: "constant" | "data") => {
  const count = turns === "constant" ? "turns" : "given";
  return loadedGraph(
    [
      placeholder("x", [-1, 2]),
      placeholder("given", [], "int32"),
      node("ZerosLike", "nothing", ["x"]),
      node("StatelessWhile", "loop", ["zero", count, "nothing", "x"], {
        cond: { func: { name: "more" } },
        body: { func: { name: "add" } },
        T: { list: { type: ["DT_INT32", "DT_INT32", "DT_FLOAT", "DT_FLOAT"] } },
      }),
      node("Identity", "sum", ["loop:2"]),
    ],
    { zero: ints(0), turns: ints(4), one: ints(1) },
    {
      signature: { inputs: { x: info("x:0"), given: info("given:0") }, outputs: { sum: info("sum:0") } },
      functions: [
        functionDef(
          "more",
          { i: "int32", n: "int32", sum: "float32", x: "float32" },
          [node("Less", "less", ["i", "n"])],
          { result: "less:z:0" },
        ),
        functionDef(
          "add",
          { i: "int32", n: "int32", sum: "float32", x: "float32" },
          [
            node("AddV2", "next", ["i", "one_more"]),
            node("AddV2", "added", ["sum", "x"]),
            node("OnesLike", "one_more", ["i"], { T: INT }),
            node("Identity", "n_out", ["n"], { T: INT }),
            node("Identity", "x_out", ["x"]),
          ],
          { i_out: "next:z:0", n_out: "n_out:output:0", sum_out: "added:z:0", x_out: "x_out:output:0" },
        ),
      ],
    },
  );
};

describe("control flow", () => {
  test("that no data decides is unrolled", async () => {
    const model = await summing("constant");
    const additions = convertModel(model).nodes.filter(({ op }) => op === "Add");
    expect(additions.length).toBeGreaterThanOrEqual(3); // the first may be to zeros
    expect(await difference(model)).toBeLessThanOrEqual(1e-6);
  });

  test("that data decides is refused by name", async () => {
    expect(refusal(await summing("data"))).toMatchObject({
      code: "TRACE_REFUSED",
      message: expect.stringMatching(/^node loop \(StatelessWhile\): its condition depends on the data/),
    });
  });

  test("a branch is taken for good", async () => {
    const branch = (name: string, op: string) =>
      functionDef(name, { x: "float32" }, [node(op, "y", ["x"])], { result: "y:y:0" });
    const model = await loadedGraph(
      [
        placeholder("x", [-1, 2]),
        node("StatelessIf", "choice", ["always", "x"], {
          then_branch: { func: { name: "then" } },
          else_branch: { func: { name: "else" } },
        }),
        node("Neg", "y", ["choice"]),
      ],
      { always: { dtype: "bool", shape: [], values: [1] } },
      { functions: [branch("then", "Exp"), branch("else", "Sqrt")] },
    );
    expect(convertModel(model).nodes.map(({ op }) => op)).toEqual(["Exp", "Neg", "Identity"]);
    expect(await difference(model)).toBeLessThanOrEqual(1e-6);
  });

  test("a recurrent layer as TensorFlow writes it: its steps in lists of tensors", async () => {
    const list = (op: string, name: string, input: string[]) =>
      node(op, name, input, { element_dtype: { type: "DT_FLOAT" }, shape_type: INT });
    const args = { i: "int32", h: "float32", steps: "float32", out: "float32", w: "float32" } as const;
    const model = await loadedGraph(
      [
        placeholder("x", [-1, 3, 2]),
        node("Transpose", "time_first", ["x", "order"]),
        list("TensorListFromTensor", "steps", ["time_first", "element"]),
        list("TensorListReserve", "reserved", ["element", "three"]),
        node("StridedSlice", "first", ["time_first", "begin", "end", "stride"], { shrink_axis_mask: { i: 1 } }),
        node("ZerosLike", "h0", ["first"]),
        node("While", "loop", ["zero", "h0", "steps", "reserved", "w"], {
          cond: { func: { name: "more" } },
          body: { func: { name: "step" } },
        }),
        list("TensorListStack", "stacked", ["loop:3", "element"]),
        node("Transpose", "y", ["stacked", "order"]),
      ],
      {
        ...{ order: vector(1, 0, 2), element: vector(-1, 2), zero: ints(0), three: ints(3), w: matrix(2, 2) },
        ...{ begin: vector(0), end: vector(1), stride: vector(1), limit: ints(3) },
      },
      {
        functions: [
          functionDef(
            "more",
            args,
            [{ name: "limit", op: "Const", attr: { dtype: INT } }, node("Less", "less", ["i", "limit"], { T: INT })],
            { result: "less:z:0" },
          ),
          functionDef(
            "step",
            args,
            [
              { name: "element", op: "Const", attr: { dtype: INT } },
              list("TensorListGetItem", "item", ["steps", "i", "element"]),
              node("MatMul", "turned", ["h", "w"]),
              node("AddV2", "sum", ["turned", "item"]),
              node("Tanh", "next_h", ["sum"]),
              list("TensorListSetItem", "written", ["out", "i", "next_h"]),
              node("OnesLike", "one", ["i"], { T: INT }),
              node("AddV2", "next_i", ["i", "one"], { T: INT }),
              node("Identity", "steps_out", ["steps"]),
              node("Identity", "w_out", ["w"]),
            ],
            {
              a: "next_i:z:0",
              b: "next_h:y:0",
              c: "steps_out:output:0",
              d: "written:output_handle:0",
              e: "w_out:output:0",
            },
          ),
        ],
      },
    );
    expect(convertModel(model).outputs).toEqual([{ name: "y", type: "float32", shape: ["N", 3, 2] }]);
    for (const batch of [1, 4]) expect(await difference(model, batch)).toBeLessThanOrEqual(1e-6);
  });
});

test.each<[number[], number, string]>([
  [[0, 1], 3, "node y (TensorListStack): item 2 of its list of tensors was never set"],
  [[1], 2, "node y (TensorListStack): item 0 of its list of tensors was never set"],
  [[-1], 2, "node set0 (TensorListSetItem): its list of tensors has no place -1"],
  [[1_000_000_000], 2, "node set0 (TensorListSetItem): its list of tensors has no place 1000000000"],
  [[0], 1_000_000_000, "node list (TensorListReserve): its list of tensors is to hold 1000000000, more than 10000"],
])("a list of tensors with items %j of %d set is refused", async (places, size, message) => {
  const sets = places.map((_, i) =>
    node("TensorListSetItem", `set${i}`, [i === 0 ? "list" : `set${i - 1}`, `i${i}`, "x"]),
  );
  const model = await loadedGraph(
    [
      placeholder("x", [-1, 2]),
      node("TensorListReserve", "list", ["shape", "size"]),
      ...sets,
      node("TensorListStack", "y", [`set${places.length - 1}`, "shape"]),
    ],
    { shape: vector(-1, 2), size: ints(size), ...Object.fromEntries(places.map((at, i) => [`i${i}`, ints(at)])) },
  );
  expect(refusal(model).message).toBe(message);
});

describe("what a graph cannot hold is refused by name", () => {
  test("loops of TensorFlow 1, sizes that depend on the data, text, custom ops: all in one error", async () => {
    const model = await loadedGraph([
      placeholder("x", [-1]),
      node("Enter", "enter", ["x"], { frame_name: { s: "bG9vcA==" } }),
      node("Merge", "merge", ["enter", "next"]),
      node("NextIteration", "next", ["merge"]),
      node("Where", "where", ["merge"]),
      node("StringSplit", "words", ["where"]),
      node("Frobnicate", "frob_1", ["words"]),
      node("Frobnicate", "frob_2", ["frob_1"]),
    ]);
    const { code, message } = refusal(model);
    expect(code).toBe("TRACE_REFUSED");
    for (const part of [
      "Frobnicate (frob_2 and 1 more)",
      "StringSplit (words)",
      "Where (where)",
      "Merge (merge)",
      "Enter (enter)",
    ])
      expect(message).toContain(part);
  });

  test("dynamic operators inside a function that is called", async () => {
    const model = await loadedGraph(
      [
        placeholder("x", [-1]),
        node("StatelessIf", "choice", ["always", "x"], {
          then_branch: { func: { name: "f" } },
          else_branch: { func: { name: "f" } },
        }),
      ],
      { always: { dtype: "bool", shape: [], values: [1] } },
      { functions: [functionDef("f", { x: "float32" }, [node("Where", "found", ["x"])], { result: "found:index:0" })] },
    );
    expect(refusal(model).message).toBe("a graph cannot hold outputs whose size depends on the data: Where (found)");
  });

  test("but not those that no output needs", async () => {
    const signature = { inputs: { x: info("x:0") }, outputs: { y: info("y:0") } };
    const nodes = [placeholder("x", [-1]), node("Exp", "y", ["x"]), node("Where", "unused", ["y"])];
    expect(await difference(await loadedGraph(nodes, {}, { signature }))).toBeLessThanOrEqual(1e-6);
  });

  test("a custom op that is registered is traced", async () => {
    registerOp("Frobnicate", ({ inputs: [x] }) => tf.square(x as tf.Tensor));
    try {
      const model = await loadedGraph([placeholder("x", [-1, 2]), node("Frobnicate", "y", ["x"])]);
      expect(await difference(model)).toBeLessThanOrEqual(1e-6);
    } finally {
      deregisterOp("Frobnicate");
    }
  });

  test("a shape that depends on the data, with the node that asks", async () => {
    const model = await loadedGraph(
      [
        placeholder("x", [-1, 2]),
        node("Sum", "total", ["x", "axes"]),
        node("Cast", "size", ["total"], { SrcT: { type: "DT_FLOAT" }, DstT: INT }),
        node("Fill", "filled", ["size", "value"]),
      ],
      { axes: vector(0), value: constant(1) },
    );
    expect(refusal(model).message).toMatch(/^node filled \(Fill\): the value of a traced tensor .* was read/);
  });

  test("an error of tfjs's, with the node that it comes from", async () => {
    const model = await loadedGraph([placeholder("x", [-1, 3]), node("AddV2", "y", ["x", "w"])], { w: matrix(2, 2) });
    expect(refusal(model).message).toMatch(/^node y \(AddV2\): .*could not be broadcast/);
  });

  test("a kernel without a lowering", async () => {
    const model = await loadedGraph([placeholder("x", [-1]), node("Unique", "seen", ["x"])]);
    expect(refusal(model).message).toMatch(/^node seen \(Unique\): no lowering for kernel Unique/);
  });

  test("several kernels without a lowering, each with the node that calls it", async () => {
    const model = await loadedGraph([
      placeholder("x", [-1]),
      node("Unique", "seen", ["x"]),
      node("Imag", "part", ["seen"]),
    ]);
    const { message } = refusal(model);
    expect(message).toMatch(/^no lowering for 2 kernels:\n {2}Unique \(.*\), called by node seen \(Unique\)\n/);
    expect(message).toMatch(/\n {2}Imag \(.*\), called by node part \(Imag\)$/);
  });
});

describe("a broken graph is refused by name", () => {
  test("nodes in a ring", async () => {
    const model = await loadedGraph([
      placeholder("x", [-1]),
      node("Add", "a", ["x", "c"]),
      node("Neg", "b", ["a"]),
      node("Exp", "c", ["b"]),
      node("Relu", "y", ["c"]),
    ]);
    expect(refusal(model)).toMatchObject({
      code: "MODEL_INVALID",
      message: "its nodes form a ring: c <- b <- a <- c",
    });
  });

  test("a graph without outputs", async () => {
    expect(refusal(await loadedGraph([]))).toMatchObject({
      code: "MODEL_INVALID",
      message: "the model has no outputs",
    });
  });

  test("constants without weights", async () => {
    const model = await loadedGraph([
      placeholder("x", [-1]),
      { name: "w", op: "Const", attr: { dtype: { type: "DT_FLOAT" } } },
      node("Mul", "y", ["x", "w"]),
    ]);
    expect(refusal(model)).toMatchObject({ code: "MODEL_INVALID", message: "constants without weights: w" });
  });

  test("weights that are not finite; a scalar may be infinite, as padding for a max is", async () => {
    const nodes = [placeholder("x", [-1, 2]), node("Maximum", "y", ["x", "w"])];
    const bad = await loadedGraph(nodes, { w: constant(1, Number.POSITIVE_INFINITY) });
    expect(refusal(bad)).toMatchObject({ code: "NOT_FINITE", message: "weight w: value 1 of [2] is Infinity" });
    const nan = await loadedGraph(nodes, { w: constant(Number.NaN) });
    expect(refusal(nan).message).toBe("weight w: value 0 of [] is NaN");
    expect(await difference(await loadedGraph(nodes, { w: constant(Number.NEGATIVE_INFINITY) }))).toBe(0);
  });
});
