import * as tf from "@tensorflow/tfjs-core";
import {
  coefficients,
  dictionaryOf,
  type EnergyNetwork,
  elasticNet,
  othersOf,
  selfExpression,
} from "../../models/energy.ts";
import { ebse } from "../../models/index.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { initialState } from "../../train/executors/executor.ts";
import { Random } from "../../train/random.ts";
import { normal, parametersOf, shapesOf } from "./phase.ts";
import type { Workload } from "./workload.ts";

/** d; the queue's latents, which with those of the batch are the dictionary; the samples that its owners are drawn from. */
const LATENT = 128;
const QUEUE = 1024;
const SAMPLES = 60_000;

/**
 * ebse's energy head with its default networks (256-256-128) and no refinements, as its PyTorch peer, on latents that are given:
 * each of the batch by the others and a queue, self-expression and elastic net. Latents and queue are random unit rows.
 */
export function energy(batch: number): Workload {
  const config = ebse.schema.parse({ clusters: 10, latent: LATENT, energy: { refinements: 0, gamma: 200 } });
  const network: EnergyNetwork = { latent: LATENT, ...config.energy };
  const parameters = parametersOf(ebse, config, { kind: "features", shape: [LATENT] }, ["energy."]);
  const random = new Random(0, "bench");
  const [latents, queue] = [unit(batch, random), unit(QUEUE, random)];
  const owners = Float32Array.from({ length: QUEUE }, () => random.integer(SAMPLES));
  const frozen = { "queue.latents": queue, "queue.index": { data: owners, shape: [QUEUE] } };
  return {
    definition: {
      trainable: shapesOf(parameters),
      frozen: shapesOf(frozen),
      batch: { latents: { type: "float32", shape: [batch, LATENT] }, index: { type: "int32", shape: [batch] } },
      loss: (all, { latents, index }) => {
        const z = latents as tf.Tensor2D;
        const atoms = tf.concat([z, all["queue.latents"] as tf.Tensor2D], 0);
        const known = tf.concat([index as tf.Tensor1D, tf.cast(all["queue.index"] as tf.Tensor1D, "int32")], 0);
        const c = coefficients(network, all, z, dictionaryOf(all, atoms), othersOf(index as tf.Tensor1D, known));
        return {
          "self-expression": selfExpression(z, c, atoms, config.energy.gamma),
          "elastic net": elasticNet(c, config.energy.lambda),
        };
      },
    },
    state: initialState(parameters),
    frozen,
    feed: { latents, index: { data: Int32Array.from({ length: batch }, (_, i) => i), shape: [batch] } },
  };
}

function unit(rows: number, random: Random): NumberArray {
  const { data, shape } = normal([rows, LATENT], random);
  for (let row = 0; row < rows; row++) {
    const values = data.subarray(row * LATENT, (row + 1) * LATENT);
    const length = Math.hypot(...values);
    values.forEach((value, i) => {
      values[i] = value / length;
    });
  }
  return { data, shape };
}
