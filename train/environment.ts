import { arch, cpus, platform, totalmem } from "node:os";
import { version_core } from "@tensorflow/tfjs-core";
import { packageVersion } from "../runtime/node-version.ts";
import type { Executor } from "./executors/executor.ts";

/** What a run runs on: what may make numbers differ in their last bits. No paths, no names of people or machines. */
export function environment({ libraries }: Executor): object {
  const [cpu] = cpus();
  return {
    subspan: packageVersion(),
    node: process.versions.node,
    ...libraries,
    tfjs: version_core,
    os: platform(),
    arch: arch(),
    cpu: cpu?.model ?? "unknown",
    cpus: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
  };
}
