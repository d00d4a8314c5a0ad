/** The protocol's datatypes: bytes an element, and how one is written and read; little-endian. */
export const DATATYPES = {
  BOOL: { bytes: 1, write: (view, at, value) => view.setUint8(at, value), read: (view, at) => view.getUint8(at) },
  UINT8: { bytes: 1, write: (view, at, value) => view.setUint8(at, value), read: (view, at) => view.getUint8(at) },
  UINT16: {
    bytes: 2,
    write: (view, at, value) => view.setUint16(at, value, true),
    read: (view, at) => view.getUint16(at, true),
  },
  UINT32: {
    bytes: 4,
    write: (view, at, value) => view.setUint32(at, value, true),
    read: (view, at) => view.getUint32(at, true),
  },
  UINT64: {
    bytes: 8,
    write: (view, at, value) => view.setBigUint64(at, BigInt(value), true),
    read: (view, at) => Number(view.getBigUint64(at, true)),
  },
  INT8: { bytes: 1, write: (view, at, value) => view.setInt8(at, value), read: (view, at) => view.getInt8(at) },
  INT16: {
    bytes: 2,
    write: (view, at, value) => view.setInt16(at, value, true),
    read: (view, at) => view.getInt16(at, true),
  },
  INT32: {
    bytes: 4,
    write: (view, at, value) => view.setInt32(at, value, true),
    read: (view, at) => view.getInt32(at, true),
  },
  INT64: {
    bytes: 8,
    write: (view, at, value) => view.setBigInt64(at, BigInt(value), true),
    read: (view, at) => Number(view.getBigInt64(at, true)),
  },
  FP32: {
    bytes: 4,
    write: (view, at, value) => view.setFloat32(at, value, true),
    read: (view, at) => view.getFloat32(at, true),
  },
  FP64: {
    bytes: 8,
    write: (view, at, value) => view.setFloat64(at, value, true),
    read: (view, at) => view.getFloat64(at, true),
  },
} as const satisfies Record<string, Numeric>;

interface Numeric {
  readonly bytes: number;
  readonly write: (view: DataView, at: number, value: number) => void;
  readonly read: (view: DataView, at: number) => number;
}
export type Datatype = keyof typeof DATATYPES;

/** All names the protocol knows, those of no JSON form and of text included. */
export const ALL_DATATYPES = [...(Object.keys(DATATYPES) as Datatype[]), "FP16", "BF16", "BYTES"] as const;

export const isNumeric = (name: string): name is Datatype => Object.hasOwn(DATATYPES, name);

/** As a model's metadata describe a tensor; -1 is a size that varies. */
export interface TensorMetadata {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

/** Numbers that every datatype holds, different for neighbours. */
export function sample({ name, datatype, shape }: TensorMetadata, batch: number): Tensor {
  if (!isNumeric(datatype)) throw new Error(`input ${name}: this suite has no samples of datatype ${datatype}`);
  const sizes = shape.map((dim, axis) => (dim >= 0 ? dim : axis === 0 ? batch : 1));
  const small = (i: number) => (i * 37 + 11) % 128;
  const value =
    datatype === "BOOL" ? (i: number) => i % 2 : datatype.startsWith("FP") ? (i: number) => small(i) / 128 : small;
  return { name, datatype, shape: sizes, values: Array.from({ length: sizeOf(sizes) }, (_, i) => value(i)) };
}

export function toBytes({ datatype, values }: Tensor): Buffer {
  const { bytes, write } = DATATYPES[datatype];
  const buffer = Buffer.alloc(values.length * bytes);
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  for (const [i, value] of values.entries()) write(view, i * bytes, value);
  return buffer;
}

export function fromBytes(datatype: string, bytes: Buffer): number[] {
  if (!isNumeric(datatype)) throw new Error(`this suite reads no ${datatype}`);
  const { bytes: size, read } = DATATYPES[datatype];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / size }, (_, i) => read(view, i * size));
}

/** A flat list as nested ones, row-major. */
export function nested(values: readonly unknown[], [, ...inner]: readonly number[]): unknown {
  if (inner.length === 0) return values;
  const size = sizeOf(inner);
  return Array.from({ length: size === 0 ? 0 : values.length / size }, (_, i) =>
    nested(values.slice(i * size, (i + 1) * size), inner),
  );
}

/** As JSON holds a tensor. */
export function toJson(tensor: Tensor, form: "flat" | "nested" = "flat") {
  const values = tensor.datatype === "BOOL" ? tensor.values.map(Boolean) : tensor.values;
  const { name, datatype, shape } = tensor;
  return { name, datatype, shape, data: form === "flat" ? values : nested(values, shape) };
}
