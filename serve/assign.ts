/** `assign`, the route for people: JSON rows or image files in, labels out. */
import {
  type Assignments,
  type EncodedImage,
  type GraphManifest,
  type NestedInput,
  SubspanError,
} from "../runtime/node.ts";
import { contentType, parseJsonBody, readBody } from "./body.ts";
import { checkCount } from "./inference-protocol.ts";
import { HttpProblem } from "./problem.ts";

/** One item a sample in each list. */
export interface AssignAnswer {
  readonly label: readonly number[];
  /** Names of the labels' clusters, if the manifest names clusters. */
  readonly name?: readonly string[];
  readonly confidence: readonly number[];
  readonly novelty: readonly number[];
}

const EXPECTED = "application/json with rows, an image, or multipart/form-data of images";

/**
 * Reads the samples of a request: `{"rows": [...]}` with a nested list a sample, one image file, or several as the
 * files of a form, in its order.
 *
 * @throws {HttpProblem} 400, 413 or 415. What the samples hold is left to the clusterer.
 */
export async function readSamples(
  request: Request,
  limits: { readonly bodyLimit: number; readonly maxBatch: number },
): Promise<NestedInput | readonly EncodedImage[]> {
  const type = contentType(request);
  const read = type.startsWith("image/") ? readImage : READERS.get(type);
  if (read === undefined)
    throw new HttpProblem(415, `content-type: expected ${EXPECTED}, got ${JSON.stringify(type || "none")}`);
  const samples = await read(await readBody(request, limits.bodyLimit), request);
  checkCount(samples.length, limits.maxBatch);
  return samples;
}

/** @throws {SubspanError} SHAPE_MISMATCH if what was sent as a list of samples was one. */
export function assignAnswer(assignments: Assignments, sent: number, { clusterNames }: GraphManifest): AssignAnswer {
  const { count, label, confidence, novelty } = assignments;
  if (count !== sent) throw new SubspanError("SHAPE_MISMATCH", "rows: expected a list of samples, got one sample");
  const labels = Array.from(label);
  return {
    label: labels,
    ...(clusterNames === undefined ? {} : { name: labels.map((k) => clusterNames[k]!) }),
    confidence: Array.from(confidence),
    novelty: Array.from(novelty),
  };
}

type Reader = (body: Uint8Array<ArrayBuffer>, request: Request) => Promise<NestedInput | readonly EncodedImage[]>;

const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ["application/json", readRows],
  ["multipart/form-data", readForm],
]);

/** Rows are lists, never text: to a clusterer, text is the path of a file. */
async function readRows(body: Uint8Array): Promise<NestedInput> {
  const json = parseJsonBody(body);
  const rows = typeof json === "object" && json !== null && "rows" in json ? json.rows : undefined;
  if (!Array.isArray(rows) || !rows.every((row) => Array.isArray(row)))
    throw new HttpProblem(400, 'body: expected {"rows": [...]}, a list of numbers for each sample');
  return rows;
}

async function readImage(body: Uint8Array): Promise<readonly EncodedImage[]> {
  return [body];
}

async function readForm(body: Uint8Array<ArrayBuffer>, { headers }: Request): Promise<readonly EncodedImage[]> {
  const type = headers.get("content-type") ?? "";
  const form = await new Response(body, { headers: { "content-type": type } }).formData().catch(() => {
    throw new HttpProblem(400, "body: expected a form as its content-type says");
  });
  const files: Uint8Array[] = [];
  for (const [field, value] of form) {
    if (typeof value === "string") throw new HttpProblem(400, `${JSON.stringify(field)}: expected a file, got text`);
    files.push(new Uint8Array(await value.arrayBuffer()));
  }
  if (files.length === 0) throw new HttpProblem(400, "body: expected image files, got none");
  return files;
}
