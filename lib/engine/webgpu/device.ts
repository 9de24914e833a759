// An opened GPU: tensors in and out of pooled buffers, one command encoder a step, errors that say what went wrong.
import { UserError } from "../../errors.ts";
import { type DType, elementCount, fromHalf, type TypedArray } from "../dtype.ts";
import { byteLength, type Tensor } from "../tensor.ts";
import { type Features, findAdapter, openAdapter, type WebGPUOptions } from "./adapter.ts";
import { createPipelines, type PipelineCache } from "./pipelines.ts";
import { type BufferPool, createPool, type PoolMemory } from "./pool.ts";
import { createProfiler, type KernelTime } from "./profile.ts";
import { createRecorder, type Recorder } from "./recorder.ts";

export interface WebGPUDevice {
  readonly gpu: GPUDevice;
  readonly description: string;
  readonly isSoftware: boolean;
  readonly features: Features;
  readonly limits: GPUSupportedLimits;
  readonly pool: BufferPool;
  readonly pipelines: PipelineCache;
  readonly recorder: Recorder;
  /** A tensor with undefined content, owned by the caller. */
  allocate(shape: readonly number[], dtype: DType): Tensor;
  zeros(shape: readonly number[], dtype: DType): Tensor;
  /** Copies numbers to the GPU. Without shader-f16, f16 becomes f32. */
  upload(data: TypedArray, shape: readonly number[], dtype: DType): Tensor;
  /** Overwrites a tensor of the same number of elements. */
  update(tensor: Tensor, data: TypedArray): void;
  /** Waits for everything recorded so far and copies the tensors out, all in one round trip. */
  read(...tensors: Tensor[]): Promise<TypedArray[]>;
  free(...tensors: Tensor[]): void;
  /** Hands the recorded commands to the GPU, without waiting. */
  flush(): void;
  /** Waits until the GPU has done all of it. */
  finished(): Promise<void>;
  memory(): PoolMemory;
  /** GPU time by kernel since the last call; empty unless the device was opened with `profile`. */
  profile(): Promise<KernelTime[]>;
  /** Throws what went wrong since the last call, if anything did. */
  check(): void;
  close(): void;
}

export interface OpenOptions extends WebGPUOptions {
  /** Measures every dispatch (slower); needs the adapter's timestamp-query. */
  profile?: boolean;
}

/** Free buffers that were not used for so many submissions are destroyed. */
const idleSubmissions = 8;
/** Uploads are handed over in portions, as the driver keeps a second copy until then. */
const portion = 2 ** 26;

export async function openWebGPU(options: OpenOptions = {}): Promise<WebGPUDevice> {
  if (!(options.gpu ?? navigator.gpu)) {
    throw new UserError(
      "This runtime has no WebGPU (navigator.gpu is missing): pass a gpu object, as npm:webgpu makes one, or use the CPU.",
    );
  }
  const found = await findAdapter(options);
  if (!found) throw new UserError("No WebGPU adapter was found; install a GPU driver or use the CPU.");
  if (found.isSoftware && !options.allowSoftware) {
    throw new UserError(
      `${found.description} only emulates a GPU; use the CPU, which is faster, or ask for it with FINTUNE_BACKEND=webgpu.`,
    );
  }
  const { gpu, features } = await openAdapter(found);
  if (options.profile && !features.timestamps) {
    throw new UserError(`${found.description} cannot measure kernels: it has no timestamp-query.`);
  }
  return createDevice(gpu, features, found.description, found.isSoftware, options.profile ?? false);
}

function createDevice(
  gpu: GPUDevice,
  features: Features,
  description: string,
  isSoftware: boolean,
  profile: boolean,
): WebGPUDevice {
  const failure = watch(gpu, description);
  const { maxBufferSize } = gpu.limits;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const pool = createPool(gpu, usage, maxBufferSize);
  const staging = createPool(gpu, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST, maxBufferSize);
  const pipelines = createPipelines(gpu, failure.set);
  const profiler = profile ? createProfiler(gpu) : undefined;
  const recorder = createRecorder(gpu, profiler, (count) => {
    pool.trim(count - idleSubmissions);
    staging.trim(count - idleSubmissions);
  });
  let unflushed = 0;

  const check = () => failure.check(pool.memory().live);
  const bufferOf = (tensor: Tensor): GPUBuffer => {
    const buffer = tensor.storage as GPUBuffer;
    if (!pool.isLive(buffer)) throw new Error("webgpu: the tensor was freed, or belongs to another device.");
    return buffer;
  };
  const allocate = (shape: readonly number[], dtype: DType): Tensor => {
    check();
    const stored = dtype === "f16" && !features.f16 ? "f32" : dtype;
    const bytes = byteLength({ dtype: stored, shape });
    if (bytes > maxBufferSize) {
      throw new UserError(
        `A tensor of ${
          shape.join(" x ")
        } takes ${bytes} bytes, but ${description} holds at most ${maxBufferSize} in one buffer.`,
      );
    }
    return { dtype: stored, shape: [...shape], storage: pool.acquire(bytes) };
  };
  const write = (buffer: GPUBuffer, source: TypedArray) => {
    // The queue writes before what is still being recorded: commands that use the old content go first.
    if (pool.lastUse(buffer) === recorder.submission) recorder.submit();
    const bytes = new Uint8Array(source.buffer as ArrayBuffer, source.byteOffset, source.byteLength);
    const whole = bytes.length - bytes.length % 4;
    for (let start = 0; start < whole; start += portion) {
      const piece = bytes.subarray(start, Math.min(start + portion, whole));
      gpu.queue.writeBuffer(buffer, start, piece);
      unflushed += piece.length;
      if (unflushed >= portion) {
        gpu.queue.submit([]);
        unflushed = 0;
      }
    }
    if (whole < bytes.length) {
      const last = new Uint8Array(4);
      last.set(bytes.subarray(whole));
      gpu.queue.writeBuffer(buffer, whole, last);
    }
  };
  const update = (tensor: Tensor, data: TypedArray) => {
    check();
    const buffer = bufferOf(tensor);
    const source = tensor.dtype === "f32" && data instanceof Uint16Array ? fromHalf(data) : data;
    if (source.length !== elementCount(tensor.shape) || !holds(tensor.dtype, source)) {
      const wanted = `${tensor.dtype}[${tensor.shape.join(", ")}]`;
      throw new Error(`webgpu: ${data.length} elements of ${data.constructor.name} do not fill ${wanted}.`);
    }
    write(buffer, source);
  };

  return {
    gpu,
    description,
    isSoftware,
    features,
    limits: gpu.limits,
    pool,
    pipelines,
    recorder,
    allocate,
    zeros(shape, dtype) {
      const tensor = allocate(shape, dtype);
      recorder.encoder().clearBuffer(tensor.storage as GPUBuffer);
      pool.touch(tensor.storage as GPUBuffer, recorder.submission);
      return tensor;
    },
    upload(data, shape, dtype) {
      const tensor = allocate(shape, dtype);
      update(tensor, data);
      return tensor;
    },
    update,
    async read(...tensors) {
      check();
      const buffers = tensors.map(bufferOf);
      const sizes = tensors.map(byteLength);
      const total = sizes.reduce((sum, size) => sum + size, 0);
      const buffer = staging.acquire(total);
      const encoder = recorder.encoder();
      let offset = 0;
      buffers.forEach((source, i) => {
        encoder.copyBufferToBuffer(source, 0, buffer, offset, sizes[i]);
        offset += sizes[i];
      });
      staging.touch(buffer, recorder.submission);
      recorder.submit();
      await pipelines.settled();
      // A lost device rejects the mapping with a message of its own; ours says more.
      await buffer.mapAsync(GPUMapMode.READ, 0, total).catch(async (error) => {
        await new Promise((resolve) => setTimeout(resolve, 0));
        check();
        throw error;
      });
      const bytes = buffer.getMappedRange(0, total).slice(0);
      buffer.unmap();
      staging.release(buffer);
      check();
      offset = 0;
      return tensors.map((tensor, i) => {
        const array = view(bytes, tensor, offset);
        offset += sizes[i];
        return array;
      });
    },
    free(...tensors) {
      for (const tensor of tensors) pool.release(bufferOf(tensor));
    },
    flush() {
      check();
      recorder.submit();
    },
    async finished() {
      check();
      recorder.submit();
      await pipelines.settled();
      await gpu.queue.onSubmittedWorkDone();
      check();
    },
    memory: () => pool.memory(),
    async profile() {
      recorder.submit();
      return await profiler?.times() ?? [];
    },
    check,
    close() {
      failure.close();
      pool.destroy();
      staging.destroy();
      gpu.destroy();
    },
  };
}

/** Gathers what the GPU reports later, to be thrown from the next call. */
function watch(gpu: GPUDevice, description: string) {
  let first: Error | undefined;
  let closed = false;
  let outOfMemory = false;
  gpu.addEventListener("uncapturederror", (event) => {
    event.preventDefault();
    const { error } = event as GPUUncapturedErrorEvent;
    if (error.constructor.name === "GPUOutOfMemoryError") outOfMemory = true;
    first ??= new Error(`webgpu: ${error.message.trim()}`);
  });
  gpu.lost.then(({ message }) => {
    const said = message.split("\n")[0].trim().replace(/\.$/, "");
    first ??= new UserError(
      `The GPU (${description}) was lost${
        said && ` (${said})`
      }: its driver restarted or it was taken away; start again.`,
    );
  });
  return {
    set(error: Error) {
      first ??= error;
    },
    check(live: number) {
      if (closed) throw new Error("webgpu: the device is closed.");
      if (outOfMemory) {
        const held = (live / 2 ** 20).toFixed(0);
        throw new UserError(
          `${description} is out of memory with ${held} MB of tensors; lower batchSize or maxLength, or recompute activations.`,
        );
      }
      if (first) throw first;
    },
    close() {
      closed = true;
    },
  };
}

function holds(dtype: DType, data: TypedArray): boolean {
  const arrays = { f32: Float32Array, f16: Uint16Array, i32: Int32Array, u8: Uint8Array };
  return data instanceof arrays[dtype];
}

function view(bytes: ArrayBuffer, { dtype, shape }: Tensor, offset: number): TypedArray {
  const length = elementCount(shape);
  switch (dtype) {
    case "f32":
      return new Float32Array(bytes, offset, length);
    case "f16":
      return new Uint16Array(bytes, offset, length);
    case "i32":
      return new Int32Array(bytes, offset, length);
    case "u8":
      return new Uint8Array(bytes, offset, length);
  }
}
