// The element types of the safetensors format, and sizes of tensors.

/** Bytes of one element, in the order in which the safetensors library sorts tensors of different dtypes in a file. */
const ELEMENT_BYTES: Record<Dtype, number> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  C64: 8,
  F64: 8,
  I64: 8,
  U64: 8,
};

/** A tensor's element type, as safetensors names it. */
export type Dtype =
  | "BOOL"
  | "U8"
  | "I8"
  | "F8_E5M2"
  | "F8_E4M3"
  | "F8_E8M0"
  | "I16"
  | "U16"
  | "F16"
  | "BF16"
  | "I32"
  | "U32"
  | "F32"
  | "C64"
  | "F64"
  | "I64"
  | "U64";

/** Bytes of one element of the dtype. */
export function elementBytes(dtype: Dtype): number {
  return ELEMENT_BYTES[dtype];
}

/** Whether a text names an element type. */
export function isDtype(name: unknown): name is Dtype {
  return typeof name === "string" && Object.hasOwn(ELEMENT_BYTES, name);
}

/** Place of the dtype in the order in which the safetensors library sorts tensors. */
export function dtypeRank(dtype: Dtype): number {
  return Object.keys(ELEMENT_BYTES).indexOf(dtype);
}

/** Number of elements of a shape; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}
