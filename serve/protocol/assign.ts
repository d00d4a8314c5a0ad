/** `assign`, the route for people: JSON rows or image files in, labels out. */
import { checkImageHeader } from "../../runtime/image-header.ts";
import type { Batch, InputReader } from "../../runtime/input.ts";
import {
  type Assignments,
  type EncodedImage,
  type GraphManifest,
  type NestedInput,
  type OutputName,
  SubspanError,
} from "../../runtime/node.ts";
import type { Limits } from "../limits.ts";
import { HttpProblem } from "../problem.ts";
import { checkCount } from "./infer-request.ts";
import type { AnswerBody } from "./infer-response.ts";
import { parseJson } from "./json.ts";

/** What became of one sample, in the order sent. */
export type AssignResult = { readonly file?: string } & (
  | {
      readonly label: number;
      /** Of the label's cluster, if the manifest names clusters. */
      readonly name?: string;
      readonly confidence: number | null;
      readonly novelty: number | null;
    }
  | { readonly error: string }
);

/** Samples of a request that could be read, and of each that was sent its file's name or what is wrong with it. */
export interface AssignJob {
  readonly samples: Batch;
  readonly outputs: readonly OutputName[];
  readonly names: readonly { readonly file?: string; readonly error?: string }[];
}

type Reader = InputReader<EncodedImage>;
type AssignLimits = Pick<Limits, "rows" | "jsonDepth" | "pixels">;

const OUTPUTS: readonly OutputName[] = ["label", "confidence", "novelty"];
/** Images decoded at once: each may take a few bytes a pixel. */
const DECODERS = 4;
const FORMATS = "PNG, JPEG, GIF, WebP, TIFF or AVIF";
const EXPECTED = "application/json with rows, an image, or multipart/form-data of images";

/** A content type without its parameters, in lower case. */
export const mediaType = (contentType: string) => contentType.split(";")[0]!.trim().toLowerCase();

/** @throws {HttpProblem} 415 for what `assign` does not take. */
export function checkAssignType(contentType: string): void {
  const type = mediaType(contentType);
  if (type.startsWith("image/") || type === "application/json" || type === "multipart/form-data") return;
  throw new HttpProblem(415, `content-type: expected ${EXPECTED}, got ${JSON.stringify(type || "none")}`);
}

/**
 * Reads the samples of a request: `{"rows": [...]}` with a nested list a sample, one image file, or several as the
 * files of a form, in its order. In a form, a file that is no image is listed as such and the others go on.
 *
 * @throws {HttpProblem} 400 or 413.
 * @throws {SubspanError} what reading rows, or the one image, throws.
 */
export async function readAssignJob(
  body: Uint8Array,
  contentType: string,
  reader: Reader,
  limits: AssignLimits,
): Promise<AssignJob> {
  const type = mediaType(contentType);
  if (type === "application/json") return readRows(body, reader, limits);
  if (type.startsWith("image/"))
    return { samples: await readImage(body, reader, limits), outputs: OUTPUTS, names: [{}] };
  return readFiles(await formFiles(body, contentType), reader, limits);
}

/** Rows are lists, never text: to a clusterer, text is the path of a file. */
async function readRows(body: Uint8Array, reader: Reader, limits: AssignLimits): Promise<AssignJob> {
  const json = parseJson(body, limits.jsonDepth);
  const rows = typeof json === "object" && json !== null && "rows" in json ? json.rows : undefined;
  if (!Array.isArray(rows) || !rows.every((row) => Array.isArray(row)))
    throw new HttpProblem(400, 'body: expected {"rows": [...]}, a list of numbers for each sample');
  checkCount(rows.length, limits.rows);
  const samples = await reader.read(rows as NestedInput);
  if (samples.count !== rows.length)
    throw new SubspanError("SHAPE_MISMATCH", "rows: expected a list of samples, got one sample");
  return { samples, outputs: OUTPUTS, names: rows.map(() => ({})) };
}

async function readFiles(files: readonly File[], reader: Reader, limits: AssignLimits): Promise<AssignJob> {
  checkCount(files.length, limits.rows);
  const read: PromiseSettledResult<Batch>[] = [];
  const readOne = async (file: File) => readImage(new Uint8Array(await file.arrayBuffer()), reader, limits);
  for (let from = 0; from < files.length; from += DECODERS)
    read.push(...(await Promise.allSettled(files.slice(from, from + DECODERS).map(readOne))));
  const names = read.map((one, i) => {
    const file = files[i]!.name;
    if (one.status === "fulfilled") return { file };
    if (one.reason instanceof SubspanError) return { file, error: one.reason.message };
    throw one.reason;
  });
  const good = read.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  return { samples: reader.join(good), outputs: OUTPUTS, names };
}

/**
 * A format whose header is not known is refused: how much decoding it takes cannot be told (an SVG of a few bytes may take
 * for ever).
 *
 * @throws {SubspanError} IMAGE_TOO_LARGE past the server's own bound, IMAGE_INVALID, or what decoding throws.
 */
async function readImage(bytes: Uint8Array, reader: Reader, { pixels }: AssignLimits): Promise<Batch> {
  const header = checkImageHeader(bytes, "image");
  if (header === undefined) throw new SubspanError("IMAGE_INVALID", `image: not an image: expected ${FORMATS}`);
  const { width, height } = header;
  if (width * height > pixels)
    throw new SubspanError("IMAGE_TOO_LARGE", `image: expected up to ${pixels} pixels, got ${width} x ${height}`);
  return reader.read(bytes);
}

async function formFiles(body: Uint8Array, contentType: string): Promise<readonly File[]> {
  const request = new Response(body as Uint8Array<ArrayBuffer>, { headers: { "content-type": contentType } });
  const form = await request.formData().catch(() => {
    throw new HttpProblem(400, "body: expected a form as its content-type says");
  });
  const files: File[] = [];
  for (const [field, value] of form) {
    if (typeof value === "string") throw new HttpProblem(400, `${JSON.stringify(field)}: expected a file, got text`);
    files.push(value);
  }
  if (files.length === 0) throw new HttpProblem(400, "body: expected image files, got none");
  return files;
}

/** @param head - how the JSON begins: the model's name and version. */
export function assignAnswer(
  head: string,
  names: AssignJob["names"],
  { clusterNames }: GraphManifest,
  assignments: Assignments<OutputName>,
  start: number,
): AnswerBody {
  const { label, confidence, novelty } = assignments;
  let at = start;
  const results = names.map(({ file, error }): AssignResult => {
    const named = file === undefined ? {} : { file };
    if (error !== undefined) return { ...named, error };
    const k = label[at]!;
    const name = clusterNames === undefined ? {} : { name: clusterNames[k]! };
    const result = { ...named, label: k, ...name, confidence: confidence[at]!, novelty: novelty[at]! };
    at++;
    return result;
  });
  return { json: `${head},"results":${JSON.stringify(results)}}`, binary: [] };
}
