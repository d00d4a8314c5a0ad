import { registerOp } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";
import { SubspanError } from "../runtime/errors.ts";
import { MissingKernels, TracingBackend } from "./backend.ts";

/** A node of a Graph model, as tfjs-converter holds it. */
export interface GraphModelNode {
  readonly name: string;
  op: string;
  readonly category?: string;
  readonly inputs: readonly GraphModelNode[];
  readonly attrParams: Readonly<Record<string, { readonly value?: unknown }>>;
}

/** What runs a graph, or a function that its control flow calls; tfjs-converter's own, as far as it is needed here. */
export interface GraphExecutor {
  readonly graph: {
    readonly nodes: Readonly<Record<string, GraphModelNode>>;
    readonly initNodes?: readonly GraphModelNode[];
  };
  readonly weightMap: Readonly<Record<string, readonly tf.Tensor[]>>;
  readonly functionExecutorMap: Readonly<Record<string, GraphExecutor>>;
  readonly compiledMap: Map<string, unknown>;
  readonly inputs: readonly { readonly name: string; readonly shape?: number[]; readonly dtype?: tf.DataType }[];
  readonly outputs: readonly { readonly name: string }[];
  readonly outputNodes: readonly string[];
  execute(inputs: tf.NamedTensorMap, outputs: readonly string[]): tf.Tensor[];
}

/** The node of a tensor, "node" or "node:output". */
export function nodeOf({ graph: { nodes } }: GraphExecutor, tensor: string): GraphModelNode | undefined {
  const name = tensor.split(":")[0] as string;
  return Object.hasOwn(nodes, name) ? nodes[name] : undefined;
}

/** A call of a node whose work is done here. */
interface Call {
  readonly inputs: readonly tf.Tensor[];
  readonly node: GraphModelNode;
  readonly functions: GraphExecutor["functionExecutorMap"];
  readonly lists: Lists;
  /** Says that an error from now on is this node's again, and not one of its functions'. */
  readonly resume: () => void;
}

type Rule = (call: Call) => tf.Tensor | tf.Tensor[];

/** More turns than this are no unrolled loop, but a graph that nobody wants. */
export const MOST_TURNS = 10_000;

const first = ({ inputs }: Call) => inputs[0] as tf.Tensor;
const index = ({ inputs }: Call) => (inputs[1] as tf.Tensor).dataSync()[0] as number;

function loop(call: Call): tf.Tensor[] {
  let state = [...call.inputs];
  for (let turn = 0; decided(called(call, "cond", state)[0] as tf.Tensor); turn++) {
    if (turn === MOST_TURNS) throw new Error(`it takes more than ${MOST_TURNS} turns`);
    state = called(call, "body", state);
  }
  return state;
}

function branch(call: Call): tf.Tensor[] {
  const [condition, ...rest] = call.inputs;
  return called(call, decided(condition as tf.Tensor) ? "thenBranch" : "elseBranch", rest);
}

/** Control flow that does not depend on the data, and the lists of tensors that TensorFlow's loops keep their steps in. */
const RULES: Readonly<Record<string, Rule>> = {
  If: branch,
  StatelessIf: branch,
  While: loop,
  StatelessWhile: loop,
  TensorListReserve: (call) => call.lists.reserve(index(call)),
  EmptyTensorList: ({ lists }) => lists.handle([]),
  TensorListFromTensor: (call) => call.lists.handle(tf.unstack(first(call))),
  TensorListGetItem: (call) => call.lists.get(first(call), index(call)),
  TensorListSetItem: (call) =>
    call.lists.handle(call.lists.with(first(call), index(call), call.inputs[2] as tf.Tensor)),
  TensorListPushBack: (call) => call.lists.handle([...call.lists.of(first(call)), call.inputs[1] as tf.Tensor]),
  TensorListStack: (call) => tf.stack(call.lists.of(first(call)).map((_, i) => call.lists.get(first(call), i))),
  TensorListLength: (call) => tf.scalar(call.lists.of(first(call)).length, "int32"),
};

export const isStatic = (op: string): boolean => Object.hasOwn(RULES, op);

/** The functions of the graph that a node calls. */
export function functionsOf({ attrParams }: GraphModelNode): string[] {
  return ["cond", "body", "thenBranch", "elseBranch"].flatMap((key) => {
    const name = attrParams[key]?.value;
    return typeof name === "string" ? [name] : [];
  });
}

function called({ functions, node, resume }: Call, which: string, inputs: tf.Tensor[]): tf.Tensor[] {
  const name = node.attrParams[which]?.value as string;
  const executor = functions[name];
  if (executor === undefined) throw new Error(`its function ${name} is not in the model`);
  const named = executor.inputs.map(({ name }, i) => [name, inputs[i] as tf.Tensor] as const);
  const outputs = executor.execute(Object.fromEntries(named), executor.outputNodes);
  resume();
  return outputs;
}

/** Whether a condition holds. @throws {Error} while tracing, if it depends on the data. */
function decided(condition: tf.Tensor): boolean {
  try {
    return condition.dataSync()[0] !== 0;
  } catch (cause) {
    throw new Error("its condition depends on the data, and a graph computes the same for all data", { cause });
  }
}

/**
 * Lists of tensors, by the tensor that stands for each in the graph. A list never changes: setting an item makes another. Items
 * are clones, since the executor disposes of a node's tensors after their last use, and go when the run ends.
 */
class Lists {
  readonly #lists = new Map<number, readonly (tf.Tensor | undefined)[]>();
  readonly #kept: tf.Tensor[] = [];

  /** A tensor that stands for the list; a kept tensor passes through the graph as it is. */
  handle(items: readonly (tf.Tensor | undefined)[]): tf.Tensor {
    const handle = this.#keep(tf.scalar(0));
    this.#lists.set(
      handle.id,
      items.map((item) => (item === undefined || item.kept ? item : this.#keep(tf.clone(item)))),
    );
    return handle;
  }

  reserve(length: number): tf.Tensor {
    if (length > MOST_TURNS) throw new Error(`its list of tensors is to hold ${length}, more than ${MOST_TURNS}`);
    return this.handle(Array<undefined>(Math.max(0, length)).fill(undefined));
  }

  of(handle: tf.Tensor): readonly (tf.Tensor | undefined)[] {
    const list = this.#lists.get(handle.id);
    if (list === undefined) throw new Error("its list of tensors was not made by this graph");
    return list;
  }

  get(handle: tf.Tensor, index: number): tf.Tensor {
    const item = this.of(handle)[index];
    if (item === undefined) throw new Error(`item ${index} of its list of tensors was never set`);
    return tf.clone(item);
  }

  with(handle: tf.Tensor, index: number, item: tf.Tensor): (tf.Tensor | undefined)[] {
    const items = [...this.of(handle)];
    if (index < 0 || index > items.length + MOST_TURNS) throw new Error(`its list of tensors has no place ${index}`);
    items[index] = item;
    return Array.from(items); // with undefined for holes
  }

  dispose(): void {
    tf.dispose(this.#kept);
  }

  #keep<T extends tf.Tensor>(tensor: T): T {
    this.#kept.push(tensor);
    return tf.keep(tensor);
  }
}

/** The op by which tfjs-converter calls back; tfjs runs control flow asynchronously only, which a trace cannot. */
const STATIC = "SubspanStatic";

const running = new WeakMap<GraphModelNode, Pick<Call, "lists" | "resume"> & { readonly rule: Rule }>();

registerOp(STATIC, (value) => {
  // tfjs-converter tells a custom op's inputs and attributes; the node itself and its functions are private.
  const { inputs, node, context } = value as unknown as {
    readonly inputs: tf.Tensor[];
    readonly node: GraphModelNode;
    readonly context: { readonly functionMap: GraphExecutor["functionExecutorMap"] };
  };
  const { rule, ...rest } = running.get(node) as NonNullable<ReturnType<typeof running.get>>;
  // What a loop hands through is another node's tensor, which goes when that node has no more use for it.
  const own = (output: tf.Tensor) => (output.kept ? output : tf.clone(output));
  return [rule({ inputs, node, functions: context.functionMap, ...rest })].flat().map(own);
});

/**
 * Runs a graph, its static control flow included. For as long as it runs, the nodes of control flow are custom ops, and every
 * node tells when it begins: tfjs's errors do not say where they come from.
 *
 * @throws {SubspanError} TRACE_REFUSED naming the node.
 */
export function runGraph(executor: GraphExecutor, inputs: tf.NamedTensorMap, outputs: readonly string[]): tf.Tensor[] {
  const executors = [executor, ...Object.values(executor.functionExecutorMap)];
  const nodes = executors.flatMap(({ graph }) => Object.values(graph.nodes));
  const before = nodes.map(({ op, category }) => ({ op, category }));
  const lists = new Lists();
  const backend = tf.backend();
  const tracer = backend instanceof TracingBackend ? backend : undefined;
  let current = "";
  const forgetPlans = () => {
    for (const { compiledMap } of executors) compiledMap.clear();
  };
  for (const node of nodes) {
    const { name, op } = node;
    const rule = isStatic(op) ? (RULES[op] as Rule) : undefined;
    const category = rule ? "custom" : node.category;
    const resume = () => {
      current = `node ${name} (${op})`;
      if (tracer) tracer.node = current;
    };
    if (rule) {
      running.set(node, { rule, lists, resume });
      node.op = STATIC;
    }
    const get = () => {
      resume();
      return category;
    };
    Object.defineProperty(node, "category", { get, configurable: true, enumerable: true });
  }
  forgetPlans();
  try {
    return executor.execute(inputs, outputs);
  } catch (error) {
    if (error instanceof MissingKernels) throw error;
    const code = error instanceof SubspanError ? error.code : "TRACE_REFUSED";
    throw new SubspanError(code, `${current && `${current}: `}${(error as Error).message}`, { cause: error });
  } finally {
    if (tracer) tracer.node = "";
    nodes.forEach((node, i) => {
      const { op, category } = before[i] as (typeof before)[number];
      node.op = op;
      Object.defineProperty(node, "category", {
        value: category,
        writable: true,
        configurable: true,
        enumerable: true,
      });
    });
    forgetPlans();
    lists.dispose();
  }
}
