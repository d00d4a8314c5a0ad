/** The largest number that float16 holds. */
const LARGEST = 65504;
/** Share of its length that an array may lose as float16: that of rounding to its 11 digits. */
const LOSS = 2 ** -11;

const floats = new Float32Array(1);
const bits = new Uint32Array(floats.buffer);

/** A float32 as the bits of the nearest float16, ties to even; what is too large is infinite. @see IEEE 754-2019, 4.3.1. */
export function halfBits(value: number): number {
  floats[0] = value;
  const [word] = bits as unknown as [number];
  const sign = (word >>> 16) & 0x8000;
  if (Number.isNaN(value)) return sign | 0x7e00;
  const exponent = Math.max(((word >>> 23) & 255) - 127, -14);
  const steps = Math.abs(value) / 2 ** (exponent - 10);
  const below = Math.floor(steps);
  const rest = steps - below;
  const rounded = below + (rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? 1 : 0);
  // Of a normal number, steps begin with the bit that is not stored: it adds the missing 1 to the exponent.
  return sign | Math.min(Number.isFinite(value) ? (exponent + 14) * 1024 + rounded : 0x7c00, 0x7c00);
}

/** The number that the bits of a float16 stand for. */
export function fromHalfBits(half: number): number {
  const [exponent, digits] = [(half >>> 10) & 31, half & 1023];
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 31) return digits === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? digits * 2 ** -24 : (1024 + digits) * 2 ** (exponent - 25));
}

/** Numbers as float16 bits; undefined where float16 cannot hold them: beyond its range, or too small to keep their digits. */
export function halves(values: Float32Array): Uint16Array | undefined {
  const result = Uint16Array.from(values, halfBits);
  let [length, lost] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (!(Math.abs(value) <= LARGEST)) return undefined;
    length += value ** 2;
    lost += (value - fromHalfBits(result[i] as number)) ** 2;
  }
  return lost <= LOSS ** 2 * length ? result : undefined;
}
