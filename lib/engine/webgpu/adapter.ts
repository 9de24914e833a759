// From a GPU object to an opened GPUDevice: the adapter's own limits, the features that really work, and its name.
import { UserError } from "../../errors.ts";

export interface WebGPUOptions {
  /** Any WebGPU implementation, for example npm:webgpu's `create([])`; Deno's own when left out. */
  gpu?: GPU;
  /** Which of several GPUs; "high-performance" when left out. */
  powerPreference?: GPUPowerPreference;
  /** Whether an adapter that only emulates a GPU on the CPU is accepted; false when left out. */
  allowSoftware?: boolean;
}

export interface FoundAdapter {
  readonly adapter: GPUAdapter;
  readonly description: string;
  readonly isSoftware: boolean;
}

export interface Features {
  readonly f16: boolean;
  readonly subgroups: boolean;
  readonly timestamps: boolean;
}

/** What the kernels are written for; every desktop GPU offers more. */
const needed = {
  maxStorageBuffersPerShaderStage: 8,
  maxStorageBufferBindingSize: 2 ** 27,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupsPerDimension: 65535,
} as const;

const requested = [
  "maxBufferSize",
  "maxComputeWorkgroupSizeY",
  ...Object.keys(needed),
] as (keyof GPUSupportedLimits)[];

const emulators = /llvmpipe|lavapipe|softpipe|swiftshader|basic render|software|warp\b/i;

/** The adapter that would be opened, or undefined where there is none. */
export async function findAdapter(
  { gpu, powerPreference }: WebGPUOptions = {},
): Promise<FoundAdapter | undefined> {
  const adapter = await (gpu ?? navigator.gpu)?.requestAdapter({
    powerPreference: powerPreference ?? "high-performance",
  });
  if (!adapter) return undefined;
  const { vendor, architecture, device, description } = adapter.info;
  const words = [description, vendor, architecture, device].filter((word) => word && !/^\d+$/.test(word));
  const isFallback = (adapter.info as { isFallbackAdapter?: boolean }).isFallbackAdapter === true;
  return {
    adapter,
    description: words.join(", ") || "an unnamed GPU",
    isSoftware: isFallback || words.some((word) => emulators.test(word)),
  };
}

export async function openAdapter(
  { adapter, description }: FoundAdapter,
): Promise<{ gpu: GPUDevice; features: Features }> {
  for (const [limit, least] of Object.entries(needed)) {
    const offered = adapter.limits[limit as keyof GPUSupportedLimits] as number;
    if (offered < least) {
      throw new UserError(
        `${description} cannot run the WebGPU kernels: its ${limit} is ${offered}, they need ${least}; use the CPU instead.`,
      );
    }
  }
  const requiredLimits = Object.fromEntries(
    requested.map((limit) => [limit, adapter.limits[limit] as number]),
  );
  const offered = ["shader-f16", "timestamp-query"].filter((name) =>
    adapter.features.has(name as GPUFeatureName)
  );
  const open = async (features: string[]) =>
    await adapter.requestDevice({
      label: "fintune",
      requiredFeatures: features as GPUFeatureName[],
      requiredLimits,
    });
  // Deno's adapters do not list subgroups even where they have them, so asking is the only way to know.
  const gpu = await open([...offered, "subgroups"]).catch(() => open(offered)).catch((error) => {
    throw new UserError(
      `${description} cannot be opened (${
        error.message.split("\n")[0].replace(/\.$/, "")
      }); use the CPU instead.`,
    );
  });
  const has = (name: string) => gpu.features.has(name as GPUFeatureName);
  const f16 = has("shader-f16") && await compilesF16(gpu);
  return { gpu, features: { f16, subgroups: has("subgroups"), timestamps: has("timestamp-query") } };
}

/** Some drivers list shader-f16 and then cannot compile it. */
async function compilesF16(gpu: GPUDevice): Promise<boolean> {
  const code = `enable f16;
@group(0) @binding(0) var<storage, read_write> halves: array<f16>;
@compute @workgroup_size(32) fn main(@builtin(local_invocation_index) i: u32) { halves[i] = halves[i] * 2h; }`;
  gpu.pushErrorScope("internal");
  gpu.pushErrorScope("validation");
  gpu.createComputePipeline({
    layout: "auto",
    compute: { module: gpu.createShaderModule({ code }), entryPoint: "main" },
  });
  const invalid = await gpu.popErrorScope();
  const failed = await gpu.popErrorScope();
  return !invalid && !failed;
}
