import { type ErrorCode, SubspanError } from "../runtime/node.ts";

/**
 * The HTTP status each error code answers with; a code without a row does not compile. 400: the request is not of the
 * form the model takes. 422: it is, and its numbers are not. 500 and 501: not the client's fault. 503: may work later.
 */
export const STATUS: Readonly<Record<ErrorCode, number>> = {
  USAGE: 400,
  SHAPE_MISMATCH: 400,
  DTYPE_MISMATCH: 400,
  OUT_OF_RANGE: 422,
  NOT_FINITE: 422,
  SOURCE_MISSING: 400,
  SOURCE_INVALID: 400,
  IMAGE_INVALID: 400,
  IMAGE_EMPTY: 400,
  IMAGE_TOO_LARGE: 413,
  IMAGE_ANIMATED: 400,
  IMAGE_CMYK: 400,
  MODEL_MISSING: 500,
  MODEL_INVALID: 500,
  DEPENDENCY_MISSING: 501,
  TOO_FEW_SAMPLES: 400,
  BUNDLE_MISSING: 500,
  BUNDLE_INVALID: 500,
  BUNDLE_TRUNCATED: 500,
  BUNDLE_VERSION: 500,
  GRAPH_INVALID: 500,
  GRAPH_REFUSED: 500,
  TRACE_REFUSED: 500,
  PARITY_FAILED: 500,
  DEVICE_UNAVAILABLE: 503,
  ASSIGN_FAILED: 500,
  TRAINING_DIVERGED: 500,
  RUN_INVALID: 500,
  INTERRUPTED: 503,
  DISPOSED: 503,
};

/** What HTTP itself finds wrong: a path, a method, a content type, a length. */
export class HttpProblem extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = "HttpProblem";
    this.status = status;
    this.headers = headers;
  }
}

/** An error as it is answered. */
export interface ProblemAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The error object of the Open Inference Protocol, for every route. */
  readonly body: { readonly error: string };
}

/** Messages quote what came, and that may be long. */
const MESSAGE_CHARACTERS = 1000;

/** Any error as an answer. What is neither a SubspanError nor of HTTP is a bug, and its message stays here. */
export function problemAnswer(error: unknown): ProblemAnswer {
  if (error instanceof HttpProblem) return answer(error.status, error.message, error.headers);
  if (error instanceof SubspanError) return answer(STATUS[error.code], error.message);
  return answer(500, "internal error");
}

function answer(status: number, message: string, headers = {}): ProblemAnswer {
  const error = message.length > MESSAGE_CHARACTERS ? `${message.slice(0, MESSAGE_CHARACTERS)}...` : message;
  return { status, headers, body: { error } };
}
