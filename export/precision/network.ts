import type { GraphNode } from "../graph.ts";
import type { Model } from "../proto.ts";

/** Layers: what a network spends its time on, with weights as second input. */
const LAYERS = new Set(["Conv", "ConvTranspose", "Gemm", "MatMul"]);
/** What moves numbers or takes them from a sample to a sample of like size. */
const THROUGH = new Set(
  `Add AveragePool Cast Clip Concat Div Elu Expand Flatten GlobalAveragePool HardSigmoid HardSwish Identity LeakyRelu MaxPool
  Mul PRelu Pad Relu Reshape Selu Sigmoid Slice Softplus Split Squeeze Sub Tanh Tile Transpose Unsqueeze`.split(/\s+/),
);
/** Operators of two numbers that go through if one of them is a constant: a bias, a scale. */
const WITH_CONSTANT = new Set(["Div", "Mul", "Sub"]);

/**
 * The layers of the network that begins at the samples: those that are reached by layers, biases, activations, pooling and
 * movements alone. What comes after the first reduction, norm, comparison or product of two values (distances, affinities,
 * eigenvectors, probabilities) is no part of it: there small differences of large numbers count.
 */
export function networkNodes({ inputs, initializers, nodes }: Model): ReadonlySet<GraphNode> {
  const constants = new Set(initializers.map(({ name }) => name));
  const inside = new Set(inputs.map(({ name }) => name));
  const layers = new Set<GraphNode>();
  for (const node of nodes) {
    const [x = "", weights = ""] = node.inputs;
    const isLayer = LAYERS.has(node.op) && inside.has(x) && constants.has(weights);
    const values = node.inputs.filter((name) => name !== "" && !constants.has(name));
    const goesThrough =
      THROUGH.has(node.op) &&
      values.every((name) => inside.has(name)) &&
      !(WITH_CONSTANT.has(node.op) && values.length > 1);
    if (isLayer) layers.add(node);
    if (isLayer || (goesThrough && values.length > 0)) for (const output of node.outputs) inside.add(output);
  }
  return layers;
}
