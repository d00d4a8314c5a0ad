/** What the main thread and a worker thread say to each other. */
import type {
  Device,
  DeviceFailure,
  GraphManifest,
  GraphSummary,
  ManifestFile,
  Precision,
} from "../../runtime/node.ts";
import type { Limits } from "../limits.ts";

/** A request as it came: a worker reads it, the main thread never looks inside. */
export interface Job {
  readonly kind: "infer" | "assign";
  /** In pieces, in order. */
  readonly body: readonly Uint8Array[];
  readonly contentType: string;
  /** Bytes of the JSON before binary tensors, where the request says so. */
  readonly headerLength?: number | undefined;
}

/** How one job ended: an answer or a refusal, ready to send. */
export interface Reply {
  readonly status: number;
  /** Where its body stands in the answer's `bytes`. */
  readonly from: number;
  readonly to: number;
  readonly rows: number;
  /** Bytes of the JSON, where binary tensors follow it. */
  readonly headerLength?: number;
  /** What went wrong, for those who run the server: for a status from 500 on. */
  readonly fault?: string;
}

/** How a batch of jobs ended, with what it took in milliseconds. */
export interface BatchAnswer {
  readonly bytes: ArrayBuffer;
  readonly replies: readonly Reply[];
  readonly rows: number;
  readonly readMs: number;
  readonly inferMs: number;
  readonly writeMs: number;
}

/** A bundle that was read and checked once, for all threads. All bytes are shared. */
export interface SharedBundle {
  readonly manifest: GraphManifest;
  readonly graph: GraphSummary;
  readonly model: Uint8Array;
  /** All that the manifest names, model.onnx among them. */
  readonly files: readonly (ManifestFile & { readonly bytes: Uint8Array })[];
}

/** How a worker opens models and reads requests. */
export interface WorkerSettings {
  readonly device: Device | "auto";
  readonly strict: boolean;
  /** auto is chosen by the device of each worker; else it is what was read. */
  readonly dtype: Precision | "auto";
  readonly threads: number;
  readonly maxBatch: number;
  readonly limits: Pick<Limits, "rows" | "jsonDepth" | "pixels">;
}

export interface Opened {
  readonly device: Device;
  readonly failures: readonly DeviceFailure[];
}

/** What a worker can be asked for, and what it answers. */
export interface Calls {
  read: { readonly ask: { source: string | Uint8Array; precision: Precision }; readonly answer: SharedBundle };
  open: {
    readonly ask: { model: number; name: string; version: string; bundle: SharedBundle };
    readonly answer: Opened;
  };
  close: { readonly ask: { model: number }; readonly answer: undefined };
  run: { readonly ask: { model: number; jobs: readonly Job[] }; readonly answer: BatchAnswer };
}

export type Call = {
  [K in keyof Calls]: { readonly ticket: number; readonly call: K; readonly ask: Calls[K]["ask"] };
}[keyof Calls];

/** Errors cross threads by their code: a SubspanError's, or none for a bug. */
export type Answer = { readonly ticket: number } & (
  | { readonly answer: Calls[keyof Calls]["answer"] }
  | { readonly error: { readonly code: string | undefined; readonly message: string } }
);
