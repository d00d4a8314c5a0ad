import type { IncomingMessage } from "node:http";
import { createGunzip } from "node:zlib";
import { HttpProblem } from "../problem.ts";

/** Bytes that all requests together may hold: of bodies that are read, wait or run, and of answers on their way. */
export class Budget {
  readonly #bytes: number;
  #taken = 0;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  get taken(): number {
    return this.#taken;
  }

  /** @throws {HttpProblem} 429 if that is more than is left. */
  take(bytes: number): void {
    if (this.#taken + bytes > this.#bytes)
      throw new HttpProblem(429, `too much is being asked at once: ${this.#bytes} bytes are`, { "retry-after": "1" });
    this.#taken += bytes;
  }

  give(bytes: number): void {
    this.#taken -= bytes;
  }
}

/** A body as it came in. */
export interface Body {
  readonly pieces: readonly Uint8Array[];
  readonly size: number;
  /** Bytes of memory it takes; segments are filled by and by. */
  readonly held: number;
  /** Whether each piece has a buffer of its own, which may change threads. */
  readonly own: boolean;
}

/** Up to this many bytes, in up to so many pieces, a body is kept as the socket gave it. */
const SMALL = 2 ** 18;
const FEW = 16;
/** Segments grow with their body up to the largest, so that no body takes much more than twice its size. */
const LEAST_SEGMENT = 2 ** 15;
const SEGMENT = 2 ** 20;
/** Bytes that a small piece may keep from being freed: headers, as a rule. */
const SLICE = 2 ** 12;
/** Bytes that are inflated at a time: no more than so many are held above the limit. */
const INFLATED = 2 ** 16;
/** Bytes that inflating takes itself: zlib's window and tables, and what goes in and out. */
const INFLATER = 2 * INFLATED;

/**
 * Reads a body whole, inflated where it came as gzip, never holding more than the limit. What it holds is taken from the
 * budget; that is given back if this throws, else by the caller.
 *
 * @param limit - in bytes, of the body as it was before it was compressed.
 * @throws {HttpProblem} 413 for a longer one, 415 for another encoding, 400 for one that breaks off or is not gzip, 429.
 */
export function readBody(incoming: IncomingMessage, limit: number, budget: Budget): Promise<Body> {
  const zipped = isZipped(incoming);
  if (Number(incoming.headers["content-length"]) > limit) throw tooLong(limit);
  if (incoming.destroyed) throw brokenOff();
  const aside = zipped ? INFLATER : 0;
  budget.take(aside);
  const inflating = zipped ? createGunzip({ chunkSize: INFLATED }) : undefined;
  const source = inflating === undefined ? incoming : incoming.pipe(inflating);
  return new Promise((resolve, reject) => {
    const gathered = new Gathered();
    let taken = 0;
    const settle = () => {
      budget.give(aside);
      source.off("data", onData).off("end", onEnd);
      incoming.off("close", onClose).off("error", onClose);
    };
    const stop = (error: unknown) => {
      settle();
      if (inflating !== undefined) incoming.unpipe(inflating);
      inflating?.destroy();
      budget.give(taken);
      incoming.resume(); // what is still coming is read past, so that the answer gets through
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      if (gathered.size + chunk.length > limit) return stop(tooLong(limit));
      gathered.add(chunk);
      try {
        budget.take(gathered.held - taken);
      } catch (error) {
        return stop(error);
      }
      taken = gathered.held;
    };
    const onEnd = () => {
      settle();
      resolve(gathered);
    };
    const onClose = () => {
      if (!incoming.complete) stop(brokenOff());
    };
    inflating?.on("error", ({ message }) => stop(new HttpProblem(400, `body: expected gzip: ${message}`)));
    source.on("data", onData).once("end", onEnd);
    incoming.once("close", onClose).once("error", onClose);
  });
}

/** Whether the body of a request is compressed. @throws {HttpProblem} 415 for another encoding than gzip. */
function isZipped({ headers: { "content-encoding": encoding = "identity" } }: IncomingMessage): boolean {
  if (encoding.toLowerCase() === "identity") return false;
  if (encoding.toLowerCase() === "gzip") return true;
  const accepted = { "accept-encoding": "gzip, identity" };
  throw new HttpProblem(415, `content-encoding: expected gzip or none, got ${JSON.stringify(encoding)}`, accepted);
}

/**
 * The bytes of a body so far. Small ones stay where the socket put them, and are copied once when a batch is made; large
 * ones are copied as they come into segments that change threads without another copy, so no moment copies much.
 */
class Gathered implements Body {
  readonly pieces: Uint8Array[] = [];
  size = 0;
  held = 0;
  own = false;
  #free = 0;

  add(chunk: Uint8Array): void {
    this.size += chunk.length;
    if (this.own) this.#copy(chunk);
    else {
      // A piece of a chunked body may be a byte of the kilobytes that were read with it.
      const piece = chunk.buffer.byteLength > 2 * chunk.length + SLICE ? Uint8Array.from(chunk) : chunk;
      this.pieces.push(piece);
      this.held += piece.buffer.byteLength;
      if (this.size <= SMALL && this.pieces.length <= FEW) return;
      this.own = true;
      this.held = 0;
      for (const piece of this.pieces.splice(0)) this.#copy(piece);
    }
  }

  #copy(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.length; ) {
      if (this.#free === 0) {
        this.#free = Math.min(Math.max(this.held, LEAST_SEGMENT), SEGMENT);
        this.held += this.#free;
        this.pieces.push(new Uint8Array(new ArrayBuffer(this.#free), 0, 0));
      }
      const last = this.pieces.pop()!;
      const part = chunk.subarray(from, from + this.#free);
      const grown = new Uint8Array(last.buffer, 0, last.length + part.length);
      grown.set(part, last.length);
      this.pieces.push(grown);
      this.#free -= part.length;
      from += part.length;
    }
  }
}

function brokenOff(): HttpProblem {
  return new HttpProblem(400, "body: broke off before its end");
}

function tooLong(limit: number): HttpProblem {
  return new HttpProblem(413, `body: expected up to ${limit} bytes, got more`);
}
