import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import { valuesOf } from "../../export/constants.ts";
import { Graph, type GraphPort } from "../../export/graph.ts";
import { type TraceFunction, trace, withoutCopies } from "../../export/index.ts";
import {
  absorbActivations,
  absorbBiases,
  cancelTransposes,
  dropIdentities,
  foldConstants,
  joinCasts,
  joinReshapes,
  liveNodes,
  simplified,
} from "../../export/simplify.ts";
import { ELEMENT_TYPE, type ElementType } from "../../runtime/onnx-schema.ts";
import { draws, runModel } from "./run-model.ts";

/** A graph of inputs x (float32) and b (uint8), both [2, 3], whose outputs `build` gives. */
function graph(build: (g: Graph) => string | string[]): Graph {
  const g = new Graph();
  const port = (name: string, type: ElementType): GraphPort => ({ name, type, shape: [2, 3] });
  g.inputs.push(port("x", "float32"), port("b", "uint8"));
  [build(g)].flat().forEach((value, i) => {
    g.outputs.push({ ...port(`y${i}`, "float32"), value });
  });
  return g;
}

/** The outputs as formulas: `Mul(x, 2)`. Constants are their numbers. */
function formulas(g: Graph): string {
  const formula = (name: string): string => {
    const constant = g.initializers.get(name);
    if (constant) {
      const numbers = Array.from(valuesOf(constant) as Float32Array, Number).join(" ");
      return constant.shape.length === 0 ? numbers : `[${numbers}]`;
    }
    const node = g.producer(name) ?? g.nodes.find(({ outputs }) => outputs.includes(name));
    const { perm, to } = node?.attributes ?? {};
    const attribute = perm ? [`(${perm})`] : to ? [TYPES.get(to as number)] : [];
    return node ? `${node.op}(${[...node.inputs.map(formula), ...attribute].join(", ")})` : name;
  };
  return g.outputs.map(({ value }) => formula(value)).join("; ");
}
const TYPES = new Map(Object.entries(ELEMENT_TYPE).map(([type, code]) => [code as number, type]));

const float32 = (g: Graph, shape: number[], ...numbers: number[]) =>
  g.constant("float32", shape, new Uint8Array(Float32Array.from(numbers).buffer));
const int32 = (g: Graph, shape: number[], ...numbers: number[]) =>
  g.constant("int32", shape, new Uint8Array(Int32Array.from(numbers).buffer));
const cast = (g: Graph, x: string, type: ElementType) => g.node("Cast", [x], { to: ELEMENT_TYPE[type] });
const reshape = (g: Graph, x: string, ...shape: number[]) => g.node("Reshape", [x, g.int64(shape)]);
const transpose = (g: Graph, x: string, ...perm: number[]) => g.node("Transpose", [x], { perm });

/** A row a fact: what a pass makes of a graph, before and after. */
type Facts = [name: string, build: (g: Graph) => string | string[], before: string, after: string][];
const hold = (pass: (g: Graph) => Graph, facts: Facts) =>
  test.each(facts)("%s", (_, build, before, after) => {
    const g = graph(build);
    expect(formulas(g)).toBe(before);
    expect(formulas(pass(g))).toBe(after);
  });

describe("dead nodes go", () => {
  test("and the constants that only they read", () => {
    const g = graph((g) => {
      g.node("Neg", [g.node("Mul", ["x", g.float32(7)])]);
      return g.node("Abs", ["x"]);
    });
    expect(g.nodes.map(({ op }) => op)).toEqual(["Mul", "Neg", "Abs"]);
    const live = liveNodes(g);
    expect(live.nodes.map(({ op }) => op)).toEqual(["Abs"]);
    expect(live.initializers.size).toBe(0);
  });

  test("but not one of whose outputs another is needed", () => {
    const g = graph((g) => g.split("TopK", ["x", g.int64([1])], 2)[1] as string);
    expect(liveNodes(g).nodes).toEqual(g.nodes);
  });
});

describe("nodes that only read constants become constants", () => {
  hold(foldConstants, [
    ["Add", (g) => g.node("Add", [float32(g, [2], 1, 2), g.float32(0.5)]), "Add([1 2], 0.5)", "[1.5 2.5]"],
    ["Sub", (g) => g.node("Sub", [int32(g, [2, 1], 1, 2), int32(g, [2], 5, 6)]), "Sub([1 2], [5 6])", "[-4 -5 -3 -4]"],
    ["Mul", (g) => g.node("Mul", [int32(g, [], 2 ** 30), int32(g, [], 6)]), "Mul(1073741824, 6)", "-2147483648"],
    ["Div", (g) => g.node("Div", [g.int64([7, -7]), g.int64([2])]), "Div([7 -7], [2])", "[3 -3]"],
    ["Div of floats", (g) => g.node("Div", [g.float32(1), g.float32(0)]), "Div(1, 0)", "Infinity"],
    ["not a whole number by 0", (g) => g.node("Div", [g.int64([1]), g.int64([0])]), "Div([1], [0])", "Div([1], [0])"],
    [
      "Cast",
      (g) => cast(g, float32(g, [3], 1.7, -1.7, 0), "int32"),
      "Cast([1.7000000476837158 -1.7000000476837158 0], int32)",
      "[1 -1 0]",
    ],
    ["Cast to bool", (g) => cast(g, float32(g, [2], -2, 0), "bool"), "Cast([-2 0], bool)", "[1 0]"],
    [
      "not a Cast out of range",
      (g) => cast(g, g.float32(2 ** 31), "int32"),
      "Cast(2147483648, int32)",
      "Cast(2147483648, int32)",
    ],
    [
      "Transpose",
      (g) => transpose(g, float32(g, [2, 1, 3], 1, 2, 3, 4, 5, 6), 2, 0, 1),
      "Transpose([1 2 3 4 5 6], (2,0,1))",
      "[1 4 2 5 3 6]",
    ],
    [
      "Slice",
      (g) =>
        g.node("Slice", [
          float32(g, [2, 3], 1, 2, 3, 4, 5, 6),
          g.int64([-1]),
          g.int64([-(2 ** 31)]),
          g.int64([1]),
          g.int64([-2]),
        ]),
      "Slice([1 2 3 4 5 6], [-1], [-2147483648], [1], [-2])",
      "[3 1 6 4]",
    ],
    [
      "Slice to nothing",
      (g) => g.node("Slice", [g.int64([1, 2]), g.int64([2]), g.int64([1]), g.int64([0])]),
      "Slice([1 2], [2], [1], [0])",
      "[]",
    ],
    [
      "Concat",
      (g) => g.node("Concat", [float32(g, [2, 1], 1, 2), float32(g, [2, 2], 3, 4, 5, 6)], { axis: 1 }),
      "Concat([1 2], [3 4 5 6])",
      "[1 3 4 2 5 6]",
    ],
    [
      "what is folded can be folded again",
      (g) => g.node("Add", [g.node("Mul", [g.float32(2), g.float32(3)]), g.float32(1)]),
      "Add(Mul(2, 3), 1)",
      "7",
    ],
    ["not what reads an input", (g) => g.node("Add", ["x", g.float32(1)]), "Add(x, 1)", "Add(x, 1)"],
    [
      "not an operator that makes much of little",
      (g) => g.node("Expand", [g.float32(1), g.int64([9])]),
      "Expand(1, [9])",
      "Expand(1, [9])",
    ],
  ]);

  test("Reshape and Unsqueeze give the shape", () => {
    const g = graph((g) => {
      const x = float32(g, [2, 3], 1, 2, 3, 4, 5, 6);
      return [reshape(g, x, 0, -1, 1), g.node("Unsqueeze", [x, g.int64([0, -1])])];
    });
    const folded = foldConstants(g);
    const shapes = folded.outputs.map(({ value }) => folded.initializers.get(value)?.shape);
    expect(shapes).toEqual([
      [2, 3, 1],
      [1, 2, 3, 1],
    ]);
  });

  test("large constants only where the file does not grow", () => {
    const weights = Float32Array.from({ length: 1000 }, (_, i) => i);
    const build = (twice: boolean) =>
      graph((g) => {
        const w = g.constant("float32", [100, 10], new Uint8Array(weights.buffer));
        return [transpose(g, w, 1, 0), ...(twice ? [g.node("Neg", [w])] : [])];
      });
    expect(foldConstants(build(false)).nodes).toEqual([]);
    expect(foldConstants(build(true)).nodes.map(({ op }) => op)).toEqual(["Transpose", "Neg"]);
  });
});

describe("what changes nothing goes", () => {
  hold(dropIdentities, [
    ["Identity", (g) => g.node("Identity", ["x"]), "Identity(x)", "x"],
    ["x * 1", (g) => g.node("Mul", ["x", g.float32(1)]), "Mul(x, 1)", "x"],
    ["1 * x", (g) => g.node("Neg", [g.node("Mul", [g.float32(1), "x"])]), "Neg(Mul(1, x))", "Neg(x)"],
    ["x / 1", (g) => g.node("Div", ["x", g.float32(1)]), "Div(x, 1)", "x"],
    [
      "x + 0, x - 0",
      (g) => g.node("Sub", [g.node("Add", [g.float32(0), "x"]), g.float32(0)]),
      "Sub(Add(0, x), 0)",
      "x",
    ],
    [
      "a Cast to the type that is there",
      (g) => cast(g, cast(g, "x", "float32"), "int32"),
      "Cast(Cast(x, float32), int32)",
      "Cast(x, int32)",
    ],
    [
      "not 1 / x, 0 - x, x * 0",
      (g) => g.node("Div", [g.float32(1), g.node("Sub", [g.float32(0), g.node("Mul", ["x", g.float32(0)])])]),
      "Div(1, Sub(0, Mul(x, 0)))",
      "Div(1, Sub(0, Mul(x, 0)))",
    ],
    // It may make x larger.
    ["not x * [1]", (g) => g.node("Mul", ["x", float32(g, [1], 1)]), "Mul(x, [1])", "Mul(x, [1])"],
  ]);
});

describe("a Cast of a Cast that lost nothing is one", () => {
  hold(joinCasts, [
    [
      "bytes by way of int32",
      (g) => cast(g, cast(g, "b", "int32"), "float32"),
      "Cast(Cast(b, int32), float32)",
      "Cast(b, float32)",
    ],
    ["and back", (g) => cast(g, cast(g, "b", "float32"), "uint8"), "Cast(Cast(b, float32), uint8)", "b"],
    [
      "comparisons",
      (g) => cast(g, cast(g, g.node("Greater", ["x", "x"]), "int32"), "float32"),
      "Cast(Cast(Greater(x, x), int32), float32)",
      "Cast(Greater(x, x), float32)",
    ],
    [
      "not floats by way of int32",
      (g) => cast(g, cast(g, "x", "int32"), "float32"),
      "Cast(Cast(x, int32), float32)",
      "Cast(Cast(x, int32), float32)",
    ],
  ]);
});

describe("a Transpose of a Transpose is one, or none", () => {
  hold(cancelTransposes, [
    [
      "there and back",
      (g) => transpose(g, transpose(g, "x", 1, 0), 1, 0),
      "Transpose(Transpose(x, (1,0)), (1,0))",
      "x",
    ],
    [
      "three axes",
      (g) => transpose(g, transpose(g, "x", 1, 2, 0), 1, 0, 2),
      "Transpose(Transpose(x, (1,2,0)), (1,0,2))",
      "Transpose(x, (2,1,0))",
    ],
    [
      "three in a row",
      (g) => transpose(g, transpose(g, transpose(g, "x", 1, 2, 0), 1, 2, 0), 1, 2, 0),
      "Transpose(Transpose(Transpose(x, (1,2,0)), (1,2,0)), (1,2,0))",
      "x",
    ],
    ["one that moves nothing", (g) => transpose(g, "x", 0, 1), "Transpose(x, (0,1))", "x"],
  ]);
});

describe("a Reshape of a Reshape is one, or none", () => {
  const computed = (g: Graph) => g.node("Shape", ["b"]);
  hold(joinReshapes, [
    ["two", (g) => reshape(g, reshape(g, "x", 6), 3, -1), "Reshape(Reshape(x, [6]), [3 -1])", "Reshape(x, [3 -1])"],
    ["to the shape that is there", (g) => reshape(g, reshape(g, "x", 6), 2, 3), "Reshape(Reshape(x, [6]), [2 3])", "x"],
    [
      "not a 0 that means the size there",
      (g) => reshape(g, reshape(g, "x", 3, 2), 0, -1),
      "Reshape(Reshape(x, [3 2]), [0 -1])",
      "Reshape(Reshape(x, [3 2]), [0 -1])",
    ],
    [
      "a computed shape, in which a 0 is a 0",
      (g) => g.node("Reshape", [reshape(g, "x", 6), computed(g)], { allowzero: 1 }),
      "Reshape(Reshape(x, [6]), Shape(b))",
      "Reshape(x, Shape(b))",
    ],
    [
      "not one in which it may not be",
      (g) => g.node("Reshape", [reshape(g, "x", 6), computed(g)]),
      "Reshape(Reshape(x, [6]), Shape(b))",
      "Reshape(Reshape(x, [6]), Shape(b))",
    ],
  ]);
});

describe("all passes together", () => {
  test("nodes that they make equal are one", () => {
    const g = graph((g) => {
      const direct = reshape(g, "x", 6);
      const around = reshape(g, g.node("Mul", [reshape(g, "x", 3, 2), g.float32(1)]), 6);
      return [g.node("Neg", [direct]), g.node("Neg", [around])];
    });
    expect(formulas(g)).toBe("Neg(Reshape(x, [6])); Neg(Reshape(Mul(Reshape(x, [3 2]), 1), [6]))");
    const result = simplified(g);
    expect(formulas(result)).toBe("Neg(Reshape(x, [6])); Neg(Reshape(x, [6]))");
    expect(result.nodes.length).toBe(2);
  });

  test("bytes become floats at once, and a traced filter is stored as a Conv reads it", () => {
    const filter = draws(3 * 3 * 1 * 2);
    const fn: TraceFunction = ({ pixels }) => ({
      y: tf.relu(tf.conv2d(tf.div(pixels!, 255) as tf.Tensor4D, tf.tensor4d(filter, [3, 3, 1, 2]), 1, "same")),
    });
    const model = trace(fn, { inputs: { pixels: { type: "uint8", shape: ["N", 4, 4, 1] } } });
    const constants = new Set(model.initializers.map(({ name }) => name));
    expect(model.nodes.filter(({ op }) => op === "Cast").length).toBe(1);
    expect(model.nodes.filter(({ inputs }) => inputs.every((name) => constants.has(name)))).toEqual([]);
    expect(model.initializers.some(({ shape }) => String(shape) === "2,1,3,3")).toBe(true);
  });

  test("a matrix has its rows in the order that a convolution gives, and nothing is transposed for it", async () => {
    const filter = tf.tensor4d(draws(3 * 3 * 2 * 4), [3, 3, 2, 4]);
    const matrix = tf.tensor2d(draws(3 * 5 * 4 * 2), [60, 2]);
    const fn: TraceFunction = ({ x }) => ({
      y: tf.matMul(tf.reshape(tf.relu(tf.conv2d(x as tf.Tensor4D, filter, 1, "same")), [-1, 60]), matrix),
    });
    const model = trace(fn, { inputs: { x: { type: "float32", shape: ["N", 3, 5, 2] } } });
    expect(model.nodes.filter(({ op }) => op === "MatMul").length).toBe(1);
    const images = model.nodes.filter(({ op }) => op === "Transpose").map(({ attributes }) => attributes.perm);
    expect(images).toEqual([[0, 2, 1]]); // as they come
    const x = Float32Array.from(draws(3 * 30));
    const { y } = await runModel(model, { x: { data: x, shape: [3, 3, 5, 2] } });
    const expected = fn({ x: tf.tensor4d(x, [3, 3, 5, 2]) }).y!.dataSync();
    expect(Math.max(...expected.map((value, i) => Math.abs(value - Number(y?.data[i]))))).toBeLessThan(1e-6);
  });

  test("an output is what a node gives, and a copy of an input, a constant or another output", async () => {
    const fn: TraceFunction = ({ x }) => {
      const half = tf.mul(x!, 0.5);
      return { half, again: half, square: tf.square(half), same: x!, two: tf.scalar(2) };
    };
    const model = withoutCopies(trace(fn, { inputs: { x: { type: "float32", shape: ["N"] } } }));
    expect(model.nodes.map(({ op, outputs }) => [op, ...outputs])).toEqual([
      ["Mul", "half"],
      ["Mul", "square"],
      ["Identity", "again"],
      ["Identity", "same"],
      ["Identity", "two"],
    ]);
    const found = await runModel(model, { x: { data: Float32Array.of(3, 4), shape: [2] } });
    const numbers = Object.fromEntries(Object.entries(found).map(([name, { data }]) => [name, data]));
    expect(numbers).toEqual({ half: [1.5, 2], again: [1.5, 2], square: [2.25, 4], same: [3, 4], two: [2] });
  });

  test("an output may be an input or a constant", async () => {
    const fn: TraceFunction = ({ x }) => ({ same: tf.mul(x!, 1), two: tf.add(tf.scalar(1), tf.scalar(1)) });
    const model = trace(fn, { inputs: { x: { type: "float32", shape: ["N"] } } });
    expect(model.nodes.map(({ op }) => op)).toEqual(["Identity", "Identity"]);
    const { same, two } = await runModel(model, { x: { data: Float32Array.of(3, 4), shape: [2] } });
    expect([same?.data, two?.data]).toEqual([[3, 4], [2]]);
  });

  test("names of inputs stay their own", () => {
    const fn: TraceFunction = (inputs) => ({ y: tf.neg(tf.mul(inputs.Neg_4!, 1)) });
    const { nodes } = trace(fn, { inputs: { Neg_4: { type: "float32", shape: [2] } } });
    expect(nodes.map(({ op, inputs }) => [op, ...inputs])).toEqual([
      ["Neg", "Neg_4"],
      ["Identity", "Neg_0"],
    ]);
  });
});

const convolved = (g: Graph, ...bias: string[]) => g.node("com.microsoft.nchwc:Conv", ["x", "b", ...bias]);
const spread = (g: Graph) => reshape(g, "b", 1, 2, 1, 1, 8);

describe("biases of convolutions over blocks", () =>
  hold(absorbBiases, [
    [
      "are theirs",
      (g) => g.node("Add", [reshape(g, convolved(g), 4, 2, 5, 5, 8), spread(g)]),
      "Add(Reshape(com.microsoft.nchwc:Conv(x, b), [4 2 5 5 8]), Reshape(b, [1 2 1 1 8]))",
      "Reshape(com.microsoft.nchwc:Conv(x, b, Reshape(b, [16])), [4 2 5 5 8])",
    ],
    [
      "are those of each phase of a transposed convolution",
      (g) => {
        const phases = [1, 2].map((size) =>
          reshape(g, g.node("com.microsoft.nchwc:Conv", ["x", "b"], { group: size }), 8, 8),
        );
        return g.node("Add", [spread(g), reshape(g, g.node("Concat", phases, { axis: 1 }), 4, 2, 5, 5, 8)]);
      },
      "Add(Reshape(b, [1 2 1 1 8]), Reshape(Concat(Reshape(com.microsoft.nchwc:Conv(x, b), [8 8]), Reshape(com.microsoft.nchwc:Conv(x, b), [8 8])), [4 2 5 5 8]))",
      "Reshape(Concat(Reshape(com.microsoft.nchwc:Conv(x, b, Reshape(b, [16])), [8 8]), Reshape(com.microsoft.nchwc:Conv(x, b, Reshape(b, [16])), [8 8])), [4 2 5 5 8])",
    ],
    [
      "stay where the convolution is used without",
      (g) => [g.node("Add", [reshape(g, convolved(g), 4, 2, 5, 5, 8), spread(g)]), convolved(g)],
      "Add(Reshape(com.microsoft.nchwc:Conv(x, b), [4 2 5 5 8]), Reshape(b, [1 2 1 1 8])); com.microsoft.nchwc:Conv(x, b)",
      "Add(Reshape(com.microsoft.nchwc:Conv(x, b), [4 2 5 5 8]), Reshape(b, [1 2 1 1 8])); com.microsoft.nchwc:Conv(x, b)",
    ],
    [
      "are one, and numbers for each place are none",
      (g) => [
        g.node("Add", [reshape(g, convolved(g, "b"), 4, 2, 5, 5, 8), spread(g)]),
        g.node("Add", [convolved(g), reshape(g, "b", 1, 1, 1, 2, 8)]),
      ],
      "Add(Reshape(com.microsoft.nchwc:Conv(x, b, b), [4 2 5 5 8]), Reshape(b, [1 2 1 1 8])); Add(com.microsoft.nchwc:Conv(x, b), Reshape(b, [1 1 1 2 8]))",
      "Add(Reshape(com.microsoft.nchwc:Conv(x, b, b), [4 2 5 5 8]), Reshape(b, [1 2 1 1 8])); Add(com.microsoft.nchwc:Conv(x, b), Reshape(b, [1 1 1 2 8]))",
    ],
  ]));

test("a leaky ReLU is the activation of the convolution over blocks before it, once", () => {
  const leaky = (g: Graph, x: string) => g.node("LeakyRelu", [x], { alpha: { float: 0.2 } });
  const { nodes } = liveNodes(absorbActivations(graph((g) => leaky(g, leaky(g, reshape(g, convolved(g), 4, 2))))));
  expect(nodes.map(({ op }) => op)).toEqual(["com.microsoft.nchwc:Conv", "Reshape", "LeakyRelu"]);
  expect(nodes[0]?.attributes).toEqual({ activation: "LeakyRelu", activation_params: { floats: [0.2] } });
});
