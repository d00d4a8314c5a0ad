import type { Random } from "../random.ts";
import type { FeatureAugmentation } from "./augment-features.ts";
import { type Recolouring, recolour } from "./colour.ts";
import { drawStroke, eraseSquare } from "./occlusion.ts";

/** What views of colour images may have on top. 0 everywhere, or nothing said, changes nothing; all are below 1. */
export interface ColourAugmentation {
  /** Share of the area that a random crop may lose; what is left fills the view. Sides' ratio changes by up to 4/3. */
  readonly crop: number;
  /** 1 +- this times the distance from the mean luma. */
  readonly contrast: number;
  /** 1 +- this times the distance from a pixel's own luma. */
  readonly saturation: number;
  /** Of a whole turn of the hue, either way. */
  readonly hue: number;
  /** Probability that brightness, contrast, saturation and hue change at all; 1 where nothing is said. */
  readonly jitter: number;
  /** Probability that all colour is lost. */
  readonly grey: number;
}

/**
 * How far a random view of a sample may be from it: of an image, and where it is said of a vector. 0 everywhere is the
 * sample itself; scales and brightness are below 1.
 */
export interface Augmentation extends Partial<ColourAugmentation>, Partial<FeatureAugmentation> {
  /** Degrees, either way. */
  readonly rotation: number;
  /** Share of the side, either way, each axis for itself. */
  readonly shift: number;
  /** 1 +- this, both axes. */
  readonly scale: number;
  /** 1 +- this, the vertical axis on top of `scale`. */
  readonly anisotropy: number;
  /** Tangent of the angle, either way. */
  readonly shear: number;
  /** Probability of being mirrored left to right. */
  readonly flip: number;
  /** 1 +- this times every value. */
  readonly brightness: number;
  /** Side of a square blotted out anywhere in the view, at most this share of the side; 0 blots nothing. */
  readonly erase: number;
  /** Probability of a bright stroke across the view, at most half as long as its side; nothing said draws none. */
  readonly stroke?: number;
}

const DIGITS = {
  ...{ rotation: 20, shift: 0.1, scale: 0.2, anisotropy: 0.1, shear: 0.35 },
  ...{ flip: 0, brightness: 0, erase: 0.4 },
};
const NONE = { rotation: 0, shift: 0, scale: 0, anisotropy: 0, shear: 0, flip: 0, brightness: 0, erase: 0 } as const;

/**
 * What keeps a sample what it is: a mirrored 2 is no digit, a mirrored car is a car, and in another light too. `colour`
 * is for colour photographs (Chen et al. 2020, A Simple Framework for Contrastive Learning, arXiv:2002.05709, its
 * weaker colours for small images; crops keep a fifth of the area or more), `features` for vectors. `strokes` is for what is written:
 * views turned and sheared less than those of `digits`, most with a stroke too many.
 */
export const AUGMENTATIONS = {
  none: NONE,
  digits: DIGITS,
  strokes: { ...DIGITS, rotation: 15, shear: 0.2, stroke: 0.8 },
  objects: { rotation: 8, shift: 0.06, scale: 0.15, anisotropy: 0, shear: 0.1, flip: 0.5, brightness: 0.3, erase: 0 },
  colour: {
    ...{ ...NONE, flip: 0.5, brightness: 0.4 },
    ...{ crop: 0.8, contrast: 0.4, saturation: 0.4, hue: 0.1, jitter: 0.8, grey: 0.2 },
  },
  features: { ...NONE, noise: 0.2, drop: 0.2 },
} as const satisfies Record<string, Augmentation>;

/**
 * One view: turned, stretched and sheared around the image's centre, then shifted by pixels; values times `brightness`.
 */
export interface View {
  /** Radians, from the x axis (right) to the y axis (down). */
  readonly rotation: number;
  readonly shiftX: number;
  readonly shiftY: number;
  /** Below zero mirrors. */
  readonly scaleX: number;
  readonly scaleY: number;
  readonly shear: number;
  readonly brightness: number;
  /**
   * What of the image is in the view's centre, in pixels from its own. With it, the border's pixels reach to their own
   * edges.
   */
  readonly crop?: { readonly x: number; readonly y: number };
}

/**
 * Draws a random view of every listed image.
 *
 * @param out - [indices, h, w, c], written whole.
 * @param images - [n, h, w, c], at most 16,384 pixels a side.
 * @param indices - which images, in which order.
 * @param random - takes 11 draws an image, 9 more where anything is said of crops or colours and 6 more where it is said of
 *   strokes, whatever is said: so streams stay aligned between settings.
 */
export function augmentImages(
  out: Uint8Array,
  images: Uint8Array,
  indices: Int32Array,
  imageShape: readonly [number, number, number],
  settings: Augmentation,
  random: Random,
): void {
  const [h, w, c] = imageShape;
  const size = h * w * c;
  for (let i = 0; i < indices.length; i++) {
    const from = (indices[i] as number) * size;
    const rendered = out.subarray(i * size, (i + 1) * size);
    const view = drawView(settings, h, w, random);
    const image = images.subarray(from, from + size);
    if (COLOUR.some((range) => settings[range] !== undefined)) {
      const { brightness } = view;
      renderView(rendered, image, imageShape, { ...drawCrop(view, settings, h, w, random), brightness: 1 });
      recolour(rendered, c, drawRecolouring(settings, brightness, random));
    } else renderView(rendered, image, imageShape, view);
    eraseSquare(rendered, imageShape, settings.erase, random);
    if (settings.stroke !== undefined) drawStroke(rendered, imageShape, settings.stroke, random);
  }
}

const COLOUR = ["crop", "contrast", "saturation", "hue", "jitter", "grey"] as const;

/** A view within the settings. The order of the draws is part of what a seed means. */
function drawView(settings: Augmentation, h: number, w: number, random: Random): View {
  const within = (range: number) => range * random.uniform(-1, 1);
  const rotation = (within(settings.rotation) * Math.PI) / 180;
  const shiftX = within(settings.shift) * w;
  const shiftY = within(settings.shift) * h;
  const scale = 1 + within(settings.scale);
  const scaleY = scale * (1 + within(settings.anisotropy));
  const shear = within(settings.shear);
  const scaleX = random.uniform() < settings.flip ? -scale : scale;
  return { rotation, shiftX, shiftY, scaleX, scaleY, shear, brightness: 1 + within(settings.brightness) };
}

/**
 * The view of a random part of the image. Always 4 draws.
 *
 * @see Szegedy et al. 2015, Going Deeper with Convolutions, arXiv:1409.4842, for ratios; a part that does not fit is
 *   narrowed.
 */
function drawCrop(view: View, { crop = 0 }: Augmentation, h: number, w: number, random: Random): View {
  const share = 1 - random.uniform(0, crop);
  const ratio = Math.exp(random.uniform(-1, 1) * Math.log(4 / 3));
  const width = Math.min(1, Math.sqrt(share * ratio));
  const height = Math.min(1, Math.sqrt(share / ratio));
  const x = (random.uniform(-1, 1) * (1 - width) * w) / 2;
  const y = (random.uniform(-1, 1) * (1 - height) * h) / 2;
  if (crop === 0) return view;
  return { ...view, scaleX: view.scaleX / width, scaleY: view.scaleY / height, crop: { x, y } };
}

/** Changed colours, or none. Always 5 draws. */
function drawRecolouring(
  { jitter = 1, contrast = 0, saturation = 0, hue = 0, grey = 0 }: Augmentation,
  brightness: number,
  random: Random,
): Recolouring {
  const isChanged = random.uniform() < jitter;
  const around = (range: number) => {
    const draw = random.uniform(-1, 1);
    return isChanged ? range * draw : 0;
  };
  const change = { contrast: 1 + around(contrast), saturation: 1 + around(saturation), hue: 2 * Math.PI * around(hue) };
  const isGrey = random.uniform() < grey;
  return { ...change, brightness: isChanged ? brightness : 1, ...(isGrey && { saturation: 0 }) };
}

/** Source coordinates are integers with this many bits after the point: exact for whole pixels, and quick. */
const BITS = 16;
const ONE = 1 << BITS;
/** Rounds a product of a value and two weights of 8 bits each. */
const HALF = ONE / 2;

/**
 * Renders one view of an image [h, w, c], bilinearly, black outside.
 *
 *     p' = R(rotation) [1 shear; 0 1] diag(scaleX, scaleY) (p - centre - crop) + centre + shift
 *
 * It goes the other way: each pixel p' asks for its p, which is linear in p', so that a row is a walk by a constant
 * step. A view that maps pixels onto pixels (none, a flip, a shift by whole pixels) is exact.
 */
export function renderView(
  out: Uint8Array,
  image: Uint8Array,
  [h, w, c]: readonly [number, number, number],
  { rotation, shiftX, shiftY, scaleX, scaleY, shear, brightness, crop }: View,
): void {
  const [sin, cos] = [Math.sin(rotation), Math.cos(rotation)];
  const xx = (cos + shear * sin) / scaleX;
  const xy = (sin - shear * cos) / scaleX;
  const yx = -sin / scaleY;
  const yy = cos / scaleY;
  const [centreX, centreY] = [(w - 1) / 2, (h - 1) / 2];
  const stepX = Math.round(xx * ONE);
  const stepY = Math.round(yx * ONE);
  const below = w * c;
  const [fromX, fromY] = [centreX + (crop?.x ?? 0), centreY + (crop?.y ?? 0)];
  for (let row = 0; row < h; row++) {
    const dx = -centreX - shiftX;
    const dy = row - centreY - shiftY;
    let x = Math.round((xx * dx + xy * dy + fromX) * ONE) | 0;
    let y = Math.round((yx * dx + yy * dy + fromY) * ONE) | 0;
    const end = (row + 1) * below;
    for (let at = row * below; at < end; at += c) {
      const left = x >> BITS;
      const top = y >> BITS;
      if (left >= 0 && top >= 0 && left < w - 1 && top < h - 1) {
        const fx = (x >> 8) & 255;
        const fy = (y >> 8) & 255;
        const p = (top * w + left) * c;
        for (let k = 0; k < c; k++) {
          const a = (image[p + k] as number) * (256 - fx) + (image[p + k + c] as number) * fx;
          const b = (image[p + k + below] as number) * (256 - fx) + (image[p + k + below + c] as number) * fx;
          out[at + k] = (a * (256 - fy) + b * fy + HALF) >> BITS;
        }
      } else if (left >= -1 && top >= -1 && left < w && top < h) {
        const [nearX, nearY] = crop === undefined ? [x, y] : [onto(x, w), onto(y, h)];
        for (let k = 0; k < c; k++) out[at + k] = atBorder(image, h, w, c, k, nearX, nearY);
      } else {
        for (let k = 0; k < c; k++) out[at + k] = 0;
      }
      x = (x + stepX) | 0;
      y = (y + stepY) | 0;
    }
  }
  if (brightness !== 1) brighten(out, brightness);
}

/**
 * A coordinate within half a pixel of the border's pixels, moved onto them: a crop's own edge is not mixed with black.
 */
function onto(coordinate: number, size: number): number {
  const last = (size - 1) * ONE;
  return coordinate < -HALF || coordinate > last + HALF ? coordinate : Math.max(0, Math.min(last, coordinate));
}

/** A value between the border's pixels and the black around them. */
function atBorder(image: Uint8Array, h: number, w: number, c: number, k: number, x: number, y: number): number {
  const left = x >> BITS;
  const top = y >> BITS;
  const fx = (x >> 8) & 255;
  const fy = (y >> 8) & 255;
  const p = (top * w + left) * c + k;
  const inLeft = left >= 0;
  const inRight = left < w - 1;
  let sum = HALF;
  if (top >= 0) {
    if (inLeft) sum += (image[p] as number) * (256 - fx) * (256 - fy);
    if (inRight) sum += (image[p + c] as number) * fx * (256 - fy);
  }
  if (top < h - 1) {
    if (inLeft) sum += (image[p + w * c] as number) * (256 - fx) * fy;
    if (inRight) sum += (image[p + w * c + c] as number) * fx * fy;
  }
  return sum >> BITS;
}

function brighten(values: Uint8Array, factor: number): void {
  const fixed = Math.round(factor * ONE);
  for (let i = 0; i < values.length; i++) {
    const value = ((values[i] as number) * fixed + HALF) >> BITS;
    values[i] = Math.min(value, 255);
  }
}
