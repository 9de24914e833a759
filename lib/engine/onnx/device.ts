// The CPU as a device: tensors are typed arrays, programs are onnxruntime sessions.
import { UserError } from "../../errors.ts";
import { allocate, elementCount, fromHalf, type TypedArray } from "../dtype.ts";
import type { Device, Program } from "../device.ts";
import { byteLength, type Tensor } from "../tensor.ts";
import { compileOnnx } from "./program.ts";
import { loadOnnxRuntime } from "./runtime.ts";

/** Options of the CPU backend. */
export interface CpuOptions {
  /** Threads of onnxruntime; default: one for each core. */
  threads?: number;
}

/** Throws UserError where onnxruntime does not load. */
export async function openCPU(
  reason: string,
  { threads = navigator.hardwareConcurrency }: CpuOptions = {},
): Promise<Device> {
  if (!Number.isInteger(threads) || threads < 1) {
    throw new UserError(`threads is ${threads}; it must be a whole number of at least 1.`);
  }
  await loadOnnxRuntime();
  const live = new Set<TypedArray | GPUBuffer>();
  /** Programs that hold a copy of a tensor's content. */
  const copies = new WeakMap<TypedArray | GPUBuffer, Set<{ outdated: boolean }>>();
  /** What programs gave and nobody has read: it is nobody else's. */
  const results = new WeakSet<object>();
  let bytes = 0, peak = 0;
  const own = (tensor: Tensor): Tensor => {
    if (!live.has(tensor.storage)) {
      live.add(tensor.storage);
      bytes += byteLength(tensor);
      peak = Math.max(peak, bytes);
    }
    return tensor;
  };
  /** Says when a constant has been overwritten, and knows whose its outputs are. */
  const watched = (program: Program, constants: Readonly<Record<string, Tensor>>): Program => {
    const copy = { outdated: false };
    for (const { storage } of Object.values(constants)) {
      copies.set(storage, (copies.get(storage) ?? new Set()).add(copy));
    }
    return {
      caches: program.caches,
      get outdated() {
        return copy.outdated || program.outdated;
      },
      async run(inputs) {
        const outputs = await program.run(inputs);
        for (const tensor of Object.values(outputs)) results.add(own(tensor).storage);
        return outputs;
      },
      close: program.close,
    };
  };
  return {
    backend: "cpu",
    name: `CPU, ${threads} thread${threads === 1 ? "" : "s"} (onnxruntime)`,
    reason,
    supportsF16: false,
    upload: (data, shape, dtype) =>
      own(
        dtype === "f16"
          ? { dtype: "f32", shape, storage: fromHalf(data as Uint16Array) }
          : { dtype, shape, storage: data },
      ),
    zeros: (shape, dtype) => own({ dtype, shape, storage: allocate(dtype, elementCount(shape)) }),
    update(tensor, data) {
      (tensor.storage as Float32Array).set(data as Float32Array);
      copies.get(tensor.storage)?.forEach((copy) => copy.outdated = true);
    },
    read(...tensors) {
      for (const { storage } of tensors) results.delete(storage);
      return Promise.resolve(tensors.map(({ storage }) => storage as TypedArray));
    },
    free(...tensors) {
      for (const tensor of tensors) {
        if (live.delete(tensor.storage)) bytes -= byteLength(tensor);
        // At once: what waits for the garbage collector is several steps' worth, and stays with the process.
        if (results.delete(tensor.storage)) {
          ((tensor.storage as TypedArray).buffer as ArrayBuffer).transfer(0);
        }
      }
    },
    compile: async (graph, options) => {
      const settings = { constants: {}, threads, ...options };
      return watched(await compileOnnx(graph, settings), settings.constants);
    },
    compileStep: async (graph, constants) => {
      const { compileWasm } = await import("../wasm/program.ts");
      const program = compileWasm(graph, { constants, threads });
      return program && watched(program, constants);
    },
    flush() {},
    memory: () => ({ live: bytes, peak, buffers: live.size }),
    close() {
      live.clear();
      bytes = 0;
    },
  };
}
