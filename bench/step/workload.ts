import type { NumberArray } from "../../runtime/samples.ts";
import type { AnyArray, StepState } from "../../train/executors/executor.ts";
import type { StepDefinition } from "../../train/step.ts";
import { autoencoder } from "./autoencoder.ts";
import { energy } from "./energy.ts";
import { resnet18 } from "./resnet18.ts";

/** A training step, where it starts, and the one batch that it is timed on. */
export interface Workload {
  readonly definition: StepDefinition;
  readonly state: StepState;
  readonly frozen: Readonly<Record<string, NumberArray>>;
  readonly feed: Readonly<Record<string, AnyArray>>;
}

/** Which workload, as every contestant is told, and as PyTorch's and jax-js's make their own: a line of JSON. */
export type Spec =
  | { readonly workload: "autoencoder"; readonly batch: number; readonly decoder: Decoder; readonly side: number }
  | { readonly workload: "resnet18"; readonly batch: number }
  | { readonly workload: "energy"; readonly batch: number };

export type Decoder = "subpixel" | "transposed";

export const WORKLOADS = ["autoencoder", "resnet18", "energy"] as const;
export type WorkloadName = (typeof WORKLOADS)[number];

/** The rows of the table. */
export const SPECS: Readonly<Record<WorkloadName, readonly Spec[]>> = {
  autoencoder: (["subpixel", "transposed"] as const).flatMap((decoder) =>
    [128, 256].map((batch) => ({ workload: "autoencoder", batch, decoder, side: 28 }) as const),
  ),
  resnet18: [{ workload: "resnet18", batch: 32 }],
  energy: [{ workload: "energy", batch: 256 }],
};

export function nameOf(spec: Spec): string {
  if (spec.workload === "autoencoder") return `autoencoder, ${spec.decoder}`;
  return spec.workload === "energy" ? "energy head" : "ResNet-18";
}

export function workloadOf(spec: Spec): Workload {
  switch (spec.workload) {
    case "autoencoder":
      return autoencoder(spec.decoder, spec.batch, spec.side);
    case "resnet18":
      return resnet18(spec.batch);
    case "energy":
      return energy(spec.batch);
  }
}

/** The numbers that training changes. */
export function parameterCount({ state }: Workload): number {
  return Object.values(state.parameters).reduce((sum, { data }) => sum + data.length, 0);
}
