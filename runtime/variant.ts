import type { ListedBundle, Precision } from "./bundle.ts";
import { SubspanError } from "./errors.ts";

/**
 * Which of a bundle's graphs to open where half precision is worth it: fp16 if the bundle has one and its parity.json
 * says that as many of its labels as must be are fp32's, else fp32. Never int8: its weights are made floats in every run.
 *
 * @throws {SubspanError} BUNDLE_INVALID for a parity.json that is no JSON, or as the bundle's `read`.
 */
export async function bestVariant({ files, read }: ListedBundle): Promise<Precision> {
  const has = (path: string) => files.some((file) => file.path === path);
  if (!has("model.fp16.onnx") || !has("parity.json")) return "fp32";
  const text = new TextDecoder().decode(await read("parity.json"));
  try {
    return JSON.parse(text)?.variants?.fp16?.agrees === true ? "fp16" : "fp32";
  } catch (cause) {
    throw new SubspanError("BUNDLE_INVALID", `parity.json: expected JSON, got ${(cause as Error).message}`, { cause });
  }
}
