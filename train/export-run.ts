import type * as tf from "@tensorflow/tfjs-core";
import { version_core } from "@tensorflow/tfjs-core";
import { env } from "onnxruntime-node";
import {
  card,
  checkDestination,
  checkParity,
  compareOutputs,
  eagerOutputs,
  graphOutputs,
  type Model,
  modelWithManifest,
  type Outputs,
  type ParityReport,
  preview,
  type Rows,
  writeBundle,
} from "../export/index.ts";
import type { Arrays, Method } from "../models/index.ts";
import type { Precision } from "../runtime/bundle.ts";
import { SubspanError } from "../runtime/errors.ts";
import { FORMAT_VERSION, type GraphManifest } from "../runtime/manifest.ts";
import { packageVersion } from "../runtime/node-version.ts";
import type { Samples } from "../runtime/samples.ts";
import { Batches } from "./batches.ts";
import { type ClustererDefinition, clustererGraph, clustererParts, embed, exportedModel } from "./clusterer-graph.ts";
import { AUGMENTATIONS } from "./data/index.ts";
import { BatchFunction, samplePort } from "./inference.ts";
import { clusterSizes } from "./lopsided.ts";
import { Random } from "./random.ts";
import { Stopwatch } from "./stopwatch.ts";
import { gatherRows } from "./structure.ts";
import { INFERENCE_BATCH, sampleType } from "./trainer.ts";
import { type Held, variants } from "./variants.ts";
import { MILD, viewsOf } from "./views.ts";

/** What exporting tells while it goes on: a stage that is done, and the seconds it took. */
export interface ExportEvent {
  readonly type: "export";
  readonly stage: "trace" | "parity" | "variants" | "write";
  readonly seconds: number;
}

/** Where a clusterer comes from. */
export interface ExportedRun {
  /** What the bundle is called; what is no letter, digit, ".", "_" or "-" becomes "-". */
  readonly name: string;
  readonly seed: number;
  readonly data: { readonly name: string; readonly fingerprint: string; readonly samples: number };
  readonly metrics: Readonly<Record<string, number>>;
  readonly preset: string;
  /** Of the bundle; nobody states one but its maker. */
  readonly licence?: string;
  readonly clusterNames?: readonly string[];
}

export interface ExportOptions {
  readonly method: Method;
  readonly config: object;
  /** Those it was trained on. */
  readonly samples: Samples;
  readonly parameters: Arrays;
  readonly structure: Arrays;
  /** Of the samples, as training ended. */
  readonly labels: Int32Array;
  readonly run: ExportedRun;
  /** The bundle's folder, or its file where it ends with .subspan. */
  readonly out: string;
  /** Also encoder.onnx, head.onnx and assign.onnx. */
  readonly parts: boolean;
  /** Also the coefficients, of self-expressive methods. */
  readonly withCoefficients: boolean;
  /** fp32 is always there; the others lie beside it. */
  readonly precision: readonly Precision[];
  /** Whether the network of the int8 variant computes in int8 too; else its weights alone are int8. */
  readonly int8Activations?: boolean;
  /** Samples that training has not seen, to compare variants on; views of some that it has, unless given. */
  readonly unseen?: Samples;
  readonly overwrite?: boolean;
  /** ISO 8601; SOURCE_DATE_EPOCH or now unless said. */
  readonly created?: string;
  readonly onEvent?: (event: ExportEvent) => void;
}

export interface ExportResult {
  readonly path: string;
  readonly bytes: number;
  readonly parity: ParityReport;
  readonly seconds: number;
}

/** Training samples that the graph is compared on, and that the preview shows. */
const CHECKED = 2000;
/** Samples, and views of samples, that the eager method is run on if they are 28 x 28 pixels: some seconds' work. */
const EAGER_SAMPLES = 48;
const EAGER_VIEWS = 16;
const EAGER_PIXELS = 28 * 28;

/** Every metric that finishing gives, in words. */
const MEANINGS: Readonly<Record<string, string>> = {
  agreement: "share of training samples in the same cluster as an augmented view of them",
  meanConfidence: "mean confidence of the training samples; calibrated to equal the agreement",
  sizeEntropy: "evenness of the clusters' sizes: 1 if all are equal, 0 if all samples are in one",
  eigenvectors: "eigenvectors of the spectral embedding",
  eigengap: "eigenvalue of the last eigenvector used less that of the next: the larger, the clearer the clusters",
  readoutAgreement: "share of landmarks that the exported function puts where the clustering had them",
};

const LIMITATIONS = [
  "Clusters were found without labels: what a cluster stands for is for people to say.",
  "It assumes samples like those it was trained on, scaled and cropped alike. `novelty` near 1 says that one is not; its label means little then, whatever the confidence.",
  "Confidence is calibrated on augmented views of training samples, not on ground truth.",
] as const;

/**
 * Writes a finished run as a bundle. The graph is compared with the method run eagerly on tfjs's CPU backend, and with what
 * training computed for its samples; nothing is written if it differs.
 *
 * @throws {SubspanError} USAGE for a destination that holds something else, or for what this method or version has not;
 *   PARITY_FAILED; TRACE_REFUSED.
 */
export async function exportRun(options: ExportOptions): Promise<ExportResult> {
  const { out, overwrite = false, parts, run } = options;
  checkAvailable(options);
  await checkDestination(out, overwrite);
  const stopwatch = new Stopwatch();
  const done = (stage: ExportEvent["stage"]) => options.onEvent?.({ type: "export", stage, seconds: stopwatch.lap() });
  const { method, config, samples, parameters, structure } = options;
  const definition = { method, config, parameters, structure, sample: sampleType(samples) };
  const graph = clustererGraph(definition, options.withCoefficients);
  const traced = exportedModel(run.name, graph);
  const manifest = graphManifest(options, traced);
  const model = { ...traced, name: manifest.name };
  const partModels = parts ? tracedParts(definition) : {};
  done("trace");
  const checked = await checkedSamples(options, definition, modelWithManifest(model, manifest));
  done("parity");
  const lower = await variants(model, heldSamples(options, checked.samples), {
    precisions: options.precision.filter((precision) => precision !== "fp32"),
    activations: options.int8Activations ?? false,
    encode: (variant) => modelWithManifest(variant, manifest),
  });
  const parity: ParityReport = { ...checked.parity, ...(lower.made && { variants: lower.parity }) };
  if (lower.made) done("variants");
  const { paper } = method;
  const description = {
    ...{ paper, preset: run.preset, parity },
    meanings: MEANINGS,
    limitations: LIMITATIONS,
    parts: Object.keys(partModels),
  };
  const bytes = await writeBundle(
    out,
    {
      ...{ manifest, model, variants: lower.models, parity, parts: partModels },
      card: card(manifest, description),
      preview: preview({ ...checked, clusters: manifest.clusters }),
    },
    { overwrite },
  );
  done("write");
  return { path: out, bytes, parity, seconds: stopwatch.total };
}

function checkAvailable({ method, samples, unseen, withCoefficients }: ExportOptions): void {
  const shape = (of: Samples) => `${of.kind} [n, ${of.shape.slice(1).join(", ")}]`;
  if (unseen !== undefined && shape(unseen) !== shape(samples))
    throw new SubspanError("SHAPE_MISMATCH", `unseen: expected ${shape(samples)}, got ${shape(unseen)}`);
  if (withCoefficients && method.coefficients === undefined)
    throw new SubspanError("USAGE", `with-coefficients: ${method.name} has none; self-expressive methods have`);
}

function tracedParts(definition: ClustererDefinition): Record<string, Model> {
  const graphs = Object.entries(clustererParts(definition));
  return Object.fromEntries(graphs.map(([name, graph]) => [name, exportedModel(name, graph)]));
}

function graphManifest({ method, config, samples, labels, run, created }: ExportOptions, model: Model): GraphManifest {
  const { clusters, readout } = method.spectral(config);
  const { kind } = samples;
  const [input] = model.inputs as [Model["inputs"][number]];
  const name = run.name.replace(/\.subspan$/, "").replace(/[^A-Za-z0-9._-]+/g, "-");
  return {
    formatVersion: FORMAT_VERSION,
    name: /^[A-Za-z0-9]/.test(name) ? name.slice(0, 128) : `clusterer${name}`.slice(0, 128),
    method: method.name,
    readout,
    clusters,
    input: {
      name: input.name,
      kind,
      shape: input.shape,
      dtype: kind === "images" ? "uint8" : "float32",
      preprocessing: kind === "images" ? "raw bytes 0..255; the graph scales them" : "raw values; the graph takes them",
    },
    outputs: model.outputs.map(({ name, type, shape }) => ({ name, shape, dtype: type as "int64" | "float32" })),
    clusterSizes: clusterSizes(labels, clusters),
    ...(run.clusterNames && { clusterNames: run.clusterNames }),
    metrics: run.metrics,
    seed: run.seed,
    data: run.data,
    versions: { subspan: packageVersion(), tfjs: version_core, onnxruntime: env.versions.node ?? env.versions.common },
    licence: run.licence ?? "not stated",
    created: created ?? creationTime(),
  };
}

/** Now, or when SOURCE_DATE_EPOCH says: see https://reproducible-builds.org/specs/source-date-epoch/. */
function creationTime(): string {
  const epoch = process.env.SOURCE_DATE_EPOCH;
  if (epoch === undefined || epoch === "") return new Date().toISOString();
  const date = new Date(Number(epoch) * 1000);
  if (/^\d+$/.test(epoch) && !Number.isNaN(date.getTime())) return date.toISOString();
  throw new SubspanError("USAGE", `SOURCE_DATE_EPOCH: expected seconds since 1970, got ${epoch}`);
}

/** Some of the training samples, and what the exported graph says of them. */
interface Checked {
  readonly parity: ParityReport;
  readonly samples: Samples;
  readonly labels: Int32Array;
  readonly embedding: Rows & { readonly data: Float32Array };
  readonly latents: Rows & { readonly data: Float32Array };
}

/** What variants are compared on. */
function heldSamples({ samples, unseen, run }: ExportOptions, seen: Samples): Held[] {
  const training = { what: "training samples", rows: seen };
  const rows = (of: Samples) => spread(of.shape[0], CHECKED);
  if (unseen !== undefined)
    return [training, { what: "unseen samples", rows: new Batches(unseen, AUGMENTATIONS.none).rows(rows(unseen)) }];
  const views = viewsOf(samples, MILD, new Random(run.seed, "variants"));
  return [training, { what: "views of training samples", rows: views.batch(rows(samples)) }];
}

/** Compares the graph with the eager method and with training. @throws {SubspanError} PARITY_FAILED. */
async function checkedSamples(
  options: ExportOptions,
  definition: ClustererDefinition,
  model: Uint8Array,
): Promise<Checked> {
  const { samples, labels } = options;
  const { fn } = clustererGraph(definition);
  const batches = new Batches(samples, AUGMENTATIONS.none);
  const rows = spread(samples.shape[0], CHECKED);
  const got = await graphOutputs(model, samples.kind, batches.rows(rows));
  const trained = {
    ...(await trainingOutputs(options, rows)),
    label: { data: at(labels, rows), shape: [rows.length] },
  };
  const few = eagerRows(options);
  const eager = compareOutputs(
    "the method run eagerly on tfjs's CPU backend",
    eagerOutputs(fn, samples.kind, few),
    await graphOutputs(model, samples.kind, few),
  );
  const parity = checkParity([eager, compareOutputs("training", trained, got)]);
  const { label, embedding, latent } = got as Record<string, Checked["embedding"]>;
  return {
    parity,
    samples: { ...samples, ...batches.rows(rows) } as Samples,
    labels: label?.data as unknown as Int32Array,
    embedding: embedding as Checked["embedding"],
    latents: latent as Checked["latents"],
  };
}

/** Latent and embedding as training has them: by graphs whose parameters are inputs. */
async function trainingOutputs({ method, config, samples, parameters, structure }: ExportOptions, rows: Int32Array) {
  const batches = new Batches(samples, AUGMENTATIONS.none);
  const latent = await run(
    (batch, arrays) => method.encode(config, arrays, batch),
    samplePort(samples),
    parameters,
    (part) => batches.rows(at(rows, part)),
  );
  const prefixed = Object.fromEntries(Object.entries(structure).map(([name, array]) => [`structure/${name}`, array]));
  const embedding = await run(
    (batch, arrays) => {
      const own = Object.keys(structure).map((name) => [name, arrays[`structure/${name}`] as tf.Tensor]);
      return embed({ method, config }, arrays, Object.fromEntries(own), batch as tf.Tensor2D);
    },
    { type: "float32", shape: ["N", latent.shape[1] as number] },
    { ...parameters, ...prefixed },
    (part) => gatherRows(latent, part),
  );
  return { latent, embedding } satisfies Outputs;

  async function run(
    fn: Parameters<typeof BatchFunction.compile>[0],
    port: Parameters<typeof BatchFunction.compile>[1],
    arrays: Arrays,
    batch: Parameters<BatchFunction["run"]>[2],
  ) {
    const compiled = await BatchFunction.compile(fn, port, arrays);
    try {
      return await compiled.run(rows.length, INFERENCE_BATCH, batch);
    } finally {
      await compiled.dispose();
    }
  }
}

/** Training samples, then mild views of some: fewer of larger ones, since the eager method is slow. */
function eagerRows({ samples, run }: ExportOptions): Rows {
  const pixels = samples.kind === "images" ? samples.shape[1] * samples.shape[2] : 1;
  const scaled = (count: number) => Math.max(4, Math.round(count * Math.min(1, EAGER_PIXELS / pixels)));
  const batches = new Batches(samples, AUGMENTATIONS.none);
  const own = batches.rows(spread(samples.shape[0], scaled(EAGER_SAMPLES)));
  const views = viewsOf(samples, MILD, new Random(run.seed, "parity"));
  const viewed = views.batch(spread(samples.shape[0], scaled(EAGER_VIEWS)));
  const data = own.data instanceof Uint8Array ? new Uint8Array(own.data.length + viewed.data.length) : undefined;
  const all = data ?? new Float32Array(own.data.length + viewed.data.length);
  all.set(own.data);
  all.set(viewed.data, own.data.length);
  return { data: all, shape: [(own.shape[0] as number) + (viewed.shape[0] as number), ...own.shape.slice(1)] };
}

/** At most `count` of 0..n-1, evenly spaced. */
function spread(n: number, count: number): Int32Array {
  const kept = Math.min(n, count);
  return Int32Array.from({ length: kept }, (_, i) => Math.floor((i * n) / kept));
}

const at = (values: Int32Array, indices: Int32Array): Int32Array =>
  Int32Array.from(indices, (index) => values[index] as number);
