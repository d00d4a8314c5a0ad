import { SubspanError } from "../runtime/errors.ts";
import type { PortType, TraceFunction } from "./signature.ts";

export interface ConvertOptions {
  /** Inputs and outputs go by the names in the model's signature instead of those of its nodes. Graph models only. */
  readonly signature?: boolean;
  /**
   * Shapes of inputs by name, where the model leaves sizes open: `{ image: ["N", 224, 224, 3] }`. A text is the dynamic axis; a
   * number in its place fixes it.
   */
  readonly shapes?: Readonly<Record<string, readonly (number | string)[]>>;
}

/** A model as a function of named tensors. */
export interface ModelFunction {
  readonly name: string;
  readonly inputs: Readonly<Record<string, PortType>>;
  readonly outputs: readonly string[];
  /** Inputs that pick rows of a table, by name, and how many rows there are. */
  readonly rows: Readonly<Record<string, number>>;
  readonly run: TraceFunction;
}

/** An input as the model has it: sizes it leaves open are undefined, and so is a shape whose rank is open. */
export interface OpenPort {
  readonly name: string;
  readonly dtype: string | undefined;
  readonly shape: readonly (number | undefined)[] | undefined;
}

/**
 * The inputs with all their sizes: an open first size is the batch "N", other open sizes are given.
 *
 * @throws {SubspanError} USAGE for a shape that is needed or does not fit, TRACE_REFUSED for an input of text.
 */
export function closedPorts(
  ports: readonly OpenPort[],
  given: ConvertOptions["shapes"] = {},
): Record<string, PortType> {
  const unknown = Object.keys(given).find((name) => !ports.some((port) => port.name === name));
  if (unknown !== undefined) {
    const names = ports.map(({ name }) => name).join(", ");
    throw new SubspanError("USAGE", `shape for ${unknown}: no input has this name; there are ${names}`);
  }
  return Object.fromEntries(
    ports.map((port) => [port.name, { type: elementTypeOf(port), shape: shapeOf(port, given[port.name]) }]),
  );
}

function elementTypeOf({ name, dtype }: OpenPort): PortType["type"] {
  if (dtype === "float32" || dtype === "int32" || dtype === "bool") return dtype;
  throw new SubspanError(
    "TRACE_REFUSED",
    `input ${name} is of ${dtype ?? "an unknown type"}, which a graph cannot take`,
  );
}

function shapeOf({ name, shape }: OpenPort, given: readonly (number | string)[] | undefined): PortType["shape"] {
  const wrong = shape?.find((dim) => dim !== undefined && !(Number.isSafeInteger(dim) && dim >= 0));
  if (wrong !== undefined) throw new SubspanError("MODEL_INVALID", `input ${name}: ${wrong} is no size`);
  const own = shape?.map((dim, axis) => dim ?? (axis === 0 ? "N" : undefined));
  const shown = `[${shape?.map((dim) => dim ?? "?").join(", ") ?? "of any rank"}]`;
  if (given === undefined) {
    if (own?.every((dim) => dim !== undefined)) return own;
    const example = own?.map((dim) => dim ?? 64) ?? ["N", 64];
    const how = `give it whole, such as ${name}=${example.join()} (--shape, or shapes in convertModel)`;
    throw new SubspanError("USAGE", `input ${name}: shape ${shown} leaves sizes open; ${how}`);
  }
  const isSize = (dim: number | string) => (typeof dim === "string" ? /^[A-Za-z]\w*$/ : /^[1-9]\d*$/).test(`${dim}`);
  const fits =
    given.every(isSize) &&
    (shape === undefined || (shape.length === given.length && shape.every((dim, i) => (dim ?? given[i]) === given[i])));
  if (fits) return given;
  throw new SubspanError("USAGE", `input ${name}: expected shape ${shown}, got [${given.join(", ")}]`);
}

/** Names that are there once: a second "a" is "a_1". */
export function uniqueNames(names: readonly string[], taken: readonly string[]): string[] {
  const used = new Set(taken);
  return names.map((name) => {
    let unique = name;
    for (let i = 1; used.has(unique); i++) unique = `${name}_${i}`;
    used.add(unique);
    return unique;
  });
}
