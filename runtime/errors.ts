/**
 * What can go wrong, in words a program can act on. The message says what was expected, what came and which one it was.
 *
 * - USAGE: the caller asked for something that does not exist (an option, a preset, a source); the command line exits
 *   with 2.
 * - ASSIGN_FAILED: ONNX Runtime gave up on a checked graph and checked samples, for want of memory most likely.
 * - PARITY_FAILED: an exported graph computes something else than what it was exported from; it is not written.
 * - SOURCE_*: samples that cannot be read; IMAGE_*: a picture that cannot be assigned; MODEL_*: a tfjs model that
 *   cannot be read; BUNDLE_*: a bundle that cannot be trusted; GRAPH_*: a graph that is not allowed.
 */
export type ErrorCode =
  | "USAGE"
  | "SHAPE_MISMATCH"
  | "DTYPE_MISMATCH"
  | "OUT_OF_RANGE"
  | "NOT_FINITE"
  | "SOURCE_MISSING"
  | "SOURCE_INVALID"
  | "IMAGE_INVALID"
  | "IMAGE_EMPTY"
  | "IMAGE_TOO_LARGE"
  | "IMAGE_ANIMATED"
  | "IMAGE_CMYK"
  | "MODEL_MISSING"
  | "MODEL_INVALID"
  | "DEPENDENCY_MISSING"
  | "TOO_FEW_SAMPLES"
  | "BUNDLE_MISSING"
  | "BUNDLE_INVALID"
  | "BUNDLE_TRUNCATED"
  | "BUNDLE_VERSION"
  | "GRAPH_INVALID"
  | "GRAPH_REFUSED"
  | "TRACE_REFUSED"
  | "PARITY_FAILED"
  | "DEVICE_UNAVAILABLE"
  | "ASSIGN_FAILED"
  | "TRAINING_DIVERGED"
  | "RUN_INVALID"
  | "INTERRUPTED"
  | "DISPOSED";

/** The one error type of subspan: a code to act on, a message to read, and the cause where there is one. */
export class SubspanError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "SubspanError";
    this.code = code;
  }
}

/** Throws an error again; if it is of subspan, it begins with the place. */
export function throwAt(place: string, error: unknown): never {
  if (!(error instanceof SubspanError)) throw error;
  throw new SubspanError(error.code, `${place}: ${error.message}`, { cause: error });
}
