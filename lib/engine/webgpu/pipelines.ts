// Compiled kernels: one pipeline for each text and binding layout, with the kernel's name in every error.
import type { Kernel } from "./context.ts";

export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export interface PipelineCache {
  /** `writes` are the bindings that are read_write; `uniform` says whether a parameter struct follows them. */
  get(kernel: Kernel, bindings: number, writes: readonly number[], uniform: boolean): Pipeline;
  /** Resolves once the driver has accepted (or `fail` has heard about) every kernel asked for so far. */
  settled(): Promise<void>;
}

export function createPipelines(device: GPUDevice, fail: (error: Error) => void): PipelineCache {
  const layouts = new Map<string, GPUBindGroupLayout>();
  const pipelines = new Map<string, Pipeline>();
  let checks: Promise<void>[] = [];

  const layoutOf = (key: string, bindings: number, writes: readonly number[], uniform: boolean) => {
    const known = layouts.get(key);
    if (known) return known;
    const entries: GPUBindGroupLayoutEntry[] = Array.from({ length: bindings }, (_, binding) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: writes.includes(binding) ? "storage" : "read-only-storage" },
    }));
    if (uniform) {
      entries.push({ binding: bindings, visibility: GPUShaderStage.COMPUTE, buffer: { type: "uniform" } });
    }
    const layout = device.createBindGroupLayout({ label: key, entries });
    layouts.set(key, layout);
    return layout;
  };

  const compile = (kernel: Kernel, layout: GPUBindGroupLayout): Pipeline => {
    device.pushErrorScope("validation");
    device.pushErrorScope("internal");
    const module = device.createShaderModule({ label: kernel.name, code: kernel.code });
    const pipeline = device.createComputePipeline({
      label: kernel.name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: kernel.entry ?? "main" },
    });
    for (let scope = 0; scope < 2; scope++) {
      checks.push(
        device.popErrorScope().then((error) => {
          if (error) {
            fail(new Error(`webgpu: kernel ${kernel.name} does not compile: ${error.message.trim()}`));
          }
        }),
      );
    }
    return { pipeline, layout };
  };

  return {
    get(kernel, bindings, writes, uniform) {
      const key = `${bindings} bindings, writes ${writes.join()}${uniform ? ", parameters" : ""}`;
      const id = `${kernel.name}\n${kernel.entry ?? "main"}\n${key}\n${kernel.code}`;
      const known = pipelines.get(id);
      if (known) return known;
      const made = compile(kernel, layoutOf(key, bindings, writes, uniform));
      pipelines.set(id, made);
      return made;
    },
    async settled() {
      const pending = checks;
      checks = [];
      await Promise.all(pending);
    },
  };
}
