import * as tf from "@tensorflow/tfjs-core";
import { type Feeds, runEager } from "../export/run-model.ts";

/** A scalar function of named tensors. */
export type ScalarFunction = (x: Readonly<Record<string, tf.Tensor>>) => tf.Scalar;

/** `fn` as a traceable function that gives its value, and its gradient by every input in `by`, as `gradient/NAME`. */
export function withGradients(fn: ScalarFunction, by: readonly string[]) {
  return (inputs: Record<string, tf.Tensor>): Record<string, tf.Tensor> => {
    const { value, grads } = tf.valueAndGrads((...own: tf.Tensor[]) =>
      fn({ ...inputs, ...Object.fromEntries(by.map((name, i) => [name, own[i] as tf.Tensor])) }),
    )(by.map((name) => inputs[name] as tf.Tensor));
    return { value, ...Object.fromEntries(by.map((name, i) => [`gradient/${name}`, grads[i] as tf.Tensor])) };
  };
}

/**
 * How far the gradient by `name` is from central differences, relative to its largest entry.
 *
 *     (f(x + h e_i) - f(x - h e_i)) / 2h,    h = 1e-2
 *
 * The losses are float32: their rounding, 6e-8 times a value of up to about 10, is divided by 2h and becomes 3e-5; the
 * differences' own error is h^2 / 6 times a third derivative, some 2e-5. Relative to gradients of 0.01 and more that is 1e-2
 * at worst; a wrong term or factor shows as 0.1 and more.
 */
export function gradientError(fn: ScalarFunction, feeds: Feeds, name: string, h = 1e-2): number {
  const { data, shape } = feeds[name] as Feeds[string];
  const at = (i: number, by: number): number => {
    const moved = Float32Array.from(data);
    moved[i] = (moved[i] as number) + by;
    const result = runEager((x) => ({ value: fn(x) }), { ...feeds, [name]: { data: moved, shape } }, {});
    return result.value?.data[0] as number;
  };
  const gradient = runEager(withGradients(fn, [name]), feeds, {})[`gradient/${name}`]?.data ?? [];
  let [worst, largest] = [0, 0];
  for (let i = 0; i < data.length; i++) {
    const difference = (at(i, h) - at(i, -h)) / (2 * h);
    worst = Math.max(worst, Math.abs(difference - (gradient[i] as number)));
    largest = Math.max(largest, Math.abs(difference));
  }
  return worst / largest;
}
