// One interface over both backends.
import type { DType, TypedArray } from "./dtype.ts";
import type { Graph } from "./graph.ts";
import type { Tensor } from "./tensor.ts";

/** A compiled graph. */
export interface Program {
  /** Runs on tensors of the same device; the outputs belong to the caller, who frees them. */
  run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
  /** Whether a constant that it was compiled with has been overwritten since: then compile anew. */
  readonly outdated?: boolean;
  /** Room, with anything in it, for the caches that the program reads and writes in place; it takes no others. */
  readonly caches?: { take(length: number): Float32Array; free(array: Float32Array): void };
  /** Frees what the program holds. */
  close(): void;
}

/** Where tensors live and programs run. */
export interface Device {
  /** Which of the two backends it is. */
  readonly backend: "cpu" | "webgpu";
  /** What it is, for people. */
  readonly name: string;
  /** Why this one was taken. */
  readonly reason: string;
  /** Whether weights may be stored as f16; where not, upload turns them into f32. */
  readonly supportsF16: boolean;
  /** Puts numbers on the device. On the CPU the array itself is kept, not a copy. */
  upload(data: TypedArray, shape: readonly number[], dtype: DType): Tensor;
  /** A tensor of zeros. */
  zeros(shape: readonly number[], dtype: DType): Tensor;
  /** Overwrites a tensor. */
  update(tensor: Tensor, data: TypedArray): void;
  /** Copies tensors back, all in one round trip; on the CPU the arrays themselves. */
  read(...tensors: Tensor[]): Promise<TypedArray[]>;
  /** Gives tensors up; they must not be used again. */
  free(...tensors: Tensor[]): void;
  /**
   * Makes a graph runnable. `constants` are inputs whose content never changes (see lib/engine/onnx); `threads` (CPU) are
   * fewer than the device's for a program that is not worth them.
   */
  compile(
    graph: Graph,
    options?: { constants?: Readonly<Record<string, Tensor>>; threads?: number },
  ): Promise<Program>;
  /**
   * A program of WebAssembly for a decode step with weights in few bits, which writes its caches in place (lib/engine/wasm);
   * undefined where it has not got all the kernels, and on a GPU.
   */
  compileStep(
    graph: Graph,
    constants: Readonly<Record<string, Tensor>>,
  ): Promise<Program | undefined>;
  /** Hands recorded work to the GPU; nothing to do on the CPU. */
  flush(): void;
  /** Bytes and number of the tensors that were not freed, and the most bytes at once. */
  memory(): { live: number; peak: number; buffers: number };
  /** Frees everything. */
  close(): void;
}
