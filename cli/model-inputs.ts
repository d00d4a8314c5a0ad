import type { Feeds, ModelFunction } from "../export/index.ts";
import { SubspanError } from "../runtime/errors.ts";
import type { NpyArray } from "../train/data/npy.ts";
import { readNpz } from "../train/data/npz.ts";
import { Random } from "../train/random.ts";

/** Samples in a batch of random inputs: more than one, so that what mixes them up shows. */
const BATCH = 2;

/**
 * The same random inputs every time: float32 in [0, 1); int32 in 0..255 where it looks like an image, in 0..rows-1 where it picks
 * rows of a table, else 0 and 1, which any vocabulary has.
 */
export function randomFeeds({ inputs, rows }: ModelFunction): Feeds {
  const random = new Random(0, "convert");
  const entries = Object.entries(inputs).map(([name, { type, shape }]) => {
    const sizes = shape.map((dim) => (typeof dim === "string" ? BATCH : dim));
    const length = sizes.reduce((a, b) => a * b, 1);
    const most = rows[name] ?? (type === "int32" && shape.length === 4 ? 256 : 2);
    const draw = () => (type === "float32" && rows[name] === undefined ? random.uniform() : random.integer(most));
    return [name, { data: typed(type, Array.from({ length }, draw)), shape: sizes }] as const;
  });
  return Object.fromEntries(entries);
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
