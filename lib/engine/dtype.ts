// Element types of tensors and the typed arrays that hold them in JavaScript.

/** f16 travels as its raw bits in a Uint16Array; u8 holds packed NF4 codes and other bytes. */
export type DType = "f32" | "f16" | "i32" | "u8";

/** The arrays that hold elements in JavaScript. */
export type TypedArray = Float32Array | Uint16Array | Int32Array | Uint8Array;

export const bytesPerElement: Record<DType, number> = { f32: 4, f16: 2, i32: 4, u8: 1 };

/** A new, zeroed array for `length` elements. */
export function allocate(dtype: DType, length: number): TypedArray {
  switch (dtype) {
    case "f32":
      return new Float32Array(length);
    case "f16":
      return new Uint16Array(length);
    case "i32":
      return new Int32Array(length);
    case "u8":
      return new Uint8Array(length);
  }
}

/** f16 bits as numbers. */
export function fromHalf(bits: Uint16Array): Float32Array {
  return Float32Array.from(new Float16Array(bits.buffer as ArrayBuffer, bits.byteOffset, bits.length));
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
