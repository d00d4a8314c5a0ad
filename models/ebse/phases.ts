import * as tf from "@tensorflow/tfjs-core";
import type { NumberArray } from "../../runtime/samples.ts";
import { type Encoder, encoderFor, encodeSamples } from "../encoders.ts";
import { coefficients, dictionaryOf, type EnergyNetwork, elasticNet, othersOf, selfExpression } from "../energy.ts";
import { stopGradient, unitRows } from "../layers.ts";
import { codingRate, infoNce } from "../losses.ts";
import type { Arrays, BatchInput, Phase, PhaseStart, SampleType } from "../method.ts";
import { mlp } from "../mlp.ts";
import { logDeterminant } from "../orthonormal.ts";
import type { Parameters } from "../parameters.ts";
import { headFromMeans, selfTrainingLoss } from "../self-training.ts";
import type { Config } from "./config.ts";

type Terms = Record<string, tf.Scalar>;

/** Prefixes of the parameters that are not learned by gradient: the momentum encoder, and the latents it gave last. */
const MOMENTUM = "momentum.";
const QUEUE = "queue.";

export function encoderOf(config: Config, sample: SampleType): Encoder {
  const auto = sample.kind === "features" ? "mlp" : sample.shape[2] === 3 ? "resnet18" : "convolutional";
  const kind = config.encoder === "auto" ? auto : config.encoder;
  return encoderFor({ ...config, kind }, sample);
}

export function energyOf({ latent, energy }: Config): EnergyNetwork {
  return { latent, ...energy };
}

export function phases(config: Config, sample: SampleType): Phase[] {
  const encoder = encoderOf(config, sample);
  const rounds = Array.from({ length: config.joint.rounds }, (_, i) => joint(config, encoder, i + 1));
  return [warmup(config, encoder), head(config, encoder), ...rounds].filter(({ epochs }) => epochs > 0);
}

/** The dictionary by self-supervision: two views of a sample are to be alike, and unlike all others. */
function warmup(config: Config, encoder: Encoder): Phase {
  return {
    name: "warm-up",
    ...config.warmup,
    warmup: 50,
    trainable: ["encoder."],
    rank: true,
    inputs: { first: { source: "view" }, second: { source: "view" } },
    targets: false,
    begin: ({ features }) =>
      features === undefined
        ? ({} as Arrays)
        : { "features.mean": features.mean, "features.logDeviation": features.logDeviation },
    loss: (parameters, batch) => informationTerms(config, 1, views(encoder, parameters, batch)),
  };
}

/** The energy network alone, on latents that stay. */
function head(config: Config, encoder: Encoder): Phase {
  return {
    name: "energy head",
    ...config.head,
    warmup: 20,
    trainable: ["energy."],
    updated: [QUEUE],
    latents: true,
    inputs: { first: { source: "sample" }, index: { source: "index" } },
    targets: false,
    begin: (found) => queueOf(config, found),
    update: (parameters, batch) => queued(encoder, parameters, parameters, batch),
    loss: (parameters, batch) => {
      const latents = unitRows(encodeSamples(encoder, parameters, batch.first as tf.Tensor));
      return selfExpressionTerms(config, parameters, stopGradient(latents), batch.index as tf.Tensor1D, tf.scalar(1));
    },
  };
}

/** Whether the joint phase learns from the labels of the clusters found last. */
export const learnsLabels = ({ joint }: Config): boolean => joint.rounds * joint.epochs * joint.assignment > 0;

/** A linear head of unit latents, brought to unit variance: logits of the clusters, [b, K]. */
export function labelLogits(parameters: Parameters, latents: tf.Tensor2D): tf.Tensor2D {
  return mlp(parameters, "head", tf.mul(unitRows(latents), Math.sqrt(latents.shape[1])));
}

/**
 * Whether self-expression may move the latents, not the energy network alone. It is least where all are one direction. At the elastic
 * net's minimum there is little to gain by that; coefficients that are not there can be improved more by it than by learning, and
 * soft labels do not hold latents apart. What does is a term of its own.
 */
const latentsMayFollow = ({ energy, joint, antiCollapse }: Config): boolean =>
  (energy.minimiser === "soft-threshold" && energy.refinements > 0) || joint.information > 0 || antiCollapse > 0;

/**
 * Dictionary and coefficients together, end to end, with the labels that the coefficients gave: in the first round
 * self-expression's weight rises linearly first.
 */
function joint(config: Config, encoder: Encoder, round: number): Phase {
  const { rounds: _, assignment, information, selfExpression: weight, ramp, ...rest } = config.joint;
  const [learns, informs] = [assignment > 0, information > 0 || config.antiCollapse > 0];
  const inputs: Record<string, BatchInput> = {
    first: { source: "view" },
    ...(learns ? { neighbour: { source: "neighbour" }, target: { source: "target" } } : {}),
    ...(informs ? { second: { source: "view" } } : {}),
    index: { source: "index" },
    progress: { source: "progress" },
  };
  return {
    name: `joint ${round}`,
    ...rest,
    warmup: 20,
    trainable: ["encoder.", ...(weight > 0 ? ["energy."] : []), ...(learns ? ["head."] : [])],
    updated: [MOMENTUM, QUEUE],
    latents: true,
    rank: true,
    inputs,
    targets: learns,
    begin: (found) => ({
      ...queueOf(config, found),
      ...(found.clustering && headFromMeans(found.clustering)),
    }),
    update: (parameters, batch) => renewed(config, encoder, parameters, batch),
    loss: (parameters, batch) => {
      const views = ["first", ...(informs ? ["second"] : []), ...(learns ? ["neighbour"] : [])];
      const all = encodeSamples(
        encoder,
        parameters,
        tf.concat(
          views.map((name) => batch[name] as tf.Tensor),
          0,
        ),
      );
      const b = (batch.first as tf.Tensor).shape[0] as number;
      const of = (view: string) => tf.slice(all, [views.indexOf(view) * b, 0], [b, -1]);
      const first = of("first");
      const terms: Terms = {};
      if (learns) {
        const logits = labelLogits(parameters, tf.concat([first, of("neighbour")], 0));
        terms.assignment = tf.mul(assignment, selfTrainingLoss(logits, batch.target as tf.Tensor2D));
      }
      if (informs) Object.assign(terms, informationTerms(config, information, tf.concat([first, of("second")], 0)));
      if (weight > 0) {
        const share = round === 1 && ramp > 0 ? tf.minimum(1, tf.div(batch.progress as tf.Scalar, ramp)) : tf.scalar(1);
        const scale = tf.mul(weight, share) as tf.Scalar;
        const unit = latentsMayFollow(config) ? unitRows(first) : stopGradient(unitRows(first));
        Object.assign(terms, selfExpressionTerms(config, parameters, unit, batch.index as tf.Tensor1D, scale));
      }
      return terms;
    },
  };
}

/** Latents of both views, one after the other, [2b, d]. */
function views(encoder: Encoder, parameters: Parameters, { first, second }: Parameters): tf.Tensor2D {
  return encodeSamples(encoder, parameters, tf.concat([first as tf.Tensor, second as tf.Tensor], 0));
}

function informationTerms(config: Config, weight: number, means: tf.Tensor2D): Terms {
  const terms: Terms = {};
  if (weight > 0) terms.information = tf.mul(weight, infoNce(means, config.temperature));
  if (config.antiCollapse > 0) {
    const rate = codingRate(tf.slice(means, [0, 0], [means.shape[0] / 2, -1]), logDeterminant);
    terms["anti-collapse"] = tf.mul(config.antiCollapse, rate);
  }
  return terms;
}

/** Each sample by the others of the batch and the queue: atoms of the batch are learned with it, those of the queue stay. */
function selfExpressionTerms(
  config: Config,
  parameters: Parameters,
  latents: tf.Tensor2D,
  index: tf.Tensor1D,
  scale: tf.Scalar,
): Terms {
  const queued = parameters[`${QUEUE}latents`] as tf.Tensor2D | undefined;
  const known = parameters[`${QUEUE}index`] as tf.Tensor1D | undefined;
  const atoms = queued === undefined ? latents : tf.concat([latents, queued], 0);
  const owners = known === undefined ? index : tf.concat([index, tf.cast(known, "int32")], 0);
  const c = coefficients(
    energyOf(config),
    parameters,
    latents,
    dictionaryOf(parameters, atoms),
    othersOf(index, owners),
  );
  const { gamma, lambda } = config.energy;
  return {
    "self-expression": tf.mul(scale, selfExpression(latents, c, atoms, gamma)),
    "elastic net": tf.mul(scale, elasticNet(c, lambda)),
  };
}

/** A momentum encoder that starts as the encoder, and a queue of the latents of random samples. */
function queueOf({ queue }: Config, { parameters, latents: all, random }: PhaseStart): Arrays {
  const latents = all as NumberArray;
  const copies = Object.entries(parameters)
    .filter(([name]) => name.startsWith("encoder.") || name.startsWith("features."))
    .map(([name, array]) => [`${MOMENTUM}${name}`, array]);
  const [n, d] = latents.shape as [number, number];
  const size = Math.min(queue, n);
  if (size === 0) return {};
  const rows = random.permutation(n).slice(0, size);
  const data = new Float32Array(size * d);
  rows.forEach((row, i) => {
    const latent = latents.data.subarray(row * d, (row + 1) * d);
    const length = Math.max(Math.hypot(...latent), 1e-8);
    data.set(
      latent.map((value) => value / length),
      i * d,
    );
  });
  return {
    ...Object.fromEntries(copies),
    [`${QUEUE}latents`]: { data, shape: [size, d] },
    [`${QUEUE}index`]: { data: Float32Array.from(rows), shape: [size] },
  };
}

/** After a step: the momentum encoder nears the encoder, and its latents of the batch enter the queue. */
function renewed(
  { momentum }: Config,
  encoder: Encoder,
  parameters: Parameters,
  batch: Parameters,
): Record<string, tf.Tensor> {
  const old = Object.entries(parameters).filter(([name]) => name.startsWith(MOMENTUM));
  const next = Object.fromEntries(
    old.map(([name, value]) => {
      const current = parameters[name.slice(MOMENTUM.length)] as tf.Tensor;
      return [name, tf.add(tf.mul(momentum, value), tf.mul(1 - momentum, current))];
    }),
  );
  const slow = Object.fromEntries(old.map(([name, value]) => [name.slice(MOMENTUM.length), value]));
  return { ...next, ...queued(encoder, slow, parameters, batch) };
}

/** The queue after an encoder's latents of the batch have entered and the oldest have left; nothing where there is none. */
function queued(
  encoder: Encoder,
  encoding: Parameters,
  parameters: Parameters,
  { first, index }: Parameters,
): Record<string, tf.Tensor> {
  if (!(`${QUEUE}latents` in parameters)) return {};
  const latents = unitRows(encodeSamples(encoder, encoding, first as tf.Tensor));
  const pushed = (name: string, entering: tf.Tensor) => {
    const queue = parameters[`${QUEUE}${name}`] as tf.Tensor;
    const [size] = queue.shape as [number];
    return { [`${QUEUE}${name}`]: tf.slice(tf.concat([entering, queue], 0), [0], [size]) };
  };
  return { ...pushed("latents", latents), ...pushed("index", tf.cast(index as tf.Tensor, "float32")) };
}
