import { SubspanError } from "../../runtime/errors.ts";
import type { Samples } from "../../runtime/samples.ts";
import { invalid, samplesInPart } from "./bytes.ts";
import type { Content } from "./dataset.ts";
import type { NpyArray, NpyRows } from "./npy.ts";

/** Samples and labels from the arrays x and y of a file. */
export function contentOf(file: string, x: NpyArray, y?: NpyArray): Content {
  const samples = samplesOf(file, x);
  return y === undefined ? { samples } : { samples, labels: labelsOf(file, y, samples.shape[0]) };
}

/** Samples of the array x that is read from front to back, in parts. @throws {SubspanError} as `contentOf`. */
export async function* partsOf(file: string, x: NpyRows): AsyncGenerator<Samples> {
  try {
    const most = samplesInPart(x.rowBytes);
    for (let row = 0; ; ) {
      const part = await x.take(most);
      const samples = samplesOf(file, part, { from: row, n: x.shape[0] as number });
      if (samples.shape[0] === 0) return;
      yield samples;
      row += samples.shape[0];
    }
  } finally {
    await x.close();
  }
}

interface Part {
  readonly from: number;
  readonly n: number;
}

/**
 * Two axes [n, d] of any dtype are features, made float32. Three [n, h, w] or four [n, h, w, c] are images and uint8: whether
 * other numbers go to 1, to 255 or are standardised cannot be seen from a file, and what is trained must be what is served.
 *
 * @param part - of what `x` is a part, and from which row on, if it is one.
 */
function samplesOf(file: string, x: NpyArray, part?: Part): Samples {
  const { data, type } = x;
  const [n = 0, ...size] = x.shape;
  const place = `${file}: x: [${part ? [part.n, ...size] : x.shape}] ${type}`;
  if (![2, 3, 4].includes(x.shape.length)) throw refused(place, "expected [n, d] features, or [n, h, w(, c)] images");
  if (size.includes(0)) throw refused(place, "its samples are empty");
  if (size.length === 1) return featuresOf(file, data, [n, size[0] as number], part);
  const [h, w, c = 1] = size as [number, number, number?];
  if (!(data instanceof Uint8Array) || type === "b1") {
    const most = type === "b1" ? 1 : numbers(data, new Float32Array(data.length)).reduce((a, b) => Math.max(a, b), 0);
    const how = most > 1 ? "x.round().astype('uint8')" : "(x * 255).round().astype('uint8')";
    throw refused(
      place,
      `images are expected as uint8, values 0..255, and its largest is ${most}: convert them, e.g. ${how}`,
    );
  }
  if (c !== 1 && c !== 3) throw refused(place, "images are expected as [n, h, w, c] with 1 or 3 channels last");
  return { kind: "images", data, shape: [n, h, w, c] };
}

function featuresOf(file: string, data: NpyArray["data"], shape: readonly [number, number], part?: Part): Samples {
  const features = data instanceof Float32Array ? data : numbers(data, new Float32Array(data.length));
  let count = 0;
  let first = -1;
  for (let i = 0; i < features.length; i++) {
    if (Number.isFinite(features[i])) continue;
    if (count++ === 0) first = i;
  }
  if (count > 0) {
    const [row, column] = [Math.floor(first / shape[1]), first % shape[1]];
    const where = `x[${row + (part?.from ?? 0)}, ${column}] is ${data[first]}`;
    const whole = count === 1 ? "the one value that is" : `the first of ${count} values that are`;
    const values = part === undefined ? whole : "the first value that is";
    throw new SubspanError("NOT_FINITE", `${file}: ${where}, ${values} not finite in float32`);
  }
  return { kind: "features", data: features, shape };
}

const refused = (place: string, why: string) => new SubspanError("SOURCE_INVALID", `${place}; ${why}`);

function labelsOf(file: string, y: NpyArray, n: number): Int32Array {
  if (y.type.startsWith("f")) throw invalid(file, `y: dtype ${y.type}, expected integers`);
  if (y.shape[0] !== n || y.data.length !== n)
    throw invalid(file, `y: [${y.shape}] labels for ${n} samples, expected [${n}]`);
  const labels = numbers(y.data, new Int32Array(n));
  const wrong = labels.findIndex((label, i) => label !== Number(y.data[i]));
  if (wrong >= 0) throw invalid(file, `y[${wrong}] is ${y.data[wrong]}, expected an integer of 32 bits`);
  return labels;
}

/** Copies numbers of any class; 64-bit integers lose what `out` cannot hold. */
function numbers<T extends Float32Array | Int32Array>(data: NpyArray["data"], out: T): T {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    for (let i = 0; i < data.length; i++) out[i] = Number(data[i]);
  } else {
    out.set(data);
  }
  return out;
}
