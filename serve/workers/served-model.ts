import { DEFAULT_OUTPUTS } from "../../runtime/clusterer.ts";
import { InputReader } from "../../runtime/input.ts";
import {
  type Assignments,
  type Clusterer,
  decodeImage,
  type EncodedImage,
  type GraphManifest,
  loadClusterer,
  type OutputName,
} from "../../runtime/node.ts";
import { zeros } from "../../runtime/samples.ts";
import { problemAnswer } from "../problem.ts";
import { assignAnswer, readAssignJob } from "../protocol/assign.ts";
import { parseInferRequest } from "../protocol/infer-request.ts";
import { type AnswerBody, answerHead, inferAnswer } from "../protocol/infer-response.ts";
import type { BatchAnswer, Calls, Job, Opened, Reply, WorkerSettings } from "./messages.ts";
import { ownBundle } from "./shared-bundle.ts";

/** A request whose samples are read. */
interface ReadJob {
  readonly data: Uint8Array | Float32Array;
  readonly count: number;
  readonly outputs: readonly OutputName[];
  /** Its answer, given a run that has its samples from `start` on. */
  write(assignments: Assignments<OutputName>, start: number): AnswerBody;
}

/** A job's answer, or what it failed with. */
type Outcome = { readonly rows: number; readonly body: AnswerBody } | { readonly error: unknown };

/** A model in a worker thread. Any number of requests go in at once and run as one batch. */
export class ServedModel {
  readonly opened: Opened;
  readonly #clusterer: Clusterer<EncodedImage>;
  readonly #reader: InputReader<EncodedImage>;
  readonly #manifest: GraphManifest;
  readonly #sets: readonly (readonly OutputName[])[];
  readonly #head: string;
  readonly #settings: WorkerSettings;

  private constructor(clusterer: Clusterer<EncodedImage>, head: string, settings: WorkerSettings) {
    const { device, failures, manifest } = clusterer.info;
    this.opened = { device, failures };
    this.#clusterer = clusterer;
    this.#manifest = manifest;
    this.#sets = outputSets(manifest);
    this.#reader = new InputReader(manifest.input, decodeImage);
    this.#head = head;
    this.#settings = settings;
  }

  /** Opens a model; all it may have to run has run once when this answers. @throws {SubspanError} DEVICE_UNAVAILABLE. */
  static async open({ bundle, name, version }: Calls["open"]["ask"], settings: WorkerSettings): Promise<ServedModel> {
    const { device, strict, threads, dtype } = settings;
    const chosen = dtype === "auto" && ({ dtype } as const);
    const clusterer = await loadClusterer(ownBundle(bundle), { device, strict, threads, ...chosen });
    const model = new ServedModel(clusterer, answerHead(name, version), settings);
    for (const outputs of model.#sets) await model.#run(zeros(clusterer.info.manifest.input, 1), 1, outputs);
    return model;
  }

  dispose(): Promise<void> {
    return this.#clusterer.dispose();
  }

  /** Never fails: what a job fails with is its own answer. */
  async answer(jobs: readonly Job[]): Promise<BatchAnswer> {
    const began = performance.now();
    const read = await Promise.all(jobs.map((job) => this.#read(job).catch((error: unknown) => ({ error }))));
    const readAt = performance.now();
    const good = read.filter((one): one is ReadJob => !("error" in one));
    const ran = await this.#outcomes(good);
    const ranAt = performance.now();
    const outcomes = read.map((one) => ("error" in one ? one : ran.get(one)!));
    const { bytes, replies } = packed(outcomes);
    const rows = good.reduce((sum, { count }) => sum + count, 0);
    return {
      bytes,
      replies,
      rows,
      readMs: readAt - began,
      inferMs: ranAt - readAt,
      writeMs: performance.now() - ranAt,
    };
  }

  async #read(job: Job): Promise<ReadJob> {
    const { limits } = this.#settings;
    const body = joined(job.body);
    if (job.kind === "assign") {
      const { outputs, samples, names } = await readAssignJob(body, job.contentType, this.#reader, limits);
      const { data, count } = samples;
      const write = (assignments: Assignments<OutputName>, start: number) =>
        assignAnswer(this.#head, names, this.#manifest, assignments, start);
      return { data, count, outputs, write };
    }
    const request = parseInferRequest(body, job.headerLength, this.#manifest, limits);
    const { data, count } = await this.#reader.read(request);
    const write = (assignments: Assignments<OutputName>, start: number) =>
      inferAnswer(this.#head, request, this.#manifest, assignments, start);
    return { data, count, outputs: request.outputs.map(({ name }) => name), write };
  }

  /** All in one run; where that fails each by itself, so that nobody fails for another's samples. */
  async #outcomes(jobs: readonly ReadJob[]): Promise<ReadonlyMap<ReadJob, Outcome>> {
    const outcomes = new Map<ReadJob, Outcome>();
    try {
      const assignments = await this.#assign(jobs);
      let start = 0;
      for (const job of jobs) {
        outcomes.set(job, { rows: job.count, body: job.write(assignments, start) });
        start += job.count;
      }
    } catch (error) {
      if (jobs.length === 1) outcomes.set(jobs[0]!, { error });
      else for (const job of jobs) outcomes.set(job, (await this.#outcomes([job])).get(job)!);
    }
    return outcomes;
  }

  #assign(jobs: readonly ReadJob[]): Promise<Assignments<OutputName>> {
    const { data, count } = jobs.length === 1 ? jobs[0]! : this.#reader.join(jobs);
    const has = (set: readonly OutputName[]) =>
      jobs.every(({ outputs }) => outputs.every((name) => set.includes(name)));
    return this.#run(data, count, this.#sets.find(has)!);
  }

  /** One run, or several of `maxBatch` samples. */
  #run(data: ReadJob["data"], count: number, outputs: readonly OutputName[]): Promise<Assignments<OutputName>> {
    const shape = [count, ...this.#manifest.input.shape.slice(1).map(Number)];
    return this.#clusterer.assign<OutputName>({ data, shape }, { outputs, batchSize: this.#settings.maxBatch });
  }
}

/**
 * Outputs that are computed together, fewest first. A clusterer opens a session for whatever is asked for; here few sets are,
 * ahead of the requests, so that none of those has to wait for a session or closes another's.
 */
function outputSets({ outputs }: GraphManifest): readonly (readonly OutputName[])[] {
  const all = outputs.map(({ name }) => name as OutputName);
  return [DEFAULT_OUTPUTS, all.filter((name) => name !== "coefficients"), all];
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0]!;
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** All answers in one buffer, which changes threads without a copy. */
function packed(outcomes: readonly Outcome[]): Pick<BatchAnswer, "bytes" | "replies"> {
  const replies: Reply[] = [];
  const pieces: (string | Uint8Array)[] = [];
  let at = 0;
  for (const outcome of outcomes) {
    const { json, binary, ...rest } = "error" in outcome ? refusal(outcome.error) : accepted(outcome);
    const headerLength = Buffer.byteLength(json);
    pieces.push(json, ...binary);
    const to = binary.reduce((sum, { length }) => sum + length, at + headerLength);
    replies.push({ ...rest, from: at, to, ...(binary.length === 0 ? {} : { headerLength }) });
    at = to;
  }
  const buffer = Buffer.allocUnsafeSlow(at);
  let end = 0;
  for (const piece of pieces) {
    if (typeof piece === "string") end += buffer.write(piece, end);
    else {
      buffer.set(piece, end);
      end += piece.length;
    }
  }
  return { bytes: buffer.buffer as ArrayBuffer, replies };
}

const accepted = ({ rows, body }: { readonly rows: number; readonly body: AnswerBody }) => ({
  status: 200,
  rows,
  ...body,
});

function refusal(error: unknown) {
  const { status, body } = problemAnswer(error);
  const fault = status < 500 ? {} : { fault: (error as Error).stack ?? String(error) };
  return { status, rows: 0, json: JSON.stringify(body), binary: [], ...fault };
}
