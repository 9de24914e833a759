// One interface over both backends, and the choice between them.
import { UserError } from "../errors.ts";
import type { DType, TypedArray } from "./dtype.ts";
import type { Graph } from "./graph.ts";
import { type CpuOptions, openCPU } from "./onnx/device.ts";
import type { Tensor } from "./tensor.ts";

/** A compiled graph. */
export interface Program {
  /** Runs on tensors of the same device; the outputs belong to the caller, who frees them. */
  run(inputs: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>;
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
   * Makes a graph runnable. `constants` are inputs whose content never changes (see lib/engine/onnx).
   */
  compile(graph: Graph, options?: { constants?: Readonly<Record<string, Tensor>> }): Promise<Program>;
  /** Hands recorded work to the GPU; nothing to do on the CPU. */
  flush(): void;
  /** Bytes and number of the tensors that were not freed, and the most bytes at once. */
  memory(): { live: number; peak: number; buffers: number };
  /** Frees everything. */
  close(): void;
}

/** Options of {@linkcode openDevice}. */
export interface DeviceOptions extends CpuOptions {
  /** "webgpu" takes any adapter, software ones too; "cpu" none. Default: FINTUNE_BACKEND, else a real GPU, else the CPU. */
  backend?: "cpu" | "webgpu";
  /** Any WebGPU entry point (an object with requestAdapter), for example Dawn's from npm:webgpu. Default: navigator.gpu. */
  gpu?: GPU;
}

/**
 * Opens a real GPU through WebGPU, else the CPU, and says which and why in `name` and `reason`.
 *
 * A software adapter is taken only when `backend: "webgpu"` (or FINTUNE_BACKEND=webgpu) asks for it: it is slower
 * than the CPU backend. Throws UserError where the backend that was asked for is not there.
 *
 * @example
 * ```ts
 * import { openDevice } from "@fintune/fintune";
 * const device = await openDevice({ backend: "cpu" });
 * console.log(device.name, "because", device.reason);
 * ```
 */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  const wanted = options.backend ?? environment("FINTUNE_BACKEND");
  if (wanted !== undefined && wanted !== "cpu" && wanted !== "webgpu") {
    throw new UserError(`FINTUNE_BACKEND is "${wanted}"; it must be "cpu" or "webgpu".`);
  }
  if (wanted === "cpu") return openCPU("it was asked for", options);
  const gpu = options.gpu ?? globalThis.navigator?.gpu;
  const { openGPU } = await import("./webgpu/open.ts");
  if (wanted === "webgpu") return openGPU({ gpu, allowSoftware: true }, "it was asked for");
  try {
    return await openGPU({ gpu, allowSoftware: false }, "it is a real GPU");
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return openCPU(error.message, options);
  }
}

/** An environment variable; undefined also where reading it is not permitted. */
function environment(name: string): string | undefined {
  try {
    return globalThis.Deno?.env.get(name) || undefined;
  } catch {
    return undefined;
  }
}
