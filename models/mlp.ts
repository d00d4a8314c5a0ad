import * as tf from "@tensorflow/tfjs-core";
import { dense } from "./layers.ts";
import type { ParameterSpecs, Parameters } from "./parameters.ts";

/**
 * Dense layers with ReLU between them: `NAME.hidden1`, ... and `NAME.output`, biases from 0. Inputs of mean square 1
 * stay so from layer to layer, and so do the outputs.
 *
 * @param widths - from input to output, at least two.
 * @see He et al. 2015, Delving Deep into Rectifiers, arXiv:1502.01852, for the hidden layers' limit sqrt(6 / fan in).
 */
export function mlpSpec(name: string, widths: readonly number[]): ParameterSpecs {
  const last = widths.length - 1;
  const layers = widths.slice(1).map((outputs, i) => {
    const inputs = widths[i] as number;
    const isOutput = i + 1 === last;
    const layer = `${name}.${isOutput ? "output" : `hidden${i + 1}`}`;
    return {
      [`${layer}.weights`]: { shape: [inputs, outputs], limit: Math.sqrt((isOutput ? 3 : 6) / inputs) },
      [`${layer}.bias`]: { shape: [outputs], limit: 0 },
    };
  });
  return Object.assign({}, ...layers) as ParameterSpecs;
}

/** The layers of `mlpSpec` applied, [b, in] -> [b, out]; as many hidden ones as there are parameters of. */
export function mlp(parameters: Parameters, name: string, x: tf.Tensor2D): tf.Tensor2D {
  let hidden = x;
  for (let i = 1; `${name}.hidden${i}.weights` in parameters; i++)
    hidden = tf.relu(dense(parameters, `${name}.hidden${i}`, hidden));
  return dense(parameters, `${name}.output`, hidden);
}
