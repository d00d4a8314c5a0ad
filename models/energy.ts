/**
 * Coefficients as minimisers of learned energies: our reading of EBSE (Li et al. 2021, Energy-Based
 * Self-Expressiveness, arXiv:2110.15037), whose abstract states that coefficients come from an energy-based network
 * trained on batches, and no formula. The query and key networks are SENet's (Zhang et al. 2021, Learning a
 * Self-Expressive Network for Subspace Clustering, arXiv:2110.04318). Differences from both are said where they stand.
 */
import * as tf from "@tensorflow/tfjs-core";
import { parameter, stopGradient, unitRows } from "./layers.ts";
import { mlp, mlpSpec } from "./mlp.ts";
import { identity } from "./orthonormal.ts";
import type { ParameterSpecs, Parameters } from "./parameters.ts";

export const MINIMISERS = ["soft-threshold", "gibbs"] as const;

/** What turns two latents into a coefficient. */
export interface EnergyNetwork {
  /** d. */
  readonly latent: number;
  /** Widths of the hidden layers of the query and of the key network. */
  readonly hidden: readonly number[];
  /** p, the width of queries and keys. */
  readonly width: number;
  /** Signed and sparse, as SENet's; or signed and dense, without a scale of its own. */
  readonly minimiser: (typeof MINIMISERS)[number];
  /** tau of "gibbs", > 0, in units of similarity. */
  readonly temperature: number;
  /** Of "gibbs": one learned gain for all samples, or each sample's best. */
  readonly gain: "learned" | "least-squares";
  /** How often similarities are refined, see `refined` and `cooled`; 0 leaves them to the network alone. */
  readonly refinements: number;
  /** Of the objective that refining minimises, see `selfExpression`. */
  readonly gamma: number;
  /** The same, see `elasticNet`; in 0..1. */
  readonly lambda: number;
}

/** Where the threshold starts, b = softplus(100 b^) / 100: at 0.007, or at 0.03 where similarities are refined. */
const REFINED_START = 0.03;

export function energySpec({ latent, hidden, width, minimiser, gain, refinements }: EnergyNetwork): ParameterSpecs {
  const widths = [latent, ...hidden, width];
  const scalar = { shape: [], limit: 0 };
  const threshold = { ...scalar, centre: refinements > 0 ? REFINED_START : 0 };
  return {
    ...mlpSpec("energy.query", widths),
    ...mlpSpec("energy.key", widths),
    ...(minimiser === "soft-threshold" ? { "energy.threshold": threshold } : {}),
    ...(minimiser === "gibbs" && gain === "learned" ? { "energy.gain": scalar } : {}),
  };
}

/** Latents that rebuild others, with what the energy network makes of them. */
export interface Dictionary {
  /** Unit rows, [m, d]. */
  readonly atoms: tf.Tensor2D;
  /** In -1..1, [m, p]. */
  readonly keys: tf.Tensor2D;
}

/** @param atoms - unit rows, [m, d]. */
export function dictionaryOf(parameters: Parameters, atoms: tf.Tensor2D): Dictionary {
  return { atoms, keys: embedded(parameters, "energy.key", atoms) };
}

/**
 * tanh of the network's outputs. Unit latents are brought to unit variance: SENet's are not, and its similarities start
 * near 0.
 */
function embedded(parameters: Parameters, name: string, latents: tf.Tensor2D): tf.Tensor2D {
  return tf.tanh(mlp(parameters, name, tf.mul(latents, Math.sqrt(latents.shape[1]))));
}

/**
 * Similarities of queries and keys, s_ij = <q_i, k_j> / p, in -1..1: [b, m]. Neither symmetric nor positive.
 *
 * @param latents - unit rows, [b, d].
 */
export function similarities(parameters: Parameters, latents: tf.Tensor2D, keys: tf.Tensor2D): tf.Tensor2D {
  const queries = embedded(parameters, "energy.query", latents);
  return tf.matMul(tf.div(queries, keys.shape[1]), keys, false, true);
}

/**
 * Where a sample may be rebuilt from an atom: 0 where the atom is the sample itself, in whatever view, else 1. [b, m].
 *
 * @param samples - which sample each row is, [b] int32. @param atoms - which one each atom is of, [m] int32.
 */
export function othersOf(samples: tf.Tensor1D, atoms: tf.Tensor1D): tf.Tensor2D {
  const differ = tf.notEqual(tf.reshape(samples, [samples.shape[0], 1]), tf.reshape(atoms, [1, atoms.shape[0]]));
  return tf.cast(differ as tf.Tensor2D, "float32");
}

/**
 * The coefficients that rebuild latents from a dictionary, [b, m].
 *
 * @param latents - unit rows, [b, d].
 * @param others - `othersOf`, where the dictionary may hold the samples themselves.
 */
export function coefficients(
  network: EnergyNetwork,
  parameters: Parameters,
  latents: tf.Tensor2D,
  dictionary: Dictionary,
  others?: tf.Tensor2D,
): tf.Tensor2D {
  const { refinements, lambda } = network;
  const s = similarities(parameters, latents, dictionary.keys);
  if (network.minimiser === "soft-threshold") {
    // Without absolute values in the elastic net nothing is cut off.
    const b = refinements > 0 && lambda === 0 ? (tf.mul(threshold(parameters), 0) as tf.Scalar) : threshold(parameters);
    const allowed = (c: tf.Tensor2D): tf.Tensor2D => (others === undefined ? c : tf.mul(c, others));
    const nearer = allowed(refined(network, s, b, latents, dictionary.atoms, allowed));
    return softThreshold(nearer, exceeded(nearer, b));
  }
  const scaled = (similarity: tf.Tensor2D): tf.Tensor2D => {
    const weights = gibbs(similarity, network.temperature, others);
    if (network.gain === "learned") return tf.mul(weights, tf.add(1, parameter(parameters, "energy.gain")));
    return tf.mul(weights, leastSquaresGain(latents, tf.matMul(weights, dictionary.atoms)));
  };
  return scaled(cooled(network, s, latents, dictionary.atoms, scaled));
}

/** Of a sample's largest similarity: what an atom's must exceed where none exceeds the threshold. */
const LAST = 0.5;

/**
 * The threshold of each sample, [b, 1]: b, or half its largest similarity where none exceeds b. A threshold above all similarities
 * would be the end of learning: nothing below it has a gradient, nor has the threshold itself.
 *
 * @param s - similarities, [b, m], 0 where an atom is left out.
 */
function exceeded(s: tf.Tensor2D, b: tf.Scalar): tf.Tensor2D {
  const largest = stopGradient(tf.max(tf.abs(s), 1, true) as tf.Tensor2D);
  const exceeds = tf.step(tf.sub(largest, stopGradient(b)));
  return tf.add(tf.mul(exceeds, b), tf.mul(tf.sub(1, exceeds), tf.mul(largest, LAST)));
}

/** Of mirror descent; at 1 it converges whatever the unit atoms are, at 4 it did on all latents that were tried, and sooner. */
const STEP = 4;

/**
 * Similarities moved towards what each atom explains of what all together leave over, by mirror descent with step eta = `STEP`:
 *
 *     s <- (s + eta tau D (z - D^T c)) / (1 + eta tau),    c the coefficients that `gibbs` takes from s, with their gain
 *
 * With a gain of 1 it stays where c is the minimum of the free energy of all atoms together,
 *
 *     1/2 ||z - D^T c||^2 + tau sum_j (a+_j log a+_j + a-_j log a-_j),    c = a+ - a-
 *
 * that is where s = D (z - D^T c). For gradients z and D are constants here, as in `refined`.
 *
 * @see Beck & Teboulle 2003, Mirror descent and nonlinear projected subgradient methods, Operations Research Letters 31.
 */
function cooled(
  { refinements, temperature }: EnergyNetwork,
  similarity: tf.Tensor2D,
  latents: tf.Tensor2D,
  atoms: tf.Tensor2D,
  scaled: (s: tf.Tensor2D) => tf.Tensor2D,
): tf.Tensor2D {
  const [z, d] = [stopGradient(latents), stopGradient(atoms)];
  let s = similarity;
  for (let i = 0; i < refinements; i++) {
    const explains = tf.matMul(tf.sub(z, tf.matMul(scaled(s), d)), d, false, true);
    s = tf.div(tf.add(s, tf.mul(explains, STEP * temperature)), 1 + STEP * temperature) as tf.Tensor2D;
  }
  return s;
}

/** How steep the softplus of the threshold is. */
const STEEPNESS = 100;

/**
 * Similarities moved towards those whose soft threshold is the elastic net's minimum itself,
 *
 *     argmin_c  gamma / 2 ||z - sum_j c_j d_j||^2 + sum_j (lambda |c_j| + (1 - lambda) / 2 c_j^2)
 *
 * by Douglas-Rachford splitting with rho = lambda / b (1 where lambda is 0, and with it b). Each time coefficients of least energy, c, meet those that rebuild best
 * near their mirror image, x; s moves by what they differ in, times 1.7, and stays where they agree:
 *
 *     x = argmin_x  gamma / 2 ||z - D^T x||^2 + (1 - lambda) / 2 |x|^2 + rho / 2 |x - (2 c - s)|^2
 *       = (r - D (a / gamma I + D^T D)^-1 D^T r) / a,    r = gamma D z + rho (2 c - s),    a = 1 - lambda + rho
 *
 * For gradients z and D are constants here: at the minimum the objective does not change with c.
 *
 * @see Lions & Mercier 1979, Splitting Algorithms for the Sum of Two Nonlinear Operators, SINUM 16; Boyd et al. 2011,
 *   Distributed Optimization and Statistical Learning via ADMM, section 3.4.3, for a relaxation of 1.5 to 1.8.
 */
function refined(
  { refinements, gamma, lambda }: EnergyNetwork,
  similarity: tf.Tensor2D,
  b: tf.Scalar,
  latents: tf.Tensor2D,
  atoms: tf.Tensor2D,
  allowed: (c: tf.Tensor2D) => tf.Tensor2D,
): tf.Tensor2D {
  if (refinements === 0) return similarity;
  const [z, d] = [stopGradient(latents), stopGradient(atoms)];
  const rho = lambda > 0 ? tf.div(lambda, b) : tf.scalar(1);
  const a = tf.add(rho, 1 - lambda);
  const eye = identity(d.shape[1]);
  const gram = tf.add(tf.matMul(d, d, true, false), tf.mul(eye, tf.div(a, gamma))) as tf.Tensor2D;
  const inverse = positiveInverse(gram, eye);
  const pull = tf.matMul(tf.mul(z, gamma), d, false, true);
  let s = similarity;
  for (let i = 0; i < refinements; i++) {
    const c = allowed(softThreshold(s, b));
    const r = tf.add(pull, tf.mul(rho, tf.sub(tf.mul(c, 2), s))) as tf.Tensor2D;
    const explained = tf.matMul(tf.matMul(tf.matMul(r, d), inverse), d, false, true);
    const x = tf.div(tf.sub(r, explained), a);
    s = tf.add(s, tf.mul(tf.sub(x, c), RELAXATION)) as tf.Tensor2D;
  }
  return s;
}

const RELAXATION = 1.7;
/** Enough where no eigenvalue is below 2e-5 of their sum. */
const INVERSE_STEPS = 20;

/** The inverse of a symmetric positive definite matrix, [k, k], by Newton's iteration X <- X (2 I - A X) from I / tr A. */
function positiveInverse(a: tf.Tensor2D, eye: tf.Tensor2D): tf.Tensor2D {
  let x = tf.div(eye, tf.sum(tf.mul(a, eye))) as tf.Tensor2D;
  for (let i = 0; i < INVERSE_STEPS; i++) x = tf.matMul(x, tf.sub(tf.mul(eye, 2), tf.matMul(a, x)) as tf.Tensor2D);
  return x;
}

/** b = softplus(100 b^) / 100 > 0. A scalar. */
function threshold(parameters: Parameters): tf.Scalar {
  return tf.div(tf.softplus(tf.mul(parameter(parameters, "energy.threshold"), STEEPNESS)), STEEPNESS);
}

/**
 * The coefficient of least energy where an energy is a spring, a pull and a price:
 *
 *     argmin_c  c^2 / 2 - s c + b |c|  =  sign(s) max(|s| - b, 0)
 *
 * Odd in s: turned latents give turned coefficients. The least energy is `minimumEnergy`.
 *
 * @param b - >= 0, a scalar or [b, 1].
 */
export function softThreshold(s: tf.Tensor2D, b: tf.Tensor): tf.Tensor2D {
  return tf.sub(tf.relu(tf.sub(s, b)), tf.relu(tf.sub(tf.neg(s), b)));
}

/** Energy of a soft-thresholded coefficient, -c^2 / 2 <= 0: the lower, the more the atom explains. */
export function minimumEnergy(c: tf.Tensor2D): tf.Tensor2D {
  return tf.mul(tf.square(c), -0.5);
}

/** Below any |s| / tau: an atom that is left out has weight 0. */
const NEVER = -1e30;

/**
 * Signed weights of least free energy, where each atom comes with either sign and its energies are -s and s: with a+ and a-
 * together over the simplex,
 *
 *     argmin_a  sum_j s_ij (a-_ij - a+_ij) + tau sum_j (a+_ij log a+_ij + a-_ij log a-_ij)  ~  exp(s_ij / tau), exp(-s_ij / tau)
 *     c_ij = a+_ij - a-_ij = sinh(s_ij / tau) / sum_k cosh(s_ik / tau)
 *
 * Odd in s, and smooth: an atom of similarity 0 has weight 0, where sign(s) softmax(|s| / tau), which it nears for |s| >> tau, gives a
 * new network's thousand atoms as much weight as any, with signs of chance. Absolute values sum to at most 1.
 *
 * @param temperature - tau > 0. @param others - 0 where an atom is left out.
 */
export function gibbs(s: tf.Tensor2D, temperature: number, others?: tf.Tensor2D): tf.Tensor2D {
  const logits = tf.div(s, temperature) as tf.Tensor2D;
  const left = (x: tf.Tensor2D) => (others === undefined ? x : tf.add(x, tf.mul(tf.sub(1, others), NEVER)));
  const both = tf.softmax(tf.concat([left(logits), left(tf.neg(logits))], 1) as tf.Tensor2D);
  const [plus, minus] = tf.split(both, 2, 1) as [tf.Tensor2D, tf.Tensor2D];
  return tf.sub(plus, minus);
}

/**
 * The gain that brings each rebuilt latent nearest to its latent, [b, 1]:
 *
 *     argmin_g ||z - g r||^2  =  <z, r> / (||r||^2 + 1e-6)
 *
 * @param rebuilt - r, [b, d].
 */
export function leastSquaresGain(latents: tf.Tensor2D, rebuilt: tf.Tensor2D): tf.Tensor2D {
  const products = tf.sum(tf.mul(latents, rebuilt), 1, true);
  return tf.div(products, tf.add(tf.sum(tf.square(rebuilt), 1, true), 1e-6));
}

/**
 * Self-expression loss: how badly the dictionary rebuilds each latent.
 *
 *     gamma / 2b sum_i ||z_i - sum_j c_ij d_j||^2
 *
 * Averaged over samples; gamma / 2 where unit latents are not rebuilt at all. SENet's gamma is 200.
 *
 * @param latents - [b, d]. @param c - [b, m]. @param atoms - [m, d].
 */
export function selfExpression(latents: tf.Tensor2D, c: tf.Tensor2D, atoms: tf.Tensor2D, gamma: number): tf.Scalar {
  const residual = tf.sub(latents, tf.matMul(c, atoms));
  return tf.mul(tf.sum(tf.square(residual)), gamma / (2 * latents.shape[0]));
}

/**
 * Elastic net: coefficients should be few and small.
 *
 *     1/b sum_ij (lambda |c_ij| + (1 - lambda) / 2 c_ij^2)
 *
 * @param c - [b, m]. @param lambda - in 0..1; SENet's is 0.9.
 */
export function elasticNet(c: tf.Tensor2D, lambda: number): tf.Scalar {
  const price = tf.add(tf.mul(tf.abs(c), lambda), tf.mul(tf.square(c), (1 - lambda) / 2));
  return tf.div(tf.sum(price), c.shape[0]);
}

/**
 * Effective number of directions that unit latents fill: 1 if all are one, d if they are spread evenly. To be watched:
 * latents that are trained with their coefficients can collapse.
 *
 *     (sum_k l_k)^2 / sum_k l_k^2 = tr(G)^2 / ||G||_F^2,    l the eigenvalues of G = Z^T Z
 *
 * It is the exponential of the Renyi entropy of order 2 of the normalised eigenvalues; that of the Shannon entropy (Roy
 * & Vetterli 2007, The Effective Rank, EUSIPCO) is never below it, and would take the eigenvalues themselves.
 *
 * @param latents - [b, d], brought to length 1 here. @returns a scalar in 1..min(b, d).
 */
export function effectiveRank(latents: tf.Tensor2D): tf.Scalar {
  const z = unitRows(latents);
  const gram = tf.matMul(z, z, true, false);
  return tf.div(tf.square(tf.sum(tf.square(z))), tf.sum(tf.square(gram)));
}
