// Prompts in chunks: how they are cut, and that long ones give the same answers as their logits, whichever way they are read.
import assert from "node:assert/strict";
import { parseConfig } from "../lib/models/config.ts";
import { chunksOf, positionsAtOnce, rangesOf } from "../lib/generate/chunks.ts";
import { generate } from "../lib/generate/generate.ts";
import { estimateGenerationMemory } from "../lib/generate/memory.ts";
import { initModel } from "../lib/models/init.ts";
import { quantizeNF4 } from "../lib/quantize/quantize.ts";
import { logits } from "../lib/train/inspect.ts";
import { devices } from "./devices.ts";
import { refused } from "./refused.ts";

const config = parseConfig({
  model_type: "llama",
  vocab_size: 96,
  hidden_size: 64,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 4096,
  initializer_range: 0.25,
});

Deno.test("whole prompts share a chunk, long ones go in parts of their own, ends keep the streams' order", () => {
  const chunks = chunksOf([3, 4, 5, 25, 2], 10);
  const shapes = chunks.map((
    { isPart, slots, ends },
  ) => [isPart, slots.length, ends.map(({ stream }) => stream)]);
  assert.deepEqual(shapes, [[false, 7, [0, 1]], [false, 5, [2]], [true, 10, []], [true, 10, []], [true, 5, [
    3,
  ]], [
    false,
    2,
    [4],
  ]]);
  assert.deepEqual(chunks[0].ends, [{ place: 2, stream: 0 }, { place: 6, stream: 1 }]);
  assert.deepEqual(rangesOf(chunks[0], config, false).slice(6, 10), [3, 4, 3, 5]);
  assert.deepEqual(rangesOf(chunks[3], config, true).slice(0, 4), [0, 10, 0, 11]);
  const windowed = rangesOf(chunks[3], { ...config, slidingWindow: 4 }, false);
  assert.deepEqual(windowed.slice(0, 2), [7, 11]);
});

for (const device of await devices()) {
  const read = async (slidingWindow: number | null, nf4: boolean, builtIn: boolean) => {
    const model = await initModel({ ...config, slidingWindow }, { device, seed: 3 });
    const used = nf4 ? await quantizeNF4(model) : model;
    const lengths = [positionsAtOnce + 500, 40, 2 * positionsAtOnce + 3];
    const prompts = lengths.map((length, i) =>
      Array.from({ length }, (_, j) => (7 * i + j * j + 5 * j) % 96)
    );
    const expected = [];
    for (const prompt of prompts) {
      const { data } = await logits(used, prompt), last = data.subarray(data.length - 96);
      expected.push([last.indexOf(Math.max(...last))]);
    }
    const { systemMemoryInfo } = Deno;
    // Where nobody may ask for the free memory, nothing is built in.
    if (!builtIn) Deno.systemMemoryInfo = () => assert.fail("not permitted");
    try {
      const options = { maxNewTokens: 1, eosTokenIds: [] };
      assert.deepEqual(await generate(used, prompts, options), expected);
      assert.deepEqual(await generate(used, prompts[2], options), expected[2]);
    } finally {
      Deno.systemMemoryInfo = systemMemoryInfo;
    }
  };
  const test = (what: string, ...how: Parameters<typeof read>) =>
    Deno.test(`${device.backend}: long prompts in parts, ${what}`, () => read(...how));
  test("block by block", null, false, false);
  test("in a sliding window", 300, false, false);
  if (device.backend === "webgpu") continue;
  test("through the decoder's program", null, false, true);
  test("through the decoder's program in a sliding window", 300, false, true);
  test("from NF4", null, true, true);
}

Deno.test("memory: the cache grows with the streams, the programs do not; what does not fit is refused by name", async () => {
  const estimate = (streams: number, positions: number) =>
    estimateGenerationMemory(config, { streams, positions });
  const [two, eight] = [estimate(2, 4000), estimate(8, 4000)];
  assert.equal(eight.cache, 4 * two.cache);
  assert.equal(eight.cache, 4 * 2 * 2 * 8 * 4032 * 32);
  assert.ok(eight.workspace < 1.01 * two.workspace);
  assert.ok(
    estimateGenerationMemory(config, { positions: 64, quantize: "nf4" }).copies < estimate(8, 64).copies,
  );

  const [device] = await devices(), model = await initModel(config, { device });
  const { systemMemoryInfo } = Deno;
  Deno.systemMemoryInfo = () => ({ ...systemMemoryInfo(), available: 1e6 });
  try {
    const prompts = [[1, 2, 3], [4, 5]];
    const message =
      /^2 answers of up to 3003 tokens .* but only 1 MB are free: lower batchSize or maxNewTokens\.$/;
    await refused("too little memory", () => generate(model, prompts, { maxNewTokens: 3000 }), message);
  } finally {
    Deno.systemMemoryInfo = systemMemoryInfo;
  }
});
