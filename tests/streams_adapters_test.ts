// Adapters side by side: answers of several adapters and of the base go on in one batch, each as alone; counted in runs.
import assert from "node:assert/strict";
import { join } from "@std/path";
import type { Device } from "../lib/engine/device.ts";
import { decodeIn } from "../lib/generate/decode_in.ts";
import { generate } from "../lib/generate/generate.ts";
import { openStreams } from "../lib/generate/streams.ts";
import { attachLoRA, useAdapter } from "../lib/lora.ts";
import { parseConfig } from "../lib/models/config.ts";
import { initModel } from "../lib/models/init.ts";
import { loadModel } from "../lib/models/load.ts";
import type { Model } from "../lib/models/model.ts";
import { quantizeNF4 } from "../lib/quantize/quantize.ts";
import { counting } from "./counting.ts";
import { devices } from "./devices.ts";
import { referenceFolder } from "./references.ts";

const config = parseConfig({
  model_type: "llama",
  vocab_size: 96,
  hidden_size: 64,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 512,
  initializer_range: 0.25,
});

/** Of 16 columns at most (a quarter of the width) a, b and c take eleven; d has to be a stack of its own. */
const kinds = [
  { name: "a", r: 2, alpha: 6, targetModules: ["q_proj"] },
  { name: "b", r: 5, alpha: 5, targetModules: ["v_proj", "down_proj"], useRslora: true },
  { name: "c", r: 4, alpha: 2, targetModules: ["q_proj", "o_proj", "gate_proj"] },
  { name: "e", r: 8, alpha: 8, targetModules: ["v_proj", "up_proj"] },
  { name: "d", r: 8, alpha: 8, targetModules: ["up_proj"] },
  { name: "q", r: 3, alpha: 6, targetModules: ["q"] }, // T5's names
  { name: "o", r: 2, alpha: 8, targetModules: ["o", "v"] },
  { name: "dora", r: 2, alpha: 4, targetModules: ["k_proj"], useDora: true },
];

async function withAdapters(base: Model, names: string[]): Promise<Model> {
  let model = base, k = 0;
  for (const kind of kinds.filter(({ name }) => names.includes(name))) {
    model = await attachLoRA(model, { ...kind, quiet: true });
    for (const [name, tensor] of model.adapters.get(kind.name)!.parameters) {
      const [values] = await base.device.read(tensor) as Float32Array[];
      if (/lora_[AB]/.test(name)) base.device.update(tensor, values.map(() => 0.3 * Math.sin(++k)));
    }
  }
  return model;
}

const prompts = [[1, 15, 72, 91], [5, 9, 33], [1, 15, 72, 91], [8, 40, 41, 42, 43], [77]];
const options = { maxNewTokens: 12, eosTokenIds: [] };

for (const real of await devices()) {
  for (const nf4 of real.backend === "cpu" ? [false, true] : [false]) {
    Deno.test(`${real.backend}${nf4 ? ", NF4" : ""}: three adapters and the base in one batch`, async () => {
      const { device, runs } = counting(real), plain = await initModel(config, { device, seed: 4 });
      const model = await withAdapters(nf4 ? await quantizeNF4(plain) : plain, ["a", "b", "c"]);
      const names = [null, "a", "b", "c", "b"], expected: number[][] = [];
      for (const [i, name] of names.entries()) {
        expected.push(await generate(useAdapter(model, name ?? undefined), prompts[i], options));
      }
      assert.equal(new Set(expected.map(String)).size, 5);
      const before = device.memory().live, streams = openStreams(model, { maxStreams: 5, maxLength: 64 });
      runs.length = 0;
      const answers = await Promise.all(names.map(async (adapter, i) => {
        const tokens = await Array.fromAsync(streams.submit(prompts[i], { ...options, adapter }));
        return tokens.map(({ token }) => token);
      }));
      assert.deepEqual(answers, expected);
      // One chunk of all prompts (where the program reads them), and eleven steps of all five.
      const decoded = Array(11).fill(5);
      assert.deepEqual(runs, nf4 || real.backend === "webgpu" ? decoded : [17, ...decoded]);
      await streams.close();
      assert.equal(device.memory().live, before);
    });
  }
}

Deno.test("in 4 bits too adapters and the base are one batch, in a program of their own", async () => {
  const [real] = (await devices()).filter(({ backend }) => backend === "cpu"), made: boolean[] = [];
  const compileStep: Device["compileStep"] = async (...of) => {
    const program = await real.compileStep(...of);
    made.push(program !== undefined);
    return program;
  };
  const device = { ...real, compileStep };
  const plain = await quantizeNF4(await initModel(config, { device, seed: 4 }));
  const model = decodeIn(await withAdapters(plain, ["c", "e"]), { bits: 4 });
  const names = [null, "c", "e", "c", "e"], expected: number[][] = [];
  for (const [i, name] of names.entries()) {
    expected.push(await generate(useAdapter(model, name ?? undefined), prompts[i], options));
  }
  assert.equal(new Set(expected.map(String)).size, 5);
  const streams = openStreams(model, { maxStreams: 5, maxLength: 64 });
  const answers = await Promise.all(names.map(async (adapter, i) => {
    const tokens = await Array.fromAsync(streams.submit(prompts[i], { ...options, adapter }));
    return tokens.map(({ token }) => token);
  }));
  assert.deepEqual(answers, expected);
  await streams.close();
  // The base's, c's and e's twice (only the last one is kept), and that of both.
  assert.deepEqual(made, [true, true, true, true, true, true]);
});

Deno.test("what does not fit side by side goes on beside it: larger ranks, DoRA", async () => {
  const [cpu] = await devices(), { device, runs } = counting(cpu);
  const model = await withAdapters(
    await initModel(config, { device, seed: 4 }),
    ["a", "b", "c", "d", "dora"],
  );
  const names = ["d", "a", "dora", "c", null], expected: number[][] = [];
  for (const [i, name] of names.entries()) {
    expected.push(await generate(useAdapter(model, name ?? undefined), prompts[i], options));
  }
  assert.equal(new Set(expected.map(String)).size, 5);
  const streams = openStreams(model, { maxStreams: 5, maxLength: 64 });
  runs.length = 0;
  const answers = await Promise.all(names.map(async (adapter, i) => {
    const tokens = await Array.fromAsync(streams.submit(prompts[i], { ...options, adapter }));
    return tokens.map(({ token }) => token);
  }));
  assert.deepEqual(answers, expected);
  // d, then a with c and the base, then DoRA: their prompts and first steps; then ten steps of each.
  assert.deepEqual(runs, [[4, 1], [9, 3], [4, 1], ...Array(10).fill([1, 3, 1])].flat());
  await streams.close();
});

Deno.test("T5's adapters answer side by side too, each in a lane of its own", async () => {
  const [device] = await devices();
  const base = await loadModel(join(referenceFolder("t5_gated_untied"), "model"), { device });
  const model = await withAdapters(base, ["q", "o"]);
  const names = ["q", null, "o", "q"], asked = [[17, 42, 1], [17, 42, 1], [17, 42, 1], [5, 9, 33, 1]];
  const expected: number[][] = [];
  for (const [i, name] of names.entries()) {
    expected.push(await generate(useAdapter(model, name ?? undefined), asked[i], options));
  }
  assert.equal(new Set(expected.map(String)).size, 4);
  const streams = openStreams(model, { maxStreams: 4, maxLength: 64 });
  const answers = await Promise.all(names.map(async (adapter, i) => {
    const tokens = await Array.fromAsync(streams.submit(asked[i], { ...options, adapter }));
    return tokens.map(({ token }) => token);
  }));
  assert.deepEqual(answers, expected);
  await streams.close();
});
