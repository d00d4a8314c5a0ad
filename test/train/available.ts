import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { whyNot } from "../../runtime/node-devices.ts";

/**
 * Gives this process WebGPU without a GPU: Chromium's own Vulkan driver computes on the CPU. It has to be chosen before ONNX
 * Runtime first asks for WebGPU.
 *
 * @returns why there is no WebGPU, or nothing.
 */
export async function useSwiftShader(): Promise<string | undefined> {
  const { PATH = "", VK_ICD_FILENAMES, VK_DRIVER_FILES } = process.env;
  if (VK_ICD_FILENAMES === undefined && VK_DRIVER_FILES === undefined) {
    const driver = PATH.split(delimiter)
      .map((folder) => join(folder, "../lib/chromium/vk_swiftshader_icd.json"))
      .find((path) => existsSync(path));
    if (driver !== undefined) process.env.VK_ICD_FILENAMES = driver;
  }
  return whyNot("webgpu");
}

/**
 * Notes that tests are left out, and why; with their subject in SUBSPAN_REQUIRE, as where it was set up for them, that is a
 * failure.
 */
export function isThere(subject: string, reason: string | undefined): boolean {
  if (reason === undefined) return true;
  const message = `${subject} is not tested: ${reason}`;
  if (process.env.SUBSPAN_REQUIRE?.split(" ").includes(subject)) throw new Error(message);
  console.warn(message);
  return false;
}
