import type { Bundle } from "../../runtime/bundle.ts";
import { job, kserve } from "./kubernetes.ts";
import { ray, spark } from "./python.ts";
import { triton } from "./triton.ts";

export type TargetFiles = Readonly<Record<string, string | Uint8Array>>;

export interface TargetOptions {
  /** Where the cluster finds the models, for Kubernetes: what the storage initialiser of KServe takes, or a volume claim. */
  readonly storage: string;
  /** Of a container with subspan in it. */
  readonly image: string;
}

/** What each engine needs to run a bundle's graph, by path. */
export const TARGETS = {
  triton,
  kserve,
  spark,
  ray,
  "k8s-job": job,
} as const satisfies Readonly<Record<string, (bundle: Bundle, options: TargetOptions) => TargetFiles>>;

export type Target = keyof typeof TARGETS;
