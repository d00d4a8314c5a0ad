import type { backend_util } from "@tensorflow/tfjs-core";
import type { Graph } from "../graph.ts";

/** Sizes as tfjs has them typed. */
export type Size2 = [number, number];
export type Size3 = [number, number, number];
export type Size4 = [number, number, number, number];
export type Size5 = [number, number, number, number, number];

/**
 * The windows of a convolution or a pooling along one axis of its images: window i holds the numbers
 * `stride * i + dilation * t - before` for t < taps. What lies outside of the image is padding.
 */
export interface Windows {
  /** The image's length. */
  readonly size: number;
  /** How many windows there are, the output's length. */
  readonly count: number;
  readonly taps: number;
  readonly stride: number;
  readonly dilation: number;
  /** Padding in front of the image; below 0, how many numbers there no window holds. */
  readonly before: number;
}

/** Windows of one number each: the axis stays as it is. */
export const still = (size: number): Windows => ({ size, count: size, taps: 1, stride: 1, dilation: 1, before: 0 });

/** How many numbers a window reaches over. */
export const span = ({ taps, dilation }: Windows): number => (taps - 1) * dilation + 1;

/** Padding behind the image, to the end of the last window; below 0, how many numbers there no window holds. */
export function after(windows: Windows): number {
  const { size, count, stride, before } = windows;
  return (count - 1) * stride + span(windows) - size - before;
}

/**
 * tfjs's windows over height and width, or depth, height and width. How many there are is read from the output's shape where
 * that is known: tfjs's gradients forget `dimRoundingMode`.
 */
export function windowsOf(
  info: backend_util.Conv2DInfo | backend_util.Conv3DInfo,
  counts: readonly number[] = "outDepth" in info
    ? [info.outDepth, info.outHeight, info.outWidth]
    : [info.outHeight, info.outWidth],
): Windows[] {
  const plane = [
    [info.inHeight, info.filterHeight, info.strideHeight, info.dilationHeight, info.padInfo.top],
    [info.inWidth, info.filterWidth, info.strideWidth, info.dilationWidth, info.padInfo.left],
  ];
  const axes =
    "inDepth" in info
      ? [[info.inDepth, info.filterDepth, info.strideDepth, info.dilationDepth, info.padInfo.front], ...plane]
      : plane;
  return axes.map((numbers, i) => {
    const [size, taps, stride, dilation, before] = numbers as [number, number, number, number, number];
    if (!Number.isInteger(before)) throw new Error(`expected padding by a whole number, got ${before}`);
    return { size, count: counts[i] as number, taps, stride, dilation, before };
  });
}

/** The same windows over an image without what none of them holds. ONNX leaves over less than a stride at the end by itself. */
export function cut(windows: Windows): Windows {
  const { size, stride, before } = windows;
  const behind = after(windows);
  const end = behind <= -stride ? -behind : 0;
  return { ...windows, size: size - Math.max(0, -before) - end, before: Math.max(0, before) };
}

/** `name`, whose axes from `first` on are the windows', ready for ONNX, which pads but never cuts; and the windows on it. */
export function fitted(g: Graph, name: string, axes: readonly Windows[], first = 2): [string, Windows[]] {
  const fit = axes.map(cut);
  const changed = axes.flatMap(({ size }, i) => (size === fit[i]?.size ? [] : [i]));
  if (changed.length === 0) return [name, fit];
  const starts = changed.map((i) => Math.max(0, -(axes[i] as Windows).before));
  const ends = changed.map((i, k) => (starts[k] as number) + (fit[i] as Windows).size);
  const along = g.int64(changed.map((i) => first + i));
  return [g.node("Slice", [name, g.int64(starts), g.int64(ends), along]), fit];
}

/** The adjoint of `fitted`: `name`, an image of the fitted size, with zeros where something was cut off. */
export function restored(g: Graph, name: string, axes: readonly Windows[]): string {
  const starts = axes.map(({ before }) => Math.max(0, -before));
  const ends = axes.map((axis, i) => axis.size - cut(axis).size - (starts[i] as number));
  if ([...starts, ...ends].every((pad) => pad === 0)) return name;
  return g.node("Pad", [name, g.int64([0, 0, ...starts, 0, 0, ...ends])]);
}

/** ONNX's padding of fitted windows. */
export function pads(axes: readonly Windows[]): number[] {
  return [...axes.map(({ before }) => before), ...axes.map((axis) => Math.max(0, after(axis)))];
}

/** ONNX's attributes of fitted windows. */
export function attributesOf(axes: readonly Windows[], groups: number) {
  return {
    kernel_shape: axes.map(({ taps }) => taps),
    strides: axes.map(({ stride }) => stride),
    dilations: axes.map(({ dilation }) => dilation),
    pads: pads(axes),
    ...(groups === 1 ? {} : { group: groups }),
  };
}

/** The convolution of images [n, c, ...] with filters [o, c / groups, ...taps] -> [n, o, ...]. */
export function convolved(g: Graph, images: string, filters: string, axes: readonly Windows[], groups = 1): string {
  const [name, fit] = fitted(g, images, axes);
  return g.node("Conv", [name, filters], attributesOf(fit, groups));
}

/** The adjoint of `convolved` in its images, the transposed convolution: [n, o, ...] and the same filters -> [n, c, ...]. */
export function spread(g: Graph, dy: string, filters: string, axes: readonly Windows[], groups = 1): string {
  const fit = axes.map(cut);
  const output_padding = fit.map((axis) => Math.max(0, -after(axis)));
  return restored(g, g.node("ConvTranspose", [dy, filters], { ...attributesOf(fit, groups), output_padding }), axes);
}
