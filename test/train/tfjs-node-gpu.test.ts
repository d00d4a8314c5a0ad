import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadTensorflow, probeTensorflow, setupCommand } from "../../train/executors/tensorflow.ts";
import { isThere } from "./available.ts";

const MODULES = fileURLToPath(new URL("../../node_modules", import.meta.url));

test("an engine that is not installed is refused with the command that sets it up", async () => {
  const nowhere = await mkdtemp(join(tmpdir(), "subspan-nowhere-"));
  for (const engine of ["tfjs-node", "tfjs-node-gpu"] as const) {
    const missing = `@tensorflow/${engine} is not installed`;
    expect(() => loadTensorflow(engine, join(nowhere, "index.js"))).toThrow(
      expect.objectContaining({
        code: "DEPENDENCY_MISSING",
        message: `engine ${engine}: ${missing}; get it with: ${setupCommand(engine)}`,
      }),
    );
    await expect(probeTensorflow(engine, join(nowhere, "index.js"))).rejects.toThrow(missing);
  }
  expect(setupCommand("tfjs-node-gpu")).toBe("npm run setup:tfjs-node -- --gpu");
  await rm(nowhere, { recursive: true });
});

const reason = await probeTensorflow("tfjs-node").then(
  () => undefined,
  (error: Error) => error.message,
);

/** tfjs-node-gpu is tfjs-node with another name and another libtensorflow: here with one that sees no GPU, or with none. */
describe.skipIf(!isThere("tfjs-node", reason))("tfjs-node-gpu", () => {
  let root = "";
  const user = (name: string) => join(root, name, "index.js");

  async function install(name: string, parts: readonly string[]): Promise<void> {
    const original = join(MODULES, "@tensorflow/tfjs-node");
    const copy = join(root, name, "node_modules/@tensorflow/tfjs-node-gpu");
    await mkdir(copy, { recursive: true });
    await cp(join(original, "dist"), join(copy, "dist"), { recursive: true });
    for (const part of parts) await symlink(join(original, part), join(copy, part));
    const manifest = JSON.parse(await readFile(join(original, "package.json"), "utf8"));
    await writeFile(join(copy, "package.json"), JSON.stringify({ ...manifest, name: "@tensorflow/tfjs-node-gpu" }));
  }

  beforeAll(async () => {
    root = await mkdtemp(join(MODULES, ".subspan-gpu-")); // where it finds what it depends on
    await install("without addon", []);
    await install("without gpu", ["lib"]);
  });
  afterAll(() => rm(root, { recursive: true }));

  test("without its addon is said to be so", async () => {
    const missing = "@tensorflow/tfjs-node-gpu is installed without its native addon";
    await expect(probeTensorflow("tfjs-node-gpu", user("without addon"))).rejects.toThrow(missing);
  });

  test("without a GPU is refused, and does not compute on the CPU under a GPU's name", async () => {
    expect(await probeTensorflow("tfjs-node-gpu", user("without gpu"))).toMatchObject({ gpu: false });
    expect(() => loadTensorflow("tfjs-node-gpu", user("without gpu"))).toThrow(
      expect.objectContaining({
        code: "DEVICE_UNAVAILABLE",
        message: expect.stringMatching(/finds no GPU; it needs an NVIDIA driver.* On the CPU: --engine tfjs-node$/),
      }),
    );
    expect(() => loadTensorflow("tfjs-node")).toThrow("this process has loaded the other tfjs-node");
  });
});
