// What an op's WebGPU lowering sees: values of known size, and a way to record dispatches.
import type { DType } from "../dtype.ts";

/** WGSL source with its entry point; the name appears in errors and profiles. */
export interface Kernel {
  /** For errors and profiles. */
  readonly name: string;
  /** WGSL. */
  readonly code: string;
  /** Default "main". */
  readonly entry?: string;
}

/** A buffer-to-be of known type. */
export interface GpuValue {
  /** Of the elements. */
  readonly dtype: DType;
  /** Sizes of the axes. */
  readonly shape: readonly number[];
}

/**
 * A value bound whole, or a range of its elements (to stay within the adapter's largest binding). The binding is
 * as long as the elements, rounded up to whole vec4s: kernels take their sizes from parameters, not from arrayLength.
 */
export type GpuBinding = GpuValue | {
  readonly value: GpuValue;
  readonly offset: number;
  readonly length: number;
};

/** Records the dispatches of one op. */
export interface GpuContext {
  /** f16: without it no value is f16, all are f32. */
  /** What the adapter can. */
  readonly features: { readonly f16: boolean; readonly subgroups: boolean };
  /** The device's. */
  readonly limits: GPUSupportedLimits;
  /** What the op reads. */
  readonly inputs: readonly GpuValue[];
  /** What the op fills. */
  readonly outputs: readonly GpuValue[];
  /** Whether anybody reads output i. */
  used(output: number): boolean;
  /** Scratch space that lives for this op only; its content is undefined at first. */
  temporary(dtype: DType, shape: readonly number[]): GpuValue;
  /**
   * Records one dispatch. Bindings are numbered from 0 in group 0 in the order given; `writes` says which of them are
   * read_write. Parameters become one uniform struct, bound last: plain numbers are u32, `{ f32 }` a float.
   */
  dispatch(
    kernel: Kernel,
    bindings: readonly GpuBinding[],
    writes: readonly number[],
    parameters: readonly (number | { f32: number })[],
    workgroups: readonly [number, number?, number?],
  ): void;
}
