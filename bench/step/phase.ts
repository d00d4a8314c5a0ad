import type { PortType } from "../../export/index.ts";
import type { Method, SampleType } from "../../models/index.ts";
import type { NumberArray } from "../../runtime/samples.ts";
import { batchPorts } from "../../train/batches.ts";
import { type AnyArray, initialState } from "../../train/executors/executor.ts";
import { Random } from "../../train/random.ts";
import { initialParameters } from "../../train/trainer.ts";
import type { Workload } from "./workload.ts";

/** A method's first phase on random samples: uniform bytes, standard normal noise. @param trainable - prefixes of names. */
export function phaseWorkload<C extends object>(
  method: Method<C>,
  config: C,
  sample: SampleType,
  batch: number,
  trainable: readonly string[],
): Workload {
  const [phase] = method.phases(config, sample);
  if (phase === undefined) throw new Error(`${method.name} has no phase`);
  const parameters = parametersOf(method, config, sample, trainable);
  const samples = { kind: sample.kind, shape: [batch, ...sample.shape], data: new Uint8Array() } as never;
  const ports = batchPorts({ ...phase, batch }, samples, 10);
  const random = new Random(0, "bench");
  return {
    definition: { trainable: shapesOf(parameters), frozen: {}, batch: ports, loss: phase.loss },
    state: initialState(parameters),
    frozen: {},
    feed: Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, randomArray(port, random)])),
  };
}

/** A method's parameters as training starts with them, those whose names start so. */
export function parametersOf<C extends object>(
  method: Method<C>,
  config: C,
  sample: SampleType,
  prefixes: readonly string[],
): Record<string, NumberArray> {
  const all = Object.entries(initialParameters(method as never, config, sample, 0));
  return Object.fromEntries(all.filter(([name]) => prefixes.some((prefix) => name.startsWith(prefix))));
}

export function shapesOf(arrays: Readonly<Record<string, AnyArray>>): Record<string, readonly number[]> {
  return Object.fromEntries(Object.entries(arrays).map(([name, { shape }]) => [name, shape]));
}

function randomArray({ type, shape }: PortType, random: Random): AnyArray {
  const sizes = shape as readonly number[];
  if (type !== "uint8") return normal(sizes, random);
  const length = sizes.reduce((a, b) => a * b, 1);
  return { data: Uint8Array.from({ length }, () => random.integer(256)), shape: sizes };
}

export function normal(shape: readonly number[], random: Random): NumberArray {
  const length = shape.reduce((a, b) => a * b, 1);
  return { data: Float32Array.from({ length }, () => random.normal()), shape };
}
