/**
 * A clusterer's assignment in tfjs-node, eager: its exported graph, node by node, in tfjs's own operators, by the protocol of
 * `assign.py`; where tfjs-node is not set up the first answer is {}. Integers of 64 bits, which tfjs has not, are shapes and
 * indices: lists of numbers here. Pictures lie as libtensorflow wants them, channels last, from the first convolution on.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import * as tf from "@tensorflow/tfjs-core";
import { loadTensorflow, TENSORFLOW_BACKEND } from "../../train/executors/tensorflow.ts";

/** Channels last: a [n, c, h, w] of the graph that is held as [n, h, w, c]. */
interface Value {
  readonly tensor: tf.Tensor;
  readonly last?: boolean;
}
type Operand = Value | readonly number[];
type Attributes = Readonly<Record<string, unknown>>;
interface GraphNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
}
interface Graph {
  readonly input: string;
  readonly label: string;
  readonly nodes: readonly GraphNode[];
  readonly tensors: Readonly<Record<string, { dtype: string; shape: number[]; offset: number }>>;
}
interface Request {
  readonly graph: string;
  readonly weights: string;
  readonly images: string;
  readonly shape: number[];
}

const isList = (x: Operand): x is readonly number[] => Array.isArray(x);
const plain = (x: Operand): tf.Tensor => {
  if (isList(x)) return tf.tensor1d([...x], "int32");
  return x.last ? tf.transpose(x.tensor, [0, 3, 1, 2]) : x.tensor;
};
const list = (x: Operand): number[] => (isList(x) ? [...x] : Array.from(plain(x).dataSync()));
const channelsLast = (x: Operand): tf.Tensor =>
  !isList(x) && x.last ? x.tensor : tf.transpose(plain(x), [0, 2, 3, 1]);

type Operator = (inputs: readonly Operand[], attributes: Attributes) => Operand | readonly Value[];

/** Where a picture is held channels last, so is what comes of it; a bias of [1, c, 1, 1] follows. */
const elementwise =
  (run: (...tensors: tf.Tensor[]) => tf.Tensor, ofLists?: (a: number, b: number) => number): Operator =>
  (inputs) => {
    const [a, b] = inputs;
    if (a !== undefined && isList(a) && (b === undefined || isList(b)) && ofLists !== undefined)
      return a.map((x, i) => ofLists(x, b?.[i] ?? (b?.[0] as number)));
    const last = inputs.some((x) => !isList(x) && x.last);
    if (!last) return { tensor: run(...inputs.map(plain)) };
    return { tensor: run(...inputs.map((x) => (plainRank(x) === 4 ? channelsLast(x) : plain(x)))), last };
  };
const plainRank = (x: Operand) => (isList(x) ? 1 : x.tensor.rank);

const reduced =
  (run: (x: tf.Tensor, axes?: number[], keep?: boolean) => tf.Tensor): Operator =>
  ([x, axes], { axes: given, keepdims = 1 }) => {
    const along = axes === undefined ? (given as number[] | undefined) : list(axes);
    return { tensor: run(plain(x as Operand), along, keepdims !== 0) };
  };

const CASTS: Readonly<Record<number, tf.DataType>> = { 1: "float32", 2: "int32", 6: "int32", 7: "int32", 9: "bool" };

/** Slices along axes, with steps of 1. */
const sliced: Operator = ([x, starts, ends, axes]) => {
  const tensor = plain(x as Operand);
  const along = axes === undefined ? list(starts as Operand).map((_, i) => i) : list(axes);
  const begin = tensor.shape.map(() => 0);
  const size = [...tensor.shape];
  const limit = list(ends as Operand);
  for (const [i, start] of list(starts as Operand).entries()) {
    const axis = along[i] as number;
    const n = tensor.shape[axis] as number;
    const at = (index: number) => Math.max(0, Math.min(n, index < 0 ? index + n : index));
    begin[axis] = at(start);
    size[axis] = Math.max(0, at(limit[i] as number) - at(start));
  }
  return { tensor: tf.slice(tensor, begin, size) };
};

const conv: Operator = ([x, filter], { strides = [1, 1], pads = [0, 0, 0, 0] }) => {
  const [top, left, bottom, right] = pads as [number, number, number, number];
  const w = tf.transpose(plain(filter as Operand), [2, 3, 1, 0]) as tf.Tensor4D;
  const padding: tf.backend_util.ExplicitPadding = [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ]; // prettier-ignore
  const image = channelsLast(x as Operand) as tf.Tensor4D;
  return { tensor: tf.conv2d(image, w, strides as [number, number], padding), last: true };
};

const OPERATORS: Readonly<Record<string, Operator>> = {
  Abs: elementwise(tf.abs),
  Add: elementwise(tf.add, (a, b) => a + b),
  ArgMax: ([x], { axis = 0 }) => ({ tensor: tf.argMax(plain(x as Operand), axis as number) }),
  Cast: ([x], { to }) => ({ tensor: tf.cast(plain(x as Operand), CASTS[to as number] as tf.DataType) }),
  Clip: elementwise((x, low, high) => tf.minimum(tf.maximum(x, low as tf.Tensor), high as tf.Tensor)),
  Concat: (inputs, { axis = 0 }) =>
    inputs.every(isList) ? inputs.flatMap(list) : { tensor: tf.concat(inputs.map(plain), axis as number) },
  Conv: conv,
  Div: elementwise(tf.div),
  Equal: elementwise(tf.equal),
  Exp: elementwise(tf.exp),
  Gather: ([x, indices], { axis = 0 }) => ({
    tensor: tf.gather(plain(x as Operand), plain(indices as Operand) as tf.Tensor1D, axis as number),
  }),
  Gemm: ([a, b, c], { transA = 0, transB = 0 }) => {
    const product = tf.matMul(plain(a as Operand), plain(b as Operand), transA === 1, transB === 1);
    return { tensor: c === undefined ? product : tf.add(product, plain(c)) };
  },
  Greater: elementwise(tf.greater),
  Identity: ([x]) => x as Operand,
  LeakyRelu: ([x], { alpha = 0.01 }) => elementwise((x) => tf.leakyRelu(x, alpha as number))([x as Operand], {}),
  Less: elementwise(tf.less),
  LessOrEqual: elementwise(tf.lessEqual),
  Log: elementwise(tf.log),
  MatMul: ([a, b]) => ({ tensor: tf.matMul(plain(a as Operand), plain(b as Operand)) }),
  Max: elementwise((a, b) => tf.maximum(a, b as tf.Tensor)),
  Min: elementwise((a, b) => tf.minimum(a, b as tf.Tensor)),
  Mul: elementwise(tf.mul),
  Neg: elementwise(tf.neg),
  Pad: ([x, pads, value]) => {
    const [tensor, sizes] = [plain(x as Operand), list(pads as Operand)];
    const pairs = tensor.shape.map((_, i) => [sizes[i], sizes[i + tensor.rank]] as [number, number]);
    return { tensor: tf.pad(tensor, pairs, value === undefined ? 0 : (list(value)[0] as number)) };
  },
  Range: (inputs) => {
    const [start, stop, step] = inputs.map((x) => list(x)[0] as number) as [number, number, number];
    return { tensor: tf.range(start, stop, step) };
  },
  Reciprocal: elementwise(tf.reciprocal),
  ReduceL1: reduced((x, axes, keep) => tf.sum(tf.abs(x), axes, keep)),
  ReduceMax: reduced(tf.max),
  ReduceMean: reduced(tf.mean),
  ReduceMin: reduced(tf.min),
  ReduceSum: reduced(tf.sum),
  Relu: elementwise(tf.relu),
  Reshape: ([x, shape], { allowzero = 0 }) => {
    const tensor = plain(x as Operand);
    const sizes = list(shape as Operand).map((size, i) => (size === 0 && allowzero === 0 ? tensor.shape[i] : size));
    return { tensor: tf.reshape(tensor, sizes as number[]) };
  },
  Shape: ([x], { start = 0, end }) => plain(x as Operand).shape.slice(start as number, end as number | undefined),
  Slice: sliced,
  Softmax: ([x]) => ({ tensor: tf.softmax(plain(x as Operand)) }),
  Sqrt: elementwise(tf.sqrt),
  Sub: elementwise(tf.sub),
  TopK: ([x, k]) => {
    const { values, indices } = tf.topk(plain(x as Operand), list(k as Operand)[0]);
    return [{ tensor: values }, { tensor: indices }];
  },
  Transpose: ([x], { perm }) => ({ tensor: tf.transpose(plain(x as Operand), perm as number[]) }),
  Where: elementwise((condition, a, b) => tf.where(tf.cast(condition, "bool"), a as tf.Tensor, b as tf.Tensor)),
};

class Assignment {
  readonly #graph: Graph;
  readonly #values: ReadonlyMap<string, Operand>;

  constructor({ graph, weights, images, shape }: Request) {
    this.#graph = JSON.parse(readFileSync(graph, "utf8"));
    const { nodes, tensors, input } = this.#graph;
    const missing = new Set(nodes.map(({ op }) => op).filter((op) => !(op in OPERATORS)));
    if (missing.size > 0) throw new Error(`operators without a row here: ${[...missing].join(", ")}`);
    const bytes = Uint8Array.from(readFileSync(weights)).buffer;
    const values = new Map<string, Operand>();
    for (const [name, { dtype, shape, offset }] of Object.entries(tensors)) {
      const n = shape.reduce((a, b) => a * b, 1);
      if (dtype === "int64") values.set(name, Array.from(new BigInt64Array(bytes, offset, n), Number));
      else if (dtype === "float32") values.set(name, { tensor: tf.tensor(new Float32Array(bytes, offset, n), shape) });
      else if (dtype === "int32") values.set(name, { tensor: tf.tensor(new Int32Array(bytes, offset, n), shape) });
      else throw new Error(`constant ${name}: ${dtype}`);
    }
    values.set(input, { tensor: tf.tensor(Int32Array.from(readFileSync(images)), shape, "int32") });
    this.#values = values;
  }

  run(): number[] {
    const { nodes, label } = this.#graph;
    const labels = tf.tidy(() => {
      const values = new Map(this.#values);
      for (const { op, inputs, outputs, attributes } of nodes) {
        const run = OPERATORS[op] as Operator;
        const got = run(
          inputs.map((name) => values.get(name) as Operand),
          attributes,
        );
        const all = Array.isArray(got) && typeof got[0] === "object" ? (got as readonly Value[]) : [got as Operand];
        for (const [i, name] of outputs.entries()) values.set(name, all[i] as Operand);
      }
      return plain(values.get(label) as Operand);
    });
    const read = Array.from(labels.dataSync());
    labels.dispose();
    return read;
  }
}

let assignment: Assignment | undefined;
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (assignment === undefined) {
    const version = await open();
    if (version !== undefined) assignment = new Assignment(request);
    const engine = version && `tfjs-node ${tf.version_core} eager`;
    console.log(JSON.stringify({ engine, labels: assignment?.run() }));
  } else {
    const milliseconds: number[] = [];
    for (let i = 0; i < request.rounds; i++) {
      const began = performance.now();
      assignment.run();
      milliseconds.push(performance.now() - began);
    }
    console.log(JSON.stringify({ milliseconds }));
  }
}

/** libtensorflow's version, if tfjs-node is set up. */
async function open(): Promise<string | undefined> {
  try {
    const version = loadTensorflow("tfjs-node");
    await tf.setBackend(TENSORFLOW_BACKEND);
    return version;
  } catch {
    return undefined;
  }
}
