import { env } from "@tensorflow/tfjs-core";

/** Runs `work` without tfjs's advice to install a faster backend, which its CPU backend gives on its first use. */
export async function quietly<T>(work: () => T | Promise<T>): Promise<T> {
  const isProduction = env().getBool("PROD");
  env().set("PROD", true);
  try {
    return await work();
  } finally {
    env().set("PROD", isProduction);
  }
}
