/** An elastic net's weights: of the misfit, > 0, and of |c| against c^2 / 2, in 0..1 but below 1. */
export interface ElasticNetWeights {
  readonly gamma: number;
  readonly lambda: number;
}

export interface ElasticNetOptions extends ElasticNetWeights {
  /** The atom that is the sample itself, whose coefficient stays 0; -1, the default, for none. */
  readonly own?: (sample: number) => number;
  /** How far above its minimum a row's objective may be, relative to itself. Default 1e-8. */
  readonly tolerance?: number;
}

export interface ElasticNetSolution {
  /** [n, m], row-major. */
  readonly coefficients: Float64Array;
  /** Mean over the samples of what each row minimises. */
  readonly objective: number;
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
  const d = z.length;
  const residual = Float64Array.from(z);
  let price = 0;
  for (let j = 0; j < c.length; j++) {
    const value = c[j] as number;
    price += lambda * Math.abs(value) + ((1 - lambda) / 2) * value * value;
    for (let i = 0; i < d; i++) residual[i]! -= value * (atoms[j * d + i] as number);
  }
  return (gamma / 2) * residual.reduce((sum, r) => sum + r * r, 0) + price;
}

/**
 * The minimum for each sample, by cyclic coordinate descent in float64: each coefficient in turn becomes the minimiser given the
 * others,
 *
 *     c_j = sign(p) max(|p| - lambda, 0) / (gamma ||d_j||^2 + 1 - lambda),    p = gamma <d_j, z - sum_{l != j} c_l d_l>
 *
 * Sweeps over all atoms take turns with sweeps over those in use, until the duality gap, which bounds how far the objective is
 * above its minimum, is within the tolerance:
 *
 *     gap = objective - (<z, t> - ||t||^2 / 2 gamma - sum_j max(|<d_j, t>| - lambda, 0)^2 / 2 (1 - lambda)),    t = gamma residual
 *
 * @param z - samples, [n, d]. @param atoms - [m, d].
 * @see Friedman, Hastie & Tibshirani 2010, Regularization Paths for Generalized Linear Models via Coordinate Descent, JSS 33.
 */
export function elasticNet(
  z: ArrayLike<number>,
  atoms: ArrayLike<number>,
  d: number,
  { own = () => -1, tolerance = 1e-8, ...weights }: ElasticNetOptions,
): ElasticNetSolution {
  const [n, m] = [z.length / d, atoms.length / d];
  const rows = Float64Array.from(atoms);
  const coefficients = new Float64Array(n * m);
  let objective = 0;
  for (let i = 0; i < n; i++) {
    const sample = Float64Array.from({ length: d }, (_, k) => z[i * d + k] as number);
    const allowed = Array.from({ length: m }, (_, j) => j).filter((j) => j !== own(i));
    const c = coefficients.subarray(i * m, (i + 1) * m);
    objective += minimise(sample, rows, c, allowed, weights, tolerance) / n;
  }
  return { coefficients, objective };
}

/** Fills c and returns the objective. */
function minimise(
  z: Float64Array,
  atoms: Float64Array,
  c: Float64Array,
  allowed: readonly number[],
  { gamma, lambda }: ElasticNetWeights,
  tolerance: number,
): number {
  const d = z.length;
  const residual = z.slice();
  const product = (j: number, x: Float64Array) => {
    let sum = 0;
    for (let k = 0; k < d; k++) sum += atoms[j * d + k]! * x[k]!;
    return sum;
  };
  const squares = new Map(allowed.map((j) => [j, product(j, atoms.subarray(j * d, (j + 1) * d))]));
  const sweep = (over: readonly number[]) => {
    for (const j of over) {
      const square = squares.get(j) as number;
      const pull = gamma * (product(j, residual) + square * c[j]!);
      const next = (Math.sign(pull) * Math.max(Math.abs(pull) - lambda, 0)) / (gamma * square + 1 - lambda);
      const change = next - c[j]!;
      if (change === 0) continue;
      c[j] = next;
      for (let k = 0; k < d; k++) residual[k]! -= change * atoms[j * d + k]!;
    }
  };
  for (;;) {
    sweep(allowed);
    const used = allowed.filter((j) => c[j] !== 0);
    for (let i = 0; i < 50; i++) sweep(used);
    const objective = elasticNetObjective(z, atoms, c, { gamma, lambda });
    const dual = residual.map((r) => gamma * r);
    let bound = 0;
    for (let k = 0; k < d; k++) bound += z[k]! * dual[k]! - dual[k]! ** 2 / (2 * gamma);
    for (const j of allowed) bound -= Math.max(Math.abs(product(j, dual)) - lambda, 0) ** 2 / (2 * (1 - lambda));
    if (objective - bound <= tolerance * objective) return objective;
  }
}
