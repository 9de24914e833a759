// Which device is opened, the reasons it gives, and what the user reads where one cannot be opened or goes away.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { batchOf } from "../lib/data/batch.ts";
import { openDevice } from "../lib/engine/open.ts";
import { generate } from "../lib/generate/generate.ts";
import { attachLoRA } from "../lib/lora.ts";
import { loadModel } from "../lib/models/load.ts";
import { adamW } from "../lib/train/adamw.ts";
import { trainEpoch } from "../lib/train/epoch.ts";
import { referenceFolder } from "./references.ts";
import { refused } from "./refused.ts";

const tied = join(referenceFolder("llama_tied"), "model");
/** Any adapter of this machine, a software one too. */
const real: GPUAdapter | null = await navigator.gpu?.requestAdapter() ?? null;

/** Limits of a graphics card of ten years ago. */
const enough = {
  maxStorageBuffersPerShaderStage: 8,
  maxStorageBufferBindingSize: 2 ** 27,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupsPerDimension: 65535,
};

/** A WebGPU entry point of our own with one adapter, or none. */
function fakeGPU(adapter: Partial<GPUAdapter> | null, description = "Test GPU"): GPU {
  const info = { vendor: "", architecture: "", device: "", description };
  const whole = { info, limits: enough, features: new Set(), ...adapter };
  return { requestAdapter: () => Promise.resolve(adapter && whole) } as unknown as GPU;
}

/** This machine's adapter under another name, and the devices that were opened on it. */
function renamed(description: string) {
  const opened: GPUDevice[] = [];
  const { limits, features } = real!;
  const requestDevice = async (descriptor?: GPUDeviceDescriptor) => {
    const adapter = await navigator.gpu.requestAdapter();
    opened.push(await adapter!.requestDevice(descriptor));
    return opened.at(-1)!;
  };
  return { opened, gpu: fakeGPU({ limits, features, requestDevice }, description) };
}

/** openDevice without a word from the environment. */
async function withoutWishes<T>(body: () => Promise<T>): Promise<T> {
  const before = Deno.env.get("FINTUNE_BACKEND");
  Deno.env.delete("FINTUNE_BACKEND");
  try {
    return await body();
  } finally {
    if (before !== undefined) Deno.env.set("FINTUNE_BACKEND", before);
  }
}

/** What `deno run` of one line that opens a device prints. */
async function child(env: Record<string, string>): Promise<{ code: number; out: string; err: string }> {
  const folder = await Deno.makeTempDir(), script = join(folder, "open.ts");
  const library = new URL("../mod.ts", import.meta.url).href;
  await Deno.writeTextFile(
    script,
    `import { openDevice, UserError } from "${library}";
     try {
       const { backend, name, reason } = await openDevice();
       console.log(JSON.stringify({ backend, name, reason }));
     } catch (error) {
       if (!(error instanceof UserError)) throw error;
       console.error(error.message);
       Deno.exit(1);
     }`,
  );
  const config = join(import.meta.dirname!, "..", "deno.json");
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, script],
    env: { ...env, NO_COLOR: "1" },
  }).output();
  await Deno.remove(folder, { recursive: true });
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  // The Vulkan loader complains where there is no desktop.
  const err = text(output.stderr).split("\n").filter((line) => !line.includes("XDG_RUNTIME_DIR")).join("\n");
  return { code: output.code, out: text(output.stdout), err };
}

Deno.test("without a GPU the CPU is taken, and the reason says what is missing", () =>
  withoutWishes(async () => {
    const none = await openDevice({ gpu: fakeGPU(null) });
    assert.equal(none.backend, "cpu");
    assert.match(none.name, /^CPU, \d+ threads? \(onnxruntime\)$/);
    assert.match(none.reason, /^No WebGPU adapter was found.*[^.]$/);
    Object.defineProperty(navigator, "gpu", { value: undefined, configurable: true });
    try {
      const { backend, reason } = await openDevice();
      assert.equal(backend, "cpu");
      assert.match(reason, /^This runtime has no WebGPU \(navigator\.gpu is missing\)/);
      await refused("no GPU object", () => openDevice({ backend: "webgpu" }), /navigator\.gpu is missing/);
    } finally {
      delete (navigator as { gpu?: GPU }).gpu;
    }
    await refused(
      "no adapter",
      () => openDevice({ backend: "webgpu", gpu: fakeGPU(null) }),
      /No WebGPU adapter/,
    );
  }));

Deno.test("a software adapter is not taken by itself", () =>
  withoutWishes(async () => {
    for (
      const name of [
        "llvmpipe (LLVM 15.0.6, 256 bits)",
        "SwiftShader Device",
        "Microsoft Basic Render Driver",
      ]
    ) {
      const { backend, reason } = await openDevice({ gpu: fakeGPU({}, name) });
      assert.equal(backend, "cpu");
      assert.ok(reason.startsWith(`${name} only emulates a GPU`), reason);
      assert.match(reason, /FINTUNE_BACKEND=webgpu/);
    }
    const info = { description: "An adapter", isFallbackAdapter: true } as unknown as GPUAdapterInfo;
    assert.match((await openDevice({ gpu: fakeGPU({ info }) })).reason, /An adapter only emulates a GPU/);
  }));

Deno.test("an adapter that lacks a limit, or does not open: the CPU by itself, an error where it was asked for", () =>
  withoutWishes(async () => {
    for (const [limit, least] of Object.entries(enough)) {
      const limits = { ...enough, [limit]: least / 2 } as unknown as GPUSupportedLimits;
      const gpu = fakeGPU({ limits });
      const message = new RegExp(`Test GPU cannot run .*its ${limit} is ${least / 2}, they need ${least}`);
      await refused(limit, () => openDevice({ backend: "webgpu", gpu }), message);
      const { backend, reason } = await openDevice({ gpu });
      assert.equal(backend, "cpu");
      assert.match(reason, message);
    }
    const requestDevice = () => Promise.reject(new Error("the driver is too old"));
    const gpu = fakeGPU({ requestDevice });
    const message = /Test GPU cannot be opened \(the driver is too old\); use the CPU/;
    await refused("a broken driver", () => openDevice({ backend: "webgpu", gpu }), message);
    assert.match((await openDevice({ gpu })).reason, message);
  }));

Deno.test("what was asked for wins, and nonsense is refused", async () => {
  assert.equal((await openDevice({ backend: "cpu" })).reason, "it was asked for");
  assert.equal((await openDevice({ backend: "cpu", threads: 1 })).name, "CPU, 1 thread (onnxruntime)");
  for (const threads of [0, -1, 1.5, NaN]) {
    await refused("threads", () => openDevice({ backend: "cpu", threads }), /threads is .*whole number/);
  }
  const backend = "gpu" as "webgpu";
  await refused("backend", () => openDevice({ backend }), /^backend is "gpu"; it must be "cpu" or "webgpu"/);
});

Deno.test("FINTUNE_BACKEND decides for a whole process", async () => {
  const [cpu, gpu, nonsense] = await Promise.all(
    ["cpu", "webgpu", "cuda"].map((FINTUNE_BACKEND) => child({ FINTUNE_BACKEND })),
  );
  assert.equal(cpu.code, 0, cpu.err);
  assert.deepEqual(Object.entries(JSON.parse(cpu.out))[0], ["backend", "cpu"]);
  assert.equal(JSON.parse(cpu.out).reason, "it was asked for");
  assert.equal(nonsense.code, 1);
  assert.equal(nonsense.err, 'FINTUNE_BACKEND is "cuda"; it must be "cpu" or "webgpu".');
  if (real) {
    assert.equal(gpu.code, 0, gpu.err);
    assert.equal(JSON.parse(gpu.out).backend, "webgpu");
    assert.equal(JSON.parse(gpu.out).reason, "it was asked for");
  } else {
    assert.equal(gpu.code, 1);
    assert.match(gpu.err, /^No WebGPU adapter was found.*\.$/);
  }
});

Deno.test({
  name: "a real GPU is taken by itself",
  ignore: !real,
  fn: () =>
    withoutWishes(async () => {
      const { gpu } = renamed("NVIDIA Test");
      const device = await openDevice({ gpu });
      assert.deepEqual([device.backend, device.name, device.reason], [
        "webgpu",
        "NVIDIA Test",
        "it is a real GPU",
      ]);
      device.close();
    }),
});

Deno.test({
  name: "a GPU that is lost in the middle says so, in training and in generation",
  ignore: !real,
  async fn() {
    const lost = /The GPU \(NVIDIA Test\) was lost.*; start again/;
    for (const what of ["training", "generation"]) {
      const { gpu, opened } = renamed("NVIDIA Test");
      const device = await openDevice({ backend: "webgpu", gpu });
      const model = attachLoRA(await loadModel(tied, { device }), { r: 2, quiet: true });
      const pullOut = async () => {
        opened.at(-1)!.destroy();
        await opened.at(-1)!.lost;
      };
      if (what === "training") {
        const batches = Array.from({ length: 20 }, () => batchOf([{ inputIds: [1, 5, 6, 2] }]));
        const optimizer = adamW(model, { learningRate: 1e-3 });
        const onStep = ({ step }: { step: number }) => void (step === 1 && pullOut());
        await refused(what, () => trainEpoch(model, batches, { optimizer, quiet: true, onStep }), lost);
      } else {
        assert.equal((await generate(model, [1, 5, 6], { maxNewTokens: 2, eosTokenIds: [] })).length, 2);
        await pullOut();
        await refused(what, () => generate(model, [1, 5, 6], { maxNewTokens: 2 }), lost);
      }
      device.close();
    }
  },
});
