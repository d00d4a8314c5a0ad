import { SubspanError } from "../../runtime/errors.ts";
import type { Random } from "../random.ts";
import { type BlockAlgebra, identity, narrowBlocks } from "./block.ts";
import type { SymmetricOperator } from "./laplacian.ts";
import { withProducts } from "./products.ts";
import { wideBlocks } from "./wide-block.ts";

/** The leading eigenpairs of a symmetric operator. */
export interface Eigenpairs {
  /** [m], descending. */
  readonly values: Float64Array;
  /** [n, m], row-major, orthonormal columns; the largest-magnitude entry of each is positive. */
  readonly vectors: Float64Array;
  /** ||A v - lambda v||, [m]. */
  readonly residuals: Float64Array;
}

export interface EigenOptions {
  /** Draws the starting block: the same draws, the same bits. */
  readonly random: Random;
  /** Converged when every ||A v - lambda v|| is at most this times the largest |eigenvalue| found. Default 1e-9. */
  readonly tolerance?: number;
  /** Filters of at most `MAX_DEGREE` products each before giving up. Default 100. */
  readonly maxRounds?: number;
}

/** A symmetric operator whose products may have to be waited for. */
export interface AwaitedOperator extends Omit<SymmetricOperator, "apply"> {
  apply(x: Float64Array, width: number, y: Float64Array): void | Promise<void>;
}

const MAX_DEGREE = 300;
const DENSE_LIMIT = 80;
/** Blocks wider than this are left to ONNX Runtime by whoever can wait for it. */
const NARROW = 64;

/**
 * The m eigenpairs of the largest eigenvalues, by Chebyshev-filtered subspace iteration: a block of m + guard vectors is
 * multiplied by a Chebyshev polynomial of A that is at most 1 in magnitude between `operator.lowest` and the block's
 * smallest Ritz value and grows fast above it, then orthonormalised as a whole and rotated to its Ritz vectors, until the
 * residuals of the first m are small. A block Krylov method whose basis never grows: nearly all of its work is sparse
 * products with a contiguous block. As the block is wider than m, it holds every copy of a multiple eigenvalue (an
 * affinity with c components has c eigenvalues 1); of more than m copies it returns m orthonormal vectors of their space.
 * Operators of up to 80 dimensions are solved densely.
 *
 * @throws {SubspanError} OUT_OF_RANGE if m is not in 1..n; NOT_FINITE if the operator gives a number that is not;
 *   TRAINING_DIVERGED if not converged, naming the residuals.
 * @see Zhou, Saad, Tiago & Chelikowsky 2006, Self-consistent-field calculations using Chebyshev-filtered subspace
 *   iteration, J. Comput. Phys. 219.
 */
export function leadingEigenpairs(operator: SymmetricOperator, m: number, options: EigenOptions): Eigenpairs {
  const width = blockWidth(operator.n, m, 8);
  const steps = subspaceIteration(operator, m, width, narrowBlocks(operator.n, width, options.random), options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/**
 * The same of an operator that may have to be waited for. Where m is in the hundreds the block's own products, which then take
 * most of the time, run on ONNX Runtime, and the guard is a sixth of m, as eigenvalues lie close there.
 */
export function leadingEigenpairsAsync(
  operator: AwaitedOperator,
  m: number,
  options: EigenOptions,
): Promise<Eigenpairs> {
  const { n } = operator;
  const width = blockWidth(n, m, Math.max(8, m / 6));
  const finish = async (blocks: BlockAlgebra) => {
    const steps = subspaceIteration(operator, m, width, blocks, options);
    for (;;) {
      const step = steps.next();
      if (step.done) return step.value;
      await step.value;
    }
  };
  if (width <= NARROW) return finish(narrowBlocks(n, width, options.random));
  return withProducts((products) => finish(wideBlocks(n, width, options.random, products)));
}

function blockWidth(n: number, m: number, guard: number): number {
  if (!Number.isInteger(m) || m < 1 || m > n) {
    throw new SubspanError("OUT_OF_RANGE", `eigenvectors: expected 1..${n} (the samples), got ${m}`);
  }
  return n <= DENSE_LIMIT ? n : Math.min(n, 8 * Math.ceil((m + guard) / 8));
}

/** Work in steps: what a step yields has to be awaited, if it is a promise, before the next. */
type Steps<T> = Generator<void | Promise<void>, T, void>;

function* subspaceIteration(
  operator: AwaitedOperator,
  m: number,
  width: number,
  blocks: BlockAlgebra,
  { random, tolerance = 1e-9, maxRounds = 100 }: EigenOptions,
): Steps<Eigenpairs> {
  const { n } = operator;
  const values = new Float64Array(width);
  let block = width === n ? identity(n) : Float64Array.from({ length: n * width }, () => random.uniform(-1, 1));
  let image: Float64Array = new Float64Array(n * width);
  let spare: Float64Array = new Float64Array(n * width);
  let largest = Number.POSITIVE_INFINITY;
  for (let round = 0; round <= maxRounds; round++) {
    yield blocks.orthonormalise(block);
    yield operator.apply(block, width, image);
    yield blocks.rotateToRitzVectors(block, image, values);
    const residuals = residualNorms(block, image, values, n, width);
    const scale = Math.max(...values.map(Math.abs));
    largest = Math.max(...residuals.subarray(0, m));
    if (Number.isNaN(largest)) throw new SubspanError("NOT_FINITE", "eigenvectors: the operator gave NaN or infinity");
    if (largest <= tolerance * scale || width === n) {
      return {
        values: values.slice(0, m),
        vectors: leadingColumns(block, n, width, m),
        residuals: residuals.slice(0, m),
      };
    }
    const filter = chooseFilter(values, m, operator.lowest, largest / (tolerance * scale));
    [block, image, spare] = yield* chebyshevFilter(operator, filter, block, image, spare, width);
  }
  throw new SubspanError(
    "TRAINING_DIVERGED",
    `eigenvectors: ${m} of ${n} not converged after ${maxRounds} rounds: residual ${largest.toExponential(1)}`,
  );
}

interface Filter {
  readonly degree: number;
  /** Eigenvalues in [lowest, cut] are damped. */
  readonly lowest: number;
  readonly cut: number;
}

/** log(2 T_degree(x)) for the Chebyshev T: `degree` times this. */
const growth = (value: number, lowest: number, cut: number) =>
  Math.acosh(Math.max(1, (2 * value - cut - lowest) / (cut - lowest)));

/**
 * The cut is the block's smallest Ritz value, lowered where the whole block sits so close together (multiplicities) that
 * MAX_DEGREE could not amplify it a hundredfold. The degree amplifies the leading vector by 1e8, which leaves the others
 * enough digits, or less where `wanted` (residual over tolerance) needs less.
 */
function chooseFilter(values: Float64Array, m: number, lowest: number, wanted: number): Filter {
  const leading = values[0]!;
  const rate = Math.log(200) / MAX_DEGREE;
  const shortest = (leading - lowest) * (1 - 2 / (1 + Math.cosh(rate)));
  const cut = Math.max(Math.min(values.at(-1)!, leading - shortest), lowest + 1e-6 * (leading - lowest));
  const safe = Math.log(2e8) / growth(leading, lowest, cut);
  const needed = Math.log(4 * wanted) / growth(values[m - 1]!, lowest, cut);
  const degree = Math.ceil(Math.min(safe, needed, MAX_DEGREE));
  return { degree: Math.max(2, degree), lowest, cut };
}

/**
 * T_degree of the operator with [lowest, cut] mapped to [-1, 1], times the block, by the three-term recurrence.
 * @param image - A times the block, on entry.
 * @returns the filtered block, then the other two arrays to reuse.
 */
function* chebyshevFilter(
  operator: AwaitedOperator,
  { degree, lowest, cut }: Filter,
  block: Float64Array,
  image: Float64Array,
  spare: Float64Array,
  width: number,
): Steps<[Float64Array, Float64Array, Float64Array]> {
  const half = (cut - lowest) / 2;
  const centre = (cut + lowest) / 2;
  let previous = block;
  let current = image;
  let next = spare;
  for (let e = 0; e < current.length; e++) current[e] = (current[e]! - centre * previous[e]!) / half;
  for (let power = 2; power <= degree; power++) {
    yield operator.apply(current, width, next);
    for (let e = 0; e < next.length; e++) next[e] = (2 / half) * (next[e]! - centre * current[e]!) - previous[e]!;
    [previous, current, next] = [current, next, previous];
  }
  return [current, previous, next];
}

function residualNorms(
  block: Float64Array,
  image: Float64Array,
  values: Float64Array,
  n: number,
  width: number,
): Float64Array {
  const sums = new Float64Array(width);
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < width; c++) sums[c]! += (image[i * width + c]! - values[c]! * block[i * width + c]!) ** 2;
  }
  return sums.map(Math.sqrt);
}

/** The first m columns, [n, m], each with its largest-magnitude entry (the first of equals) positive. */
function leadingColumns(block: Float64Array, n: number, width: number, m: number): Float64Array {
  const columns = new Float64Array(n * m);
  for (let c = 0; c < m; c++) {
    let peak = 0;
    for (let i = 0; i < n; i++) if (Math.abs(block[i * width + c]!) > Math.abs(peak)) peak = block[i * width + c]!;
    for (let i = 0; i < n; i++) columns[i * m + c] = (peak < 0 ? -1 : 1) * block[i * width + c]!;
  }
  return columns;
}
