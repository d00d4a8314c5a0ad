import type { ManifestInput, ManifestOutput } from "../../runtime/node.ts";

/** The datatypes of the Open Inference Protocol and the bytes of an element; BYTES have no fixed size. */
export const DATATYPES: Readonly<Record<string, number | undefined>> = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP16: 2,
  BF16: 2,
  FP32: 4,
  FP64: 8,
  BYTES: undefined,
};

/** What the protocol calls the element types of our graphs. */
export const DATATYPE = { uint8: "UINT8", float32: "FP32", int64: "INT64" } as const satisfies Record<
  ManifestInput["dtype"] | ManifestOutput["dtype"],
  keyof typeof DATATYPES
>;

/** Numbers a sample has in a tensor of this shape: all dimensions but the batch. */
export function sampleSize(shape: readonly (number | string)[]): number {
  return shape.slice(1).reduce<number>((product, dim) => product * Number(dim), 1);
}

/** Bytes a sample takes in a tensor. */
export function sampleBytes({ dtype, shape }: Pick<ManifestInput | ManifestOutput, "dtype" | "shape">): number {
  return sampleSize(shape) * DATATYPES[DATATYPE[dtype]]!;
}
