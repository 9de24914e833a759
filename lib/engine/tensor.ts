// A concrete tensor: numbers in a typed array (CPU) or in a GPU buffer.
import { bytesPerElement, type DType, elementCount, type TypedArray } from "./dtype.ts";

/** Row-major numbers on a device. A GPU buffer may be larger than the tensor in it. */
export interface Tensor {
  /** Type of the elements. */
  readonly dtype: DType;
  /** Sizes of the axes, the slowest first. */
  readonly shape: readonly number[];
  /** Where the numbers are. */
  readonly storage: TypedArray | GPUBuffer;
}

/** What the elements take, rounded up to whole 32-bit words, in which GPU buffers are counted. */
export function byteLength({ dtype, shape }: { dtype: DType; shape: readonly number[] }): number {
  return Math.ceil(elementCount(shape) * bytesPerElement[dtype] / 4) * 4;
}
