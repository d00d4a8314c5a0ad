import { HttpProblem } from "./problem.ts";

/** A request's content type without its parameters, in lower case; "" if it names none. */
export function contentType(request: Request): string {
  return (request.headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
}

/**
 * Reads a body whole, never holding more than the limit.
 *
 * @param limit - in bytes.
 * @throws {HttpProblem} 413 for a longer one, 415 for a compressed one, 400 for one that breaks off.
 */
export async function readBody(request: Request, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const encoding = request.headers.get("content-encoding") ?? "identity";
  if (encoding.toLowerCase() !== "identity")
    throw new HttpProblem(415, `content-encoding: expected none, got ${JSON.stringify(encoding)}`);
  if (Number(request.headers.get("content-length")) > limit) throw tooLong(limit);
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = request.body?.getReader();
  while (reader !== undefined) {
    const { done, value } = await reader.read().catch(brokenOff);
    if (done) break;
    size += value.length;
    // The rest is not cancelled: that would cut the connection before the answer is through.
    if (size > limit) throw tooLong(limit);
    chunks.push(value);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** @throws {HttpProblem} 400 for what is not UTF-8 or not JSON. */
export function parseJsonBody(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new HttpProblem(400, `body: expected JSON: ${(error as Error).message}`);
  }
}

function tooLong(limit: number): HttpProblem {
  return new HttpProblem(413, `body: expected up to ${limit} bytes, got more`);
}

function brokenOff(): never {
  throw new HttpProblem(400, "body: broke off before its end");
}
