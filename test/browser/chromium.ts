import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { type Browser, chromium } from "playwright-core";

/** For `beforeAll` hooks that launch: a fresh machine installs Chromium there, once, some 150 MB. */
export const LAUNCH_TIMEOUT = 900_000;

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
const FLAGS = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
/** WebGPU on SwiftShader, a Vulkan driver that computes on the CPU. */
const WEBGPU_FLAGS = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
  "--use-vulkan=swiftshader",
];
/** Test files run side by side: the first to hold the lock installs, the others find what it installed. */
const INSTALL = `command -v chromium || {
  apt-get update -qq &&
  DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium libvulkan1 fonts-dejavu-core
}`;

/**
 * A real Chromium, without a window.
 *
 * @param webgpu - whether it has WebGPU, on SwiftShader. Without, `navigator.gpu` finds no adapter.
 * @throws if there is no Chromium and none can be installed: what runs in browsers is never left untested quietly.
 */
export async function launchChromium({ webgpu = false } = {}): Promise<Browser> {
  const args = webgpu ? [...FLAGS, ...WEBGPU_FLAGS] : FLAGS;
  return chromium.launch({ executablePath: await chromiumPath(), args });
}

/** The Chromium of this machine: CHROME_PATH, one on the PATH, or Debian's package, installed where that is allowed. */
export async function chromiumPath(): Promise<string> {
  const found = findChromium();
  if (found !== undefined) return found;
  const remedy =
    "the browser tests need Chromium: put it on the PATH or in CHROME_PATH (Debian: apt-get install chromium)";
  if (process.getuid?.() !== 0) throw new Error(`${remedy}; only root may install it here`);
  await promisify(execFile)("flock", [join(tmpdir(), "subspan-chromium.lock"), "sh", "-c", INSTALL]).catch((cause) => {
    throw new Error(`${remedy}; installing it failed: ${cause.message}`, { cause });
  });
  return findChromium() ?? fail(`${remedy}; after installing it there is none`);
}

function findChromium(): string | undefined {
  const { PATH = "", CHROME_PATH } = process.env;
  const places = PATH.split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return [...(CHROME_PATH === undefined ? [] : [CHROME_PATH]), ...places].find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function fail(message: string): never {
  throw new Error(message);
}
