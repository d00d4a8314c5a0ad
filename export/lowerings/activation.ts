import type { Graph } from "../graph.ts";
import { applied } from "../lowering.ts";
import { elementwise, Operand, type Stored } from "../value.ts";
import { Add, Elu, Identity, LeakyRelu, Relu, Relu6, Sigmoid } from "./elementwise.ts";

/** What tfjs's fused kernels do after their product or convolution: add a bias, apply an activation. */
export interface FusedInputs {
  readonly bias?: Operand;
  readonly preluActivationWeights?: Operand;
}

export interface FusedAttributes {
  readonly activation?: string;
  readonly leakyreluAlpha?: number;
}

const ACTIVATIONS = { linear: Identity, relu: Relu, elu: Elu, relu6: Relu6, sigmoid: Sigmoid };

export function fused(g: Graph, y: Operand, inputs: FusedInputs, attributes: FusedAttributes): Stored {
  const { bias, preluActivationWeights } = inputs;
  const biased = bias === undefined ? y : applied(g, Add, { a: y, b: bias }, undefined);
  return activated(g, biased, preluActivationWeights, attributes).held;
}

function activated(g: Graph, x: Operand, weights: Operand | undefined, attributes: FusedAttributes): Operand {
  const { activation = "linear", leakyreluAlpha } = attributes;
  if (activation === "prelu" && weights !== undefined) {
    return new Operand(g, x, elementwise(g, "PRelu", [x, weights]));
  }
  if (activation === "leakyrelu" && leakyreluAlpha !== undefined) {
    return applied(g, LeakyRelu, { x }, { alpha: leakyreluAlpha });
  }
  const rule = ACTIVATIONS[activation as keyof typeof ACTIVATIONS];
  if (rule === undefined && ["prelu", "leakyrelu"].includes(activation))
    throw new Error(`expected weights or an alpha with activation ${activation}, got none`);
  if (rule === undefined) throw new Error(`a fused activation ${activation} is none that tfjs has`);
  return applied(g, rule, { x }, undefined);
}
