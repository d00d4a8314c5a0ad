/** An elastic net's weights: of the misfit, and of |c| against c^2 / 2, in 0..1. */
export interface ElasticNetWeights {
  readonly gamma: number;
  readonly lambda: number;
}

export interface ElasticNetSolution {
  /** [n, m], row-major. */
  readonly coefficients: Float64Array;
  /** Mean over the samples of what each row minimises. */
  readonly objective: number;
  /** Sweeps of the sample that took most. */
  readonly sweeps: number;
}

/**
 * What self-expression and elastic net of models/energy.ts add up to, of one sample, in float64:
 *
 *     gamma / 2 ||z - sum_j c_j d_j||^2 + sum_j (lambda |c_j| + (1 - lambda) / 2 c_j^2)
 *
 * @param z - [d]. @param atoms - [m, d]. @param c - [m].
 */
export function elasticNetObjective(
  z: ArrayLike<number>,
  atoms: ArrayLike<number>,
  c: ArrayLike<number>,
  { gamma, lambda }: ElasticNetWeights,
): number {
  const residual = Float64Array.from(z);
  let price = 0;
  for (let j = 0; j < c.length; j++) {
    const value = c[j] as number;
    price += lambda * Math.abs(value) + ((1 - lambda) / 2) * value * value;
    for (let i = 0; i < z.length; i++) residual[i]! -= value * (atoms[j * z.length + i] as number);
  }
  return (gamma / 2) * residual.reduce((sum, r) => sum + r * r, 0) + price;
}

/**
 * The minimum, by cyclic coordinate descent over float64 scalar products: each coefficient in turn becomes the minimiser given
 * the others,
 *
 *     c_j = sign(p) max(|p| - lambda, 0) / (gamma ||d_j||^2 + 1 - lambda),    p = gamma <d_j, z - sum_{l != j} c_l d_l>
 *
 * until no coefficient of a sweep moves by more than `tolerance`. The objective is convex, and strictly if lambda < 1.
 *
 * @param z - samples, [n, d]. @param atoms - [m, d].
 * @param own - the atom that is sample i itself, whose coefficient stays 0; -1 for none. Default: none.
 * @see Friedman, Hastie & Tibshirani 2010, Regularization Paths for Generalized Linear Models via Coordinate Descent, JSS 33.
 */
export function elasticNet(
  z: ArrayLike<number>,
  atoms: ArrayLike<number>,
  d: number,
  { own, tolerance = 1e-10, ...weights }: ElasticNetWeights & { own?: (sample: number) => number; tolerance?: number },
): ElasticNetSolution {
  const { gamma, lambda } = weights;
  const [n, m] = [z.length / d, atoms.length / d];
  const gram = products(atoms, atoms, d);
  const targets = products(z, atoms, d);
  const coefficients = new Float64Array(n * m);
  let [objective, most] = [0, 0];
  for (let sample = 0; sample < n; sample++) {
    const c = coefficients.subarray(sample * m, (sample + 1) * m);
    const itself = own?.(sample) ?? -1;
    // <d_j, z - sum_l c_l d_l>, kept up to date.
    const misfit = targets.slice(sample * m, (sample + 1) * m);
    let sweeps = 0;
    for (let moved = Number.POSITIVE_INFINITY; moved > tolerance; sweeps++) {
      moved = 0;
      for (let j = 0; j < m; j++) {
        if (j === itself) continue;
        const square = gram[j * m + j]!;
        const pull = gamma * (misfit[j]! + square * c[j]!);
        const next = (Math.sign(pull) * Math.max(Math.abs(pull) - lambda, 0)) / (gamma * square + 1 - lambda);
        const change = next - c[j]!;
        if (change === 0) continue;
        c[j] = next;
        for (let l = 0; l < m; l++) misfit[l]! -= change * gram[j * m + l]!;
        moved = Math.max(moved, Math.abs(change));
      }
    }
    most = Math.max(most, sweeps);
    objective +=
      elasticNetObjective(
        Array.from({ length: d }, (_, i) => z[sample * d + i] as number),
        atoms,
        c,
        weights,
      ) / n;
  }
  return { coefficients, objective, sweeps: most };
}

/** Scalar products of rows, [n, m]. */
function products(a: ArrayLike<number>, b: ArrayLike<number>, d: number): Float64Array {
  const [n, m] = [a.length / d, b.length / d];
  const out = new Float64Array(n * m);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      let sum = 0;
      for (let k = 0; k < d; k++) sum += (a[i * d + k] as number) * (b[j * d + k] as number);
      out[i * m + j] = sum;
    }
  }
  return out;
}
