// estimateMemory against the peak of a process that really trains, in both ways, and against the GPU's buffers.
import assert from "node:assert/strict";
import { fromFileUrl } from "@std/path";
import { checkMemory, chooseBatchSize, chooseCheckpointing } from "../lib/models/memory.ts";
import {
  adamW,
  attachLoRA,
  batchOf,
  estimateMemory,
  formatBytes,
  initModel,
  openDevice,
  parseConfig,
  trainEpoch,
} from "../mod.ts";
import { refused } from "./refused.ts";

const root = fromFileUrl(new URL("..", import.meta.url));
const config = (vocabulary: number, hidden: number, inner: number, layers: number) => ({
  model_type: "llama",
  vocab_size: vocabulary,
  hidden_size: hidden,
  intermediate_size: inner,
  num_hidden_layers: layers,
  num_attention_heads: hidden / 64,
  num_key_value_heads: hidden / 128,
  tie_word_embeddings: true,
});
/** A software adapter emulates the GPU: there the model is small. */
const sizes = {
  cpu: { json: config(8192, 512, 1408, 8), rows: 4 },
  webgpu: { json: config(1024, 256, 704, 3), rows: 1 },
};
const lora = { r: 16, targetModules: ["q_proj", "k_proj", "v_proj", "o_proj"] };
const rowLength = 256;

/** Trains three steps in a process of its own; the peak is the kernel's, or the device's own count. */
const script = (backend: keyof typeof sizes, checkpointing: boolean, nf4: boolean) => `
  import { adamW, attachLoRA, batchOf, initModel, openDevice, parseConfig, processMemory, quantizeNF4, trainEpoch } from "./mod.ts";
  const device = await openDevice({ backend: "${backend}" });
  let base = await initModel(parseConfig(${JSON.stringify(sizes[backend].json)}), { device });
  if (${nf4}) base = await quantizeNF4(base);
  const model = attachLoRA(base, { ...${JSON.stringify(lora)}, quiet: true });
  const row = (seed) => ({ inputIds: Array.from({ length: ${rowLength} }, (_, i) => (i * 7919 + seed * 31) % 1000) });
  const batch = batchOf(Array.from({ length: ${sizes[backend].rows} }, (_, i) => row(i)));
  const optimizer = adamW(model, { learningRate: 1e-4 });
  await trainEpoch(model, [batch, batch, batch], { optimizer, checkpointing: ${checkpointing}, quiet: true });
  console.log("peak", device.backend === "cpu" ? processMemory().peak : device.memory().peak);`;

async function measuredPeak(
  backend: keyof typeof sizes,
  checkpointing: boolean,
  nf4: boolean,
): Promise<number> {
  const args = ["eval", "--ext=ts", script(backend, checkpointing, nf4)];
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: root }).output();
  const line = new TextDecoder().decode(stdout).match(/peak (\d+)/);
  assert.ok(line, new TextDecoder().decode(stderr));
  return Number(line[1]);
}

for (const backend of ["cpu", "webgpu"] as const) {
  for (const [checkpointing, nf4] of [[true, false], [false, false], [true, true]]) {
    const name = `${backend}, ${nf4 ? "NF4" : "f32"}, activations ${checkpointing ? "recomputed" : "kept"}`;
    Deno.test(`the memory estimate holds: ${name}`, async () => {
      const quantize = nf4 ? "nf4" : undefined;
      const { json, rows } = sizes[backend];
      const options = { tokens: rows * rowLength, ...lora, checkpointing, backend, quantize } as const;
      const { total } = estimateMemory(parseConfig(json), options);
      const peak = await measuredPeak(backend, checkpointing, nf4);
      console.log(`${name}: estimated ${formatBytes(total)}, measured ${formatBytes(peak)}`);
      assert.ok(Math.abs(total - peak) < 0.25 * peak, `estimated ${total}, measured ${peak}`);
    });
  }
}

/** A small model on the CPU, and a way to tell it how much memory is free while something is done. */
async function withFreeMemory() {
  const config = parseConfig(sizes.webgpu.json), device = await openDevice({ backend: "cpu" });
  const model = attachLoRA(await initModel(config, { device }), { ...lora, quiet: true });
  const needed = (tokens: number, checkpointing = true) => {
    const { activations, workspace } = estimateMemory(config, { tokens, ...lora, checkpointing });
    return activations + workspace;
  };
  const systemMemoryInfo = Deno.systemMemoryInfo;
  const having = <T>(available: number, work: () => T): T => {
    const restore = () => void (Deno.systemMemoryInfo = systemMemoryInfo);
    Deno.systemMemoryInfo = () => ({ ...systemMemoryInfo(), available });
    let result: T | undefined;
    try {
      result = work();
      return (result instanceof Promise ? result.finally(restore) : result) as T;
    } finally {
      if (!(result instanceof Promise)) restore();
    }
  };
  return { model, needed, having };
}

Deno.test("a choice of the user's own is held against the free memory too, in training as well", async () => {
  const { model, needed, having } = await withFreeMemory(), tokens = 256;
  const chosen = (available: number, wanted: boolean) =>
    having(available, () => chooseCheckpointing(model, tokens, wanted));
  const kept = needed(tokens, false), recomputed = needed(tokens, true);
  const optimizer = adamW(model, { learningRate: 1e-3 });
  const batch = batchOf([{ inputIds: Array.from({ length: tokens }, (_, i) => i) }]);
  const epoch = (checkpointing: boolean) =>
    trainEpoch(model, [batch], { optimizer, checkpointing, quiet: true });
  const whenKept = new RegExp(
    `^A batch of 256 tokens needs about ${formatBytes(kept)} beside the weights with its activations kept, ` +
      "but only .* are free: set checkpointing to true, or lower batchSize or maxLength\\.$",
  );
  assert.throws(() => chosen(0.9 * kept, false), { name: "UserError", message: whenKept });
  const message =
    /^A batch of 256 tokens needs about \S+ \S+ beside the weights, but only .* are free: lower /;
  assert.throws(() => chosen(0.9 * recomputed, true), { name: "UserError", message });
  assert.throws(() => chosen(0.9 * recomputed, false), {
    message: /kept, but only .* are free: lower batchSize/,
  });
  await having(0.9 * recomputed, () => assert.rejects(epoch(true), { name: "UserError", message }));
  assert.equal(optimizer.steps, 0);
  assert.equal(chosen(1.1 * recomputed, true), true);
  assert.equal(chosen(1.1 * kept, false), false);
});

Deno.test("the batch size is the largest divisor of the step whose longest rows fit", async () => {
  const { model, needed, having } = await withFreeMemory();
  const lengths = [100, ...Array<number>(20).fill(64), 10, 12];
  const chosen = (available: number, effectiveBatchSize?: number) =>
    having(available, () => chooseBatchSize(model, lengths, { effectiveBatchSize }));
  const forRows = (count: number) => needed(100 + 64 * (count - 1)) / 0.75 + 1;
  assert.deepEqual(chosen(1e12), { batchSize: 16, gradientAccumulationSteps: 1 });
  assert.deepEqual(chosen(forRows(16)), { batchSize: 16, gradientAccumulationSteps: 1 });
  assert.deepEqual(chosen(forRows(16) - 2), { batchSize: 8, gradientAccumulationSteps: 2 });
  assert.deepEqual(chosen(forRows(5), 12), { batchSize: 4, gradientAccumulationSteps: 3 });
  assert.deepEqual(chosen(forRows(1), 7), { batchSize: 1, gradientAccumulationSteps: 7 });
  assert.throws(() => chosen(forRows(1) - 2, 7), {
    name: "UserError",
    message: /^A row of 100 tokens needs about .* but only .* are free, a quarter .*: lower maxLength/,
  });
  assert.throws(() => chosen(1e12, 1.5), { message: /effectiveBatchSize is 1\.5/ });
});

Deno.test("too little memory is named; what earlier batches hold counts as free for the next", async () => {
  const config = parseConfig(sizes.webgpu.json), tokens = 256;
  const device = await openDevice({ backend: "cpu" });
  const model = attachLoRA(await initModel(config, { device }), { ...lora, quiet: true });
  const { activations, workspace } = estimateMemory(config, { tokens, ...lora });
  const systemMemoryInfo = Deno.systemMemoryInfo;
  const chosen = (share: number, tokens: number) => {
    const available = share * (activations + workspace);
    Deno.systemMemoryInfo = () => ({ ...systemMemoryInfo(), available });
    return chooseCheckpointing(model, tokens);
  };
  try {
    const message =
      /^A batch of 256 tokens needs about .* beside the weights, but only .* are free: lower batchSize or maxLength\.$/;
    assert.throws(() => chosen(0.9, tokens), { name: "UserError", message });
    assert.equal(chosen(1.1, tokens), true);
    assert.equal(chosen(0.1, tokens), true, "the second batch uses what the first one held");
    assert.throws(() => chosen(0.1, 2 * tokens), { name: "UserError" });
    assert.equal(chosen(20, tokens), false);
  } finally {
    Deno.systemMemoryInfo = systemMemoryInfo;
  }
});

Deno.test("weights that no memory holds are refused before they are read, with what to do", async () => {
  const huge = parseConfig(config(100_000, 16384, 53248, 1000));
  await refused("f32", () => checkMemory("m", huge, {}), /weights take about .* TB.*quantize: "nf4" \(about/);
  await refused("NF4", () => checkMemory("m", huge, { quantize: "nf4" }), /choose a smaller model\.$/);
  checkMemory("m", parseConfig(sizes.cpu.json), {});
});
