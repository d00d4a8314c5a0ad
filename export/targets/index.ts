import type { Bundle } from "../../runtime/bundle.ts";
import { job, kserve } from "./kubernetes.ts";
import { ray, spark } from "./python.ts";
import type { TargetFiles, TargetOptions } from "./target.ts";
import { triton } from "./triton.ts";

/** What each engine needs to run a bundle's graph, by path. */
export const TARGETS = {
  triton,
  kserve,
  spark,
  ray,
  "k8s-job": job,
} as const satisfies Readonly<Record<string, (bundle: Bundle, options: TargetOptions) => TargetFiles>>;

export type Target = keyof typeof TARGETS;
