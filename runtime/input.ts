import { throwAt } from "./errors.ts";
import { badNumber, countSamples, kindOf, mismatch } from "./input-check.ts";
import type { ManifestInput } from "./manifest.ts";
import { type Batch, isPixels, type NestedInput, type PixelInput, type Pixels, zeros } from "./samples.ts";

export type { Batch };

/** Numbers with their shape, row-major: [n, ...sample], or one sample without the batch axis. uint8 for images. */
export interface ArrayInput {
  readonly data: Uint8Array | Uint8ClampedArray | Float32Array;
  readonly shape: readonly number[];
}

/**
 * What can be assigned. `Encoded` is what a platform can decode besides: paths and file bytes in Node, Blobs in
 * browsers.
 */
export type Input<Encoded = never> =
  | ArrayInput
  | PixelInput
  | Float32Array
  | NestedInput
  | Encoded
  | readonly (ArrayInput | PixelInput | Float32Array | Encoded)[];

/** Turns one image, as pixels or encoded, into pixels of the shape wanted. */
export type Decoder<Encoded> = (image: PixelInput | Encoded, shape: Pixels["shape"]) => Promise<Pixels>;

/** Images decoded at once. */
const DECODERS = 8;

/** Reads and checks what callers hand in, once: everything behind it is samples of the one shape and type. */
export class InputReader<Encoded> {
  /** Numbers a sample. */
  readonly sampleSize: number;
  readonly #input: ManifestInput;
  readonly #sample: readonly number[];
  readonly #decode: Decoder<Encoded>;

  constructor(input: ManifestInput, decode: Decoder<Encoded>) {
    this.#input = input;
    this.#sample = input.shape.slice(1).map(Number);
    this.sampleSize = this.#sample.reduce((a, b) => a * b, 1);
    this.#decode = decode;
  }

  /** @throws {SubspanError} SHAPE_MISMATCH, DTYPE_MISMATCH, OUT_OF_RANGE, NOT_FINITE, or what decoding throws. */
  async read(input: Input<Encoded>): Promise<Batch> {
    if (!Array.isArray(input)) return this.#one(input as Encoded);
    if (input.length === 0) return { data: zeros(this.#input, 0), count: 0 };
    if (typeof input[0] === "number" || Array.isArray(input[0])) {
      const { readNested } = await import("./input-nested.ts"); // pages seldom have lists of numbers
      return readNested(input as NestedInput, this.#input);
    }
    const parts: Batch[] = [];
    for (let from = 0; from < input.length; from += DECODERS)
      parts.push(
        ...(await Promise.all(Array.from(input.slice(from, from + DECODERS), (one, i) => this.#item(one, from + i)))),
      );
    return this.join(parts);
  }

  /** One batch of several, always copied: the parts may be changed after. */
  join(parts: readonly Batch[]): Batch {
    const count = parts.reduce((sum, part) => sum + part.count, 0);
    const data = zeros(this.#input, count);
    let at = 0;
    for (const part of parts) {
      data.set(part.data, at);
      at += part.data.length;
    }
    return { data, count, own: true };
  }

  /** Samples [start, end) of a batch, not copied. */
  slice(batch: Batch, start: number, end: number): Batch {
    if (start === 0 && end >= batch.count) return batch;
    const stop = Math.min(end, batch.count);
    return { data: batch.data.subarray(start * this.sampleSize, stop * this.sampleSize), count: stop - start };
  }

  async #item(item: Encoded, index: number): Promise<Batch> {
    try {
      return await this.#one(item);
    } catch (error) {
      return throwAt(`[${index}]`, error);
    }
  }

  async #one(input: ArrayInput | PixelInput | Float32Array | Encoded): Promise<Batch> {
    if (input instanceof Float32Array) return this.#array({ data: input, shape: [input.length] });
    if (isPixels(input)) {
      const { data, width, height, shape } = input as PixelInput & Partial<ArrayInput>;
      if (Array.isArray(shape)) return this.#array({ data, shape });
      if (Number.isInteger(width) && data.length === width * height * 4) return this.#pixels(input);
    }
    if (isPlain(input)) throw mismatch(this.#input, "DTYPE_MISMATCH", kindOf(input));
    return this.#pixels(input as Encoded);
  }

  async #pixels(image: PixelInput | Encoded): Promise<Batch> {
    if (this.#input.kind !== "images") throw mismatch(this.#input, "DTYPE_MISMATCH", kindOf(image));
    const { data } = await this.#decode(image, this.#sample as unknown as Pixels["shape"]);
    return { data, count: 1, own: true };
  }

  #array({ data, shape }: ArrayInput): Batch {
    const got = `[${shape.join(", ")}] ${dtypeOf(data)}`;
    const fits = this.#input.dtype === "uint8" ? dtypeOf(data) === "uint8" : data instanceof Float32Array;
    if (!fits) throw mismatch(this.#input, "DTYPE_MISMATCH", got);
    const count = countSamples(this.#input, shape);
    if (count === undefined) throw mismatch(this.#input, "SHAPE_MISMATCH", got);
    if (data.length !== count * this.sampleSize)
      throw mismatch(this.#input, "SHAPE_MISMATCH", `${got} with ${data.length} elements`);
    if (data instanceof Float32Array) this.#checkFinite(data);
    return { data: plain(data), count };
  }

  /** Numbers are not finite where all bits of their exponent are set. */
  #checkFinite(data: Float32Array): void {
    const bits = new Int32Array(data.buffer, data.byteOffset, data.length);
    for (let i = 0; i < bits.length; i++)
      if ((bits[i]! & 0x7f800000) === 0x7f800000)
        throw badNumber(this.#input, "NOT_FINITE", "finite float32", data[i]!, i);
  }
}

/** No platform decodes these. */
function isPlain(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return typeof value !== "string";
  return Array.isArray(value) || "data" in value;
}

function dtypeOf(data: ArrayBufferView): string {
  const name = data.constructor.name;
  if (data instanceof Uint8Array || data instanceof Uint8ClampedArray) return "uint8";
  return name.replace(/Array$/, "").toLowerCase();
}

/** As ONNX Runtime takes them: no Buffer, no clamped array, no shared memory. */
function plain(data: Uint8Array | Uint8ClampedArray | Float32Array): Uint8Array | Float32Array {
  if (!(data.buffer instanceof ArrayBuffer)) return data instanceof Float32Array ? data.slice() : new Uint8Array(data);
  return data instanceof Float32Array ? data : new Uint8Array(data.buffer, data.byteOffset, data.length);
}
