import type { Method } from "../models/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import type { Samples } from "../runtime/samples.ts";
import type { Dataset } from "./data/index.ts";
import { sampleType } from "./trainer.ts";

/** What training sees of a data set. Labels are not in it. */
export type TrainingData = Pick<Dataset, "name" | "samples" | "fingerprint">;

/**
 * Whether a method can train on samples, before any work, for what would fail after hours of it.
 *
 * Samples may come more than once, be zero, or be of one class alone: there will be K clusters all the same. There must be as many
 * different ones as clusters.
 *
 * @throws {SubspanError} NOT_FINITE, OUT_OF_RANGE, TOO_FEW_SAMPLES, SHAPE_MISMATCH or USAGE.
 */
export function checkTrainable(method: Method, settings: object, { name, samples }: TrainingData): void {
  const { clusters, eigenvectors, landmarks, anchors, most } = method.spectral(settings);
  checkLength(name, samples);
  const n = samples.shape[0];
  if (most !== undefined && n > most.samples) {
    const message = `${name}: ${n} samples, expected at most ${most.samples} for ${method.name}`;
    throw new SubspanError("OUT_OF_RANGE", `${message}; ${most.instead}`);
  }
  checkFinite(name, samples);
  const wanted = { clusters, eigenvectors: typeof eigenvectors === "string" ? clusters : eigenvectors };
  for (const [what, least] of Object.entries(wanted)) {
    if (n < least)
      throw new SubspanError("TOO_FEW_SAMPLES", `${name}: ${n} samples, expected at least ${least}, the ${what}`);
    if (landmarks < least)
      throw new SubspanError("USAGE", `landmarks: ${landmarks}, expected at least ${least}, the ${what}`);
    if (anchors !== undefined && anchors.count < least)
      throw new SubspanError("USAGE", `anchors: ${anchors.count}, expected at least ${least}, the ${what}`);
  }
  const distinct = distinctSamples(samples, clusters);
  if (distinct < clusters) {
    const message = `${name}: ${n} samples, of which ${distinct === 1 ? "all are alike" : `${distinct} are different`}`;
    const precision = samples.kind === "features" ? " (as float32: what differs in later digits is alike)" : "";
    const wanted = `expected at least ${clusters} different ones, the clusters`;
    throw new SubspanError("TOO_FEW_SAMPLES", `${message}${precision}; ${wanted}`);
  }
  const sample = sampleType(samples);
  checkSize(name, method.parameters(settings, sample));
  method.phases(settings, sample);
}

/** An ONNX file holds 2 GiB: so many numbers of 4 bytes. */
const MOST_PARAMETERS = 2 ** 29;

/** @throws {SubspanError} OUT_OF_RANGE naming the largest array, where a method's parameters are more than a graph can hold. */
function checkSize(name: string, specs: ReturnType<Method["parameters"]>): void {
  const sizes = Object.entries(specs).map(([key, { shape }]) => ({
    key,
    shape,
    size: shape.reduce((a, b) => a * b, 1),
  }));
  const total = sizes.reduce((sum, { size }) => sum + size, 0);
  if (total <= MOST_PARAMETERS) return;
  const [largest] = sizes.sort((a, b) => b.size - a.size);
  const message = `${name}: a network of ${total} parameters, expected at most ${MOST_PARAMETERS}, what an ONNX file holds`;
  throw new SubspanError("OUT_OF_RANGE", `${message}; the most are ${largest?.key} [${largest?.shape}]`);
}

/** @throws {SubspanError} SHAPE_MISMATCH for another count of numbers than the shape has. */
function checkLength(name: string, { data, shape }: Samples): void {
  const length = shape.reduce((a, b) => a * b, 1);
  if (data.length === length) return;
  throw new SubspanError("SHAPE_MISMATCH", `${name}: expected ${length} numbers, of [${shape}], got ${data.length}`);
}

/** Bytes of images always are finite. @throws {SubspanError} NOT_FINITE naming the first number of a vector that is not. */
function checkFinite(name: string, { kind, data, shape }: Samples): void {
  if (kind === "images") return;
  const at = data.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  const [sample, feature] = [Math.floor(at / shape[1]), at % shape[1]];
  const where = `${name}: feature ${feature} of sample ${sample}`;
  throw new SubspanError("NOT_FINITE", `${where}: expected a finite number, got ${data[at]}`);
}

/** How many samples differ from each other in any number; no more than `enough` are looked for. */
function distinctSamples({ data, shape }: Samples, enough: number): number {
  const [n] = shape;
  const width = data.length / n;
  const found = new Set<string>();
  for (let i = 0; i < n && found.size < enough; i++) found.add(data.subarray(i * width, (i + 1) * width).join());
  return found.size;
}
