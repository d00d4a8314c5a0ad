/** A decoded image, uint8 [h, w, c], row-major. */
export interface Pixels {
  readonly data: Uint8Array;
  readonly shape: readonly [number, number, number];
}

/**
 * Pixels as a graph takes them, from RGBA: the one place that decides it, for Node and browsers alike. Alpha is laid
 * over black, which is what browsers' premultiplied pixels allow without loss; grey is the luma of Rec. 601,
 * (299 R + 587 G + 114 B) / 1000, rounded, so a grey image keeps its values.
 *
 * @param rgba - [h, w, 4], not premultiplied.
 * @param channels - 1 for grey, 3 for RGB, 4 to keep it as it is.
 */
export function fromRgba(rgba: ArrayLike<number>, height: number, width: number, channels: number): Pixels {
  const data = new Uint8Array(height * width * channels);
  for (let pixel = 0; pixel < height * width; pixel++) {
    const from = pixel * 4;
    const to = pixel * channels;
    const alpha = channels === 4 ? 255 : rgba[from + 3]!;
    const over = (channel: number) => Math.round((rgba[from + channel]! * alpha) / 255);
    if (channels === 1) data[to] = Math.floor((299 * over(0) + 587 * over(1) + 114 * over(2) + 500) / 1000);
    else for (let channel = 0; channel < channels; channel++) data[to + channel] = over(channel);
  }
  return { data, shape: [height, width, channels] };
}
