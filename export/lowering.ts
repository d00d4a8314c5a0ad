import type { Graph } from "./graph.ts";
import { uniform } from "./uniform.ts";
import { Operand, type Stored, type TensorType } from "./value.ts";

/** A kernel's inputs by tfjs's own names; a list kernel (Concat, Pack, AddN) has them in order. */
export type Inputs = object;

type Result<T> = T | readonly T[];

/**
 * A kernel's rule for becoming ONNX. `infer` gives shape and dtype of each output; `emit` adds the nodes and returns for each
 * output the name of a node output in tfjs's own order, or how it is stored. What it cannot lower it refuses by throwing.
 */
export interface Lowering<I, A> {
  infer(inputs: I, attributes: A): Result<TensorType>;
  emit(graph: Graph, inputs: I, attributes: A): Result<string | Stored>;
}

/** A lowering as the backend calls it, its own types erased. */
// biome-ignore lint/suspicious/noExplicitAny: the table holds lowerings of every signature; tfjs calls each with its own.
export type AnyLowering = Lowering<any, any>;

/** Names the types of a lowering where it is written. */
export function lowering<I extends Inputs, A = unknown>(rule: Lowering<I, A>): Lowering<I, A> {
  return rule;
}

/**
 * A lowering of one output, of sums of products: over nothing they are 0. Of such, ONNX Runtime's kernels leave memory as it was, end
 * the process, or do not end.
 */
export function contraction<I extends Inputs, A = unknown>(rule: Lowering<I, A>): Lowering<I, A> {
  return {
    infer: rule.infer,
    emit: (g, inputs, attributes) => {
      const isEmpty = Object.values(inputs as Record<string, Operand>).some(({ shape }) => shape.includes(0));
      if (!isEmpty) return rule.emit(g, inputs, attributes);
      return uniform(g, (rule.infer(inputs, attributes) as TensorType).dtype, 0);
    },
  };
}

/** What a lowering of one output gives, to go on from: many of tfjs's kernels are compositions of others. */
export function applied<I extends Inputs, A>(g: Graph, rule: Lowering<I, A>, inputs: I, attributes: A): Operand {
  const type = rule.infer(inputs, attributes) as TensorType;
  const result = rule.emit(g, inputs, attributes) as string | Stored;
  return new Operand(g, type, typeof result === "string" ? { name: result, shape: type.shape } : result);
}

/** The operand types of the common signatures. */
export interface X {
  readonly x: Operand;
}
export interface AB {
  readonly a: Operand;
  readonly b: Operand;
}
