// The GPU as a device of the engine.
import type { Device } from "../device.ts";
import type { WebGPUOptions } from "./adapter.ts";
import { openWebGPU } from "./device.ts";
import { compileWebGPU } from "./program.ts";

/** Dawn's entry point must outlive its devices, or the process crashes when it is collected. */
const entryPoints = new Set<GPU>();

/** Opens an adapter; throws UserError where there is none, or only a software one that is not allowed. */
export async function openGPU(options: WebGPUOptions, reason: string): Promise<Device> {
  if (options.gpu) entryPoints.add(options.gpu);
  const device = await openWebGPU(options);
  return {
    backend: "webgpu",
    name: device.description,
    reason,
    supportsF16: device.features.f16,
    upload: device.upload,
    zeros: device.zeros,
    update: device.update,
    read: device.read,
    free: device.free,
    compile(graph) {
      const program = compileWebGPU(graph, device);
      return Promise.resolve({
        run: (inputs) => new Promise((resolve) => resolve(program.run(inputs))),
        close: program.close,
      });
    },
    compileStep: () => Promise.resolve(undefined),
    flush: device.flush,
    memory: device.memory,
    close: device.close,
  };
}
