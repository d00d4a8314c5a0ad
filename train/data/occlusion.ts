import type { Random } from "../random.ts";

/** Height, width, channels. */
type ImageShape = readonly [number, number, number];

/**
 * Blackens a square of random side and place, cut off at the border. Always 3 draws. @see DeVries & Taylor 2017,
 * arXiv:1708.04552.
 */
export function eraseSquare(out: Uint8Array, [h, w, c]: ImageShape, most: number, random: Random): void {
  const side = Math.round(random.uniform(0, most) * Math.min(h, w));
  const top = Math.round(random.uniform(0, h) - side / 2);
  const left = Math.round(random.uniform(0, w) - side / 2);
  const [from, to] = [Math.max(0, left), Math.min(w, left + side)];
  for (let row = Math.max(0, top); row < Math.min(h, top + side); row++)
    out.fill(0, (row * w + from) * c, (row * w + to) * c);
}

/** A stroke's length and half its width, as shares of the shorter side; where its middle may lie, as a share of each side. */
const LENGTH = [0, 0.5] as const;
const RADIUS = [0.018, 0.046] as const;
const MIDDLE = [0.2, 0.8] as const;

/**
 * Draws a straight stroke of the brightest value over an image, its ends round and its edge a pixel soft, with a given
 * probability. Always 6 draws. What is written with one stroke more, a crossed 7, is so to a network what it is without.
 */
export function drawStroke(out: Uint8Array, [h, w, c]: ImageShape, probability: number, random: Random): void {
  const isDrawn = random.uniform() < probability;
  const side = Math.min(h, w);
  const half = (random.uniform(...LENGTH) * side) / 2;
  const angle = random.uniform(0, Math.PI);
  const [x, y] = [random.uniform(...MIDDLE) * w, random.uniform(...MIDDLE) * h];
  const radius = random.uniform(...RADIUS) * side;
  if (!isDrawn) return;
  const [dx, dy] = [Math.cos(angle), Math.sin(angle)];
  const reach = (direction: number) => half * Math.abs(direction) + radius + 1;
  const within = (middle: number, direction: number, size: number) =>
    [
      Math.max(0, Math.floor(middle - reach(direction))),
      Math.min(size - 1, Math.ceil(middle + reach(direction))),
    ] as const;
  const [left, right] = within(x, dx, w);
  const [top, bottom] = within(y, dy, h);
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const along = Math.max(-half, Math.min(half, (column - x) * dx + (row - y) * dy));
      const distance = Math.hypot(column - x - along * dx, row - y - along * dy);
      const value = Math.round(255 * Math.max(0, Math.min(1, radius + 0.5 - distance)));
      const at = (row * w + column) * c;
      for (let k = at; k < at + c; k++) out[k] = Math.max(out[k] as number, value);
    }
  }
}
