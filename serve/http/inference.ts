/** The two calls that run a model. Their bodies are read here, and looked into by a worker alone. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Batcher } from "../batcher.ts";
import type { Limits } from "../limits.ts";
import { HttpProblem } from "../problem.ts";
import { checkAssignType, mediaType } from "../protocol/assign.ts";
import { sampleBytes, sampleSize } from "../protocol/datatypes.ts";
import { jsonBytes } from "../protocol/infer-request.ts";
import { BESIDES } from "../protocol/json.ts";
import type { Repository, ServedVersion } from "../repository/repository.ts";
import type { Job } from "../workers/messages.ts";
import { type Budget, readBody } from "./body.ts";
import type { Call } from "./call.ts";
import { send } from "./send.ts";

export interface Inference {
  readonly repository: Repository;
  readonly batcher: Batcher;
  readonly budget: Budget;
  readonly limits: Limits;
}

const HEADER_LENGTH = "inference-header-content-length";
const JSON_TYPE = "application/json";
const BYTES_TYPE = "application/octet-stream";
const DEADLINE = "x-request-timeout-ms";
/** Characters that a number in JSON takes, for a guess at how many there are. */
const CHARACTERS = 4;
/** Bytes of the JSON with rows for `assign`: every number becomes an object of its own, for tensors there is `infer`. */
const ROWS = 2 ** 23;

/** @throws {HttpProblem | SubspanError} before anything is sent; what a worker refuses is sent as it says. */
export async function runModel(
  kind: Job["kind"],
  model: ServedVersion,
  { incoming, outgoing, call }: { incoming: IncomingMessage; outgoing: ServerResponse; call: Call },
  { repository, batcher, budget, limits }: Inference,
): Promise<void> {
  call.served = model;
  const done = repository.use(model);
  try {
    const job = jobOf(kind, incoming);
    const deadline = deadlineOf(incoming);
    const body = await readBody(incoming, longestBody(model, job, limits), budget);
    const rows = guessedRows(model, job, body.size);
    const answered = await batcher.submit({ model, job, body, rows, deadline }, (cancel) => {
      if (outgoing.closed) cancel();
      else outgoing.once("close", cancel);
    });
    const { reply, queueMs, computeMs } = answered;
    call.rows = reply.rows;
    call.queueMs = queueMs;
    call.computeMs = computeMs;
    call.fault = reply.fault;
    const timing = `queue;dur=${queueMs.toFixed(2)}, compute;dur=${computeMs.toFixed(2)}`;
    const { headerLength } = reply;
    const headers =
      headerLength === undefined
        ? { "content-type": JSON_TYPE, "server-timing": timing }
        : { "content-type": BYTES_TYPE, "server-timing": timing, "Inference-Header-Content-Length": headerLength };
    hold(budget, answered.body.length, outgoing);
    send(outgoing, reply.status, headers, answered.body);
  } finally {
    done();
  }
}

function jobOf(kind: Job["kind"], { headers }: IncomingMessage): Omit<Job, "body"> {
  const contentType = headers["content-type"] ?? "";
  if (kind === "assign") {
    checkAssignType(contentType);
    return { kind, contentType, headerLength: undefined };
  }
  const type = mediaType(contentType);
  const length = headers[HEADER_LENGTH];
  if (![JSON_TYPE, BYTES_TYPE, ""].includes(type))
    throw new HttpProblem(415, `content-type: expected application/json or application/octet-stream, got "${type}"`);
  if (length === undefined) return { kind, contentType, headerLength: undefined };
  const headerLength = Number(length);
  if (typeof length !== "string" || !/^\d{1,15}$/.test(length))
    throw new HttpProblem(400, `${HEADER_LENGTH}: expected a number of bytes, got ${JSON.stringify(length)}`);
  return { kind, contentType, headerLength };
}

/** The client's own limit, in milliseconds from now. */
function deadlineOf({ headers }: IncomingMessage): number | undefined {
  const asked = headers[DEADLINE];
  if (asked === undefined) return undefined;
  if (typeof asked === "string" && /^\d{1,9}$/.test(asked)) return performance.now() + Number(asked);
  throw new HttpProblem(400, `${DEADLINE}: expected milliseconds, got ${JSON.stringify(asked)}`);
}

/**
 * Bytes that a body may have: what as many samples as a request may hold take, and no more than any body. So most that is too
 * long is refused by its header, and a few kilobytes of gzip become no gigabytes of nothing.
 */
function longestBody(
  { bundle }: ServedVersion,
  { kind, contentType, headerLength }: Omit<Job, "body">,
  { bodyBytes, rows }: Limits,
): number {
  const { input } = bundle.manifest;
  const json = BESIDES + jsonBytes(input, rows);
  if (headerLength !== undefined)
    return Math.min(bodyBytes, Math.min(headerLength, json) + rows * sampleBytes(input) + BESIDES);
  if (kind === "infer") return Math.min(bodyBytes, json);
  return mediaType(contentType) === JSON_TYPE ? Math.min(bodyBytes, json, ROWS) : bodyBytes;
}

/** Takes the bytes of an answer from the budget until it is sent, or its reader gone. @throws {HttpProblem} 429. */
function hold(budget: Budget, bytes: number, outgoing: ServerResponse): void {
  if (outgoing.closed) return;
  budget.take(bytes);
  outgoing.once("close", () => budget.give(bytes));
}

/** How many samples a body has, as far as its size tells: exactly for binary tensors. */
function guessedRows({ bundle }: ServedVersion, { kind, headerLength }: Omit<Job, "body">, size: number): number {
  const { input } = bundle.manifest;
  if (headerLength !== undefined) return Math.max(1, Math.floor((size - headerLength) / sampleBytes(input)));
  if (kind === "assign" && input.kind === "images") return 1;
  return Math.max(1, Math.floor(size / (sampleSize(input.shape) * CHARACTERS)));
}
