import { lowering, type X } from "../lowering.ts";
import { Operand, reshaped, storedIn } from "../value.ts";
import { compute, number, sameOf } from "./operands.ts";

interface BatchNormalization extends X {
  readonly scale?: Operand;
  readonly offset?: Operand;
  readonly mean: Operand;
  readonly variance: Operand;
}

/**
 * tfjs `FusedBatchNorm(x, scale, offset, mean, variance; varianceEpsilon)` -> additions and a product, which ONNX Runtime moves into
 * the convolution before them where the statistics are constants:
 *
 *     (x - mean) * scale / sqrt(variance + epsilon) + offset
 *
 * The mean comes first, since `x * s - mean * s` would lose digits where the mean is large.
 */
export const FusedBatchNorm = lowering<BatchNormalization, { varianceEpsilon?: number }>({
  infer: sameOf("float32"),
  emit: (g, { x, scale = number(g, 1), offset, mean, variance }, { varianceEpsilon = 0.001 }) => {
    const deviation = compute(g, "Sqrt", [compute(g, "Add", [variance, number(g, varianceEpsilon)])]);
    const centred = compute(g, "Add", [x, compute(g, "Neg", [mean])]);
    const scaled = compute(g, "Mul", [centred, compute(g, "Div", [scale, deviation])]);
    return offset === undefined ? scaled.stored : compute(g, "Add", [scaled, offset]).stored;
  },
});

interface LocalResponse {
  readonly depthRadius: number;
  readonly bias: number;
  readonly alpha: number;
  readonly beta: number;
}

const CHANNELS_FIRST = [0, 3, 1, 2];

/** tfjs `LRN(x; depthRadius, bias, alpha, beta)` -> `LRN`, whose alpha is of a mean over 2 depthRadius + 1 channels. */
export const LRN = lowering<X, LocalResponse>({
  infer: sameOf("float32"),
  emit: (g, { x }, { depthRadius, bias, alpha, beta }) => {
    const size = 2 * depthRadius + 1;
    const attributes = { size, bias: { float: bias }, alpha: { float: alpha * size }, beta: { float: beta } };
    const name = g.node("LRN", [x.inLayout(CHANNELS_FIRST)], attributes);
    return storedIn(
      CHANNELS_FIRST,
      name,
      CHANNELS_FIRST.map((axis) => x.shape[axis] as number),
    );
  },
});

/**
 * tfjs `LRNGrad(x, y, dy; depthRadius, bias, alpha, beta)`, with W(z) the sum of z over the 2 depthRadius + 1 channels around each:
 *
 *     dx = dy * norm^-beta - 2 alpha beta x * W(dy * y / norm),    norm = bias + alpha W(x^2)
 *
 * W is an `AveragePool` along the channels, which are last, times its size.
 */
export const LRNGrad = lowering<{ x: Operand; y: Operand; dy: Operand }, LocalResponse>({
  infer: sameOf("float32"),
  emit: (g, { x, y, dy }, { depthRadius, bias, alpha, beta }) => {
    const size = 2 * depthRadius + 1;
    const channels = x.shape.at(-1) as number;
    const rows = [x.shape.slice(0, -1).reduce((a, b) => a * b, 1), 1, channels];
    const windows = (z: Operand) => {
      const pool = { kernel_shape: [size], pads: [depthRadius, depthRadius], count_include_pad: 1 };
      const mean = g.node("AveragePool", [reshaped(g, z.name, z.shape, rows)], pool);
      const name = reshaped(g, mean, rows, x.shape);
      return compute(g, "Mul", [new Operand(g, x, { name, shape: x.shape }), number(g, size)]);
    };
    const scaled = (z: Operand, by: number) => compute(g, "Mul", [z, number(g, by)]);
    const norm = compute(g, "Add", [scaled(windows(compute(g, "Mul", [x, x])), alpha), number(g, bias)]);
    const spread = windows(compute(g, "Div", [compute(g, "Mul", [dy, y]), norm]));
    const direct = compute(g, "Mul", [dy, compute(g, "Pow", [norm, number(g, -beta)])]);
    return compute(g, "Sub", [direct, compute(g, "Mul", [scaled(x, 2 * alpha * beta), spread])]).stored;
  },
});
