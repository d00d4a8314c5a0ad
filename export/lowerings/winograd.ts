import type { Graph } from "../graph.ts";
import type { Operand, Stored } from "../value.ts";
import { type Convolution, image, inShape, NCHW, outShape } from "./convolution-forms.ts";
import type { Windows } from "./windows.ts";

const TAPS = 3;
/** Places that a tile gives along an axis. */
const PLACES = 4;
/**
 * Where a tile's polynomials are evaluated, beside infinity. The usual 0, 1, -1, 2, -2 save multiplications by hand, which matrix
 * products do not need, and err twice as much.
 */
const POINTS = [0, 2 / 3, -2 / 3, 3 / 2, -3 / 2] as const;
const LENGTH = POINTS.length + 1;

/** Tiles repay what they cost from so many channels on, in and out, and from so large a square of them for each place of a side. */
const LEAST_CHANNELS = 96;
const LEAST_SQUARE_PER_PLACE = 256;

/** Whether a convolution takes less time by tiles: 3 x 3 taps one place apart, of many channels and no large images (docs/performance.md). */
export function hasTiles({ batch, inChannels, outChannels, groups, axes }: Convolution): boolean {
  const channels = Math.min(inChannels, outChannels);
  return (
    batch > 0 &&
    groups === 1 &&
    axes.length === 2 &&
    axes.every(({ taps, stride, dilation }) => taps === TAPS && stride === 1 && dilation === 1) &&
    axes.every(({ size, count }) => size > 0 && count > 0 && channels ** 2 >= LEAST_SQUARE_PER_PLACE * size) &&
    channels >= LEAST_CHANNELS
  );
}

/**
 * Winograd's convolution F(4 x 4, 3 x 3), which multiplies a quarter as often, as matrix products alone. Along an axis
 *
 *     y = O^T (T x * G w)
 *
 * with a row of T and O for each point of each tile: T = B^T and O = A as published, once for every tile; padding, and what the
 * last tile has too much, are zeros in them. An image [n c h, w] is multiplied by the columns' T and then by the rows', each of
 * which turns it, and comes out as [rows' points, tiles, columns' points, tiles, n, c], ready for the product with the filters.
 * Both gradients are the adjoints, and share T x, O dy and G w.
 *
 * Results differ from a plain sum's in float32 by 1e-6 of their size (which errs by 2e-7).
 *
 * @see Lavin & Gray 2016, Fast Algorithms for Convolutional Neural Networks, arXiv:1509.09308.
 */
export function tiledConv(g: Graph, x: Operand, filter: Operand, convolution: Convolution): Stored {
  const products = g.node("MatMul", [imageTiles(g, x, convolution), filterTiles(g, filter)]);
  return untiled(g, products, convolution.axes.map(placing), outShape(convolution));
}

/** The gradient of `tiledConv` in x. */
export function tiledInputGradient(g: Graph, dy: Operand, filter: Operand, convolution: Convolution): Stored {
  const inputs = [gradientTiles(g, dy, convolution), filterTiles(g, filter)];
  const products = g.node("com.microsoft:FusedMatMul", inputs, { transB: 1 });
  return untiled(g, products, convolution.axes.map(reading), inShape(convolution));
}

/** The gradient of `tiledConv` in the filter, [3, 3, i, o]. */
export function tiledFilterGradient(g: Graph, x: Operand, dy: Operand, convolution: Convolution): string {
  const { inChannels: i, outChannels: o } = convolution;
  const inputs = [imageTiles(g, x, convolution), gradientTiles(g, dy, convolution)];
  const products = g.node("com.microsoft:FusedMatMul", inputs, { transA: 1 });
  const rows = Math.ceil((convolution.axes[0] as Windows).count / PLACES);
  const flat = g.node("Reshape", [products, g.int64([LENGTH * rows * LENGTH, i * o])]);
  const taps = g.node("Gemm", [weighing(g, rows), flat], { transA: 1 });
  return g.node("Reshape", [taps, g.int64([TAPS, TAPS, i, o])]);
}

const imageTiles = (g: Graph, x: Operand, { axes }: Convolution) => tiled(g, x, axes.map(reading));
const gradientTiles = (g: Graph, dy: Operand, { axes }: Convolution) => tiled(g, dy, axes.map(placing));

/** An axis' T or O, [points, tiles, size]. */
interface Tiles {
  readonly tiles: number;
  readonly size: number;
  readonly numbers: Float32Array;
}

/** Images [n, h, w, c] times both axes' matrices, [rows' points, tiles, columns' points, tiles n, c]. */
function tiled(g: Graph, x: Operand, axes: readonly Tiles[]): string {
  const [n, h, w, c] = x.shape as readonly [number, number, number, number];
  const [rows, columns] = axes as [Tiles, Tiles];
  const wide = g.node("Reshape", [x.inLayout(NCHW), g.int64([n * c * h, w])]);
  const turned = g.node("Gemm", [matrix(g, columns), wide], { transB: 1 });
  const high = g.node("Reshape", [turned, g.int64([LENGTH * columns.tiles * n * c, h])]);
  const both = g.node("Gemm", [matrix(g, rows), high], { transB: 1 });
  return g.node("Reshape", [both, g.int64([LENGTH, rows.tiles, LENGTH, columns.tiles * n, c])]);
}

/** The adjoint of `tiled`, an image of this shape. */
function untiled(g: Graph, name: string, axes: readonly Tiles[], shape: readonly number[]): Stored {
  const [n, h, w, c] = shape as readonly [number, number, number, number];
  const [rows, columns] = axes as [Tiles, Tiles];
  const both = g.node("Reshape", [name, g.int64([LENGTH * rows.tiles, LENGTH * columns.tiles * n * c])]);
  const high = g.node("Gemm", [both, matrix(g, rows)], { transA: 1 });
  const turned = g.node("Reshape", [high, g.int64([LENGTH * columns.tiles, n * c * h])]);
  const wide = g.node("Gemm", [turned, matrix(g, columns)], { transA: 1 });
  return image(g.node("Reshape", [wide, g.int64([n, c, h, w])]), shape, NCHW);
}

/** Filters [3, 3, i, o] at all points, [rows' points, 1, columns' points, i, o]. */
function filterTiles(g: Graph, filter: Operand): string {
  const [, , i, o] = filter.shape as readonly [number, number, number, number];
  const flat = g.node("Reshape", [filter.name, g.int64([TAPS * TAPS, i * o])]);
  return g.node("Reshape", [g.node("MatMul", [weighing(g), flat]), g.int64([LENGTH, 1, LENGTH, i, o])]);
}

const matrix = (g: Graph, { tiles, size, numbers }: Tiles) => constant(g, [LENGTH * tiles, size], numbers);

/** G of both axes, [points, taps], its rows once for each of so many rows of tiles: [rows' points, tiles, columns' points]. */
function weighing(g: Graph, tiles = 1): string {
  const each = powers(TAPS);
  const inRow = (row: readonly number[]) => each.flatMap((column) => row.flatMap((a) => column.map((b) => a * b)));
  const numbers = each.flatMap((row) => Array.from({ length: tiles }, () => inRow(row)).flat());
  return constant(g, [LENGTH * tiles * LENGTH, TAPS * TAPS], numbers);
}

const constant = (g: Graph, shape: readonly number[], numbers: ArrayLike<number>) =>
  g.constant("float32", shape, new Uint8Array(Float32Array.from(numbers).buffer));

/** T: what the tiles of an axis read of its image. */
const reading = ({ size, count, before }: Windows) => tilesOf(count, size, -before, lagrange());

/** O: which places the tiles of an axis give. */
const placing = ({ count }: Windows) => tilesOf(count, count, 0, powers(PLACES));

/** Each point's row for every tile of an axis, from `first` on; numbers outside of the axis are left out. */
function tilesOf(count: number, size: number, first: number, rows: readonly (readonly number[])[]): Tiles {
  const tiles = Math.ceil(count / PLACES);
  const numbers = new Float32Array(LENGTH * tiles * size);
  for (const [point, row] of rows.entries()) {
    for (let tile = 0; tile < tiles; tile++) {
      for (const [k, number] of row.entries()) {
        const at = first + PLACES * tile + k;
        if (at >= 0 && at < size) numbers[(point * tiles + tile) * size + at] = number;
      }
    }
  }
  return { tiles, size, numbers };
}

/** Powers of each point, from the zeroth on; of infinity the last alone. G for as many as taps, A for as many as places. */
function powers(count: number): readonly (readonly number[])[] {
  const exponents = Array.from({ length: count }, (_, i) => i);
  return [...POINTS.map((point) => exponents.map((i) => point ** i)), exponents.map((i) => (i === count - 1 ? 1 : 0))];
}

/** B^T: coefficients of the polynomials that are 1 at one point and 0 at the others; for infinity, of the one that is 0 at all. */
function lagrange(): readonly (readonly number[])[] {
  const rows = POINTS.map((point) => {
    const others = POINTS.filter((other) => other !== point);
    const scale = others.reduce((product, other) => product * (point - other), 1);
    return polynomial(others).map((coefficient) => coefficient / scale);
  });
  return [...rows, polynomial(POINTS)];
}

/** Coefficients of the product of x - root, the constant one first. */
function polynomial(roots: readonly number[]): readonly number[] {
  const times = (p: readonly number[], root: number) =>
    Array.from({ length: p.length + 1 }, (_, i) => (p[i - 1] ?? 0) - root * (p[i] ?? 0));
  return roots.reduce<readonly number[]>(times, [1]);
}
