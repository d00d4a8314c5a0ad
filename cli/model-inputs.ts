import { type Feeds, type ModelFunction, OPEN_SIZE } from "../export/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import type { NpyArray } from "../train/data/npy.ts";
import { readNpz } from "../train/data/npz.ts";
import { Random } from "../train/random.ts";

/** Samples in a batch of random inputs: more than one, so that what mixes them up shows. */
const BATCH = 2;

/**
 * The same random inputs every time: pictures where an input looks like an image, else float32 in [0, 1) and int32 of 0 and 1,
 * which any vocabulary has; where an input picks rows of a table, any of them.
 */
export function randomFeeds({ inputs, rows }: ModelFunction): Feeds {
  const random = new Random(0, "convert");
  const isBatch = Object.values(inputs).some(({ shape }) => typeof shape[0] === "string");
  const entries = Object.entries(inputs).map(([name, { type, shape }]) => {
    const sizes = shape.map((dim) => (typeof dim === "number" ? dim : isBatch ? BATCH : OPEN_SIZE));
    const most = rows[name];
    const draw = () => (type === "float32" && most === undefined ? random.uniform() : random.integer(most ?? 2));
    const isImage = sizes.length === 4 && [1, 3, 4].includes(sizes[3] as number) && type !== "bool";
    const values = isImage
      ? picture(sizes, random).map((value) => (type === "int32" ? Math.floor(256 * value) : value))
      : Array.from({ length: sizes.reduce((a, b) => a * b, 1) }, draw);
    return [name, { data: typed(type, values), shape: sizes }] as const;
  });
  return Object.fromEntries(entries);
}

/** Draws of a picture along each side. */
const GRID = 16;

/** Images [b, h, w, c] of draws in [0, 1) and what lies between them: smooth as pictures are; on noise many networks saturate. */
function picture([b = 0, h = 0, w = 0, c = 0]: readonly number[], random: Random): number[] {
  const values: number[] = [];
  for (let image = 0; image < b; image++) {
    const grid = Array.from({ length: (GRID + 1) ** 2 * c }, () => random.uniform());
    const at = (row: number, column: number, channel: number) =>
      grid[(row * (GRID + 1) + column) * c + channel] as number;
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        const [row, column] = [(GRID * y) / h, (GRID * x) / w];
        const [top, left] = [Math.floor(row), Math.floor(column)];
        const [down, right] = [row - top, column - left];
        for (let k = 0; k < c; k++) {
          const above = at(top, left, k) * (1 - right) + at(top, left + 1, k) * right;
          const below = at(top + 1, left, k) * (1 - right) + at(top + 1, left + 1, k) * right;
          values.push(above * (1 - down) + below * down);
        }
      }
    }
  }
  return values;
}

/**
 * Inputs from the arrays of a .npz file, named as the model's inputs; of a model with one input, the file's one array.
 *
 * @throws {SubspanError} SHAPE_MISMATCH or DTYPE_MISMATCH naming the array, or whatever reading the file throws.
 */
export async function feedsFrom(path: string, { inputs }: ModelFunction): Promise<Feeds> {
  const arrays = await readNpz(path);
  const found = Object.keys(arrays);
  const names = Object.keys(inputs);
  const entries = names.map((name) => {
    const array = arrays[name] ?? (names.length === 1 && found.length === 1 ? arrays[found[0] as string] : undefined);
    if (array !== undefined) return [name, feed(`${path}: ${name}`, array, inputs[name] as Input)] as const;
    throw new SubspanError("USAGE", `${path}: no array ${name}; it holds ${found.join(", ") || "nothing"}`);
  });
  return Object.fromEntries(entries);
}

type Input = ModelFunction["inputs"][string];

function feed(place: string, { data, shape, type: found }: NpyArray, { type, shape: wanted }: Input): Feeds[string] {
  const fits = shape.length === wanted.length && wanted.every((dim, i) => typeof dim === "string" || dim === shape[i]);
  if (!fits) throw new SubspanError("SHAPE_MISMATCH", `${place}: expected shape [${wanted}], got [${shape}]`);
  const values = typed(type, Array.from(data as ArrayLike<number>, Number));
  const exact = type === "float32" || values.every((value, i) => value === Number(data[i]));
  if (!exact)
    throw new SubspanError("DTYPE_MISMATCH", `${place}: expected ${type}, got ${found} that ${type} cannot hold`);
  return { data: values, shape: [...shape] };
}

function typed(type: Input["type"], values: readonly number[]): Feeds[string]["data"] {
  if (type === "float32") return Float32Array.from(values);
  return type === "bool" ? Uint8Array.from(values, (value) => (value === 0 ? 0 : 1)) : Int32Array.from(values);
}
