// The choice between the backends.
import { UserError } from "../errors.ts";
import type { Device } from "./device.ts";
import { type CpuOptions, openCPU } from "./onnx/device.ts";

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
    const source = options.backend === undefined ? "FINTUNE_BACKEND" : "backend";
    throw new UserError(`${source} is "${wanted}"; it must be "cpu" or "webgpu".`);
  }
  if (wanted === "cpu") return openCPU("it was asked for", options);
  const gpu = options.gpu ?? globalThis.navigator?.gpu;
  const { openGPU } = await import("./webgpu/open.ts");
  if (wanted === "webgpu") return openGPU({ gpu, allowSoftware: true }, "it was asked for");
  try {
    return await openGPU({ gpu, allowSoftware: false }, "it is a real GPU");
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return openCPU(error.message.replace(/\.$/, ""), options); // it goes on as part of a sentence
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
