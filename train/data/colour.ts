/**
 * How an image's colours are changed: in this order, each on the outcome of the one before, cut off at 0 and 255 at the
 * end.
 */
export interface Recolouring {
  /** Times every value. */
  readonly brightness: number;
  /** Times the distance from the mean luma of the image. */
  readonly contrast: number;
  /** Times the distance from a pixel's own luma; 0 leaves grey. */
  readonly saturation: number;
  /** Radians from red to green to blue. */
  readonly hue: number;
}

/** What red, green and blue count for luma. @see Recommendation ITU-R BT.601. */
const LUMA = [0.299, 0.587, 0.114] as const;
/** Integers with this many bits after the point. */
const ONE = 1 << 16;
const HALF = ONE / 2;

/**
 * Recolours an image in place, [h, w, c]. All four changes are affine, so that they are one product with a matrix:
 *
 *     x' = R (L + s (I - L)) (f b x) + (1 - f) b m,    (L x)_k = luma of x,    m = mean luma
 *
 * R turns colours about the axis of greys, which a third of a turn takes from red to green to blue: on that axis hues
 * are those of HSV, between them nearly. Unlike there no hue changes what is grey. Images of another number of channels
 * than 3 have luma only: brightness and contrast.
 */
export function recolour(image: Uint8Array, channels: number, change: Recolouring): void {
  const { brightness, contrast } = change;
  if (channels === 3) recolourPixels(image, change);
  else if (brightness !== 1 || contrast !== 1) {
    const mean = image.reduce((sum, value) => sum + value, 0) / image.length;
    const factor = Math.round(contrast * brightness * ONE);
    const rest = Math.round((1 - contrast) * brightness * mean * ONE) + HALF;
    for (let i = 0; i < image.length; i++) image[i] = cut((image[i] as number) * factor + rest);
  }
}

function recolourPixels(image: Uint8Array, { brightness, contrast, saturation, hue }: Recolouring): void {
  if (brightness === 1 && contrast === 1 && saturation === 1 && hue === 0) return;
  const scale = contrast * brightness;
  const [cos, sin] = [Math.cos(hue), Math.sin(hue) / Math.sqrt(3)];
  const third = (1 - cos) / 3;
  // Row k, column l of R: the rotation by the angle about (1, 1, 1), after Rodrigues.
  const turned = (k: number, l: number) => (k === l ? cos + third : third + ((k - l + 3) % 3 === 1 ? sin : -sin));
  const entry = (k: number, l: number) => {
    const luma = LUMA[l] as number;
    return Math.round(scale * (luma + saturation * (turned(k, l) - luma)) * ONE);
  };
  const [rr, rg, rb] = [entry(0, 0), entry(0, 1), entry(0, 2)];
  const [gr, gg, gb] = [entry(1, 0), entry(1, 1), entry(1, 2)];
  const [br, bg, bb] = [entry(2, 0), entry(2, 1), entry(2, 2)];
  const rest = Math.round((1 - contrast) * brightness * (contrast === 1 ? 0 : meanLuma(image)) * ONE) + HALF;
  for (let i = 0; i < image.length; i += 3) {
    const [r, g, b] = [image[i] as number, image[i + 1] as number, image[i + 2] as number];
    image[i] = cut(rr * r + rg * g + rb * b + rest);
    image[i + 1] = cut(gr * r + gg * g + gb * b + rest);
    image[i + 2] = cut(br * r + bg * g + bb * b + rest);
  }
}

function meanLuma(image: Uint8Array): number {
  let [r, g, b] = [0, 0, 0];
  for (let i = 0; i < image.length; i += 3) {
    r += image[i] as number;
    g += image[i + 1] as number;
    b += image[i + 2] as number;
  }
  return (3 * (LUMA[0] * r + LUMA[1] * g + LUMA[2] * b)) / image.length;
}

/** The whole part of a fixed-point number, within 0..255. */
const cut = (value: number): number => Math.max(0, Math.min(255, value >> 16));
